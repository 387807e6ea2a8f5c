"""Estimates in binary64, every operation in the order written: specification 4 and 7."""

from fractions import Fraction

from tests.etl.bars.reference.days import Days
from tests.etl.bars.reference.exact import exact


def alpha(span: float) -> float:
    return 2.0 / (span + 1.0)


class Adjusted:
    """The weighted mean of all that came; None before anything did."""

    def __init__(self, span: float) -> None:
        self.alpha = alpha(span)
        self.weight = 0.0
        self.mean = 0.0

    def add(self, x: float) -> None:
        self.weight = 1.0 + (1.0 - self.alpha) * self.weight
        self.mean = self.mean + (x - self.mean) / self.weight

    @property
    def value(self) -> float | None:
        return self.mean if self.weight else None


class Seeded:
    """The same from a prior."""

    def __init__(self, span: float, prior: float) -> None:
        self.alpha = alpha(span)
        self.mean = prior

    def add(self, x: float) -> None:
        self.mean = self.mean + self.alpha * (x - self.mean)


PRESETS = {  # expected_ticks, whether bounds are E0/3 to 3 E0, floor_k, whether max_ticks is 10 E0
    "guarded": ("const", False, 1.0, True),
    "guarded_ema": ("ema", True, 1.0, True),
    "afml_literal": ("ema", False, 0.0, False),
    "mlfinlab_like": ("ema", False, 0.0, False),
}
E0_DAYS = 20


class Length:
    """E0, E[T] and the bounds of a bar's length in ticks."""

    def __init__(
        self,
        *,
        expected_ticks_init: int,
        preset: str = "guarded",
        ewma_window: int = 15,
        expected_ticks: str | None = None,
        bounds: tuple[float, float] | None = None,
        max_ticks: int | None = None,
        e0_update: str | None = None,
        bars_per_day: object = None,
    ) -> None:
        mode, self.has_preset_bounds, self.floor_k, self.has_preset_max = PRESETS[preset]
        if preset == "mlfinlab_like" and bounds is None:
            raise ValueError("mlfinlab_like needs bounds")
        self.mode = expected_ticks or mode
        self.init = self.e0 = expected_ticks_init
        self.expected = Seeded(ewma_window, float(expected_ticks_init))
        self.given_bounds, self.given_max = bounds, max_ticks
        self.bars_per_day = Fraction(exact(bars_per_day)) if e0_update == "daily" else None

    def opens(self, days: Days) -> bool:
        """Take E0 of the day; whether it is another one."""
        if self.bars_per_day is None:
            return False
        median = days.median(E0_DAYS)
        e0 = self.init if median is None else max(1, round(median / self.bars_per_day))  # round: half to even
        changed = e0 != self.e0
        if changed:
            self.e0, self.expected.mean = e0, float(e0)
        return changed

    def closed(self, ticks: int) -> None:
        if self.mode == "const":
            return
        self.expected.add(float(ticks))
        bounds = self.given_bounds
        if bounds is None and self.has_preset_bounds:
            bounds = (self.e0 / 3, 3.0 * self.e0)
        if bounds is not None:
            self.expected.mean = min(max(self.expected.mean, float(bounds[0])), float(bounds[1]))

    @property
    def max_ticks(self) -> int | None:
        if self.given_max is None and self.has_preset_max:
            return 10 * self.e0
        return self.given_max
