"""What a run of `daedalus compact` says of itself, and how it is asked to end."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from shared.clock import boot_id
from shared.errors import DaedalusError
from shared.log import get_log
from shared.state_files import StateFile, read
from storage.compaction_state import CompactionState

log = get_log("compact")


@contextmanager
def told(folder: Path, *, is_whole: bool) -> Iterator[CompactionState]:
    """Say in `compaction.json` that a run goes on, and at its end what whoever has the state wrote into it.

    An error that ends the run is its problem; a run that was asked to end has not done its work, and has not failed.
    A run over a part of the lake says nothing.
    """
    path = folder / "compaction.json"
    state = read(path, CompactionState).said or CompactionState(pid=os.getpid(), wall_ns=time.time_ns())

    def write(*, is_running: bool) -> None:
        state.pid, state.boot = os.getpid(), boot_id()
        state.wall_ns, state.is_running = time.time_ns(), is_running
        if is_whole:
            StateFile(path, log=log).write(state)

    write(is_running=True)
    try:
        yield state
    except Exception as error:  # a bug of ours too: the supervisor takes its exit code for that of work that is done
        state.last_problem = error.line() if isinstance(error, DaedalusError) else f"{type(error).__name__}: {error}"
        state.last_problem_wall_ns = time.time_ns()
        raise
    finally:
        write(is_running=False)


@contextmanager
def ended_by_signals() -> Iterator[Callable[[], None]]:
    """A check that raises KeyboardInterrupt once SIGTERM or Ctrl-C has come; the second signal ends the process."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    is_asked = False

    def restore() -> None:
        for number in numbers:
            signal.signal(number, before[number])

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = True
        restore()

    def check() -> None:
        if is_asked:
            raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield check
    finally:
        restore()
