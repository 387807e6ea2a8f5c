"""Bars of a traded amount."""

from typing import ClassVar

import numpy as np

from etl.bars.counted import CountedBars, Counting
from etl.bars.kernels import LIMB, SUM_LIMIT, on, volume_stops
from etl.bars.steps import Step
from etl.bars.ticks import Pending, total
from etl.bars.trades import Int64s


class VolumeBars(CountedBars):
    """Bars that end at the first trade which takes their volume to `threshold`, in units of the base asset.

    A trade is never split: the overshoot stays in the bar it ends. See `CountedBars` for the other parameters.

    Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.1.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(3)]
    >>> trades = pl.DataFrame({"trade_id": list("abc"), "timestamp": times, "price": 10.0, "amount": [4.0, 35.0, 3.0]})
    >>> bars = VolumeBars(threshold=10)
    >>> bars.update(trades)["volume"].to_list(), bars.peek()["volume"].to_list()
    ([39.0], [3.0])
    """

    kind: ClassVar[str] = "volume"

    def _counted(self, step: Step, pending: Pending | None) -> Counting:
        return Counting(step.size_scale, lambda: total(step.size_hi) * LIMB + total(step.size_lo), len(step.ts))

    def _reached(self, step: Step, counting: Counting, first: int, count: int, threshold: int) -> tuple[Int64s, int]:
        stops = np.empty(counting.items - first, dtype=np.int64)
        if count >= SUM_LIMIT // 2:  # carried from numbers that were too large for a kernel
            step = step.slow()
        if step.is_fast:
            threshold = min(threshold, 2 * SUM_LIMIT - 1)  # compiled sums stay below it
        reach = on(step.price, volume_stops)
        found, count = reach(step.size_hi[first:], step.size_lo[first:], count, threshold, self._carries, stops)
        return stops[:found] + first, int(count)
