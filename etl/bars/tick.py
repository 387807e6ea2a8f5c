"""Bars of a number of trades."""

from decimal import Decimal
from typing import ClassVar, Unpack

import numpy as np

from etl.bars.builder import BuilderOptions
from etl.bars.counted import Carry, CountedBars, Counting
from etl.bars.days import DAYS_MAX
from etl.bars.steps import Step
from etl.bars.threshold import Number, positive
from etl.bars.ticks import Pending, TickUnit, checked_unit, ticks_of
from etl.bars.trades import Int64s


class TickBars(CountedBars):
    """Bars that end at every `threshold`-th tick.

    A tick is one print, as the exchange delivered it; with `tick_unit="order"` it is all prints in a row of one moment
    and sign. See `CountedBars` for the other parameters.

    Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.1.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(5)]
    >>> trades = pl.DataFrame({"trade_id": list("abcde"), "timestamp": times, "price": 10.0, "amount": 2.0})
    >>> TickBars(threshold=2).update(trades)["last_trade_id"].to_list()
    ['b', 'd']
    """

    kind: ClassVar[str] = "tick"

    def __init__(
        self,
        *,
        threshold: Number,
        tick_unit: TickUnit = "print",
        carry: Carry = "reset",
        adv_fraction: Number = "0.02",
        adv_days: int = DAYS_MAX,
        threshold_init: Number | None = None,
        **options: Unpack[BuilderOptions],
    ) -> None:
        self._unit = checked_unit(tick_unit)
        super().__init__(
            threshold=threshold, carry=carry, adv_fraction=adv_fraction, adv_days=adv_days,
            threshold_init=threshold_init, **options,
        )  # fmt: skip

    def _valid(self, threshold: Number, name: str) -> Decimal:
        number = positive(threshold, name)
        if number != int(number):
            raise ValueError(f"{name} of tick bars must be a whole number of trades, was {threshold!r}")
        return number

    def _more_params(self) -> dict[str, str]:
        return {} if self._unit == "print" else {"tick_unit": self._unit}

    def _counted(self, step: Step, pending: Pending | None) -> Counting:
        if self._unit == "print":
            return Counting(0, lambda: len(step.ts), len(step.ts))
        ticks, rest = ticks_of(step, "tick", unit=self._unit, pending=pending)
        return Counting(0, lambda: ticks.begun, len(ticks.x), ticks.stops, rest)

    def _reached(self, step: Step, counting: Counting, first: int, count: int, threshold: int) -> tuple[Int64s, int]:
        ends = np.arange(first + threshold - count, counting.items + 1, threshold, dtype=np.int64)
        last = int(ends[-1]) if len(ends) else first - count
        return ends, counting.items - last
