"""What imbalance and run bars share: a threshold made from expectations, frozen at each bar's first trade."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple, Unpack

import numpy as np
import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from etl.bars import state as states
from etl.bars.adaptation import EWMA_WINDOW, Tuning, adaptation_of
from etl.bars.builder import Bars, BuilderOptions
from etl.bars.days import DAYS_MAX, Ledger, added, middle, over_days, rolled
from etl.bars.frame import Column, Facts
from etl.bars.kernels import BITS, LIMB, MASK, on
from etl.bars.open_bar import OpenBar
from etl.bars.rounding import ratio
from etl.bars.steps import Cut, Step
from etl.bars.ticks import UNIT_PLACES, Pending, Ticks, Weight, nearest, powers, scale_of, ticks_of
from etl.compiled import kernel

REASONS = ("threshold", "max_ticks", "warmup")
THRESHOLD, MAX_TICKS, WARMUP = range(3)
OPEN, BELOW, REACHED = -1, 0, 1  # what is known of a tick's test
_BARS_PER_CALL = 4096  # room for a bar at every tick would be zeroed page by page, which costs more than the kernel
EXACT_HIGH = 1 << 22  # a sum whose high limb is smaller is a float
LIMIT = 1  # of `Expected.numbers`


class Expected(Struct, frozen=True, kw_only=True):
    """The expectations, the frozen threshold, and how far the open bar is."""

    # E[T], the threshold, averages, and what the threshold was frozen from; see the families. None: not known yet
    numbers: tuple[float | None, ...]
    ticks: int = 0  # complete ones of the open bar
    is_warm: bool = True  # the warm-up bar is not done
    sides: tuple[int, int] = (0, 0)  # buys and sells among the ticks
    theta: tuple[str, ...] = ("0",)  # whole numbers at `scale`
    scale: int = 0
    ticks_init: int = 1  # E0 of the open bar
    pending: Pending | None = None
    ledger: Ledger = Ledger()


class AdaptiveState(states.State, frozen=True, kw_only=True):
    """And what is expected."""

    progress: Expected


class Options(Tuning, BuilderOptions):
    """See `Tuning` and `BuilderOptions`."""


class Run(NamedTuple):
    """What a kernel leaves behind: the bars that end, and where it stands."""

    ends: Any  # ticks up to each bar's last
    facts: Any  # float64 (bars, cells)
    thetas: Any  # two limbs of each sum
    after: Expected


class AdaptiveBars(Bars):
    """Bars that end when the flow of signed ticks departs from what was expected.

    A family says what is summed and how the threshold follows from the expectations. See the families for parameters.
    """

    State: ClassVar[type[states.State]] = AdaptiveState
    weight: ClassVar[Weight]
    sums: ClassVar[tuple[str, ...]]  # the columns of what is summed
    cells: ClassVar[int]  # of the facts: the reason, the threshold and what that was frozen from
    kernel: ClassVar[Callable[..., Any]]

    def __init__(self, expected_ticks_init: int, *, own: dict[str, Any], **options: Unpack[Options]) -> None:
        tuning: Any = {name: options.pop(name) for name in Tuning.__annotations__ if name in options}  # type: ignore[misc]
        self._adaptation = adaptation_of(expected_ticks_init, tuning, **own)
        self.by_day = self._adaptation.bars_per_day is not None
        super().__init__(self._adaptation.params(), **options)  # type: ignore[misc]

    @abstractmethod
    def _first(self) -> Expected:
        """What is expected before the first trade."""

    @abstractmethod
    def _frozen(self, numbers: list[float]) -> list[float]:
        """The numbers with the threshold made anew from the expectations."""

    @abstractmethod
    def _averages(self, facts: Any) -> Facts:
        """The columns that say by which averages the thresholds were made."""

    @property
    def label(self) -> str:
        """Expected ticks, preset, and by name whatever is not as the preset says."""
        usual = {"ewma_window": str(EWMA_WINDOW), "imbalance_window": str(self._adaptation.usual_window)}
        named = {name: text for name, text in self.params.items() if usual.get(name) != text}
        first = (named.pop("expected_ticks_init"), named.pop("preset"))
        return "-".join((*first, *(f"{name}_{text}" for name, text in named.items())))

    def _begun(self) -> states.State:
        own: dict[str, Any] = {"progress": self._first()}
        return self.State(kind=self.kind, params=self._params_text(), params_hash=self.params_hash(), **own)

    def _cut(self, step: Step, bar: OpenBar, progress: Expected) -> Cut:
        scale = scale_of(step, self.weight)
        at = _rescaled(progress, 10 ** (scale - progress.scale), scale)
        ticks, pending = ticks_of(step, self.weight, unit=self._adaptation.tick_unit, pending=at.pending)
        ledger, ticks_init = self._today(at.ledger, step, ticks)
        at = replace(at, pending=pending, ledger=ledger)
        runs: list[Run] = []
        done = 0
        if ticks_init != at.ticks_init and bar.is_open:  # the open bar goes by what held when it began
            runs.append(self._run(ticks, 0, at, bars_max=1))
            at, done = runs[0].after, int(runs[0].ends[0]) if len(runs[0].ends) else len(ticks.x)
        opens = int(ticks.rows(runs[0].ends)[0]) < len(step.ts) if runs and len(runs[0].ends) else not runs
        if opens:
            if ticks_init != at.ticks_init:
                at = self._with_ticks_init(at, ticks_init)
            runs.append(self._run(ticks, done, at, bars_max=len(ticks.x) + 1))
            at = runs[-1].after
        ends = np.concatenate([run.ends for run in runs])
        facts = self._facts(runs, scale) if len(ends) else {}
        return Cut(ticks.rows(ends), facts, at, is_told=ticks.stops is not None)

    def _today(self, ledger: Ledger, step: Step, ticks: Ticks) -> tuple[Ledger, int]:
        """(the ledger after the step, E0 of a bar that begins in it)."""
        ticks_init = self._adaptation.expected_ticks_init
        per_day = self._adaptation.bars_per_day
        if per_day is None:
            return ledger, ticks_init
        ledger = rolled(ledger, int(step.ts[0]), keep=DAYS_MAX)
        day_ticks = over_days(ledger, middle)
        if day_ticks is not None:
            ticks_init = max(1, round(day_ticks / Fraction(per_day)))
        return added(ledger, Fraction(ticks.begun)), ticks_init

    def _with_ticks_init(self, at: Expected, ticks_init: int) -> Expected:
        numbers = self._frozen([float(ticks_init), *floats(at.numbers)[1:]])
        return replace(at, numbers=finite(numbers), ticks_init=ticks_init)

    def _run(self, ticks: Ticks, first: int, at: Expected, *, bars_max: int) -> Run:
        """What the family's kernel makes of the ticks from number `first` on."""
        is_fast = not isinstance(ticks.hi, list)
        n = len(ticks.x)
        tens = UNIT_PLACES[self.weight] - ticks.scale
        rule = (*self._adaptation.limits(at.ticks_init), *powers(tens))
        numbers = np.array(floats(at.numbers))
        counts = np.array([at.ticks, at.is_warm, *at.sides, OPEN], dtype=np.int64)
        limbs = _limbs(map(int, at.theta))
        theta: Any = np.array(limbs, dtype=np.int64) if is_fast else limbs
        cap = min(bars_max, n - first, _BARS_PER_CALL)
        ends, facts = np.empty(cap, dtype=np.int64), np.empty((cap, self.cells))
        thetas: Any = np.empty((cap, len(limbs)), dtype=np.int64 if is_fast else object)
        found = [(ends[:0], facts[:0], thetas[:0])]
        kernel = on(ticks.hi, type(self).kernel)
        count, row = 0, first
        while row < n and count < bars_max:
            room = min(cap, bars_max - count)
            arrays = (ticks.sign, ticks.x, ticks.hi, ticks.lo, row, rule, numbers, counts, theta)
            bars, row = kernel(*arrays, ends[:room], facts[:room], thetas[:room])
            found.append((ends[:bars].copy(), facts[:bars].copy(), thetas[:bars].copy()))
            count += bars
            if row < n and bars < room:  # too near to tell by floats
                counts[-1] = self._exactly(theta, tens, numbers)
        after = replace(
            at,
            numbers=finite(numbers.tolist()),
            ticks=int(counts[0]),
            is_warm=bool(counts[1]),
            sides=(int(counts[2]), int(counts[3])),
            theta=tuple(map(str, _sums(theta))),
            scale=ticks.scale,
        )
        ends, facts, thetas = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return Run(ends, facts, thetas, after)

    def _exactly(self, theta: Any, tens: int, numbers: Any) -> int:
        return REACHED if max(nearest(abs(total), tens) for total in _sums(theta)) >= numbers[LIMIT] else BELOW

    def _facts(self, runs: list[Run], scale: int) -> Facts:
        facts = np.concatenate([run.facts for run in runs])
        thetas = np.concatenate([run.thetas for run in runs])
        reasons = pl.Series(REASONS)[facts[:, 0].astype(np.int64)]  # `gather` would start a query
        return {"close_reason": reasons, **self._columns(facts, _natural(thetas, scale))}

    def _open_facts(self, progress: Expected, bar: OpenBar) -> Facts:
        numbers, theta = floats(progress.numbers), np.array([_limbs(self._with_pending(progress))], dtype=object)
        limit = math.nan if progress.is_warm else numbers[LIMIT]
        facts = np.array([[0.0, limit, *numbers[2 - self.cells :]]])
        return self._columns(facts, _natural(theta, progress.scale))

    def _columns(self, facts: Any, sums: list[Any]) -> Facts:
        """The columns that say what the bars were made by; of a warm-up bar there is no threshold to say it of."""
        threshold = self._in_units(facts[:, 1])
        averages = self._averages(facts)
        return {
            "threshold": threshold,
            **dict(zip(self.sums, sums, strict=True)),
            "overshoot": np.max(np.abs(sums), axis=0) - threshold,
            "expected_ticks": facts[:, 2],
            **{name: np.where(np.isnan(threshold), np.nan, column) for name, column in averages.items()},
        }

    @abstractmethod
    def _with_pending(self, progress: Expected) -> list[int]:
        """The sums of the open bar, the tick that may get more prints included."""

    def _interrupted(self, progress: Expected, bar: OpenBar) -> Expected:
        """A new count against the same threshold: of a bar that was cut short only the ticks are learned from."""
        numbers = progress.numbers
        if progress.pending:
            x = nearest(int(progress.pending.weight), UNIT_PLACES[self.weight] - progress.scale)
            numbers = finite(self._learned(floats(numbers), progress.pending.sign, x))
        no_sums = ("0",) * len(progress.theta)
        return replace(progress, numbers=numbers, ticks=0, sides=(0, 0), theta=no_sums, pending=None)

    @abstractmethod
    def _learned(self, numbers: list[float], sign: int, x: float) -> list[float]:
        """The numbers after one more tick, as the kernel takes it."""

    def _in_units(self, numbers: Column) -> Column:
        """Numbers of the weight's unit as ticks, volume or value."""
        return numbers / 10.0 ** UNIT_PLACES[self.weight]


def floats(numbers: tuple[float | None, ...]) -> list[float]:
    """The numbers, NaN for what is not known yet."""
    return [math.nan if number is None else number for number in numbers]


def finite(numbers: list[float]) -> tuple[float | None, ...]:
    """The form a state keeps: a number that is not finite is none."""
    return tuple(number if math.isfinite(number) else None for number in numbers)


def _limbs(sums: Iterable[int]) -> list[int]:
    return [limb for total in sums for limb in (total >> BITS, total & MASK)]


def _sums(limbs: Any) -> list[int]:
    return [int(hi) * LIMB + int(lo) for hi, lo in zip(limbs[::2], limbs[1::2], strict=True)]


def _rescaled(at: Expected, factor: int, scale: int) -> Expected:
    if scale == at.scale:
        return at
    pending = at.pending and replace(at.pending, weight=str(int(at.pending.weight) * factor))
    return replace(at, theta=tuple(str(int(text) * factor) for text in at.theta), pending=pending, scale=scale)


def _natural(thetas: Any, scale: int) -> list[Column]:
    """Each sum, rounded once."""
    ones = np.ones(len(thetas), dtype=np.int64)
    return [ratio((thetas[:, at], thetas[:, at + 1]), ones, tens=scale) for at in range(0, thetas.shape[1], 2)]


@kernel()
def expected_next(expected, ticks, alpha, low, high):  # type: ignore[no-untyped-def]
    """E[T] after a bar of this many ticks."""
    return min(max(expected + alpha * (ticks - expected), low), high)


@kernel()
def far_below(limit, up, down):  # type: ignore[no-untyped-def]
    """A bound of sums as floats: below it, a sum x up / down is below the limit whatever was rounded."""
    return limit * down / up * (1.0 - 2.0**-40)
