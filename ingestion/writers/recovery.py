"""Recovery: before any collector starts, everything an earlier process left behind is published."""

import os
from dataclasses import dataclass, field
from errno import EACCES, EROFS
from pathlib import Path

from filelock import FileLock

from ingestion.writers.journal import COMMIT_SUFFIX, SUFFIX, JournalId
from ingestion.writers.mending import MENDING, mend
from ingestion.writers.seal import Commit, Sealer, read_commit
from shared.disk import Disk, translated
from shared.errors import LakeUnusable, ReadyConflict
from shared.log import get_log
from shared.partitioning import Lake
from storage.compaction_log import STAGING as COMPACTION
from storage.locks import collector_lock, hold

log = get_log("recovery")


@dataclass
class RecoveryReport:
    """What an earlier process left, and what became of it."""

    journals: int = 0  # sealed now
    commits: int = 0  # already committed, published now
    rows: int = 0
    torn_tail_bytes: int = 0
    damaged_bytes: int = 0
    damaged: list[Commit] = field(default_factory=list)  # their gaps are to be stored, then `Sealer.discard`

    def count(self, commit: Commit) -> None:
        """Add one journal's facts."""
        self.rows += commit.rows
        self.torn_tail_bytes += commit.torn_tail_bytes
        self.damaged_bytes += commit.damaged_bytes
        if commit.damaged:
            self.damaged.append(commit)


def prepare(lake: Lake, *, disk: Disk) -> None:
    """Make the lake's folders and see that they can be written and that renames between them work."""
    for folder in (lake.active, lake.staging, lake.ready, lake.published, lake.state):
        disk.make_dirs(folder)
        with translated(folder):
            if not os.access(folder, os.W_OK | os.X_OK):
                number = EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else EACCES
                raise OSError(number, os.strerror(number), str(folder))
    devices = {folder.stat().st_dev for folder in (lake.active, lake.staging, lake.ready)}
    if len(devices) > 1:
        raise LakeUnusable(
            lake.raw,
            f"{lake.active_subdir}, staging and {lake.ready_subdir} lie on different filesystems",
            hint="Put them on one: a rename cannot cross filesystems",
        )


def lock(lake: Lake) -> FileLock:
    """The exclusive lock of the lake's one collector."""
    return hold(collector_lock(lake), hint="One collector per folder: stop it, or set storage.paths.raw_dir")


def recover(lake: Lake, sealer: Sealer, *, disk: Disk) -> RecoveryReport:
    """Publish every commit record, seal every journal up to its last whole frame, clear what is rubbish.

    A journal whose contents cannot be made into files does not stop the start: its rows stand in `damaged` as gaps,
    one per stream, and the file itself goes to quarantine once they are stored, with every row it holds. What the
    disk refuses, and a published name with other content, do stop the start: a person can mend them.
    """
    report = RecoveryReport()
    for path in lake.active.glob("*.tmp"):
        disk.remove(path)
    commits, journals = _left(lake.active, COMMIT_SUFFIX), _left(lake.active, SUFFIX)
    newest: dict[str, JournalId] = {}
    for journal_id in sorted({*commits, *journals}):
        newest[journal_id.epoch] = journal_id
    for _, path in sorted(commits.items()):
        commit = read_commit(path)
        mend(commit, lake, sealer, disk=disk)
        sealer.publish(commit)
        _finish(commit, sealer, report)
        report.commits += 1
    for journal_id, path in sorted(journals.items()):
        if journal_id in commits:
            continue
        commit = _commit(path, sealer, ended=journal_id < newest[journal_id.epoch])
        sealer.publish(commit)
        _finish(commit, sealer, report)
        report.journals += 1
    _clear_staging(lake, disk)
    if report.journals or report.commits:
        log.info(
            "recovered",
            journals=report.journals,
            commits=report.commits,
            rows=report.rows,
            torn_tail_bytes=report.torn_tail_bytes,
            damaged_bytes=report.damaged_bytes,
        )
    return report


def _left(folder: Path, suffix: str) -> dict[JournalId, Path]:
    """The files of ours with this suffix; what somebody else put there is left alone."""
    found: dict[JournalId, Path] = {}
    for path in folder.glob(f"*{suffix}"):
        try:
            found[JournalId.parse(path.stem)] = path
        except ValueError:
            log.warning("not a journal of ours, left alone", path=str(path))
    return found


def _commit(path: Path, sealer: Sealer, *, ended: bool) -> Commit:
    try:
        return sealer.commit(path, ended=ended)
    except (OSError, MemoryError, LakeUnusable, ReadyConflict):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a journal holds, it must not stop every start
        reason = error
    commit = sealer.give_up(path, reason)
    rows = sum(declared.gap.rows_lost or 0 for declared in commit.gaps)
    log.error("journal cannot be sealed, goes to quarantine", path=str(path), rows=rows, error=repr(reason)[:300])
    return commit


def _finish(commit: Commit, sealer: Sealer, report: RecoveryReport) -> None:
    report.count(commit)
    if not commit.damaged:
        sealer.discard(commit)


def _clear_staging(lake: Lake, disk: Disk) -> None:
    for folder in lake.staging.iterdir():
        if _has_owner(lake, folder) or folder.name == COMPACTION:
            continue
        if not folder.is_dir() or not _is_ours(folder.name):
            log.warning("not staged by us, left alone", path=str(folder))
            continue
        for path in folder.iterdir():
            disk.remove(path)
        disk.remove_dir(folder)


def _is_ours(stem: str) -> bool:
    if stem == MENDING:
        return True
    try:
        JournalId.parse(stem)
    except ValueError:
        return False
    return True


def _has_owner(lake: Lake, folder: Path) -> bool:
    return any((lake.active / f"{folder.name}{suffix}").exists() for suffix in (SUFFIX, COMMIT_SUFFIX))
