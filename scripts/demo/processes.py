"""The demo's children: the real commands in processes of their own, none of which outlives the demo."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from scripts.demo.folder import DemoFolder
from shared.errors import DaedalusError

_LOG_LINES = 8
_POLL_S = 0.1
_TERMINATE_S = 10.0  # then it is killed


class ChildFailed(DaedalusError):
    """A process of the demo ended or hung where it should not have."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
        super().__init__(f"the {name} {what}; its last lines: {' | '.join(lines) or 'none'}", hint=f"Read {log}")
        self.log = log


class Child:
    """One running command, its output in a log file."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("ab") as sink:
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                [sys.executable, "-m", "scripts.ends_with_parent", str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C reaches the demo alone, which ends its children in order
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL: the process is gone before it can do anything about it."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Make sure that it is gone, whatever it takes."""
        if self.code is None:
            self.ask_to_end()
            try:
                self._process.wait(_TERMINATE_S)
            except subprocess.TimeoutExpired:
                self.kill()


class Children:
    """The children of one demo. Leaving the `with` block ends every one."""

    def __init__(self, folder: DemoFolder, *, while_waiting: Callable[[], None]) -> None:
        self._folder, self._while_waiting = folder, while_waiting
        self._started: list[Child] = []
        self._wanted: list[Child] = []  # those that should be running now

    def start(self, name: str, *arguments: str, log: str) -> Child:
        """Start `daedalus <arguments>`."""
        child = Child(name, list(arguments), self._folder.log(log))
        self._started.append(child)
        self._wanted.append(child)
        return child

    def kill(self, child: Child) -> None:
        """End a child by SIGKILL, on purpose."""
        self._wanted.remove(child)
        child.kill()

    def finish(self, child: Child, *, within_s: float, ask: bool = True) -> None:
        """Wait for a child's good end, after SIGTERM if `ask`.

        Raises: ChildFailed where it does not end in time, or not well.
        """
        self._wanted.remove(child)
        if ask:
            child.ask_to_end()
        if not self.wait(lambda: child.code is not None, within_s=within_s):
            raise ChildFailed(child.name, f"did not end within {within_s:.0f} s", child.log)
        if child.code:
            raise ChildFailed(child.name, f"ended with code {child.code}", child.log)

    def wait(self, done: Callable[[], bool], *, within_s: float) -> bool:
        """Wait until `done`, watching over the children; whether it came within the time.

        Raises: ChildFailed where one ended by itself.
        """
        deadline_s = time.monotonic() + within_s
        while not done():
            if time.monotonic() >= deadline_s:
                return False
            for child in self._wanted:
                if child.code is not None:
                    raise ChildFailed(child.name, "ended by itself", child.log)
            self._while_waiting()
            time.sleep(_POLL_S)
        return True

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for child in reversed(self._started):
            child.end()
