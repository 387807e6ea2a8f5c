"""Kinds that count ticks: a tick is a print, or the prints of one taker's order."""

from decimal import Decimal
from typing import Any

from tests.etl.bars.reference.builder import Reference
from tests.etl.bars.reference.days import Days
from tests.etl.bars.reference.exact import ZERO, total
from tests.etl.bars.reference.trade import Print

PLACES = {"tick": 0, "volume": 8, "dollar": 16}  # of the unit in which expectations are kept: 1, 1e-8, 1e-16


class TickReference(Reference):
    """With `tick_unit="order"` consecutive prints of one (timestamp, sign) are one tick; the print after ends it."""

    def __init__(self, weighting: str, *, tick_unit: str = "print", **gaps: Any) -> None:
        super().__init__(**gaps)
        self.weighting = weighting
        self.tick_unit = tick_unit
        self.tick: list[Print] = []  # not ended yet
        self.day_ticks, self.day_weights = Days(), Days()

    def take(self, given: Print) -> None:
        if self.tick and (given.us, given.sign) != (self.tick[0].us, self.tick[0].sign):
            self._end_tick(told_by=given)
        self.day_ticks.pass_to(given.us)
        self.day_weights.pass_to(given.us)
        is_new_tick = not self.tick
        if is_new_tick:
            self.day_ticks.add(Decimal(1))
        self.day_weights.add(self._weight([given]) if is_new_tick or self.weighting != "tick" else ZERO)
        is_in_bar = bool(self.held) or (is_new_tick and self.opens())
        self.tick.append(given)
        if is_in_bar:
            self.hold(given)
        else:
            self.skip(given)
        if self.tick_unit == "print":
            self._end_tick(told_by=None)

    def opens(self) -> bool:
        """A bar is to begin with the trade that comes: freeze what holds for it. False: there can be none yet."""
        return True

    def count(self, sign: int, weight: Decimal) -> None:
        """A tick has ended."""
        raise NotImplementedError

    def reason(self) -> str | None:
        """Why the bar ends with the tick counted last, if it does."""
        raise NotImplementedError

    def before_cut(self) -> None:
        if self.tick and self.held:
            self.count(self.tick[0].sign, self._weight(self.tick))
        self.tick = []

    def _end_tick(self, *, told_by: Print | None) -> None:
        tick, self.tick = self.tick, []
        if not self.held:
            return
        self.count(tick[0].sign, self._weight(tick))
        reason = self.reason()
        if reason:
            self._emit(reason, told_by=told_by)

    def _weight(self, prints: list[Print]) -> Decimal:
        if self.weighting == "tick":
            return Decimal(1)
        return total([p.trade.amount if self.weighting == "volume" else p.value for p in prints])
