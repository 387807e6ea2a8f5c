"""Candles of several intervals: the finest from trades, each other from the next finer that divides it."""

from collections.abc import Mapping, Sequence

import polars as pl

from etl.bars.candles import TradeCandles, divides, interval_name, length_us
from etl.bars.merging import CandleState, MergedCandles
from etl.bars.state import State
from etl.bars.threshold import Number
from shared.clock import us_from_utc
from shared.errors import StateMismatch

LADDER = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")


def rungs(intervals: Sequence[Number]) -> dict[str, str | None]:
    """Every interval by name, finest first, and the one its candles are made of; None: trades.

    Raises: ValueError for what is no interval, and for one named twice.

    >>> rungs(["1h", "1m", "5m", "7m"])
    {'1m': None, '5m': '1m', '7m': '1m', '1h': '5m'}
    """
    names = [interval_name(interval) for interval in intervals]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"intervals name {repeated[0]} more than once")
    names.sort(key=length_us)
    return {
        name: next((finer for finer in reversed(names[:place]) if divides(finer, name)), None)
        for place, name in enumerate(names)
    }


class CandleLadder:
    """Candles of several intervals from the trades of one stream, in frames of `CANDLE_SCHEMA`.

    Whatever the intervals, each has the candles that `TimeBars` of it has, at the same trade. A trade that is late for
    the finest is in none. All state comes in at construction and goes out by `snapshot`.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, hour, minute, tzinfo=UTC) for hour, minute in ((0, 0), (0, 1), (0, 59), (1, 0))]
    >>> trades = pl.DataFrame({"trade_id": list("abcd"), "timestamp": times, "price": [3.0, 5, 2, 4], "amount": 1.0})
    >>> ladder = CandleLadder(["1m", "1h", "1d"])
    >>> ladder.update(trades).select("interval", "open", "high", "low", "close").rows()
    [('1m', 3.0, 3.0, 3.0, 3.0), ('1m', 5.0, 5.0, 5.0, 5.0), ('1m', 2.0, 2.0, 2.0, 2.0), ('1h', 3.0, 5.0, 2.0, 2.0)]
    >>> ladder.peek().filter(interval="1d").select("close_reason", "tick_count", "high").rows()
    [('open', 4, 5.0)]
    """

    def __init__(
        self, intervals: Sequence[Number] = LADDER, *, states: Mapping[str, State | CandleState] | None = None
    ) -> None:
        states = states or {}
        self._sources = rungs(intervals)
        self._roots: dict[str, TradeCandles] = {}
        self._merged: dict[str, MergedCandles] = {}
        for interval, source in self._sources.items():
            state = states.get(interval)
            if source is None and not isinstance(state, CandleState):
                self._roots[interval] = TradeCandles(interval=interval, state=state)
            elif source is not None and not isinstance(state, State):
                self._merged[interval] = MergedCandles(interval=interval, state=state)
            else:
                what = f"the state of {interval} candles is of candles from another source than {source}"
                raise StateMismatch(what, hint="Build these candles anew, or give the intervals they were begun with")

    def update(self, trades: pl.DataFrame) -> pl.DataFrame:
        """The candles that these trades close, the finest interval first.

        Raises: InputUnreadable for trades that cannot be used.
        """
        closed = {interval: root.update(trades) for interval, root in self._roots.items()}
        reached_us = {
            interval: max(map(us_from_utc, root.peek()["time_start"]), default=0)
            for interval, root in self._roots.items()
        }
        for interval, rung in self._merged.items():
            source = self._sources[interval] or ""
            reached_us[interval] = reached_us[source]
            closed[interval] = pl.concat([rung.update(closed[source]), rung.advance_watermark(reached_us[source])])
        return pl.concat([closed[interval] for interval in self._sources])

    def flush(self, reason: str = "flush") -> pl.DataFrame:
        """The open candles, ended here and marked partial. Only for a declared end of data."""
        closed = {interval: root.flush(reason) for interval, root in self._roots.items()}
        for interval, rung in self._merged.items():
            closed[interval] = rung.update(closed[self._sources[interval] or ""])
        return pl.concat([closed[interval] for interval in self._sources])

    def peek(self) -> pl.DataFrame:
        """The open candles as they stand, marked partial, their reason "open"."""
        opened = {interval: root.peek() for interval, root in self._roots.items()}
        for interval, rung in self._merged.items():
            opened[interval] = rung.peek(opened[self._sources[interval] or ""])
        return pl.concat([opened[interval] for interval in self._sources])

    def snapshot(self) -> dict[str, State | CandleState]:
        """What another ladder needs to go on from here, by interval."""
        return {interval: rung.snapshot() for interval, rung in (self._roots | self._merged).items()}
