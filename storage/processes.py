"""Who a process is, so that another, perhaps on another machine, can tell that it runs no more."""

import os
import socket
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from shared.clock import boot_id

_UNKNOWN = ""


class Process(Struct, frozen=True, kw_only=True):
    """A process among all machines; what cannot be found out here is empty or 0, and equals nothing."""

    host: str
    """For people: names of hosts are not unique."""
    pid: int
    started_ticks: int
    """Since the boot, by the kernel: a pid is used again, a pid and its start are not."""
    namespace: int
    """Of its pid: containers count their processes each from 1."""
    boot: str
    machine: str
    """Of the machine's id and its network cards. The id alone is the same on all copies of a disk's image."""


def this_process() -> Process:
    """The process that asks."""
    pid, boot = os.getpid(), boot_id()
    return Process(
        host=socket.gethostname(),
        pid=pid,
        started_ticks=_started_ticks(pid),
        namespace=_pid_namespace(),
        boot=_UNKNOWN if boot == "unknown" else boot,
        machine=_machine(),
    )


def is_gone(process: Process, *, seen_from: Process) -> bool:
    """Whether `process` certainly runs no more; False also means that it cannot be known from here."""
    if _UNKNOWN in {process.boot, seen_from.boot}:
        return False
    if process.boot != seen_from.boot:
        return process.machine == seen_from.machine != _UNKNOWN
    return process.namespace == seen_from.namespace != 0 and not _runs(process)


def _runs(process: Process) -> bool:
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return _started_ticks(process.pid) in {process.started_ticks, 0}


def _started_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # no /proc, or one that hides the processes of others
        return 0
    return int(fields[19])


def _pid_namespace() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def _machine() -> str:
    """A container has no network card of its own; it is not known to be any machine."""
    try:
        own = Path("/etc/machine-id").read_text().strip()
        cards = sorted(path.read_text() for path in Path("/sys/class/net").glob("*/address") if _is_card(path))
    except OSError:
        return _UNKNOWN
    return sha256("".join([own, *cards]).encode()).hexdigest()[:16] if own and cards else _UNKNOWN


def _is_card(address: Path) -> bool:
    return (address.parent / "device").exists()
