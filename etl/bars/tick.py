"""Bars of a number of trades."""

from typing import ClassVar

import numpy as np

from etl.bars.builder import DEDUP_WINDOW, Bars, Late
from etl.bars.kernels import COUNT
from etl.bars.open_bar import OpenBar
from etl.bars.state import State
from etl.bars.steps import Step
from etl.bars.threshold import Number, plain, positive
from etl.bars.trades import Int64s


class TickBars(Bars):
    """Bars that end at every `threshold`-th trade. A trade is one print, as the exchange delivered it.

    Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.1.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(5)]
    >>> trades = pl.DataFrame({"trade_id": list("abcde"), "timestamp": times, "price": 10.0, "amount": 2.0})
    >>> TickBars(threshold=2).update(trades)["last_trade_id"].to_list()
    ['b', 'd']
    """

    kind: ClassVar[str] = "tick"

    def __init__(
        self, *, threshold: Number, late: Late = "drop", dedup_window: int = DEDUP_WINDOW, state: State | None = None
    ) -> None:
        number = positive(threshold, "threshold")
        if number != int(number):
            raise ValueError(f"threshold of tick bars must be a whole number of trades, was {threshold!r}")
        self._ticks = int(number)
        super().__init__({"threshold": plain(number)}, state=state, late=late, dedup_window=dedup_window)

    def _stops(self, step: Step, bar: OpenBar) -> Int64s:
        missing = self._ticks - bar.sums[COUNT]
        return np.arange(missing, len(step.ts) + 1, self._ticks, dtype=np.int64)

    def _threshold(self) -> float:
        return float(self._ticks)
