"""Bars of a length of time."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec.structs import replace

from etl.bars import state as states
from etl.bars.builder import DEDUP_WINDOW, Bars, Late
from etl.bars.frame import Labels
from etl.bars.kernels import FIRST_US, bucket_stops, disorder, punctual
from etl.bars.open_bar import OpenBar
from etl.bars.schema import no_bars
from etl.bars.steps import Step
from etl.bars.threshold import Number, interval_us, seconds_text
from etl.bars.trades import Int64s, Trades

_WEEK_US = 604_800_000_000
_MONDAY_US = 4 * 86_400_000_000  # 1970-01-05


class TimeState(states.State, frozen=True, kw_only=True):
    """And which buckets are done with."""

    floor_us: int | None = None  # start of the earliest bucket that may still take trades
    broken_us: int | None = None  # start of a bucket of which some trades were not seen, or are in another bar


class TimeBars(Bars):
    """Bars of the trades in [start, start + interval) of exchange time, aligned to 1970 UTC, weeks to Monday.

    A bar ends by the first trade of a later bucket, or by `advance_watermark`: never by a clock. An empty bucket gives
    no bar. A bucket whose beginning was not seen gives a partial one. A trade behind the newest bucket is late.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in (0, 1, 2, 5)]
    >>> trades = pl.DataFrame({"trade_id": list("abcd"), "timestamp": times, "price": 10.0, "amount": 2.0})
    >>> bars = TimeBars(interval="5m")
    >>> bars.update(trades).select("tick_count", "time_end").rows()
    [(3, datetime.datetime(2026, 1, 1, 0, 5, tzinfo=zoneinfo.ZoneInfo(key='UTC')))]
    """

    kind: ClassVar[str] = "time"
    State: ClassVar[type[states.State]] = TimeState
    close_reason: ClassVar[str] = "time"
    gap_reaches_back: ClassVar[bool] = True

    def __init__(
        self,
        *,
        interval: Number,
        late: Late = "drop",
        dedup_window: int = DEDUP_WINDOW,
        state: states.State | None = None,
    ) -> None:
        self._step_us = interval_us(interval)
        self._origin_us = _MONDAY_US if self._step_us % _WEEK_US == 0 else 0
        super().__init__({"interval": seconds_text(self._step_us)}, state=state, late=late, dedup_window=dedup_window)
        self._floor_us = state.floor_us if isinstance(state, TimeState) else None
        self._broken_us = state.broken_us if isinstance(state, TimeState) else None

    def advance_watermark(self, us: int) -> pl.DataFrame:
        """The open bar if its bucket ends at or before `us` since 1970, else no row.

        For a caller who knows that all trades before `us` have been given: those that still come are late.
        """
        bars = no_bars()
        if self._bar.is_open and self._start_us(self._bar.times[FIRST_US]) + self._step_us <= us:
            bars = self._ended(self.close_reason, is_cut=False)
            self._bar_seq += len(bars)
            self._bar = self._bar.emptied()
        start_us = self._start_us(us)
        self._floor_us = start_us if self._floor_us is None else max(self._floor_us, start_us)
        return bars

    def flush(self, reason: str = "flush") -> pl.DataFrame:
        """As `Bars.flush`; a later trade of the same bucket begins another partial bar."""
        bars = super().flush(reason)
        if len(bars):
            self._broken_us = self._floor_us
        return bars

    def snapshot(self) -> states.State:
        """As `Bars.snapshot`."""
        return replace(super().snapshot(), floor_us=self._floor_us, broken_us=self._broken_us)

    def _stops(self, step: Step, bar: OpenBar) -> Int64s:
        first_us = bar.times[FIRST_US] if bar.is_open else int(step.ts[0])
        stops = np.empty(len(step.ts), dtype=np.int64)
        count = bucket_stops(step.ts, self._start_us(first_us) + self._step_us, self._step_us, stops)
        return stops[:count]

    def _labels(self, times: Int64s, reason: str) -> Labels:
        first_us = times[FIRST_US]
        start = (first_us - self._origin_us) // self._step_us * self._step_us + self._origin_us
        is_partial = start == self._broken_us if self._broken_us is not None else np.zeros(len(start), dtype=np.bool_)
        if self._last_us is None:  # these are the first bars of the stream
            is_partial[0] = first_us[0] > start[0]
        return Labels(start, start + self._step_us, start + self._step_us, is_partial, reason, None)

    def _punctual(self, trades: Trades) -> npt.NDArray[np.bool_] | None:
        if not len(trades.ts):
            return None
        floor_us = self._start_us(int(trades.ts[0])) if self._floor_us is None else self._floor_us
        falls, _, _ = disorder(trades.ts, floor_us)
        if not falls:
            return None
        keep = np.empty(len(trades.ts), dtype=np.bool_)
        punctual(trades.ts, floor_us + self._step_us, self._step_us, keep)
        return None if keep.all() else keep

    def _passed(self, used: Trades) -> None:
        first_us = int(used.ts[0])
        if self._last_us is None and first_us > self._start_us(first_us):
            self._broken_us = self._start_us(first_us)
        self._floor_us = self._start_us(int(used.ts[-1]))
        super()._passed(used)

    def _start_us(self, us: int) -> int:
        return (us - self._origin_us) // self._step_us * self._step_us + self._origin_us
