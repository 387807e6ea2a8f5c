"""Published files held against the disk: each is there, holds what the log says, and nobody put another beside it."""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from shared.content_hash import content_hash
from shared.errors import InputUnreadable
from shared.exchange_facts import ids_prove_loss
from shared.partitioning import Lake, Partition, SegmentName
from shared.rows import Stream
from shared.tables import table
from storage.bronze_rows import rows_of
from storage.checksum import Checksum
from storage.completeness import Account
from storage.made_check import MadeCheck
from storage.made_files import is_made, made_with, segments_of
from storage.published import Published, log_paths, opening_tails, scan_log
from storage.removed import RemovedFiles, RemovedSum
from storage.segments import content_of, opened, read_segment
from storage.spans import Numbers, Spans


@dataclass(frozen=True)
class Scope:
    """What is asked about; an empty tuple asks for all."""

    exchanges: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    since: datetime | None = None  # whole hours
    until: datetime | None = None

    def concerns(self, stream: Stream) -> bool:
        """Whether a stream's gaps and rejects explain what streams that are asked about lack."""
        return (not self.exchanges or stream.exchange in self.exchanges) and (
            not self.symbols or stream.symbol in self.symbols
        )

    def names(self, stream: Stream) -> bool:
        """Whether a stream is asked about."""
        return self.concerns(stream) and (not self.tables or stream.table in self.tables)

    def has(self, hour: Partition) -> bool:
        """Whether an hour is asked about."""
        return (self.since is None or hour.end() > self.since) and (self.until is None or hour.start() < self.until)

    def logs(self, lake: Lake) -> list[Path]:
        """The logs that can name rows of these hours: a run that another followed before them cannot."""
        paths = log_paths(lake)
        if self.since is None:
            return paths
        first = f"{self.since:%Y%m%dT%H0000Z}"
        return [path for at, path in enumerate(paths) if at + 1 == len(paths) or paths[at + 1].stem[:16] > first]


class Inspection:
    """Reads what the scope names, file by file, into an account. `problems` names what is wrong with files."""

    def __init__(self, lake: Lake, account: Account, scope: Scope, *, deep: bool) -> None:
        self._lake, self._account, self._scope, self._deep = lake, account, scope, deep
        self.problems: list[str] = []
        self.files = 0
        self._present: Counter[Path] = Counter()  # published files that stand in a folder of `ready`
        self._made = MadeCheck(deep=deep)
        self.gap_files: list[Published] = []
        self.removed = RemovedSum()
        self._removed = RemovedFiles(lake)

    def run(self) -> None:
        """Look at every file."""
        logs = self._scope.logs(self._lake)
        known = {path.stem for path in logs}
        seen: set[tuple[str, int]] = set()
        for path in logs:
            self._reached(path, since_epoch="" if self._scope.since is None else logs[0].stem)
            for line in scan_log(path):
                journal = (line[0].epoch, SegmentName.parse(Path(line[0].path).name).counter) if line else ("", 0)
                if journal in seen:
                    continue  # a line may stand twice after a crash
                seen.add(journal)
                for entry in line:
                    self._take(entry, whole_run=entry.epoch in known)
        self.problems += self._made.problems()
        self.problems += [f"{path} is published nowhere" for path in self._strays()]

    def _reached(self, log: Path, *, since_epoch: str) -> None:
        """Each log says where the runs before it ended: also those whose own log and files are gone together."""
        tails = (opening_tails(log) or {}) if self._scope.until is None else {}
        for stream, tail in tails.items():
            if tail.epoch >= since_epoch and self._scope.names(stream):
                self._account.reached(stream, tail.epoch, tail.seq)

    def _take(self, entry: Published, *, whole_run: bool) -> None:
        hour = Partition.parse(Path(entry.path))
        after_since = self._scope.since is None or hour.end() > self._scope.since
        if entry.table == "gaps" and after_since and self._scope.concerns(entry.stream):
            self.gap_files.append(entry)
        named = self._scope.names(entry.stream)
        explains = entry.table == "rejects" and self._scope.has(hour) and self._scope.concerns(entry.stream)
        if named and not self._scope.has(hour):
            if self._scope.until is None or hour.start() < self._scope.until:
                self._account.before(entry.stream, entry.epoch, entry.first_seq, entry.last_seq)
        elif named:
            if not whole_run:
                self._account.began_earlier(entry.stream, entry.epoch, entry.first_seq)
            self._look(entry, hour.start())
        elif explains:
            self._rejects(entry, hour.start())

    def _look(self, entry: Published, hour: datetime) -> None:
        path = self._lake.ready / entry.path
        self.files += 1
        try:
            is_sound = self._is_sound(entry, path)
            numbers = self._numbers(entry, is_sound=is_sound)
            ids = self._ids(entry)
        except FileNotFoundError:
            self._gone(entry, hour)
            return
        except InputUnreadable as error:  # what was made of it
            if error.line() not in self.problems:
                self.problems.append(error.line())
            return
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            self.problems.append(f"{entry.path} cannot be read: {str(error).splitlines()[0][:120]}")
            return
        self._account.stored(entry.stream, entry.epoch, numbers, hour)
        self._account.trade_ids(entry.stream, ids)
        if entry.table == "rejects":
            self._rejects(entry, hour)

    def _gone(self, entry: Published, hour: datetime) -> None:
        """A file that is nowhere here: removed on purpose, which is on record with what it held, or lost."""
        found = self._removed.holding(entry)
        if found is None:
            self.problems.append(f"{entry.path} is missing: {entry.rows:,} rows")
            return
        removed, rows = found
        numbers, ids = Spans(rows.numbers), Spans(rows.ids)
        self.removed.add(removed, entry.rows)
        if removed.archive:
            self._account.stored(entry.stream, entry.epoch, _each(numbers), hour)
            self._account.trade_ids(entry.stream, _each(ids))
        else:
            self._account.given_up(entry.stream, entry.epoch, numbers, ids)

    def _is_sound(self, entry: Published, path: Path) -> bool:
        """Whether the rows are as they were published, be they in their own file or in one that was made of it."""
        try:
            wrong = self._wrong(entry, path, path.stat().st_size)
        except FileNotFoundError:
            while (made := made_with(self._lake, entry.path)) is not None:
                with suppress(FileNotFoundError):  # a merged hour has just become part of a day
                    return self._made.holds(made, entry)
            raise
        self._present[path.parent] += 1
        if wrong:
            self.problems.append(f"{entry.path} is not as it was published: {wrong}")
        return not wrong

    def _numbers(self, entry: Published, *, is_sound: bool) -> tuple[int, int] | Numbers:
        if is_sound and not self._deep and entry.last_seq - entry.first_seq + 1 == entry.rows:
            return entry.first_seq, entry.last_seq + 1
        return rows_of(self._lake, entry, ["seq"])["seq"].to_numpy()

    def _ids(self, entry: Published) -> Numbers:
        if entry.table != "trades" or not ids_prove_loss(entry.exchange, entry.source):
            return np.empty(0, np.int64)
        return rows_of(self._lake, entry, ["trade_seq"])["trade_seq"].drop_nulls().to_numpy()

    def _wrong(self, entry: Published, path: Path, size: int) -> str:
        """What differs from the log's line; with `deep` every row is read and hashed."""
        if path.suffix != ".parquet":
            rows = read_segment(path, entry.table).to_arrow().cast(table(entry.table).ready_schema)
            found = content_hash(rows) if self._deep else None
            return _difference(entry, rows.num_rows, found, size) or self._rotten(entry, path)
        with opened(path) as file:
            facts = file.metadata.metadata or {}
            told = facts.get(b"daedalus.content_hash", b"").decode()
            found = None
            if self._deep:
                found = content_of(file)
            if told != entry.content_hash:
                return f"its content hash says {told or 'nothing'}, the log {entry.content_hash}"
            wrong = _difference(entry, file.metadata.num_rows, found, size)
        return wrong or self._rotten(entry, path)

    def _rotten(self, entry: Published, path: Path) -> str:
        """What rotted and no row shows, as names and statistics in a file, which readers go by."""
        if not self._deep or entry.crc32 is None or Checksum(entry.crc32).is_of(path):
            return ""
        return "its bytes are not those that were written"

    def _rejects(self, entry: Published, hour: datetime) -> None:
        try:
            rows = rows_of(self._lake, entry, ["symbol", "channel", "row_id"])
        except (OSError, pl.exceptions.PolarsError):
            return  # named where the rejects themselves are looked at
        for (symbol, channel), part in rows.group_by("symbol", "channel"):
            stream = Stream(entry.source, entry.exchange, str(channel), str(symbol))
            if self._scope.names(stream):
                ids = part["row_id"].cast(pl.Int64, strict=False).drop_nulls().to_numpy()
                self._account.rejected(stream, part.height, ids, hour)

    def _strays(self) -> Iterator[str]:
        """Files of bronze that no log names. What is being published just now is none."""
        for root, folder, names in _folders(self._lake):
            where = folder.relative_to(root).as_posix()
            stream, partition = _place(root, folder)
            if stream is None or partition is None:  # a place where we never put anything
                yield from (f"{where}/{name}" for name in sorted(names))
                continue
            if not self._scope.names(stream) or not self._scope.has(partition):
                continue
            if root == self._lake.daily or len(names) > self._present[folder]:
                unknown = {name for name in names if not self._made.knows(folder / name)}
                yield from self._unpublished(folder, where, unknown)

    def _unpublished(self, folder: Path, where: str, names: set[str]) -> Iterator[str]:
        """Of these files in a folder, those whose rows are published nowhere."""
        said: dict[str, Collection[str]] = {}
        for name in sorted(names):
            with suppress(FileNotFoundError, InputUnreadable):  # it is part of a day by now, or was told above
                said[name] = segments_of(folder / name) if is_made(name) else {f"{where}/{name}"}
        wanted = frozenset[str]().union(*said.values())
        logs = log_paths(self._lake) if wanted else []
        known = {entry.path for log in logs for line in scan_log(log) for entry in line if entry.path in wanted}
        for name, segments in said.items():
            if not known.issuperset(segments) and not self._is_coming(name):
                yield f"{where}/{name}"

    def _is_coming(self, name: str) -> bool:
        try:
            segment = SegmentName.parse(name)
        except ValueError:
            return False
        journal = f"{segment.epoch}_{segment.counter:06d}"
        return any((self._lake.active / f"{journal}{suffix}").exists() for suffix in (".journal", ".commit"))


def _each(spans: Spans) -> Numbers:
    return np.concatenate([np.empty(0, np.int64), *(np.arange(begin, end) for begin, end in spans)])


def _difference(entry: Published, rows: int, found: int | None, size: int) -> str:
    if rows != entry.rows:
        return f"{rows:,} rows instead of {entry.rows:,}"
    if found is not None and f"{found:016x}" != entry.content_hash:
        return "its rows do not give the published content hash"
    return "" if size == entry.bytes else f"{size:,} bytes instead of {entry.bytes:,}"


def _folders(lake: Lake) -> Iterator[tuple[Path, Path, set[str]]]:
    """Every folder of bronze that has files of rows, and below which root it is."""
    for root in (lake.ready, lake.daily):
        for folder, _, names in os.walk(root):
            files = {name for name in names if name.endswith((".parquet", ".ndjson"))}
            if files:
                yield root, Path(folder), files


def _place(root: Path, folder: Path) -> tuple[Stream, Partition] | tuple[None, None]:
    """Whose rows a folder holds and of which hour or day; None where no path of ours has that form."""
    try:
        source, name, *_ = folder.relative_to(root).parts
        partition = Partition.parse(folder)
    except ValueError:
        return None, None
    return Stream(source, partition.exchange, name, partition.symbol), partition
