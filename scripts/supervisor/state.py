"""`state/supervisor.json`: what the supervisor last knew, for other shells, health, and the next supervisor."""

import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from scripts.supervisor.readings import Machine
from shared.clock import boot_id
from shared.log import get_log
from shared.state_files import Pid, Spoken, StateFile, read

STALE_S = 30.0  # it is written each few seconds
log = get_log("supervisor")


class ChildState(Struct, frozen=True, kw_only=True):
    """One child."""

    pid: Pid | None = None
    state: str = "off"
    started_wall_ns: int | None = None
    again_s: float | None = None  # until it is started; a supervisor of before does not say it
    restarts: int = 0
    last_exit: int | str | None = None
    memory_mb: float | None = None
    cpu_percent: float | None = None
    fed_wall_ns: int | None = None


class SupervisorState(Spoken, kw_only=True):
    """The supervisor, its children by name, and the machine."""

    children: dict[str, ChildState] = field(default_factory=dict)
    machine: Machine = field(default_factory=Machine)


class SupervisorFile:
    """The file. One that cannot be written stops nothing."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "supervisor.json"
        self._file = StateFile(self._path, log=log)

    def read(self) -> SupervisorState | None:
        """What it says; None where there is none, or none that can be read."""
        return read(self._path, SupervisorState).said

    def write(self, pid: int, children: Mapping[str, ChildState], machine: Machine) -> None:
        """Replace it whole."""
        now_ns = time.time_ns()
        self._file.write(
            SupervisorState(pid=pid, wall_ns=now_ns, boot=boot_id(), children=dict(children), machine=machine)
        )
