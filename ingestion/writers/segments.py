"""Ready files in the making: rows of a journal, split by stream and hour, as well-formed Parquet or NDJSON."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.writers.journal import JournalId
from ingestion.writers.passes import US_PER_HOUR, split
from shared.content_hash import row_hashes
from shared.disk import Disk, translated
from shared.partitioning import Lake, Partition, SegmentName
from shared.rows import Stream
from shared.tables import SCHEMA_VERSION, Table
from storage.checksum import SummedFile
from storage.published import Published, Tail

_BUFFER_BYTES, _TEXT_ROWS = 1 << 17, 1 << 13
_SYMBOL_CHARS_MAX = 200  # a folder's name may have 255 bytes on every common filesystem


@dataclass(frozen=True)
class SegmentOptions:
    """How ready files are written."""

    raw_format: str = "parquet"  # ndjson: readable with a pager, larger and slower
    compression: str = "zstd"
    compression_level: int = 3
    buffer_mb: int = 32  # rows held at once while a journal is sealed; about three times this is needed


class Segment:
    """One ready file in staging, of one stream and hour."""

    def __init__(self, path: Path, stream: Stream, kind: Table, options: SegmentOptions) -> None:
        self.path, self.stream, self._kind = path, stream, kind
        self._rows, self._hash = 0, 0
        self._first_seq, self._last_seq = 2**63 - 1, -1
        self._tail: Tail | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._file = SummedFile(path)
        self._sink: Any = self._file  # what is written to, while it is open
        if options.raw_format != "ndjson":
            # The buffer spares a turn of the interpreter for each of a file's hundred small writes.
            self._sink = pa.BufferedOutputStream(pa.PythonFile(self._file, "w"), _BUFFER_BYTES)
            self._parquet = pq.ParquetWriter(
                self._sink,
                kind.ready_schema,
                compression=options.compression,
                compression_level=None if options.compression in {"none", "snappy"} else options.compression_level,
                **kind.parquet_options(),
            )

    def add(self, rows: pa.Table, hash_sum: int) -> None:
        """Append rows, in the order they were captured; `hash_sum` is their content hash."""
        seqs = np.asarray(rows.column("seq"))
        self._first_seq = min(self._first_seq, int(seqs.min()))
        self._last_seq = max(self._last_seq, int(seqs.max()))
        self._rows += rows.num_rows
        self._hash = (self._hash + hash_sum) % 2**64
        self._tail = _tail(rows, self._tail)
        if self._parquet:
            self._parquet.write_table(rows, row_group_size=1 << 17)
        else:
            assert not self._file.closed, f"{self.path} is finished"
            for part in pl.DataFrame(rows).iter_slices(_TEXT_ROWS):
                self._file.write(part.write_ndjson().encode())

    def finish(self, disk: Disk, *, boot_id: str) -> None:
        """Close the file with its facts inside, and wait until it is on the disk."""
        if self._file.closed:
            return
        if self._parquet:
            self._parquet.add_key_value_metadata(self._facts() | {"daedalus.boot_id": boot_id})
            self._parquet.close()
            self._parquet = None
        self._sink.close()
        self._sink = None  # and its buffer with it: a journal makes thousands of files
        disk.sync_file(self.path)

    def abandon(self) -> None:
        """Let the file go unfinished: on a full disk even its end cannot be written."""
        if self._parquet:
            self._parquet.is_open = False  # else its destructor tries once more, and complains
            self._parquet = None
        for each in (self._sink, self._file):
            with suppress(OSError):
                if each is not None:
                    each.close()
        self._sink = None

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
            crc32=self._file.crc32,
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

    def __init__(
        self, lake: Lake, journal_id: JournalId, options: SegmentOptions, *, disk: Disk, name: str | None = None
    ) -> None:
        self.folder = lake.staging / (name or str(journal_id))
        self._lake, self._id, self._options, self._disk = lake, journal_id, options, disk
        self._segments: dict[Path, Segment] = {}
        self.boot_id = ""  # whose monotonic clock the rows bear, by the journal; empty if it does not say

    def add(self, kind: Table, rows: pa.Table, *, is_all: bool) -> None:
        """Append rows of one table to their files; whether these are all that the files will have."""
        found = split(kind, rows)
        if len(found.keys) > 1:
            rows = rows.take(pa.array(np.argsort(found.places, kind="stable")))
        hours = np.repeat([key.hour for key in found.keys], found.counts)
        rows = self._ready_rows(rows, kind, hours)
        hashes, start = row_hashes(rows), 0
        for key, count in zip(found.keys, found.counts.tolist(), strict=True):
            segment = self._segment(key.stream, key.hour, kind)
            part = hashes[start : start + count]
            with translated(self.folder):
                segment.add(rows.slice(start, count), int(np.sum(part, dtype=np.uint64)))
            start += count
            if is_all:
                self._finish(segment)

    def _segment(self, stream: Stream, hour: int, kind: Table) -> Segment:
        if len(stream.symbol) > _SYMBOL_CHARS_MAX:
            raise ValueError(f"symbol {stream.symbol[:40]!r}... is too long to name a folder")
        partition = Partition.of_us(stream.exchange, stream.symbol, hour * US_PER_HOUR)
        suffix = "ndjson" if self._options.raw_format == "ndjson" else "parquet"
        name = SegmentName(f"{partition.start():%Y%m%dT%H}", self._id.counter, self._id.epoch, suffix)
        folder = self._lake.ready_dir(stream.source, stream.table, partition)
        ready = (folder / str(name)).relative_to(self._lake.ready)
        if ready not in self._segments:
            with translated(self.folder):
                staged = self.folder / f"{len(self._segments):04d}.{suffix}"
                self._segments[ready] = Segment(staged, stream, kind, self._options)
        return self._segments[ready]

    def _ready_rows(self, rows: pa.Table, kind: Table, hours: "np.ndarray[Any, np.dtype[np.int64]]") -> pa.Table:
        moments = pa.array(hours * 3600, pa.timestamp("s", "UTC"))
        added = {
            "collected_at": pc.divide(rows.column("capture_ts").cast(pa.int64()), 1000),
            "epoch": pa.repeat(pa.scalar(self._id.epoch), rows.num_rows),
            "year": pc.year(moments),
            "month": pc.month(moments),
            "day": pc.day(moments),
            "hour": pc.hour(moments),
        }
        schema = kind.ready_schema
        columns = [
            added[field.name].cast(field.type) if field.name in added else rows.column(field.name) for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    def abandon(self) -> None:
        """Let every file go unfinished; the next attempt clears the folder."""
        for segment in self._segments.values():
            segment.abandon()

    def finish_open(self) -> None:
        """Close and sync the files that are still open."""
        for segment in self._segments.values():
            self._finish(segment)

    def _finish(self, segment: Segment) -> None:
        with translated(self.folder):
            segment.finish(self._disk, boot_id=self.boot_id)

    def finish(self) -> list[tuple[str, Published]]:
        """Close and sync every file; the staged names with the lines they will have in the log."""
        self.finish_open()
        with translated(self.folder):
            self._disk.sync_dir(self.folder)
            return [(segment.path.name, segment.entry(ready)) for ready, segment in self._segments.items()]
