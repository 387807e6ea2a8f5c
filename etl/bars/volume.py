"""Bars of a traded amount."""

from typing import ClassVar

import numpy as np

from etl.bars.builder import DEDUP_WINDOW, Bars, Late
from etl.bars.kernels import SUM_LIMIT, VOLUME, on, volume_stops
from etl.bars.open_bar import OpenBar
from etl.bars.state import State
from etl.bars.steps import Step, no_stops
from etl.bars.threshold import Number, plain, positive, reached_from
from etl.bars.trades import Int64s


class VolumeBars(Bars):
    """Bars that end at the first trade which takes their volume to `threshold`, in units of the base asset.

    A trade is never split: the overshoot stays in the bar it ends, and the next bar starts from zero.

    Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.1.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(3)]
    >>> trades = pl.DataFrame({"trade_id": list("abc"), "timestamp": times, "price": 10.0, "amount": [4.0, 35.0, 3.0]})
    >>> bars = VolumeBars(threshold=10)
    >>> bars.update(trades)["volume"].to_list(), bars.peek()["volume"].to_list()
    ([39.0], [3.0])
    """

    kind: ClassVar[str] = "volume"

    def __init__(
        self, *, threshold: Number, late: Late = "drop", dedup_window: int = DEDUP_WINDOW, state: State | None = None
    ) -> None:
        self._volume = positive(threshold, "threshold")
        super().__init__({"threshold": plain(self._volume)}, state=state, late=late, dedup_window=dedup_window)

    def _stops(self, step: Step, bar: OpenBar) -> Int64s:
        threshold = reached_from(self._volume, step.size_scale)
        if threshold >= SUM_LIMIT and not isinstance(step.price, list):
            return no_stops()  # compiled sums stay below the limit
        stops = np.empty(len(step.ts), dtype=np.int64)
        count = on(step.price, volume_stops)(step.size_hi, step.size_lo, bar.sums[VOLUME], threshold, stops)
        return stops[:count]

    def _threshold(self) -> float:
        return float(self._volume)
