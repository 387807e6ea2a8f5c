"""Recovery: before any collector starts, everything an earlier process left behind is published."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from ingestion.writers.journal import COMMIT_SUFFIX, SUFFIX, JournalId
from ingestion.writers.seal import Commit, Sealer, read_commit
from shared.disk import Disk, translated
from shared.errors import LakeUnusable
from shared.log import get_log
from shared.partitioning import Lake
from storage.locks import hold

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
                raise PermissionError(13, "permission denied", str(folder))
    devices = {folder.stat().st_dev for folder in (lake.active, lake.staging, lake.ready)}
    if len(devices) > 1:
        raise LakeUnusable(
            lake.raw,
            f"{lake.active_subdir}, staging and {lake.ready_subdir} lie on different filesystems",
            hint="Put them on one: a rename cannot cross filesystems",
        )


def lock(lake: Lake) -> FileLock:
    """The exclusive lock of the lake's one collector."""
    return hold(lake.raw / "collector.lock", hint="One collector per folder: stop it, or set storage.paths.raw_dir")


def recover(lake: Lake, sealer: Sealer, *, disk: Disk) -> RecoveryReport:
    """Publish every commit record, seal every journal up to its last whole frame, clear what is rubbish."""
    report = RecoveryReport()
    for path in lake.active.glob("*.tmp"):
        disk.remove(path)
    for path in sorted(lake.active.glob(f"*{COMMIT_SUFFIX}")):
        commit = read_commit(path)
        sealer.publish(commit)
        _finish(commit, sealer, report)
        report.commits += 1
    left = [path for path in lake.active.glob(f"*{SUFFIX}") if not path.with_suffix(COMMIT_SUFFIX).exists()]
    for path in sorted(left, key=lambda path: JournalId.parse(path.stem)):
        commit = sealer.commit(path)
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


def _finish(commit: Commit, sealer: Sealer, report: RecoveryReport) -> None:
    report.count(commit)
    if not commit.damaged:
        sealer.discard(commit)


def _clear_staging(lake: Lake, disk: Disk) -> None:
    for folder in lake.staging.iterdir():
        if _has_owner(lake, folder):
            continue
        for path in folder.iterdir():
            disk.remove(path)
        disk.remove_dir(folder)


def _has_owner(lake: Lake, folder: Path) -> bool:
    return any((lake.active / f"{folder.name}{suffix}").exists() for suffix in (SUFFIX, COMMIT_SUFFIX))
