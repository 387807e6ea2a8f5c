"""Local locks: one collector per folder, one watcher per lake. The system frees them when the owner dies, however."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from shared.clock import boot_id
from shared.disk import translated
from shared.errors import LakeLocked
from shared.partitioning import Lake

_OWNER = re.compile(r"pid (\d{1,9}), boot (.+)\n")


class Owner(NamedTuple):
    """Who took a lock, and when."""

    pid: int
    taken_ns: int


def hold(path: Path, *, hint: str) -> FileLock:
    """Take the lock at `path`, or say who has it.

    Raises: LakeLocked.
    """
    owner = _owner_file(path)
    held = FileLock(path, timeout=0, thread_local=False)  # any thread may release it: the one that seals does
    try:
        with translated(path):
            held.acquire()
    except Timeout as error:
        who = owner.read_text().strip() if owner.exists() else "another process"
        raise LakeLocked(path.parent, f"in use by {who}", hint=hint) from error
    owner.write_text(f"pid {os.getpid()}, boot {boot_id()}\n")
    return held


def owner_of(path: Path) -> Owner | None:
    """Who last took the lock at `path`; None where that is not known, or was before this boot of the machine."""
    file = _owner_file(path)
    try:
        found, taken_ns = _OWNER.fullmatch(file.read_text()), file.stat().st_mtime_ns
    except (OSError, ValueError):
        return None
    return Owner(int(found[1]), taken_ns) if found and found[2] == boot_id() else None


def collector_lock(lake: Lake) -> Path:
    """Of the one that captures."""
    return lake.raw / "collector.lock"


def watcher_lock(lake: Lake) -> Path:
    """Of whoever writes silver and gold."""
    return lake.refining / "watcher.lock"


def sync_lock(lake: Lake, name: str = "sync") -> Path:
    """Of the synchronisation of that name."""
    return lake.state / name / "sync.lock"


def maintenance_lock(lake: Lake) -> Path:
    """Of compaction and retention, which take turns."""
    return lake.state / "maintenance.lock"


def _owner_file(lock: Path) -> Path:
    return lock.with_suffix(".owner")
