"""The frames table read back: run after run, in the order in which it was written."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from shared.clock import us_from_utc
from shared.partitioning import Lake, Partition
from shared.rows import Frame
from storage.bronze_rows import batches_of
from storage.published import Published, log_paths, scan_log

_ROWS_AT_ONCE = 512  # a frame may have many MiB
_COLUMNS = [
    "capture_ts",
    "capture_mono_ns",
    "symbol",
    "connection",
    "number",
    "direction",
    "subject",
    "payload",
]


class Stamped(NamedTuple):
    """A stored frame with the times at which it came; the wall clock's in whole microseconds."""

    frame: Frame
    wall_ns: int
    mono_ns: int


@dataclass(frozen=True)
class FrameFiles:
    """Where the frames of one exchange are."""

    runs: dict[str, list[Published]]  # by epoch, in the order of their rows

    @property
    def count(self) -> int:
        """How many rows they have."""
        return sum(entry.rows for entries in self.runs.values() for entry in entries)


def published(lake: Lake, exchange: str) -> Iterator[Published]:
    """Every file of the native collector of an exchange, once; a log may name one twice after a crash."""
    seen: set[str] = set()
    for path in log_paths(lake):
        for line in scan_log(path):
            for entry in line:
                if (entry.source, entry.exchange) == ("native", exchange) and entry.path not in seen:
                    seen.add(entry.path)
                    yield entry


def frame_files(entries: Iterable[Published], *, since: datetime | None, until: datetime | None) -> FrameFiles:
    """The files with the frames that decide what was captured in a time: of each run from its beginning."""
    runs: dict[str, list[Published]] = {}
    for entry in entries:
        if entry.table == "frames":
            runs.setdefault(entry.epoch, []).append(entry)
    since_us = 0 if since is None else us_from_utc(since)
    return FrameFiles(
        {
            epoch: [each for each in sorted(files, key=lambda file: file.first_seq) if _begins_before(each, until)]
            for epoch, files in sorted(runs.items())
            if max(each.tail.capture_us for each in files) >= since_us and any(_begins_before(f, until) for f in files)
        }
    )


def read_frames(lake: Lake, files: Iterable[Published]) -> Iterator[Stamped]:
    """The frames of these files, a few of them in memory at a time. Raises: OSError, pyarrow.ArrowInvalid."""
    for entry in files:
        for batch in batches_of(lake, entry, _COLUMNS, rows_at_once=_ROWS_AT_ONCE):
            yield from _stamped(batch)


def _stamped(batch: pa.RecordBatch) -> Iterator[Stamped]:
    moments = batch.column("capture_ts").cast(pa.int64()).to_pylist()
    columns = [batch.column(name).to_pylist() for name in _COLUMNS[1:]]
    for moment_us, mono_ns, symbol, *own in zip(moments, *columns, strict=True):
        yield Stamped(Frame(symbol, None, *own), moment_us * 1000, mono_ns)


def _begins_before(entry: Published, until: datetime | None) -> bool:
    return until is None or Partition.parse(Path(entry.path)).start() < until
