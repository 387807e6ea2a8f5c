"""`state/supervisor.json`: what the supervisor last knew, for other shells, health, and the next supervisor."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from scripts.supervisor.readings import Machine
from shared.clock import boot_id
from shared.disk import Disk
from shared.errors import LakeUnusable
from shared.log import get_log

STALE_S = 30.0  # it is written each few seconds
log = get_log("supervisor")


class StateFile:
    """The file. One that cannot be written stops nothing."""

    def __init__(self, folder: Path) -> None:
        self._path, self._disk, self._warned = folder / "supervisor.json", Disk(durable=False), False

    def read(self) -> dict[str, Any]:
        """What it says; empty where there is none, or none that can be read."""
        try:
            said = msgspec.json.decode(self._path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return {}
        return said if isinstance(said, dict) else {}

    def write(self, pid: int, children: dict[str, dict[str, Any]], machine: Machine) -> None:
        """Replace it whole."""
        said = {"pid": pid, "boot": boot_id(), "wall_ns": time.time_ns()}
        said |= {"children": children, "machine": asdict(machine)}
        try:
            self._disk.write_whole(self._path, msgspec.json.encode(said))
        except (OSError, LakeUnusable) as error:
            if not self._warned:
                log.warning("the state cannot be written; supervising goes on", file=str(self._path), error=str(error))
            self._warned = True
