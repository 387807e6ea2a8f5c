"""The log of compactions: a line is the commit record of one made file, and what the archive learns it from.

Each compaction is finished before the next one commits, so that only the last line can name something unfinished.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from shared.disk import Disk
from shared.partitioning import Lake

STAGING = "compaction"  # below `raw/staging`
NAME = "compacted.jsonl"  # not a log of published names, which end in .log
_TAIL_BYTES = 1 << 20


class Compacted(msgspec.Struct, frozen=True):
    """One made file."""

    made: str  # as in an archive, below `raw`: daily/..., or ready/... for a merged hour
    of: list[str]  # the files it stands for, likewise
    rows: int
    content_hash: str
    bytes: int
    crc32: int | None = None  # of the file as it was read back; lines of before have none


class _End(NamedTuple):
    """The last whole line, and where it ends."""

    line: Compacted | None
    bytes: int


def log_path(lake: Lake) -> Path:
    """Where the log is."""
    return lake.published / NAME


def last(lake: Lake) -> Compacted | None:
    """The last compaction that was committed; None before the first."""
    return _end(log_path(lake)).line


def append(lake: Lake, line: Compacted, *, disk: Disk) -> None:
    """Commit: when this returns, the made file counts, whatever happens."""
    path = log_path(lake)
    disk.make_dirs(path.parent)
    file = disk.open_again(path, after_bytes=_end(path).bytes)
    try:
        file.write(msgspec.json.encode(line) + b"\n")
        file.sync()
    finally:
        file.close()


def _end(path: Path) -> _End:
    """A line that a power cut tore, or filled with zeroes, was not synced: nothing had been done about it."""
    size_bytes = path.stat().st_size if path.exists() else 0
    tail_bytes = _TAIL_BYTES
    while True:
        start = max(0, size_bytes - tail_bytes)
        with path.open("rb") if size_bytes else Path("/dev/null").open("rb") as file:
            file.seek(start)
            data = file.read(size_bytes - start)
        end = data.rfind(b"\n") + 1
        while end:
            begin = data.rfind(b"\n", 0, end - 1) + 1
            if not begin and start:
                break  # the line begins before this tail
            try:
                return _End(msgspec.json.decode(data[begin:end], type=Compacted), start + end)
            except msgspec.DecodeError:
                end = begin
        if not start:
            return _End(None, 0)
        tail_bytes *= 8
