"""Silver order books: the features of `etl.features` as a transform over one stream's books and trades."""

import io
from collections.abc import Mapping

import msgspec
import polars as pl

from etl.core.base import BaseTransform
from etl.core.checkpoints import options_hash
from etl.core.registry import register_transform
from etl.features.declared import features
from etl.features.options import FeatureOptions
from etl.features.stateful import VERSION, FeatureState, StatefulFeatureProcessor
from etl.transforms.silver_rows import silver_rows

BOOK_COLUMNS = {
    "orderbook": ("capture_ts", "seq", "timestamp", "bids", "asks"),
    "l2": (
        "capture_ts", "seq", "timestamp", "msg_seq", "is_snapshot", "is_last", "side", "price", "size",
        "update_id", "prev_update_id", "checksum",
    ),
}  # fmt: skip


class OrderbookState(msgspec.Struct, frozen=True, kw_only=True):
    """All that `OrderbookTransform` knows."""

    features: FeatureState
    pending: bytes = b""  # books that wait for their trades, Arrow IPC
    ordinal: int = 0


@register_transform("orderbook")
class OrderbookTransform(BaseTransform):
    """Features of one stream's books and trades.

    Books are used in order of arrival, which is the exchange's own; one waits until silver holds every trade before it.
    """

    name = "orderbook"
    version = VERSION

    def __init__(
        self, options: FeatureOptions, *, stream: tuple[str, str], made_of: str, state: bytes | None = None
    ) -> None:
        restored = msgspec.msgpack.decode(state, type=OrderbookState) if state else None
        given = msgspec.structs.asdict(options)
        self._processor = StatefulFeatureProcessor(state=restored.features if restored else None, **given)
        columns = options_hash([(feature.name, str(feature.dtype)) for feature in features(options)])
        self.rules = f"of {made_of}, columns {columns}, {self._processor.identity}"
        self._stream = stream
        self._pending = pl.read_ipc(io.BytesIO(restored.pending)) if restored and restored.pending else None
        self._ordinal = restored.ordinal if restored else 0
        self.interval_us = round(options.hf_emit_interval * 1e6)  # a row shows this much at most

    def ready(self, books: pl.DataFrame, *, complete_us: int) -> pl.DataFrame:
        """Of the books that wait and these, those that may be used now; the others wait on.

        Args:
            books: rows of bronze with `gap_before`, in order of arrival; no columns where there are none.
            complete_us: every trade up to this time is known.
        """
        parts = [part for part in (self._pending, books) if part is not None and part.height]
        if not parts:
            return pl.DataFrame()
        rows = pl.concat(parts)
        waits = moment_us(rows) > complete_us
        count = int(waits.arg_max() or 0) if waits.any() else rows.height
        self._pending = rows.tail(rows.height - count)
        return rows.head(count)

    def update(self, rows: pl.DataFrame, *, trades: pl.DataFrame | None = None) -> pl.DataFrame:
        """The rows that these books complete, which `ready` gave.

        Args:
            rows: books.
            trades: trades of silver up to the last of these books, behind those given before.
        """
        return self._table(self._processor.update(rows, _by_tape(trades)))

    def finish(self, *, trades: pl.DataFrame | None = None) -> pl.DataFrame:
        """The row that is still open; `trades` are those up to its end, behind those given before."""
        return self._table(self._processor.flush(_by_tape(trades)))

    def snapshot(self) -> bytes:
        """The whole state as msgpack."""
        pending = io.BytesIO()
        if self._pending is not None and self._pending.height:
            self._pending.write_ipc(pending, compression="zstd")
        state = OrderbookState(features=self._processor.snapshot(), pending=pending.getvalue(), ordinal=self._ordinal)
        return msgspec.msgpack.encode(state)

    @property
    def waits_until_us(self) -> int:
        """The time up to which trades must be known for the first book that waits; no time where none does."""
        if self._pending is None or not self._pending.height:
            return 2**63 - 1
        return int(moment_us(self._pending.head(1))[0])

    @property
    def counts(self) -> Mapping[str, int]:
        """What was seen and what was left out, since the very beginning."""
        return self._processor.counts

    def _table(self, rows: pl.DataFrame) -> pl.DataFrame:
        first, self._ordinal = self._ordinal, self._ordinal + rows.height
        numbers = pl.int_range(first, self._ordinal, dtype=pl.Int64, eager=True).alias("ordinal")
        return silver_rows(rows.insert_column(0, numbers), stream=self._stream)


def moment_us(books: pl.DataFrame) -> pl.Series:
    """The time of each book in us since 1970: of its arrival where the exchange says none."""
    return books.select(pl.coalesce("timestamp", "capture_ts").dt.timestamp("us").alias("us"))["us"]


def _by_tape(trades: pl.DataFrame | None) -> pl.DataFrame | None:
    return None if trades is None else trades.with_columns(timestamp="tape_ts")
