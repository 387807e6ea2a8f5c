"""The log of published names: what is new in `ready` is read from here, never found by listing.

One append-only log per collector run (`raw/published/<epoch>.log`), one JSON line per publication: a journal's files
are seen all or none, however a reader races the writer. A consumer remembers a byte position per log. A line may stand
twice after a crash between two steps of a publication; consumers skip by (epoch, journal). The first line carries over
the tail of every stream from the runs before, so that a restart reads one log and not all of them.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shared.clock import us_from_utc
from shared.disk import AppendFile, Disk
from shared.errors import LakeUnusable
from shared.partitioning import Lake, epoch_name
from shared.rows import Stream

SUFFIX = ".log"


class Tail(msgspec.Struct, frozen=True):
    """The last row of a stream that is known to be stored."""

    epoch: str
    seq: int
    capture_us: int
    trade_seq: int | None = None
    trade_id: str | None = None


class Published(msgspec.Struct, frozen=True):
    """One file in `ready`."""

    path: str  # relative to `ready`
    source: str
    exchange: str
    table: str
    symbol: str
    epoch: str  # of the rows, which is not the publisher's after a recovery
    rows: int
    bytes: int
    first_seq: int
    last_seq: int
    content_hash: str
    tail: Tail
    crc32: int | None = None  # of the file as it was written; lines of before have none

    @property
    def stream(self) -> Stream:
        """Whose rows these are."""
        return Stream(self.source, self.exchange, self.table, self.symbol)


class PublishedDiffers(LakeUnusable):
    """A file is not as it was published."""


class _Opening(msgspec.Struct, frozen=True):
    """The first line of a log."""

    tails: list[tuple[Stream, Tail]]


class PublishedLog:
    """The open log of one run. `append` returns when the names survive a power cut."""

    def __init__(self, lake: Lake, epoch: str, *, disk: Disk) -> None:
        self._tails = newest_tails(lake)
        self._file: AppendFile = disk.open_new(lake.published / f"{epoch}{SUFFIX}")
        self._append_line(msgspec.json.encode(_Opening(sorted(self._tails.items()))))

    @property
    def tails(self) -> dict[Stream, Tail]:
        """The last stored row of every stream ever published."""
        return dict(self._tails)

    def append(self, entries: list[Published]) -> None:
        """Record files that have just got their names."""
        for entry in entries:
            _advance(self._tails, entry)
        if entries:
            self._append_line(msgspec.json.encode(entries))

    def close(self) -> None:
        """Let the log go."""
        self._file.close()

    def _append_line(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._file.sync()


def next_epoch(lake: Lake, wall_ns: int, entropy: int) -> str:
    """The name of a run that begins now, sorting after every run before it.

    Two runs may begin in one second, and the clock may have been set back; which run came last is read from the names.
    """
    paths = log_paths(lake)
    if paths:
        last = started_at(paths[-1])
        wall_ns = max(wall_ns, (us_from_utc(last) + 1_000_000) * 1000)
    return epoch_name(wall_ns, entropy)


def log_paths(lake: Lake) -> list[Path]:
    """Every log, oldest run first."""
    return sorted(lake.published.glob(f"*{SUFFIX}"))


def started_at(log: Path) -> datetime:
    """When the run began whose log this is. Raises: ValueError where a file is no log."""
    return datetime.strptime(log.stem[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def read_log(path: Path, *, start: int = 0, bytes_about: int = -1) -> tuple[list[Published], int]:
    """The entries of a log from byte `start` on, and the position to go on from. A torn line ends it for now.

    With `bytes_about`, as many whole lines as that takes: a log of months need not be in memory.
    """
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(bytes_about) + file.readline()
    lines = _whole_lines(data)
    entries: list[Published] = []
    position = start
    for number, line in enumerate(lines):
        if start or number:  # the first line of a log is its opening
            try:
                entries += _entries(line)
            except msgspec.DecodeError:
                # A power cut tore this line before it was synced: its commit record still stood, and the run after
                # this one published it again in a log of its own.
                return entries, position
        position += len(line) + 1
    return entries, position


def scan_log(path: Path) -> Iterator[list[Published]]:
    """The publications of a log one after another, however long it is. A torn line ends it, as in `read_log`."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n") or b"\0" in line:
                return
            if not number:
                continue
            try:
                yield _entries(line)
            except msgspec.DecodeError:
                return


def published_sums(logs: Iterable[Path]) -> Iterator[tuple[str, int]]:
    """Each published file of which the CRC-32 is on record, below `ready`, with it."""
    for path in logs:
        for entries in scan_log(path):
            yield from ((entry.path, entry.crc32) for entry in entries if entry.crc32 is not None)


def newest_tails(lake: Lake) -> dict[Stream, Tail]:
    """The last stored row of every stream, from the newest log that got as far as its first line."""
    for path in reversed(log_paths(lake)):
        tails = opening_tails(path)
        if tails is None:
            continue
        for entry in read_log(path)[0]:
            _advance(tails, entry)
        return tails
    return {}


def opening_tails(path: Path) -> dict[Stream, Tail] | None:
    """How far every stream had come when a log was begun; None where its first line was torn."""
    with path.open("rb") as file:
        lines = _whole_lines(file.readline())
    try:
        return dict(msgspec.json.decode(lines[0], type=_Opening).tails)
    except (IndexError, msgspec.DecodeError):
        return None


def _advance(tails: dict[Stream, Tail], entry: Published) -> None:
    """The later row counts, and the largest trade id: a file of late trades alone does not set a stream back."""
    known, tail = tails.get(entry.stream), entry.tail
    if known and (known.epoch, known.seq) > (tail.epoch, tail.seq):
        return
    if known and known.trade_seq is not None and (tail.trade_seq is None or tail.trade_seq < known.trade_seq):
        tail = msgspec.structs.replace(tail, trade_seq=known.trade_seq, trade_id=known.trade_id)
    tails[entry.stream] = tail


def _whole_lines(data: bytes) -> list[bytes]:
    """The lines that are complete: a torn line has no newline yet, a power cut leaves zeroes."""
    zero = data.find(b"\0")
    end = data.rfind(b"\n", 0, zero if zero >= 0 else len(data)) + 1
    return data[:end].splitlines()


def _entries(line: bytes) -> list[Published]:
    return msgspec.json.decode(line, type=list[Published])
