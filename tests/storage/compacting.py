"""A process that compacts a lake, slowly enough to be killed anywhere: `python -m tests.storage.compacting LAKE`."""

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from shared.partitioning import Lake
from tests.stepped_disk import SteppedDisk
from tests.storage.many_files import RULES, compacted


class SlowDisk(SteppedDisk):
    """Waits before each step."""

    def before(self, kind: str, path: Path) -> None:
        time.sleep(0.004)


if __name__ == "__main__":
    lake = Lake.under(Path(sys.argv[1]))
    print("begun", flush=True)
    compacted(lake, replace(RULES, now=datetime(2026, 5, 29, 2, 30, tzinfo=UTC), with_hours=True), disk=SlowDisk())
    compacted(lake, disk=SlowDisk())
