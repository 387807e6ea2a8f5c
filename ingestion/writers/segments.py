"""Ready files in the making: rows of a journal, split by stream and hour, as well-formed Parquet or NDJSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.writers.journal import JournalId
from shared.content_hash import content_hash
from shared.disk import Disk, translated
from shared.partitioning import Lake, Partition, SegmentName
from shared.rows import Stream
from shared.tables import SCHEMA_VERSION, Table
from storage.published import Published, Tail

_US_PER_HOUR = 3_600_000_000
_SYMBOL_CHARS_MAX = 200  # a folder's name may have 255 bytes on every common filesystem


@dataclass(frozen=True)
class SegmentOptions:
    """How ready files are written."""

    raw_format: str = "parquet"  # ndjson: readable with a pager, larger and slower
    compression: str = "zstd"
    compression_level: int = 3
    buffer_mb: int = 64  # rows held before they are spilled as row groups


class Segment:
    """One ready file in staging, of one stream and hour."""

    def __init__(self, path: Path, stream: Stream, kind: Table, options: SegmentOptions) -> None:
        self.path, self.stream, self._kind = path, stream, kind
        self._rows, self._hash = 0, 0
        self._first_seq, self._last_seq = 2**63 - 1, -1
        self._tail: Tail | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._text: IO[bytes] | None = None
        if options.raw_format == "ndjson":
            self._text = path.open("wb")
        else:
            self._parquet = pq.ParquetWriter(
                path,
                kind.ready_schema,
                compression=options.compression,
                compression_level=None if options.compression in {"none", "snappy"} else options.compression_level,
                **kind.parquet_options(),
            )

    def add(self, rows: pa.Table) -> None:
        """Append rows, in the order they were captured."""
        seqs = np.asarray(rows.column("seq"))
        self._first_seq = min(self._first_seq, int(seqs.min()))
        self._last_seq = max(self._last_seq, int(seqs.max()))
        self._rows += rows.num_rows
        self._hash = (self._hash + content_hash(rows)) % 2**64
        self._tail = _tail(rows, self._tail)
        if self._parquet:
            self._parquet.write_table(rows, row_group_size=1 << 17)
        else:
            pl.DataFrame(rows).write_ndjson(self._text)

    def finish(self, disk: Disk, *, boot_id: str) -> None:
        """Close the file with its facts inside, and wait until it is on the disk."""
        if self._parquet:
            self._parquet.add_key_value_metadata(self._facts() | {"daedalus.boot_id": boot_id})
            self._parquet.close()
        elif self._text:
            self._text.close()
        disk.sync_file(self.path)

    def abandon(self) -> None:
        """Let the file go unfinished: on a full disk even its end cannot be written."""
        if self._parquet:
            self._parquet.is_open = False  # else its destructor tries once more, and complains

    def _facts(self) -> dict[str, str]:
        assert self._tail
        return {
            "daedalus.table": self._kind.name,
            "daedalus.schema_version": str(SCHEMA_VERSION),
            "daedalus.epoch": self._tail.epoch,
            "daedalus.rows": str(self._rows),
            "daedalus.first_seq": str(self._first_seq),
            "daedalus.last_seq": str(self._last_seq),
            "daedalus.content_hash": f"{self._hash:016x}",
        }

    def entry(self, ready_path: Path) -> Published:
        """The file's line in the log of published names."""
        assert self._tail
        return Published(
            path=ready_path.as_posix(),
            source=self.stream.source,
            exchange=self.stream.exchange,
            table=self.stream.table,
            symbol=self.stream.symbol,
            epoch=self._tail.epoch,
            rows=self._rows,
            bytes=self.path.stat().st_size,
            first_seq=self._first_seq,
            last_seq=self._last_seq,
            content_hash=f"{self._hash:016x}",
            tail=self._tail,
        )


def _tail(rows: pa.Table, before: Tail | None) -> Tail:
    """Where the stream stands after these rows: at the last of them, and at the largest id of all."""
    last: dict[str, Any] = {name: rows.column(name)[-1] for name in ("epoch", "seq", "capture_ts")}
    trade_seq = before.trade_seq if before else None
    trade_id = before.trade_id if before else None
    if "trade_seq" in rows.schema.names:
        largest = pc.max(rows.column("trade_seq")).as_py()
        if largest is None:
            trade_id = rows.column("trade_id")[-1].as_py()
        elif trade_seq is None or largest > trade_seq:
            at = pc.index(rows.column("trade_seq"), largest).as_py()
            trade_seq, trade_id = largest, rows.column("trade_id")[at].as_py()
    return Tail(last["epoch"].as_py(), last["seq"].as_py(), last["capture_ts"].value, trade_seq, trade_id)


class Staging:
    """The ready files of one journal, one per stream and hour, in a folder of their own."""

    def __init__(self, lake: Lake, journal_id: JournalId, options: SegmentOptions, *, disk: Disk) -> None:
        self.folder = lake.staging / str(journal_id)
        self._lake, self._id, self._options, self._disk = lake, journal_id, options, disk
        self._segments: dict[Path, Segment] = {}

    def add(self, kind: Table, batches: list[pa.RecordBatch]) -> None:
        """Split rows of one table by stream and hour and append each part to its file."""
        frame = pl.DataFrame(pa.Table.from_batches(batches, schema=kind.journal_schema))
        moment = pl.when(pl.col("origin") == "ws").then("capture_ts").otherwise(pl.coalesce("timestamp", "capture_ts"))
        frame = frame.with_columns(_hour=moment.dt.timestamp("us") // _US_PER_HOUR)
        groups = frame.partition_by("source", "exchange", "symbol", "_hour", maintain_order=True, as_dict=True)
        for (source, exchange, symbol, hour), part in groups.items():
            stream = Stream(str(source), str(exchange), kind.name, str(symbol))
            self._segment(stream, int(hour), kind).add(self._ready_rows(part, kind, int(hour)))

    def _segment(self, stream: Stream, hour: int, kind: Table) -> Segment:
        if len(stream.symbol) > _SYMBOL_CHARS_MAX:
            raise ValueError(f"symbol {stream.symbol[:40]!r}... is too long to name a folder")
        partition = Partition.of_us(stream.exchange, stream.symbol, hour * _US_PER_HOUR)
        suffix = "ndjson" if self._options.raw_format == "ndjson" else "parquet"
        name = SegmentName(f"{partition.start():%Y%m%dT%H}", self._id.counter, self._id.epoch, suffix)
        folder = self._lake.ready_dir(stream.source, stream.table, partition)
        ready = (folder / str(name)).relative_to(self._lake.ready)
        if ready not in self._segments:
            with translated(self.folder):
                staged = self.folder / f"{len(self._segments):04d}.{suffix}"
                self._segments[ready] = Segment(staged, stream, kind, self._options)
        return self._segments[ready]

    def _ready_rows(self, part: pl.DataFrame, kind: Table, hour: int) -> pa.Table:
        moment = Partition.of_us("x", "x", hour * _US_PER_HOUR)
        part = part.with_columns(
            collected_at=pl.col("capture_ts").dt.timestamp("ms"),
            epoch=pl.lit(self._id.epoch),
            year=pl.lit(moment.year, pl.Int32),
            month=pl.lit(moment.month, pl.Int32),
            day=pl.lit(moment.day, pl.Int32),
            hour=pl.lit(moment.hour, pl.Int32),
        )
        return part.select(kind.ready_schema.names).to_arrow().cast(kind.ready_schema)

    def abandon(self) -> None:
        """Let every file go unfinished; the next attempt clears the folder."""
        for segment in self._segments.values():
            segment.abandon()

    def finish(self, *, boot_id: str) -> list[tuple[str, Published]]:
        """Close and sync every file; the staged names with the lines they will have in the log.

        Args:
            boot_id: whose monotonic clock the rows bear, by the journal; empty if it does not say.
        """
        with translated(self.folder):
            for segment in self._segments.values():
                segment.finish(self._disk, boot_id=boot_id)
            self._disk.sync_dir(self.folder)
            return [(segment.path.name, segment.entry(ready)) for ready, segment in self._segments.items()]
