"""Compaction: many small files of bronze become one, copy-on-write, safe whatever step a crash falls between.

Stage, verify, commit, publish, remove. The line in the log is the point of no return: before it what is staged is
rubbish; after it the made file counts, and every further step can be repeated.
"""

import errno
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.disk import Disk, translated
from shared.errors import DiskFull, InputUnreadable, LakeUnusable
from shared.partitioning import Lake
from shared.tables import SCHEMA_VERSION, Table, table
from storage.checksum import checksum_of
from storage.compaction_log import STAGING, Compacted, append, last
from storage.compaction_plan import Merge, StreamDay
from storage.made_files import SOURCES, daily_name, hash_in, is_made, made_with, merged_name, sources_of
from storage.merging import Source, merged
from storage.segments import content_of, opened

T = TypeVar("T")
_GROUP_ROWS = 1 << 17
_GROUP_BYTES = 64 << 20  # a row group stays in memory until it is whole


@dataclass(frozen=True)
class MadeOptions:
    """How made files are written."""

    compression: str = "zstd"
    compression_level: int = 3
    reserve_bytes: int = 0  # of the disk, which compaction leaves free


class Compactor:
    """Does what was planned, one made file after the other. The caller holds the lock."""

    def __init__(
        self, lake: Lake, options: MadeOptions, *, disk: Disk, check: Callable[[], None] = lambda: None
    ) -> None:
        """`check` is called again and again before a commit; it may raise KeyboardInterrupt: nothing is left then."""
        self._lake, self._options, self._disk, self._check = lake, options, disk, check
        self._staging = lake.staging / STAGING

    def repair(self) -> bool:
        """Finish what a crash interrupted, and clear what it left; whether a made file had to be published."""
        line = last(self._lake)
        staged = self._staging / Path(line.made).name if line else None
        is_due = staged is not None and staged.exists()
        if line and is_due:
            self._publish(line)
        if self._staging.is_dir():
            for path in self._staging.iterdir():
                self._disk.remove(path)
        return is_due

    def compact(self, merge: Merge) -> Compacted:
        """Make one file of several, in their place.

        Raises: InputUnreadable: a source is not what it says, or what was written is not read back; nothing was
            touched. DiskFull: nor was it then.
        """
        self._disk.make_dirs(self._staging)
        self._see_that_there_is_room(merge)
        sources = [Source(each.path, table(merge.stream.table)) for each in self._checked(merge.sources)]
        staged = self._staging / "unfinished"
        try:
            line = self._stage(merge, sources, staged)
            named = self._staging / Path(line.made).name
            self._disk.rename(staged, named)
            self._disk.sync_dir(self._staging)
        except (OSError, pa.ArrowException, InputUnreadable, LakeUnusable, KeyboardInterrupt):
            self._disk.remove(staged)
            raise
        try:
            append(self._lake, line, disk=self._disk)
        except LakeUnusable:
            if last(self._lake) != line:
                self._disk.remove(named)
            raise
        self._publish(line)
        return line

    def tidy(self, day: StreamDay) -> None:
        """Let the files go that stand beside one that was made of them, as after `daedalus sync --direction down`.

        Raises: InputUnreadable: the made file does not hold what it says.
        """
        names = [each.path.relative_to(self._lake.ready).as_posix() for each in day.left_over]
        for made in sorted({made for name in names if (made := made_with(self._lake, name))}):
            self._check()
            if f"{_read_back(made)[1]:016x}" != hash_in(made.name):
                hint = "`daedalus check --deep` tells more; nothing was touched"
                raise InputUnreadable(f"{made}: its rows do not give its content hash", hint=hint)
        self._remove(each.path for each in day.left_over)

    def _remove(self, files: Iterable[Path]) -> None:
        """Let files go whose rows a made file holds, and with them folders of hours and days that are empty then."""
        gone = [path for path in files if path.exists()]
        for path in gone:
            self._disk.remove(path)
        hours = sorted({path.parent for path in gone})
        for folder in hours:
            self._disk.sync_dir(folder)
        for folder in [*hours, *sorted({hour.parent for hour in hours})]:
            try:
                self._disk.remove_dir(folder)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise

    def _stage(self, merge: Merge, sources: list[Source], staged: Path) -> Compacted:
        kind = table(merge.stream.table)
        of = self._names(merge)
        with _writer(staged, kind, self._options) as writer:
            for rows in _row_groups(self._checked(merged(sources))):
                writer.add(rows)
                del rows  # else it would stay while the next row group comes together
            expected = sum(each.hash for each in sources) % 2**64
            rows_expected = sum(each.rows for each in sources)
            writer.finish(_facts(kind, sources, writer, of))
        self._check()
        self._disk.sync_file(staged)
        self._disk.forget_cached(staged)
        if (rows_expected, expected) != _read_back(staged):
            raise InputUnreadable(
                f"{staged}: what was written is not what is read back; nothing was touched",
                hint="Suspect the disk or the memory of this machine (dmesg), then try again",
            )
        made = self._target(merge, expected)
        name = self._lake.key_of(made).removeprefix("raw/")
        gone = [f"ready/{source}" for source in of]
        with staged.open("rb") as file:
            crc32 = checksum_of(file).crc32
        return Compacted(name, gone, rows_expected, f"{expected:016x}", staged.stat().st_size, crc32)

    def _checked(self, parts: Iterable[T]) -> Iterator[T]:
        for part in parts:
            self._check()
            yield part

    def _names(self, merge: Merge) -> list[str]:
        """What the made file stands for: the sources, and what those stood for."""
        names: set[str] = set()
        for each in merge.sources:
            names.add(each.path.relative_to(self._lake.ready).as_posix())
            if is_made(each.path.name):
                names |= sources_of(each.path)
        return sorted(names)

    def _target(self, merge: Merge, content: int) -> Path:
        stream, start = merge.stream, merge.day.start()
        if merge.day.hour is not None:
            folder = self._lake.ready_dir(stream.source, stream.table, merge.day)
            return folder / merged_name(f"{start:%Y%m%dT%H}", content)
        first_hour = min(int(each.path.parent.name.removeprefix("hour=")) for each in merge.sources)
        folder = self._lake.daily_dir(stream.source, stream.table, merge.day)
        return folder / daily_name(f"{start:%Y%m%d}", first_hour, content)

    def _publish(self, line: Compacted) -> None:
        """Give a committed file its place, then let its sources go; may be repeated after a crash at any step."""
        made = self._lake.path_of(f"raw/{line.made}")
        self._disk.make_dirs(made.parent)
        self._disk.rename(self._staging / made.name, made)
        self._disk.sync_dir(made.parent)
        self._disk.sync_dir(self._staging)
        self._remove(self._lake.path_of(f"raw/{name}") for name in line.of)

    def _see_that_there_is_room(self, merge: Merge) -> None:
        with translated(self._staging):
            free = disk_usage(self._staging).free
        if free < merge.bytes + self._options.reserve_bytes:
            raise DiskFull(
                self._staging,
                f"{free >> 20:,} MB free, and a copy of {merge.bytes / 2**20:,.1f} MB would not leave the "
                f"{self._options.reserve_bytes >> 20:,} MB of ingestion.disk_reserve_mb",
                hint="Free some space, or give --target-file-mb less; nothing was touched",
            )


class _Writer:
    """A made file on its way."""

    def __init__(self, path: Path, kind: Table, options: MadeOptions) -> None:
        self._parquet: pq.ParquetWriter | None = pq.ParquetWriter(
            path,
            kind.ready_schema,
            compression=options.compression,
            compression_level=None if options.compression in {"none", "snappy"} else options.compression_level,
            **kind.parquet_options(),
        )
        self.first_seq, self.last_seq = 2**63 - 1, -1

    def add(self, rows: pa.Table) -> None:
        """One row group."""
        assert self._parquet
        seqs = pc.min_max(rows.column("seq")).as_py()
        self.first_seq, self.last_seq = min(self.first_seq, seqs["min"]), max(self.last_seq, seqs["max"])
        self._parquet.write_table(rows, row_group_size=_GROUP_ROWS)

    def finish(self, facts: dict[str, str]) -> None:
        """Close the file with its facts inside."""
        assert self._parquet
        self._parquet.add_key_value_metadata(facts)
        self._parquet.close()
        self._parquet = None

    def abandon(self) -> None:
        """Let it go unfinished: on a full disk even its end cannot be written."""
        if self._parquet:
            self._parquet.is_open = False  # else its destructor tries once more, and complains
            self._parquet = None


@contextmanager
def _writer(path: Path, kind: Table, options: MadeOptions) -> Iterator[_Writer]:
    with translated(path):
        writer = _Writer(path, kind, options)
        try:
            yield writer
        finally:
            writer.abandon()
            pa.default_memory_pool().release_unused()


def _facts(kind: Table, sources: list[Source], writer: _Writer, of: list[str]) -> dict[str, str]:
    """What the file says of itself, as a segment does, and of which files it was made."""
    boots: dict[str, str] = {}
    for each in sources:
        boots |= each.boot_ids
    return {
        "daedalus.table": kind.name,
        "daedalus.schema_version": str(SCHEMA_VERSION),
        "daedalus.epoch": max(boots, default=""),
        "daedalus.rows": str(sum(each.rows for each in sources)),
        "daedalus.first_seq": str(writer.first_seq),
        "daedalus.last_seq": str(writer.last_seq),
        "daedalus.content_hash": f"{sum(each.hash for each in sources) % 2**64:016x}",
        "daedalus.boot_ids": msgspec.json.encode(boots).decode(),
        SOURCES.decode(): msgspec.json.encode(of).decode(),
    }


def _row_groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables as large as row groups shall be."""
    waiting: deque[pa.Table] = deque()
    rows = size_bytes = 0
    for part in parts:
        waiting.append(part)
        rows, size_bytes = rows + part.num_rows, size_bytes + part.nbytes
        if rows < _GROUP_ROWS and size_bytes < _GROUP_BYTES:
            continue
        whole = pa.concat_tables(waiting)
        waiting.clear()
        while whole.num_rows >= _GROUP_ROWS:
            yield whole.slice(0, _GROUP_ROWS)
            whole = whole.slice(_GROUP_ROWS)
        if whole.nbytes >= _GROUP_BYTES:
            yield whole
            whole = whole.slice(whole.num_rows)
        waiting.append(whole)
        rows, size_bytes = whole.num_rows, whole.nbytes
    whole = pa.concat_tables(waiting) if waiting else None
    if whole is not None and whole.num_rows:
        yield whole


def _read_back(path: Path) -> tuple[int, int]:
    """How many rows a staged file has, and their content hash, from the file itself."""
    try:
        with opened(path) as file:
            return file.metadata.num_rows, content_of(file)
    except (pa.ArrowException, OSError):
        return -1, 0
