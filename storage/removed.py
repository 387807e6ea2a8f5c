"""The record of files that were removed from this disk on purpose, and of the proof that let them go.

Written before a file goes, so that a file that is gone and not named here was lost. Of bronze it keeps the numbers and
trade ids that were in the file, so that the account of what was received goes on without it. One file per day of data
and removal, `raw/published/removed/<day>.<moment>.jsonl`, a line per removed file: what is asked about one day is read
from its files alone.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from uuid import uuid4

import msgspec

from shared.clock import utc_from_us
from shared.disk import AppendFile, Disk
from shared.partitioning import Lake, Partition
from shared.rows import Stream
from storage.published import Published
from storage.spans import Spans

Ranges = list[tuple[int, int]]
"""Whole numbers by ranges: the first, and one past the last."""


def run_of(epoch: str, hour: int | None) -> str:
    """The rows of one collector run in one hour: those of a published file are some of them in a row."""
    return f"{epoch}/{hour}"


class Rows(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a bronze file held of one collector run and hour."""

    numbers: Ranges  # `seq`
    ids: Ranges = []  # of trades whose ids are contiguous


class Removed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that is not on this disk any more."""

    key: str  # its name in the archive
    bytes: int
    archive: str  # the store that proved to hold it; empty: none did, it was given up
    removed_us: int
    crc32: int | None = None  # as the archive told it
    part_bytes: int | None = None  # see `storage.checksum`
    rows: dict[str, Rows] = {}  # of bronze, by `run_of`

    def holds(self, entry: Published) -> Rows | None:
        """The numbers of a published file's rows, and the ids of its hour, where this file held all of them."""
        _, _, source, table, *_ = Path(self.key).parts
        place = Partition.parse(Path(self.key))
        if entry.stream != Stream(source, place.exchange, table, place.symbol):
            return None
        rows = self.rows.get(run_of(entry.epoch, Partition.parse(Path(entry.path)).hour), Rows([]))
        asked = (entry.first_seq, entry.last_seq + 1)
        found = Spans(
            (max(begin, asked[0]), min(end, asked[1]))
            for begin, end in rows.numbers
            if begin < asked[1] and end > asked[0]
        )
        return Rows(list(found), rows.ids) if len(found) == entry.rows else None


class RemovedSum:
    """What of the published files was removed on purpose, for whoever asks whether everything is there."""

    def __init__(self) -> None:
        self.files: dict[str, Removed] = {}
        self._rows: Counter[str] = Counter()  # by archive

    def add(self, removed: Removed, rows: int) -> None:
        """A published file's rows were in this one."""
        self.files[removed.key] = removed
        self._rows[removed.archive] += rows

    def lines(self) -> Iterator[str]:
        """Where it is, archive by archive."""
        for archive, rows in sorted(self._rows.items(), reverse=True):
            files = [removed for removed in self.files.values() if removed.archive == archive]
            days = {Partition.parse(Path(removed.key)).start().date() for removed in files}
            moments = sorted({f"{utc_from_us(removed.removed_us):%Y-%m-%d}" for removed in files})
            when = moments[0] if len(moments) == 1 else f"{moments[0]} to {moments[-1]}"
            what = f"{len(files):,} files of {len(days):,} days, {rows:,} rows,"
            if archive:
                yield f"{what} are in {archive}, which proved it when they were removed here ({when})"
            else:
                yield f"{what} were given up ({when}): removed although no archive held them, counted as declared lost"


class RemovalRecord:
    """Takes what is about to be removed; `add` returns when it would survive a power cut."""

    def __init__(self, lake: Lake, moment_us: int, *, disk: Disk) -> None:
        self._lake, self._moment_us, self._disk = lake, moment_us, disk
        self._files: dict[date, AppendFile] = {}

    def add(self, day: date, files: list[Removed]) -> None:
        """Record files of one day."""
        if day not in self._files:
            folder = record_folder(self._lake)
            self._disk.make_dirs(folder)
            self._files[day] = self._disk.open_new(folder / f"{day}.{self._moment_us}-{uuid4().hex[:8]}.jsonl")
        self._files[day].write(b"".join(msgspec.json.encode(file) + b"\n" for file in files))
        self._files[day].sync()

    def close(self) -> None:
        """Let the files go."""
        for file in self._files.values():
            file.close()


class RemovedFiles:
    """What was removed, day by day as it is asked for."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._days: dict[date, list[Removed]] = {}

    def of_day(self, day: date) -> list[Removed]:
        """Every file of a day, the first removal first; a file that came back and went again stands twice."""
        if day not in self._days:
            paths = sorted(record_folder(self._lake).glob(f"{day}.*.jsonl"))
            self._days[day] = [removed for path in paths for removed in _read(path)]
        return self._days[day]

    def holding(self, entry: Published) -> tuple[Removed, Rows] | None:
        """The last removed file that held the rows of a published one, with those."""
        day = Partition.parse(Path(entry.path)).start().date()
        for removed in reversed(self.of_day(day)):
            if removed.rows and (rows := removed.holds(entry)):
                return removed, rows
        return None


def removed_outputs(lake: Lake) -> set[str]:
    """The keys of all files of silver and gold that are on record; reads the whole record."""
    paths = record_folder(lake).glob("*.jsonl")
    return {removed.key for path in paths for removed in _read(path) if removed.key.startswith("processed/")}


def record_folder(lake: Lake) -> Path:
    """Where the record is."""
    return lake.published / "removed"


def _read(path: Path) -> list[Removed]:
    """The lines of a file; a torn one is of files that were not removed."""
    lines = path.read_bytes().split(b"\n")[:-1]
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Removed))
        except msgspec.DecodeError:
            break
    return found
