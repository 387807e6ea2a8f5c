"""Trades that are read beside something else, each once and in order: those up to the moment that was reached."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl

from etl.core.config import FilterSpec, StreamKey
from etl.tapes.columns import Layout
from etl.tapes.files import FileTape, Period
from etl.tapes.lake import SilverTape
from shared.clock import utc_from_us
from shared.partitioning import Lake

BEFORE = timedelta(hours=1)  # what was traded before the first book tells that there are trades, and their last side
_COLUMNS = ("timestamp", "price", "amount", "side")
_OPTIONAL = ("known_at", "gap_before")


class TradesBeside:
    """Trades of one stream out of silver or a file, to be taken up to one moment after the other.

    Args:
        tape: portions of trades, in order.
        after_us: trades up to this time are passed over.
    """

    def __init__(self, tape: Iterator[pl.DataFrame], *, after_us: int | None) -> None:
        self._tape = tape
        self.reached_us = after_us
        self._waiting: list[pl.DataFrame] = []
        self._is_over = False
        self.last_us: int | None = after_us  # of the trades read so far

    def upto(self, us: int) -> pl.DataFrame | None:
        """The trades up to this time that were not taken before; None where there are none."""
        while not self._is_over and (self.last_us is None or self.last_us <= us):
            part = next(self._tape, None)
            if part is None:
                self._is_over = True
            elif len(part):
                self.last_us = int(part["timestamp"].to_physical()[-1])
                self._waiting.append(part)
        if not self._waiting:
            return None
        whole = pl.concat(self._waiting, how="diagonal")
        times = whole["timestamp"].to_physical()
        start = 0 if self.reached_us is None else int(times.search_sorted(self.reached_us, side="right"))
        stop = int(times.search_sorted(us, side="right"))
        self._waiting = [whole.slice(stop)] if stop < len(whole) else []
        self.reached_us = us if self.reached_us is None else max(us, self.reached_us)
        return whole.slice(start, stop - start) if stop > start else None


def of_silver(lake: Lake, key: StreamKey, *, since_us: int) -> Iterator[pl.DataFrame]:
    """The trades of a stream in silver from a time on, by the time that never goes back; none where it has none."""
    if not lake.silver("trades").is_dir():
        return
    for portion in SilverTape(key, lake, Period(since=utc_from_us(since_us))).portions():
        trades = portion.trades.with_columns(timestamp="tape_ts")
        yield trades.select("ordinal", *_COLUMNS, *_OPTIONAL, "price_text", "amount_text")


def of_file(path: Path, key: StreamKey) -> Iterator[pl.DataFrame]:
    """The trades of a file: Parquet, CSV or Arrow, of one stream, in order.

    Raises: InputUnreadable, as `FileTape`.
    """
    where = FilterSpec((key.exchange,), (key.symbol,))
    tape = FileTape([path], Layout(), where=where, period=Period(), never_back=True)
    for portion in tape.portions():
        trades = portion.trades
        side = [] if "side" in trades.columns else [pl.lit(None, dtype=pl.String).alias("side")]
        there = [name for name in (*_OPTIONAL, "price_text", "amount_text") if name in trades.columns]
        yield trades.with_columns(side).select(*_COLUMNS, *there)
