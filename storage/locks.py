"""Local locks: one collector per folder, one watcher per lake. The system frees them when the owner dies, however."""

import os
from pathlib import Path

from filelock import FileLock, Timeout

from shared.clock import boot_id
from shared.disk import translated
from shared.errors import LakeLocked


def hold(path: Path, *, hint: str) -> FileLock:
    """Take the lock at `path`, or say who has it.

    Raises: LakeLocked.
    """
    owner = path.with_suffix(".owner")
    held = FileLock(path, timeout=0, thread_local=False)  # any thread may release it: the one that seals does
    try:
        with translated(path):
            held.acquire()
    except Timeout as error:
        who = owner.read_text().strip() if owner.exists() else "another process"
        raise LakeLocked(path.parent, f"in use by {who}", hint=hint) from error
    owner.write_text(f"pid {os.getpid()}, boot {boot_id()}\n")
    return held
