"""Tick, volume and dollar bars: specification 6. And streak bars: 8."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.etl.bars.reference.exact import exact, nearest
from tests.etl.bars.reference.ticks import TickReference


class StandardReference(TickReference):
    def __init__(
        self,
        weighting: str,
        *,
        threshold: object,
        carry: str = "reset",
        adv_fraction: object = "0.02",
        adv_days: int = 20,
        threshold_init: object = None,
        **ticks: Any,
    ) -> None:
        super().__init__(weighting, **ticks)
        self.given = None if threshold == "adv_fraction" else Fraction(exact(threshold))
        self.fraction, self.days = Fraction(exact(adv_fraction)), adv_days
        self.init = None if threshold_init is None else Fraction(exact(threshold_init))
        self.carry = carry
        self.counter = Fraction(0)
        self.threshold: Fraction | None = None

    def opens(self) -> bool:
        self.threshold = self.given
        if self.threshold is None:
            mean = self.day_weights.mean(self.days)
            self.threshold = self.init if mean is None else mean * self.fraction
        return self.threshold is not None

    def count(self, sign: int, weight: Decimal) -> None:
        self.counter += Fraction(weight)

    def reason(self) -> str | None:
        return "threshold" if self.counter >= self.threshold else None

    def closed(self, reason: str) -> None:
        self.counter = self.counter % self.threshold if self.carry == "phase" else Fraction(0)

    def after_cut(self) -> None:
        self.counter = Fraction(0)

    def columns(self) -> dict[str, Any]:
        return {"threshold": nearest(self.threshold)}


class StreakReference(TickReference):
    """Ends where so many consecutive ticks of the bar have one sign; holds all trades since the bar before."""

    def __init__(self, *, threshold: object, **ticks: Any) -> None:
        super().__init__("tick", **ticks)
        self.threshold = int(exact(threshold))
        self.sign = self.streak = 0

    def count(self, sign: int, weight: Decimal) -> None:
        self.streak = 0 if sign == 0 else self.streak + 1 if sign == self.sign else 1
        self.sign = sign

    def reason(self) -> str | None:
        return "threshold" if self.streak >= self.threshold else None

    def closed(self, reason: str) -> None:
        self.after_cut()

    def after_cut(self) -> None:
        self.sign = self.streak = 0

    def columns(self) -> dict[str, Any]:
        return {"threshold": float(self.threshold)}
