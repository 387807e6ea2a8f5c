"""Everything that features can be told, with its defaults: said once, for classes, settings and pages."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Seconds = Annotated[float, Meta(ge=1e-6, le=1e9)]  # times are in us, and in ns of 64 bits
Share = Annotated[float, Meta(gt=0, lt=1)]
Count = Annotated[int, Meta(ge=1)]

ASCENDING = (
    "bands_bps", "cost_base_sizes", "cost_quote_sizes", "horizons", "ew_taus_s", "bar_durations",
    "variance_ratio_lags", "yang_zhang_bars",
)  # fmt: skip


class FeatureOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the features of order books. Lengths of time in seconds, sizes in base units unless the name says."""

    max_levels: Annotated[int, Meta(ge=1, le=200)] = 20
    """Levels of each side that are used; give no more than are captured, else no feature knows where books are cut."""
    hf_emit_interval: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    """Seconds between rows; 0: a row for every update of the book."""
    max_state_staleness_seconds: Seconds = 300.0
    """A longer silence begins anew: nothing is compared across it."""
    level_columns: bool = True
    """Whether every level has columns of its own."""
    depth_levels: Annotated[int, Meta(ge=2)] = 5
    """Levels that vwap, slope, center of gravity and liquidity look at."""
    bands_bps: Annotated[tuple[Annotated[float, Meta(ge=0, le=1e6)], ...], Meta(min_length=2)] = (0, 5, 10, 25, 50, 100)
    """Edges of the depth bands, in bps of the mid price, ascending from 0, of at most 6 decimal places."""
    smart_depth_kind: Literal["distance", "index"] = "distance"
    """What smart depth decays by: the distance from the mid price, or the number of the level."""
    smart_half_life_bps: Positive = 5.0
    """Distance at which a size counts half."""
    smart_alpha: Positive = 0.5
    """Decay by the number of the level: exp(-alpha i)."""
    slope_kinds: tuple[Literal["gn", "ns"], ...] = ()
    """Further slopes: gn of Ghysels and Nguyen, ns of Naes and Skjeltorp."""
    lot_size: Positive = 1.0
    """Base units in a lot; the ns slope measures sizes in lots."""
    cost_base_sizes: tuple[Positive, ...] = ()
    """Amounts of base currency whose round trip is priced."""
    cost_quote_sizes: tuple[Positive, ...] = (1000.0, 10000.0)
    """Amounts of quote currency whose trades are priced."""
    ofi_levels: Count = 10
    """Levels of the order flow imbalance vector; at most half of max_levels."""
    ofi_decay_alpha: Annotated[float, Meta(ge=0, le=1000)] = 0.5
    """Decay of the levels' weights."""
    ofi_decay_kind: Literal["exp", "power"] = "exp"
    """exp: weights exp(-alpha m); power: alpha ** m."""
    use_dynamic_spread_regime: bool = True
    """Whether the regime goes by the spreads of the last window; false: by tight_spread_threshold alone."""
    spread_regime_window: Annotated[float, Meta(ge=1e-6, le=3600)] = 300.0
    """Seconds of spreads that the regime compares with."""
    spread_tight_percentile: Share = 0.2
    """At or below this mid-rank a spread is tight."""
    spread_wide_percentile: Share = 0.8
    """At or above this mid-rank a spread is wide."""
    tight_spread_threshold: Positive = 1e-4
    """Relative spread that is tight before the window is warm."""
    kyle_lambda_window: Seconds = 300.0
    """Seconds of intervals that Kyle's lambda is fitted on."""
    kyle_intercept: bool = True
    """Whether that fit has an intercept."""
    enable_vpin: bool = True
    """false: the VPIN columns are null."""
    vpin_bucket_volume: Annotated[float, Meta(ge=1e-18)] | None = None
    """Base units in a bucket; None: a 50th of the mean volume of the last finished days."""
    vpin_window_buckets: Annotated[int, Meta(ge=1, le=10_000)] = 50
    """Buckets that VPIN looks at."""
    horizons: tuple[Seconds, ...] = (5, 15, 60, 300, 900)
    """Windows of the rolling features, in seconds."""
    partial_windows: bool = False
    """Whether windows that are not full yet give a value, beside their coverage."""
    min_obs: Count = 2
    """Rows that a rolling sum or mean needs."""
    min_obs_regression: Annotated[int, Meta(ge=3)] = 10
    """Rows that a regression needs."""
    ew_taus_s: tuple[Seconds, ...] = (10.0, 60.0)
    """Time constants of the exponentially weighted flows."""
    bar_durations: tuple[Annotated[int, Meta(ge=1, le=604_800)], ...] = (60, 300, 900, 3600)
    """Lengths of the book bars, in seconds."""
    variance_ratio_lags: tuple[Annotated[int, Meta(ge=2)], ...] = (2, 5, 10)
    """Returns in the longer returns that variance ratios compare with, of book bars."""
    yang_zhang_bars: tuple[Annotated[int, Meta(ge=2)], ...] = (20,)
    """Bars that Yang and Zhang's variance is made over."""
    trade_rate_tau_s: Seconds = 10.0
    """Time constant of the pace of trading, of trade features."""
    sign_window: Annotated[int, Meta(ge=2, le=100_000)] = 100
    """Trades whose signs' autocorrelation is taken."""
    large_trade_window: Annotated[int, Meta(ge=2, le=10_000)] = 100
    """Trades whose volume is looked at, and as many before them that say what is large."""

    def __post_init__(self) -> None:
        """Refuse options that contradict each other, and what is not finite.

        Raises: ValueError.
        """
        for name, values in msgspec.structs.asdict(self).items():
            numbers = values if isinstance(values, tuple) else (values,)
            if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
                raise ValueError(f"{name} must be finite, was {values}")
        for name in ASCENDING:
            values = getattr(self, name)
            if list(values) != sorted(set(values)):
                raise ValueError(f"{name} must ascend, was {values}")
            if not values and name in ("horizons", "bar_durations"):
                raise ValueError(f"{name} must not be empty")
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        if self.ofi_levels > max(1, self.max_levels // 2):
            raise ValueError(
                f"ofi_levels must be at most half of max_levels ({self.max_levels}), was {self.ofi_levels}: deeper "
                "levels come and go by the cut, not by orders"
            )
        if self.bands_bps[0] != 0 or any(edge != round(edge, 6) for edge in self.bands_bps):
            raise ValueError(f"bands_bps must ascend from 0, with at most 6 decimal places, was {self.bands_bps}")
        if self.spread_tight_percentile >= self.spread_wide_percentile:
            raise ValueError("spread_tight_percentile must be below spread_wide_percentile")
        if 0 < self.hf_emit_interval < 1e-6:
            raise ValueError(f"hf_emit_interval must be 0 or at least 1e-6, was {self.hf_emit_interval}")
        if (self.vpin_bucket_volume or 0) * self.vpin_window_buckets >= 2**62:
            raise ValueError("vpin_bucket_volume x vpin_window_buckets must be below 2^62")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The options with these values, as Python or YAML gives them.

        Raises: ValueError that begins with the name of the option, and says what it must be.

        >>> FeatureOptions.of({"max_levels": 10, "ofi_levels": 5}).max_levels
        10
        """
        known = [field.name for field in msgspec.structs.fields(cls)]
        for name in given:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                expected = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
                raise ValueError(f"{name} is not an option of features: {expected}")
        try:
            return msgspec.convert(dict(given), cls, strict=True)
        except msgspec.ValidationError as error:
            problem, _, where = str(error).partition(" - at `$.")
            name = where.rstrip("`")
            raise ValueError(f"{name}: {problem}" if name else str(error)) from None

    def identity(self, *names: str, **further: Any) -> str:
        """These options as canonical JSON, by which states and rows made with others are told apart.

        >>> FeatureOptions().identity("sign_window", bar_duration_sec=60)
        '{"bar_duration_sec":60,"sign_window":100}'
        """
        told = {name: getattr(self, name) for name in names} | further
        return msgspec.json.encode(told, order="deterministic").decode()


def seconds_label(seconds: float) -> str:
    """A length of time as it stands in the name of a column.

    >>> seconds_label(300), seconds_label(0.5), seconds_label(1000001)
    ('300s', '0.5s', '1000001s')
    """
    return f"{number_label(seconds)}s"


def number_label(number: float) -> str:
    """A number as it stands in the name of a column, all digits of it.

    >>> number_label(1e6), number_label(0.5)
    ('1000000', '0.5')
    """
    return str(int(number)) if number == int(number) else str(number)
