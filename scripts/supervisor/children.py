"""The children as processes: started with a socket to speak to, signalled, reaped; none outlives its supervisor."""

import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from scripts.supervisor.state import SupervisorState
from shared.log import get_log

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_MESSAGE_BYTES = 4096
MODULE = "scripts.ends_with_parent"
log = get_log("supervisor")


class Ear:
    """Where the children tell how they are; the kernel says which of them it was."""

    def __init__(self) -> None:
        self.address = f"@daedalus-{os.getpid()}-{secrets.token_hex(8)}"  # no file, so no cleaner can take it away
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + self.address[1:])

    def hear(self, *, within_s: float) -> tuple[int, list[str]] | None:
        """Who said what, in lines; None where nobody has for so long."""
        self._socket.settimeout(within_s)
        try:
            message, credentials, _, _ = self._socket.recvmsg(_MESSAGE_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
        except (TimeoutError, BlockingIOError):
            return None
        for level, kind, data in credentials:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid, _, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
                return pid, message.decode(errors="replace").splitlines()
        return None

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@dataclass(frozen=True)
class Order:
    """How one child runs."""

    name: str
    arguments: Sequence[str]  # of `daedalus`
    nice: int | None = None
    processors: Sequence[int] = ()  # none: all


class Child:
    """A running process of one order."""

    def __init__(self, order: Order, ear: Ear, *, watchdog_s: float | None) -> None:
        self.name = order.name
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WATCHDOG_")}
        environment["NOTIFY_SOCKET"] = ear.address
        if watchdog_s is not None:
            environment["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))
        self._process = subprocess.Popen(  # noqa: S603  our own command line
            [sys.executable, "-m", MODULE, str(os.getpid()), *order.arguments],
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends its children in order
        )
        self.pid = self._process.pid
        self._arrange(order)

    def _arrange(self, order: Order) -> None:
        """At once, before it has threads: later ones inherit it."""
        try:
            if order.nice is not None:
                os.setpriority(os.PRIO_PROCESS, self.pid, order.nice)
            if order.processors:
                os.sched_setaffinity(self.pid, order.processors)
        except OSError as error:
            if self.ended() is None:
                log.warning("priority or processors are not as set", child=self.name, reason=error.strerror)

    def ended(self) -> str | None:
        """How it ended, for people; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"code {code}"

    def send(self, number: signal.Signals) -> None:
        """A signal, unless it is gone."""
        self._process.send_signal(number)


def end_leftovers(before: SupervisorState | None, *, within_s: float) -> list[int]:
    """Pids of children that outlived a supervisor whose state file this was; they have ended when this returns.

    Each is told by its command line, which names that supervisor: a pid alone may be anybody's by now.
    """
    if before is None:
        return []
    found = []
    for child in before.children.values():
        with suppress(psutil.Error):
            process = psutil.Process(child.pid or 0)
            if [MODULE, str(before.pid)] == process.cmdline()[2:4]:
                process.terminate()
                found.append(process)
    _, alive = psutil.wait_procs(found, timeout=within_s)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=within_s)
    return [process.pid for process in found]
