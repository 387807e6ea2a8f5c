"""`StatefulFeatureProcessor` as one more implementation: frames in, rows out, with times to the nanosecond."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from etl.features.bar_kernels import COLUMNS
from etl.features.book_bars import BookBars
from etl.features.rows import Rows
from etl.features.stateful import StatefulFeatureProcessor
from etl.features.trade_features import TradeFeatures
from tests.etl.features.event_frames import NS
from tests.etl.features.event_frames import snapshots as snapshot_frame
from tests.etl.features.event_frames import trades as trade_frame
from tests.etl.features.reference import Message, Snapshot

Events = Sequence[Snapshot | Message]
Trades = Sequence[tuple[int, float, float, int | None]]
Table = list[dict[str, Any]]

_SIDES = {1: "buy", -1: "sell", None: None}
_NOTHING = ("bid", 0.01, 0.0)  # removes what is not there: a message without changes has no other form in table l2
_L2: dict[str, Any] = {
    "timestamp": NS, "msg_seq": pl.Int64, "is_snapshot": pl.Boolean, "is_last": pl.Boolean, "side": pl.String,
    "price": pl.Float64, "size": pl.Float64, "gap_before": pl.Boolean,
}  # fmt: skip


class Processor(StatefulFeatureProcessor):
    """The frames of the lake are in us; here they tell what the kernels know."""

    def _frame(self, rows: Rows) -> pl.DataFrame:
        times = {"timestamp": rows.t_ns, "book_ts": rows.book_ns, "known_at": rows.known_ns}
        return super()._frame(rows).with_columns(pl.Series(name, of) for name, of in times.items())


class Kernels:
    """The fast ones, as users call them."""

    def book_rows(self, events: Events, trades: Trades, options: dict[str, Any]) -> Table:
        processor = Processor(**options)
        made = [processor.update(frame_of_books(events), frame_of_trades(trades)), processor.flush()]
        return pl.concat(made).to_dicts()

    def trade_rows(self, trades: Trades, options: dict[str, Any]) -> Table:
        maker = TradeFeatures(**options)
        return in_ns(pl.concat([maker.update(frame_of_trades(trades)), maker.flush()])).to_dicts()

    def bar_rows(self, rows: Sequence[dict[str, Any]], duration_s: int, options: dict[str, Any]) -> Table:
        maker = BookBars(bar_duration_sec=duration_s, **options)
        return in_ns(pl.concat([maker.update(frame_of_rows(rows)), maker.flush()])).to_dicts()


def in_ns(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.epoch("ns"))


def frame_of_books(events: Events) -> pl.DataFrame:
    """Snapshots or messages as their table has them."""
    if not events or isinstance(events[0], Snapshot):
        books = [(event.t_ns, event.bids, event.asks) for event in events]  # type: ignore[union-attr]
        return snapshot_frame(books, gaps=[place for place, event in enumerate(events) if event.gap_before])
    rows = []
    for number, message in enumerate(events):
        assert isinstance(message, Message)
        levels = [*message.levels] or [_NOTHING]
        for place, level in enumerate(levels):
            is_last, has_gap = place == len(levels) - 1, message.gap_before and place == 0
            rows.append((message.t_ns, number, message.is_snapshot, is_last, *level, has_gap))
    integers = _L2 | {"timestamp": pl.Int64}
    return pl.DataFrame(rows, schema=integers, orient="row").cast({"timestamp": NS})  # type: ignore[arg-type]


def frame_of_trades(trades: Trades) -> pl.DataFrame:
    """Trades as silver has them."""
    return trade_frame([(t_ns, price, amount, _SIDES[sign]) for t_ns, price, amount, sign in trades])


def frame_of_rows(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """What bars read of rows of the book."""
    times = {
        name: pl.Series([row[name] for row in rows], dtype=pl.Int64).cast(NS) for name in ("timestamp", "known_at")
    }
    numbers = {name: pl.Series([row.get(name) for row in rows], dtype=pl.Float64) for name in COLUMNS}
    flags = {name: pl.Series([row.get(name) for row in rows], dtype=pl.Boolean) for name in ("is_reset", "has_gap")}
    return pl.DataFrame(times | numbers | flags)
