"""Seal: a closed journal becomes ready files, each published once, whatever step a crash falls between.

Stage, commit, publish, log, clean. The commit record is the point of no return: before it the journal is the truth
and staging is rubbish; after it the record is the truth and every further step can be repeated.
"""

import filecmp
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pyarrow as pa

from ingestion.writers.holes import HoleFinder, StreamRanges
from ingestion.writers.journal import COMMIT_SUFFIX, SUFFIX, JournalId, JournalReader
from ingestion.writers.passes import Tally, chunks
from ingestion.writers.segments import SegmentOptions, Staging
from shared.disk import Disk
from shared.errors import DiskFull, ReadyConflict
from shared.partitioning import Lake
from shared.rows import Gap
from shared.tables import Table
from storage.published import Published, PublishedLog


class DeclaredGap(msgspec.Struct, frozen=True):
    """A hole that sealing found in a journal: rows that had been counted and cannot be read."""

    source: str
    exchange: str
    gap: Gap


class Commit(msgspec.Struct, frozen=True):
    """The commit record of a journal: what to publish, and what the journal turned out to lack."""

    journal: str
    files: list[tuple[str, Published]]  # staged name, and the line for the log
    gaps: list[DeclaredGap] = []
    rows: int = 0
    torn_tail_bytes: int = 0
    damaged_bytes: int = 0

    @property
    def damaged(self) -> bool:
        """Whether the journal is kept for a person to look at."""
        return bool(self.gaps or self.damaged_bytes)


class Sealer:
    """Turns journals into ready files. Not thread-safe: one thread seals."""

    def __init__(self, lake: Lake, options: SegmentOptions, *, disk: Disk, log: PublishedLog) -> None:
        self._lake, self._options, self._disk, self._log = lake, options, disk, log
        self._holes = HoleFinder()

    def seal(self, journal: Path) -> Commit:
        """Publish everything that a closed journal holds, then drop it. A damaged one waits for `discard`.

        Raises: DiskFull, after which the same journal may be sealed again.
        """
        record = self._lake.active / (journal.stem + COMMIT_SUFFIX)
        if record.exists():  # an attempt before this one got as far
            self._disk.sync_dir(self._lake.active)
            commit = read_commit(record)
        else:
            try:
                commit = self.commit(journal, ended=True)
            except DiskFull:
                if not record.exists():  # else staging is no rubbish any more, although the record's name is not synced
                    self._holes.begin_again()
                    self._clear(self._lake.staging / journal.stem)
                raise
        self.publish(commit)
        if not commit.damaged:
            self.discard(commit)
        return commit

    def commit(self, journal: Path, *, ended: bool) -> Commit:
        """Write the journal's ready files into staging, and the record that makes them count.

        Where the writer has `ended` the journal, or has gone on to the next one, bytes behind its last frame are no
        interrupted write: they are damage.
        """
        journal_id = JournalId.parse(journal.stem)
        staging = Staging(self._lake, journal_id, self._options, disk=self._disk)
        self._clear(staging.folder)
        self._disk.make_dirs(staging.folder)
        reader = JournalReader(journal)
        try:
            self._stage(reader, staging)
            files = staging.finish()
        except BaseException:
            staging.abandon()
            raise
        report = reader.report
        if ended and not report.torn_tail_is_zeroes:
            report.damaged_bytes += report.torn_tail_bytes
            report.torn_tail_bytes = 0
        assert sum(entry.rows for _, entry in files) == report.rows, "rows out must equal rows in; the journal is kept"
        gaps = self._gaps(journal)
        torn_bytes = 0 if report.torn_tail_is_zeroes else report.torn_tail_bytes  # zeroes: reserved, never written
        commit = Commit(journal.name, files, gaps, report.rows, torn_bytes, report.damaged_bytes)
        self._disk.write_whole(self._commit_path(commit), msgspec.json.encode(commit))
        return commit

    def give_up(self, journal: Path, error: Exception) -> Commit:
        """A record without files for a journal that cannot become any: every row in it is inside one of its gaps.

        Like that of a damaged journal it stands until the gaps are stored; then `discard` puts the journal into
        quarantine. A stream whose name no partition can have is declared as `unknown`.
        """
        self._holes.begin_again()
        reader, read = JournalReader(journal), StreamRanges()
        with suppress(Exception):  # what cannot even be read is counted in bytes
            for kind, batch in reader.batches():
                self._expect(reader)
                self._holes.see(kind.name, batch)
                read.see(kind.name, batch)
        epoch = JournalId.parse(journal.stem).epoch
        gaps = [DeclaredGap(stream.source, stream.exchange, gap) for stream, gap in read.gaps(epoch, str(error))]
        self._clear(self._lake.staging / journal.stem)
        commit = Commit(journal.name, [], [*self._gaps(journal), *gaps], 0, 0, journal.stat().st_size)
        self._disk.write_whole(self._commit_path(commit), msgspec.json.encode(commit))
        return commit

    def _gaps(self, journal: Path) -> list[DeclaredGap]:
        return [DeclaredGap(stream.source, stream.exchange, gap) for stream, gap in self._holes.gaps(journal.name)]

    def _expect(self, reader: JournalReader) -> None:
        if reader.report.counts_at_open is not None:
            self._holes.expect(reader.report.counts_at_open)
            reader.report.counts_at_open = None

    def _stage(self, reader: JournalReader, staging: Staging) -> None:
        """Write every ready file: from one reading of the journal where that fits the memory, else from several."""
        budget_bytes = self._options.buffer_mb << 20
        tally, held = Tally(), list[tuple[Table, pa.Table]]()
        self._holes.begin(JournalId.parse(reader.path.stem).epoch)
        for kind, rows in chunks(reader.batches(), budget_bytes):
            self._expect(reader)
            self._holes.see(kind.name, rows)
            tally.count(kind, rows)
            if tally.bytes_total <= budget_bytes:
                held.append((kind, rows))
            else:
                held.clear()
        self._expect(reader)
        staging.boot_id = reader.report.boot_id
        if tally.bytes_total <= budget_bytes:
            _write(held, staging)
            return
        for part in tally.passes(budget_bytes):
            again = chunks(JournalReader(reader.path).batches(tables=part.tables), budget_bytes)
            wanted = ((kind, part.of(kind, rows)) for kind, rows in again)
            _write(wanted, staging, spill_bytes=budget_bytes if part.is_giant else None)

    def places(self, commit: Commit) -> Iterator[tuple[Path, Path, Published]]:
        """Of each committed file: where it is staged, where it is ready, and its line for the log."""
        for name, entry in commit.files:
            yield self._staging(commit) / name, self._lake.ready / entry.path, entry

    def make_again(self, journal: Path, name: str) -> dict[str, tuple[Path, Published]]:
        """The ready files of a journal made anew in a staging folder of that name, by path below `ready`."""
        staging = Staging(self._lake, JournalId.parse(journal.stem), self._options, disk=self._disk, name=name)
        self._clear(staging.folder)
        self._disk.make_dirs(staging.folder)
        apart = Sealer(self._lake, self._options, disk=self._disk, log=self._log)  # our counts of streams stay
        try:
            apart._stage(JournalReader(journal), staging)
            return {entry.path: (staging.folder / staged, entry) for staged, entry in staging.finish()}
        except BaseException:
            staging.abandon()
            raise

    def publish(self, commit: Commit) -> None:
        """Give the committed files their names and record them; may be repeated after a crash at any step."""
        staging = self._staging(commit)
        folders = set()
        for staged, ready, _ in self.places(commit):
            folders.add(ready.parent)
            if not staged.exists():
                continue  # published before a crash; a consumer may even have moved it away since
            if ready.exists():  # a power cut may keep a rename's new name and not the loss of the old one
                if not filecmp.cmp(staged, ready, shallow=False):
                    raise ReadyConflict(staged, ready)
                self._disk.remove(staged)
            else:
                self._give_name(staged, ready)
        for folder in sorted(folders):
            if folder.exists():
                self._disk.sync_dir(folder)
        if staging.exists():
            self._disk.sync_dir(staging)
        self._log.append([entry for _, entry in commit.files])

    def _give_name(self, staged: Path, ready: Path) -> None:
        """Put a file into its folder, which compaction removes while it is empty."""
        while True:
            try:
                self._disk.make_dirs(ready.parent)
                self._disk.rename(staged, ready)
            except FileNotFoundError:
                if not staged.exists():
                    raise
            else:
                return

    def discard(self, commit: Commit) -> None:
        """Let the journal go, to quarantine if it was damaged; then the record. Its gaps must be stored by now."""
        journal = self._lake.active / commit.journal
        if commit.damaged and journal.exists():
            self._disk.make_dirs(self._lake.quarantine)
            self._disk.rename(journal, self._lake.quarantine / commit.journal)
            self._disk.sync_dir(self._lake.quarantine)
        else:
            self._disk.remove(journal)
        self._disk.sync_dir(self._lake.active)
        self._disk.remove_dir(self._staging(commit))
        self._disk.remove(self._commit_path(commit))
        self._disk.sync_dir(self._lake.active)

    def _staging(self, commit: Commit) -> Path:
        return self._lake.staging / commit.journal.removesuffix(SUFFIX)

    def _commit_path(self, commit: Commit) -> Path:
        return self._lake.active / (commit.journal.removesuffix(SUFFIX) + COMMIT_SUFFIX)

    def _clear(self, folder: Path) -> None:
        """Staging without a commit record is rubbish of a crash."""
        if folder.exists():
            for path in folder.iterdir():
                self._disk.remove(path)


def _write(parts: Iterable[tuple[Table, pa.Table]], staging: Staging, *, spill_bytes: int | None = None) -> None:
    """Write whole files; with `spill_bytes` the one file that these rows make, whenever so much of it has come."""
    waiting: dict[str, tuple[Table, list[pa.Table]]] = {}
    waiting_bytes = 0
    for kind, rows in parts:
        if not rows.num_rows:
            continue
        waiting.setdefault(kind.name, (kind, []))[1].append(rows)
        waiting_bytes += rows.nbytes
        if spill_bytes is not None and waiting_bytes > spill_bytes:
            staging.add(kind, _joined(waiting.pop(kind.name)[1]), is_all=False)
            waiting_bytes = 0
    while waiting:
        _, (kind, tables) = waiting.popitem()
        staging.add(kind, _joined(tables), is_all=spill_bytes is None)
    staging.finish_open()
    pa.default_memory_pool().release_unused()


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table of them; the parts are let go."""
    joined = pa.concat_tables(tables).combine_chunks()
    tables.clear()
    return joined


def read_commit(path: Path) -> Commit:
    """The commit record at `path`."""
    return msgspec.json.decode(path.read_bytes(), type=Commit)
