"""The journal: one append-only file per collector process, in which a row is safe before anything else happens.

A journal belongs to the process that opened it and is never appended to by another. Its name holds the epoch and its
number in the epoch; its first frame holds what a reader needs to know without us.
"""

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa

from ingestion.capture import Capture
from ingestion.writers import encoding, frames
from shared.clock import boot_id
from shared.disk import Disk
from shared.errors import DiskFull
from shared.partitioning import Lake
from shared.rows import Stream
from shared.tables import SCHEMA_VERSION, Table, table, tables

SUFFIX = ".journal"
COMMIT_SUFFIX = ".commit"
_STEM = re.compile(r"(\d{8}T\d{6}Z-[0-9a-f]{4})_(\d{6,})")


@dataclass(frozen=True, order=True)
class JournalId:
    """`<epoch>_<counter>`: journals of one epoch are numbered in the order they were opened."""

    epoch: str
    counter: int

    def __str__(self) -> str:
        """The file's stem."""
        return f"{self.epoch}_{self.counter:06d}"

    @classmethod
    def parse(cls, stem: str) -> Self:
        """The id a file's stem names; `ValueError` for any other name."""
        match = _STEM.fullmatch(stem)
        if not match:
            raise ValueError(f"{stem!r} is not a journal's name")
        return cls(match[1], int(match[2]))


class Journal:
    """The open end of a journal. `append` makes rows safe from a kill, `sync` from a power cut."""

    def __init__(self, lake: Lake, journal_id: JournalId, *, disk: Disk, counts: Mapping[Stream, int]) -> None:
        self.id = journal_id
        self.rows = 0
        self._frames = 1
        self._file = disk.open_new(lake.active / f"{journal_id}{SUFFIX}", reserve=True)
        try:
            self._file.write(frames.encode(frames.HEADER_FRAME, 0, 0, _header(journal_id, counts)))
            self._file.sync()
        except DiskFull:  # nothing is in it; another will be opened when there is room
            self._file.close()
            disk.remove(self._file.path)
            raise

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._file.size_bytes

    def append(self, captures: list[Capture]) -> None:
        """Write the captures' rows as one block, or nothing; captures are never split over blocks."""
        block, rows = list[bytes](), 0
        for name, batch in encoding.batches(captures):
            payload = encoding.to_payload(batch)
            block.append(frames.encode(name, batch.num_rows, self._frames + len(block), payload))
            rows += batch.num_rows
        self._file.write(b"".join(block))
        self._frames += len(block)
        self.rows += rows

    def sync(self) -> None:
        """Return when every row appended so far survives a power cut."""
        self._file.sync()

    def close(self) -> None:
        """End the journal; nothing can be appended afterwards."""
        self._file.sync()
        self._file.close()


def _header(journal_id: JournalId, counts: Mapping[Stream, int]) -> bytes:
    """What a reader of this journal needs: whose it is, its schemas, and where each stream's count stood."""
    schemas = {t.name: base64.b64encode(t.journal_schema.serialize()).decode() for t in tables()}
    return json.dumps(
        {
            "epoch": journal_id.epoch,
            "counter": journal_id.counter,
            "boot_id": boot_id(),
            "schema_version": SCHEMA_VERSION,
            "schemas": schemas,
            "counts": [[*stream, count] for stream, count in counts.items()],
        }
    ).encode()


@dataclass
class JournalReport:
    """What reading a journal found besides rows."""

    rows: int = 0
    torn_tail_bytes: int = 0  # the write that a crash interrupted: normal, nothing acknowledged is in it
    damaged_bytes: int = 0  # unreadable bytes with intact frames behind them: a loss
    frames_missing: int = 0
    torn_tail_is_zeroes: bool = False  # room that was reserved and never used
    boot_id: str = ""  # of the machine that wrote it
    counts_at_open: dict[Stream, int] | None = None  # None where the journal's header cannot be read


class JournalReader:
    """The rows of a closed journal, as far as they are intact; `report` is complete once `batches` is exhausted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.report = JournalReport()
        self._schemas: dict[str, pa.Schema] = {}

    def batches(self, *, tables: Collection[str] | None = None) -> Iterator[tuple[Table, pa.RecordBatch]]:
        """Every intact batch (of these tables, else of all) in the order it was written, with today's schema."""
        if not self.path.stat().st_size:
            return
        with pa.memory_map(str(self.path)) as source:
            expected = 0
            for item in frames.scan(memoryview(source.read_buffer())):
                if isinstance(item, frames.Damage):
                    self.report.damaged_bytes += self.report.torn_tail_bytes
                    self.report.torn_tail_bytes = item.end - item.start
                    self.report.torn_tail_is_zeroes = item.zeroes_only
                    continue
                self.report.damaged_bytes += self.report.torn_tail_bytes
                self.report.torn_tail_bytes = 0
                self.report.frames_missing += item.number - expected
                expected = item.number + 1
                if item.table == frames.HEADER_FRAME:
                    self._read_header(item.payload)
                    continue
                if tables is not None and item.table not in tables:
                    continue  # not even decompressed
                wanted = table(item.table)
                batch = encoding.from_payload(self._schemas.get(item.table, wanted.journal_schema), item.payload)
                assert batch.num_rows == item.rows
                self.report.rows += item.rows
                yield wanted, encoding.upgrade(batch, wanted)

    def _read_header(self, payload: memoryview) -> None:
        header = json.loads(bytes(payload))
        for name, encoded in header["schemas"].items():
            self._schemas[name] = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(encoded)))
        self.report.boot_id = header["boot_id"]
        self.report.counts_at_open = {Stream(*stream): count for *stream, count in header["counts"]}
