"""What tick, volume and dollar bars share: a count that reaches a threshold."""

from abc import abstractmethod
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Literal, NamedTuple, TypeAlias, Unpack

import numpy as np
import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from etl.bars import state as states
from etl.bars.builder import Bars, BuilderOptions
from etl.bars.days import DAYS_MAX, Ledger, added, mean, over_days, rolled
from etl.bars.frame import Facts
from etl.bars.open_bar import OpenBar
from etl.bars.scaling import places
from etl.bars.steps import Cut, Step, no_stops
from etl.bars.threshold import ADV_FRACTION, Number, plain, positive, reached_from
from etl.bars.ticks import Pending
from etl.bars.trades import Int64s

Carry: TypeAlias = Literal["reset", "phase"]


class Counting(NamedTuple):
    """What a step counts: items, which are prints or orders."""

    scale: int  # decimal places of the count
    total: Callable[[], int]  # of all items, the unfinished one included
    items: int
    rows: Int64s | None = None  # the row after each item's last print; None: each print is an item
    pending: Pending | None = None  # the item that may get more prints


class Counted(Struct, frozen=True, kw_only=True):
    """How far the open bar is."""

    count: str = "0"  # a whole number at `scale`
    scale: int = 0
    threshold: str = ""  # in force for the open bar, as an exact fraction; "": it has none
    ledger: Ledger = Ledger()
    pending: Pending | None = None


class CountedState(states.State, frozen=True, kw_only=True):
    """And how far the open bar is."""

    progress: Counted = Counted()


class CountedBars(Bars):
    """Bars that end when a count reaches `threshold`.

    Args:
        threshold: the count, or "adv_fraction": `adv_fraction` of the mean of the last `adv_days` finished UTC days.
        carry: "reset" begins each bar at zero, so that a bar is a slice of trades that reached the threshold by itself;
            "phase" takes what exceeds the threshold over into the next bar's count, so that the number of bars is the
            total divided by the threshold.
        adv_fraction: the part of a day; 0.02 gives about fifty bars a day.
        adv_days: finished days that count; as many as there are.
        threshold_init: the threshold until a day is finished. Without it the trades before are in no bar, but counted.
        options: see `etl.bars.builder.BuilderOptions`.
    """

    State: ClassVar[type[states.State]] = CountedState

    def __init__(
        self,
        *,
        threshold: Number,
        carry: Carry = "reset",
        adv_fraction: Number = "0.02",
        adv_days: int = DAYS_MAX,
        threshold_init: Number | None = None,
        **options: Unpack[BuilderOptions],
    ) -> None:
        if carry not in ("reset", "phase"):
            raise ValueError(f"carry must be 'reset' or 'phase', was {carry!r}")
        self._carries = carry == "phase"
        self.by_day = threshold == ADV_FRACTION
        params: dict[str, str] = {} if carry == "reset" else {"carry": carry}
        if self.by_day:
            if self._carries:
                raise ValueError("carry='phase' needs a threshold that does not change, not 'adv_fraction'")
            if isinstance(adv_days, bool) or not isinstance(adv_days, int) or adv_days < 1:
                raise ValueError(f"adv_days must be a whole number of days above 0, was {adv_days!r}")
            self._days, self._part = adv_days, positive(adv_fraction, "adv_fraction")
            if self._part > 1:
                raise ValueError(f"adv_fraction must be above 0 and at most 1, a part of a day, was {adv_fraction!r}")
            self._constant = None if threshold_init is None else self._valid(threshold_init, "threshold_init")
            params |= {"threshold": ADV_FRACTION, "adv_fraction": plain(self._part), "adv_days": str(adv_days)}
            params |= {} if self._constant is None else {"threshold_init": plain(self._constant)}
        else:
            if threshold_init is not None:
                raise ValueError("threshold_init belongs to threshold='adv_fraction'")
            self._constant = self._valid(threshold, "threshold")
            params["threshold"] = plain(self._constant)
        super().__init__({**params, **self._more_params()}, **options)
        if self._carries and self._constant and not self._bar.is_open:  # what is carried is exact at these places
            self._bar = self._bar.rescaled(*self._scales(places(self._constant)))

    @abstractmethod
    def _counted(self, step: Step, pending: Pending | None) -> Counting:
        """What a step adds to the count."""

    @abstractmethod
    def _reached(self, step: Step, counting: Counting, first: int, count: int, threshold: int) -> tuple[Int64s, int]:
        """(the numbers of the items after those that end a bar, from item `first` on; the count after all)."""

    def _valid(self, threshold: Number, name: str) -> Decimal:
        return positive(threshold, name)

    def _more_params(self) -> dict[str, str]:
        return {}

    def _scales(self, places_needed: int) -> tuple[int, int]:
        """The scales of prices and sizes at which the count has at least these places."""
        return self._bar.price_scale, max(self._bar.size_scale, places_needed)

    def _cut(self, step: Step, bar: OpenBar, progress: Counted) -> Cut:
        counting = self._counted(step, progress.pending)
        scale = counting.scale
        count = int(progress.count) * 10 ** (scale - progress.scale)
        ledger, new = self._today(progress.ledger, step, counting)
        if new is None:
            left = replace(progress, ledger=ledger, pending=counting.pending)
            return Cut(no_stops(), {}, left, is_skipped=True)
        if progress.pending is not None and not bar.is_open:  # an order of trades that are in no bar
            counting = self._counted(step, None)
        left = Counted(scale=scale, threshold=str(new), ledger=ledger, pending=counting.pending)
        ends, thresholds = no_stops(), []
        in_force = Fraction(progress.threshold) if bar.is_open else new
        if in_force != new:  # the open bar keeps the threshold that it began with
            reached, after = self._reached(step, counting, 0, count, reached_from(in_force, scale))
            if not len(reached):
                return Cut(ends, {}, replace(left, count=str(after), threshold=progress.threshold))
            ends, thresholds, count = reached[:1], [float(in_force)], 0
        done = int(ends[0]) if len(ends) else 0
        reached, count = self._reached(step, counting, done, count, reached_from(new, scale))
        thresholds += [float(new)] * len(reached)
        stops = np.concatenate((ends, reached))
        facts: Facts = {
            "close_reason": pl.Series(["threshold"]).new_from_index(0, len(stops)),
            "threshold": np.array(thresholds, dtype=np.float64),
        }
        rows = stops if counting.rows is None else counting.rows[stops - 1]
        return Cut(rows, facts, replace(left, count=str(count)), is_told=counting.rows is not None)

    def _today(self, ledger: Ledger, step: Step, counting: Counting) -> tuple[Ledger, Fraction | None]:
        """(the ledger after the step, the threshold of a bar that begins in it)."""
        constant = None if self._constant is None else Fraction(self._constant)
        if not self.by_day:
            return ledger, constant
        ledger = rolled(ledger, int(step.ts[0]), keep=self._days)
        day_mean = over_days(ledger, mean)
        threshold = constant if day_mean is None else day_mean * Fraction(self._part)
        return added(ledger, Fraction(counting.total(), 10**counting.scale)), threshold

    def _open_facts(self, progress: Counted, bar: OpenBar) -> Facts:
        return {"threshold": np.array([float(Fraction(progress.threshold))])}

    def _interrupted(self, progress: Counted, bar: OpenBar) -> Counted:
        return replace(progress, count="0", pending=None)
