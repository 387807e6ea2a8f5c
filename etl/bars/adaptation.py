"""How the expectations of imbalance and run bars are made: presets, and what may be set beside them."""

from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias, TypedDict

from etl.bars.threshold import Number, finite, plain, positive, whole
from etl.bars.ticks import TickUnit, checked_unit

Preset: TypeAlias = Literal["guarded", "guarded_ema", "afml_literal", "mlfinlab_like"]
ExpectedTicks: TypeAlias = Literal["ema", "const"]
RunThreshold: TypeAlias = Literal["afml", "jensen"]
NEVER = float(2**62)
EWMA_WINDOW = 15


class _Preset(NamedTuple):
    expected_ticks: ExpectedTicks
    has_bounds: bool  # a third to three times expected_ticks_init
    floor_k: float
    max_factor: int | None  # max_ticks as a multiple of expected_ticks_init


PRESETS: dict[Preset, _Preset] = {
    "guarded": _Preset("const", False, 1.0, 10),
    "guarded_ema": _Preset("ema", True, 1.0, 10),
    "afml_literal": _Preset("ema", False, 0.0, None),
    "mlfinlab_like": _Preset("ema", False, 0.0, None),
}


class Limits(NamedTuple):
    """What a kernel goes by, all as floats."""

    ticks_init: float
    is_ema: float
    alpha: float  # of the EWMAs over bars
    keep_bar: float  # 1 - alpha
    keep_tick: float  # 1 - alpha of the EWMAs over ticks
    low: float
    high: float
    floor_k: float
    max_ticks: float
    is_jensen: float
    seed_alpha: float  # 1 - keep_tick where E[b w] was given; 0: it is learned from the trades alone


class Adaptation(NamedTuple):
    """The parameters of an adaptive kind, checked; None: as the preset says."""

    preset: Preset
    expected_ticks_init: int
    ewma_window: int
    imbalance_window: int
    expected_ticks: ExpectedTicks | None = None
    bounds: tuple[float, float] | None = None
    floor_k: float | None = None
    max_ticks: int | None = None
    init_imbalance: Decimal | None = None
    run_threshold: RunThreshold = "afml"
    tick_unit: TickUnit = "print"
    bars_per_day: Decimal | None = None  # None: E0 stays

    @property
    def usual_window(self) -> int:
        """What `imbalance_window` is where it is left out."""
        return self.ewma_window * self.expected_ticks_init

    @property
    def floor(self) -> float:
        """The factor of the noise floor."""
        return PRESETS[self.preset].floor_k if self.floor_k is None else self.floor_k

    def limits(self, ticks_init: int) -> Limits:
        """What a kernel goes by while E0 is `ticks_init`."""
        preset = PRESETS[self.preset]
        low, high = (0.0, NEVER) if self.bounds is None else self.bounds
        if self.bounds is None and preset.has_bounds:
            low, high = ticks_init / 3, 3.0 * ticks_init
        max_ticks = self.max_ticks or (preset.max_factor or 0) * ticks_init or NEVER
        return Limits(
            ticks_init=float(ticks_init),
            is_ema=float((self.expected_ticks or preset.expected_ticks) == "ema"),
            alpha=2.0 / (self.ewma_window + 1),
            keep_bar=1.0 - 2.0 / (self.ewma_window + 1),
            keep_tick=1.0 - 2.0 / (self.imbalance_window + 1),
            low=low,
            high=high,
            floor_k=self.floor,
            max_ticks=float(max_ticks),
            is_jensen=float(self.run_threshold == "jensen"),
            seed_alpha=0.0 if self.init_imbalance is None else 2.0 / (self.imbalance_window + 1),
        )

    def params(self) -> dict[str, str]:
        """The canonical parameters: what makes bars differ, and no more."""
        told = {
            "preset": self.preset,
            "expected_ticks_init": str(self.expected_ticks_init),
            "ewma_window": str(self.ewma_window),
            "imbalance_window": str(self.imbalance_window),
        }
        more: dict[str, str | None] = {
            "expected_ticks": self.expected_ticks,
            "bounds": None if self.bounds is None else f"{self.bounds[0]!r}..{self.bounds[1]!r}",
            "floor_k": None if self.floor_k is None else repr(self.floor_k),
            "max_ticks": None if self.max_ticks is None else str(self.max_ticks),
            "init_imbalance": None if self.init_imbalance is None else plain(self.init_imbalance),
            "run_threshold": None if self.run_threshold == "afml" else self.run_threshold,
            "tick_unit": None if self.tick_unit == "print" else self.tick_unit,
            "bars_per_day": None if self.bars_per_day is None else plain(self.bars_per_day),
        }
        return told | {name: text for name, text in more.items() if text is not None}


class Tuning(TypedDict, total=False):
    """Parameters that imbalance and run bars take alike.

    The expectation of ticks is adapted by `ewma_window` bars and that of imbalances or sizes by `imbalance_window`
    ticks, both as the span of an EWMA: alpha = 2 / (span + 1).
    """

    preset: Preset  # "guarded" (default), "guarded_ema", "afml_literal" or "mlfinlab_like", which needs bounds
    ewma_window: int  # default 15 bars
    imbalance_window: int | None  # default ewma_window x expected_ticks_init ticks
    expected_ticks: ExpectedTicks | None  # "ema" adapts E[T] to the bars, "const" leaves it; default as the preset says
    bounds: tuple[float, float] | None  # what E[T] is clamped to, as [lowest, highest]; default as the preset says
    max_ticks: int | None  # a bar ends here at the latest; default as the preset says
    tick_unit: TickUnit  # "print", or "order": prints in a row of one moment and sign are one tick
    e0_update: Literal["daily"] | None  # E0 of a UTC day: the median of ticks a day over 20 days / bars_per_day
    bars_per_day: Number | None  # bars wanted a day, where e0_update is "daily"


def adaptation_of(
    expected_ticks_init: int,
    tuning: Tuning,
    *,
    floor_k: float | None = None,
    init_imbalance: Number | None = None,
    run_threshold: RunThreshold = "afml",
) -> Adaptation:
    """The checked parameters. Raises: ValueError."""
    preset = tuning.get("preset", "guarded")
    if preset not in tuple(PRESETS):
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, was {preset!r}")
    ticks_init = whole(expected_ticks_init, "expected_ticks_init")
    ewma_window = whole(tuning.get("ewma_window", EWMA_WINDOW), "ewma_window")
    window = tuning.get("imbalance_window")
    bounds, expected = tuning.get("bounds"), tuning.get("expected_ticks")
    max_ticks = tuning.get("max_ticks")
    if expected not in (None, "ema", "const"):
        raise ValueError(f"expected_ticks must be 'ema' or 'const', was {expected!r}")
    if run_threshold not in ("afml", "jensen"):
        raise ValueError(f"run_threshold must be 'afml' or 'jensen', was {run_threshold!r}")
    if bounds is None and preset == "mlfinlab_like":
        raise ValueError("preset 'mlfinlab_like' needs bounds=[lowest, highest] of the expected ticks")
    if floor_k is not None and not 0 <= finite(floor_k, "floor_k") < int(NEVER):
        raise ValueError(f"floor_k must be 0 or more, was {floor_k!r}")
    return Adaptation(
        preset=preset,
        expected_ticks_init=ticks_init,
        ewma_window=ewma_window,
        imbalance_window=ewma_window * ticks_init if window is None else whole(window, "imbalance_window"),
        expected_ticks=expected,
        bounds=None if bounds is None else _bounds(bounds),
        floor_k=None if floor_k is None else float(floor_k),
        max_ticks=None if max_ticks is None else whole(max_ticks, "max_ticks"),
        init_imbalance=None if init_imbalance is None else finite(init_imbalance, "init_imbalance"),
        run_threshold=run_threshold,
        tick_unit=checked_unit(tuning.get("tick_unit", "print")),
        bars_per_day=_bars_per_day(tuning),
    )


def _bars_per_day(tuning: Tuning) -> Decimal | None:
    update, per_day = tuning.get("e0_update"), tuning.get("bars_per_day")
    if update not in (None, "daily"):
        raise ValueError(f"e0_update must be 'daily' or left out, was {update!r}")
    if update is None and per_day is not None:
        raise ValueError("bars_per_day belongs to e0_update='daily'")
    if update is not None and per_day is None:
        raise ValueError("e0_update='daily' needs bars_per_day")
    return None if per_day is None else positive(per_day, "bars_per_day")


def _bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(positive(bound, "bounds")) for bound in bounds)
    except (TypeError, ValueError):
        raise ValueError(f"bounds must be two numbers above 0, as [100, 1000], was {bounds!r}") from None
    if low > high:
        raise ValueError(f"bounds must be (lowest, highest), was {bounds!r}")
    return low, high
