"""Bars of a traded value."""

from typing import ClassVar

import numpy as np

from etl.bars.counted import CountedBars, Counting
from etl.bars.kernels import BITS, LIMB, MASK, SUM_LIMIT, on, value_stops
from etl.bars.steps import Step
from etl.bars.ticks import Pending, total_value
from etl.bars.trades import Int64s


class DollarBars(CountedBars):
    """Bars that end at the first trade which takes their value, the sum of price x amount, to `threshold`.

    The value is in units of the quote asset. A trade is never split: the overshoot stays in the bar it ends. See
    `CountedBars` for the other parameters.

    Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.1.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(8)]
    >>> trades = pl.DataFrame({"trade_id": list("abcdefgh"), "timestamp": times, "price": 0.1, "amount": 1.0})
    >>> DollarBars(threshold=0.8).update(trades)["dollar_volume"].to_list()  # eight floats of 0.1 would fall short
    [0.8]
    """

    kind: ClassVar[str] = "dollar"

    def _counted(self, step: Step, pending: Pending | None) -> Counting:
        return Counting(step.price_scale + step.size_scale, lambda: total_value(step), len(step.ts))

    def _reached(self, step: Step, counting: Counting, first: int, count: int, threshold: int) -> tuple[Int64s, int]:
        stops = np.empty(counting.items - first, dtype=np.int64)
        if count >= SUM_LIMIT // 2 * LIMB:  # carried from numbers that were too large for a kernel
            step = step.slow()
        if step.is_fast:
            threshold = min(threshold, (2 * SUM_LIMIT - 1) * LIMB)  # compiled sums stay below it
        found, hi, lo = on(step.price, value_stops)(
            step.price[first:], step.size_hi[first:], step.size_lo[first:],
            count >> BITS, count & MASK, threshold >> BITS, threshold & MASK, self._carries, stops,
        )  # fmt: skip
        return stops[:found] + first, int(hi) * LIMB + int(lo)
