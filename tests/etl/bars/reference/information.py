"""Imbalance and run bars: specification 7 and 8."""

import math
from decimal import Decimal
from typing import Any

from tests.etl.bars.reference.exact import ZERO, exact, minus, nearest, plus, shifted
from tests.etl.bars.reference.expectations import Adjusted, Length, Seeded
from tests.etl.bars.reference.ticks import PLACES, TickReference


class InformationReference(TickReference):
    """What both have: a warm-up bar of E0 ticks, then a threshold frozen where a bar begins."""

    def __init__(self, weighting: str, length: Length, ticks: dict[str, Any]) -> None:
        super().__init__(weighting, **ticks)
        self.length = length
        self.places = PLACES[weighting]
        self.is_warm_up = True
        self.ticks = 0  # T
        self.threshold: float | None = None  # in the unit
        self.in_force: dict[str, float | None] = {}

    def opens(self) -> bool:
        changed = self.length.opens(self.day_ticks)
        if self.is_warm_up:
            self.in_force = {"expected_ticks": float(self.length.e0)}
        elif changed:
            self.freeze()
        return True

    def count(self, sign: int, weight: Decimal) -> None:
        self.ticks += 1
        self.add(sign, weight, nearest(shifted(weight, self.places)))

    def reason(self) -> str | None:
        if self.is_warm_up:
            return "warmup" if self.ticks >= self.length.e0 else None
        if nearest(shifted(self.theta(), self.places)) >= self.threshold:
            return "threshold"
        if self.length.max_ticks is not None and self.ticks >= self.length.max_ticks:
            return "max_ticks"
        return None

    def closed(self, reason: str) -> None:
        if reason != "warmup":
            self.length.closed(self.ticks)
        self.bar_closed()
        self.is_warm_up = False
        self.freeze()
        self.after_cut()

    def after_cut(self) -> None:
        self.ticks = 0
        self.clear()

    def columns(self) -> dict[str, Any]:
        out = {**self.in_force, **self.sums()}
        if not self.is_warm_up:
            out["threshold"] = self.natural(self.threshold)
            out["overshoot"] = max(abs(theta) for theta in self.sums().values()) - out["threshold"]
        return out

    def natural(self, number: float | None) -> float | None:
        return None if number is None else number / 10.0**self.places

    def freeze(self) -> None:
        """Set `threshold` and `in_force` from the expectations as they stand."""
        raise NotImplementedError

    def add(self, sign: int, weight: Decimal, in_unit: float) -> None: ...

    def theta(self) -> Decimal:
        """The measure, exact and not negative."""
        raise NotImplementedError

    def sums(self) -> dict[str, float]: ...

    def clear(self) -> None: ...

    def bar_closed(self) -> None: ...


class ImbalanceReference(InformationReference):
    def __init__(
        self,
        weighting: str,
        *,
        expected_ticks_init: int,
        ewma_window: int = 15,
        imbalance_window: int | None = None,
        floor_k: float | None = None,
        init_imbalance: object = None,
        tick_unit: str = "print",
        on_gap: str = "mark",
        gap_reset_s: object = None,
        **length: Any,
    ) -> None:
        length = Length(expected_ticks_init=expected_ticks_init, ewma_window=ewma_window, **length)
        super().__init__(weighting, length, {"tick_unit": tick_unit, "on_gap": on_gap, "gap_reset_s": gap_reset_s})
        self.floor_k = length.floor_k if floor_k is None else float(floor_k)
        span = ewma_window * expected_ticks_init if imbalance_window is None else imbalance_window
        self.mean: Adjusted | Seeded = Adjusted(span)  # E[bv]
        self.square = Adjusted(span)  # E[(bv)^2]
        self.sum = ZERO
        if init_imbalance is not None:
            self.mean = Seeded(span, nearest(shifted(exact(init_imbalance), self.places)))
            self.is_warm_up = False
            self.freeze()

    def freeze(self) -> None:
        expected, mean, square = self.length.expected.mean, self.mean.mean, self.square.mean
        floor = self.floor_k * math.sqrt(expected * square)
        self.threshold = max(expected * abs(mean), floor)
        self.in_force = {
            "expected_ticks": expected,
            "expected_imbalance": self.natural(mean),
            "noise_floor": self.natural(floor),
        }

    def add(self, sign: int, weight: Decimal, in_unit: float) -> None:
        self.sum = plus(self.sum, weight) if sign > 0 else minus(self.sum, weight) if sign < 0 else self.sum
        x = sign * in_unit
        self.mean.add(x)
        self.square.add(x * x)

    def theta(self) -> Decimal:
        return self.sum.copy_abs()

    def sums(self) -> dict[str, float]:
        return {"theta": nearest(self.sum)}

    def clear(self) -> None:
        self.sum = ZERO


class RunReference(InformationReference):
    def __init__(
        self,
        weighting: str,
        *,
        expected_ticks_init: int,
        ewma_window: int = 15,
        imbalance_window: int | None = None,
        run_threshold: str = "afml",
        tick_unit: str = "print",
        on_gap: str = "mark",
        gap_reset_s: object = None,
        **length: Any,
    ) -> None:
        length = Length(expected_ticks_init=expected_ticks_init, ewma_window=ewma_window, **length)
        super().__init__(weighting, length, {"tick_unit": tick_unit, "on_gap": on_gap, "gap_reset_s": gap_reset_s})
        self.run_threshold = run_threshold
        span = ewma_window * expected_ticks_init if imbalance_window is None else imbalance_window
        self.p_buy = Adjusted(ewma_window)
        self.v_plus, self.v_minus = Adjusted(span), Adjusted(span)
        self.clear()

    def freeze(self) -> None:
        expected, p = self.length.expected.mean, self.p_buy.value
        self.threshold = 0.0 if p is None else self._threshold(expected, p)
        self.in_force = {
            "expected_ticks": expected,
            "p_buy": p,
            "v_plus": self.natural(self.v_plus.value),
            "v_minus": self.natural(self.v_minus.value),
        }

    def _threshold(self, expected: float, p: float) -> float:
        up, down = p * self.v_plus.mean, (1.0 - p) * self.v_minus.mean
        if self.run_threshold == "afml":
            return expected * max(up, down)
        mean = up + down
        mu = expected * (up - down)
        sigma = 2.0 * mean * math.sqrt(expected * p * (1.0 - p))
        folded = abs(mu)
        if sigma > 0.0:
            folded = sigma * math.sqrt(2.0 / math.pi) * math.exp(-mu * mu / (2.0 * sigma * sigma)) + mu * math.erf(
                mu / (sigma * math.sqrt(2.0))
            )
        return 0.5 * (expected * mean + folded)

    def add(self, sign: int, weight: Decimal, in_unit: float) -> None:
        if sign > 0:
            self.buy, self.buys = plus(self.buy, weight), self.buys + 1
            self.v_plus.add(in_unit)
        elif sign < 0:
            self.sell, self.sells = plus(self.sell, weight), self.sells + 1
            self.v_minus.add(in_unit)

    def theta(self) -> Decimal:
        return max(self.buy, self.sell)

    def sums(self) -> dict[str, float]:
        return {"theta_buy": nearest(self.buy), "theta_sell": nearest(self.sell)}

    def clear(self) -> None:
        self.buy = self.sell = ZERO
        self.buys = self.sells = 0

    def bar_closed(self) -> None:
        if self.buys + self.sells:
            self.p_buy.add(self.buys / (self.buys + self.sells))
