"""Bars of a traded value."""

from typing import ClassVar

import numpy as np

from etl.bars.builder import DEDUP_WINDOW, Bars, Late
from etl.bars.kernels import BITS, MASK, SUM_LIMIT, VALUE_HI, VALUE_LO, on, value_stops
from etl.bars.open_bar import OpenBar
from etl.bars.state import State
from etl.bars.steps import Step, no_stops
from etl.bars.threshold import Number, plain, positive, reached_from
from etl.bars.trades import Int64s


class DollarBars(Bars):
    """Bars that end at the first trade which takes their value, the sum of price x amount, to `threshold`.

    The value is in units of the quote asset. A trade is never split: the overshoot stays in the bar it ends, and the
    next bar starts from zero.

    Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.1.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(8)]
    >>> trades = pl.DataFrame({"trade_id": list("abcdefgh"), "timestamp": times, "price": 0.1, "amount": 1.0})
    >>> DollarBars(threshold=0.8).update(trades)["dollar_volume"].to_list()  # eight floats of 0.1 would fall short
    [0.8]
    """

    kind: ClassVar[str] = "dollar"

    def __init__(
        self, *, threshold: Number, late: Late = "drop", dedup_window: int = DEDUP_WINDOW, state: State | None = None
    ) -> None:
        self._value = positive(threshold, "threshold")
        super().__init__({"threshold": plain(self._value)}, state=state, late=late, dedup_window=dedup_window)

    def _stops(self, step: Step, bar: OpenBar) -> Int64s:
        threshold = reached_from(self._value, step.price_scale + step.size_scale)
        hi, lo = threshold >> BITS, threshold & MASK
        if hi >= SUM_LIMIT and not isinstance(step.price, list):
            return no_stops()  # compiled sums stay below the limit
        stops = np.empty(len(step.ts), dtype=np.int64)
        count = on(step.price, value_stops)(
            step.price, step.size_hi, step.size_lo, bar.sums[VALUE_HI], bar.sums[VALUE_LO], hi, lo, stops
        )
        return stops[:count]

    def _threshold(self) -> float:
        return float(self._value)
