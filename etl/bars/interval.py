"""Bars of a length of time."""

from typing import ClassVar, Unpack

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from etl.bars import state as states
from etl.bars.builder import Bars, BuilderOptions
from etl.bars.calendar import Calendar, calendar_of
from etl.bars.frame import Labels
from etl.bars.kernels import FIRST_US, disorder
from etl.bars.open_bar import OpenBar
from etl.bars.steps import Cut, Step, no_stops
from etl.bars.threshold import Number
from etl.bars.trades import Int64s, Trades


class Buckets(Struct, frozen=True, kw_only=True):
    """Which buckets are done with."""

    floor_us: int | None = None  # start of the earliest bucket that may still take trades
    broken_us: int | None = None  # start of a bucket of which some trades were not seen, or are in another bar
    skipped_us: int | None = None  # start of the bucket that is left out


class TimeState(states.State, frozen=True, kw_only=True):
    """And which buckets are done with."""

    progress: Buckets = Buckets()


class TimeBars(Bars):
    """Bars of the trades in [start, start + interval) of exchange time, aligned to 1970 UTC, weeks to Monday.

    A bar ends by the first trade of a later bucket, or by `advance_watermark`: never by a clock. An empty bucket gives
    no bar. A bucket whose beginning was not seen gives a partial one. A trade behind the newest bucket is late.

    Args:
        interval: seconds, or text such as "500ms", "1m", "4h", "1d", "1w"; months and years ("1mo", "1y") begin with
            those of the calendar.
        skip_first_partial: leave out the bar of a bucket whose beginning lies before the first trade.
        options: see `etl.bars.builder.BuilderOptions`.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in (0, 1, 2, 5)]
    >>> trades = pl.DataFrame({"trade_id": list("abcd"), "timestamp": times, "price": 10.0, "amount": 2.0})
    >>> bars = TimeBars(interval="5m")
    >>> bars.update(trades).select("tick_count", "time_end").rows()
    [(3, datetime.datetime(2026, 1, 1, 0, 5, tzinfo=zoneinfo.ZoneInfo(key='UTC')))]
    """

    kind: ClassVar[str] = "time"
    State: ClassVar[type[states.State]] = TimeState
    gap_reaches_back: ClassVar[bool] = True

    def __init__(
        self, *, interval: Number, skip_first_partial: bool = False, **options: Unpack[BuilderOptions]
    ) -> None:
        self._calendar: Calendar = calendar_of(interval)
        self._skips = skip_first_partial
        own = {"skip_first_partial": "true"} if skip_first_partial else {}
        super().__init__({"interval": self._calendar.text, **own}, **options)

    def advance_watermark(self, us: int) -> pl.DataFrame:
        """The open bar if its bucket ends at or before `us` since 1970, else no row.

        For a caller who knows that all trades before `us` have been given: those that still come are late.
        """
        bars = self._no_bars()
        if self._bar.is_open and self._calendar.end_us(self._bar.times[FIRST_US]) <= us:
            is_partial = self._calendar.start_us(self._bar.times[FIRST_US]) == self._progress.broken_us
            bars = self._ended("time").with_columns(is_partial=pl.lit(value=is_partial))
            self._bar_seq += len(bars)
            self._bar = self._bar.emptied()
        start_us, floor_us = self._calendar.start_us(us), self._progress.floor_us
        floor_us = start_us if floor_us is None else max(floor_us, start_us)
        self._progress = replace(self._progress, floor_us=floor_us)
        return bars

    def _interrupted(self, progress: Buckets, bar: OpenBar) -> Buckets:
        """A later trade of the same bucket begins another partial bar."""
        return replace(progress, broken_us=progress.floor_us) if bar.is_open else progress

    def _cut(self, step: Step, bar: OpenBar, progress: Buckets) -> Cut:
        first_us = bar.times[FIRST_US] if bar.is_open else int(step.ts[0])
        if self._last_us is None and step.first_row == 0 and first_us > self._calendar.start_us(first_us):
            start_us = self._calendar.start_us(first_us)
            progress = replace(progress, broken_us=start_us, skipped_us=start_us if self._skips else None)
        after = replace(progress, floor_us=self._calendar.start_us(int(step.ts[-1])))
        if progress.skipped_us is not None and self._calendar.start_us(first_us) == progress.skipped_us:
            return Cut(no_stops(), {}, after, is_skipped=True)
        broken_us = progress.broken_us
        stops = self._calendar.stops(step.ts, self._calendar.end_us(first_us))
        starts = self._calendar.starts(np.concatenate(([first_us], step.ts[stops[:-1]]))[: len(stops)])
        facts = {
            "close_reason": pl.Series(["time"]).new_from_index(0, len(stops)),
            "is_partial": starts == broken_us if broken_us is not None else np.zeros(len(stops), dtype=np.bool_),
        }
        return Cut(stops, facts, after)

    def _borders(self, trades: Trades) -> list[int]:
        borders = super()._borders(trades)
        if not self._skips or (self._last_us is not None and self._progress.skipped_us is None):
            return borders
        first_us = int(trades.ts[0]) if self._last_us is None else self._progress.skipped_us
        behind = np.flatnonzero(trades.ts >= self._calendar.end_us(first_us))
        return sorted({*borders, *behind[:1].tolist()})

    def _labels(self, times: Int64s) -> Labels:
        start, end = self._calendar.starts(times[FIRST_US]), self._calendar.ends(times[FIRST_US])
        return Labels(start, end, end)

    def _punctual(self, trades: Trades) -> npt.NDArray[np.bool_] | None:
        if not len(trades.ts):
            return None
        floor_us = self._progress.floor_us
        floor_us = self._calendar.start_us(int(trades.ts[0])) if floor_us is None else floor_us
        falls, _, _ = disorder(trades.ts, floor_us)
        if not falls:
            return None
        keep = self._calendar.punctual(trades.ts, floor_us)
        return None if keep.all() else keep
