"""What `--status` says of a state file: it may be old, and those it speaks of gone."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scripts.supervisor.readings import Machine
from scripts.supervisor.state import ChildState, SupervisorFile
from scripts.supervisor.status import shown
from shared.disk import Disk


@pytest.fixture
def ended() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def child(pid: int | None, state: str = "running", **facts: Any) -> ChildState:
    return ChildState(pid=pid, state=state, started_wall_ns=time.time_ns() if pid else None, **facts)


def write(folder: Path, pid: int, children: dict[str, ChildState]) -> None:
    Disk(durable=False).make_dirs(folder)
    SupervisorFile(folder).write(pid, children, Machine(memory_available_mb=1000.0))


def test_all_that_lives_is_well(tmp_path: Path) -> None:
    rests = child(None, "resting", again_s=14_400.0, last_exit="code 0")
    write(tmp_path, os.getpid(), {"ingest": child(os.getpid()), "sync": child(None, "off"), "compact": rests})
    lines, is_well = shown(tmp_path)
    assert is_well
    assert lines == [
        f"supervisor runs as pid {os.getpid()}",
        f"  ingest: running as pid {os.getpid()}, for 0 s",
        "  sync: off",
        "  compact: resting, again in 4.0 h, the last end: code 0",
        "  machine: 1,000 MB of memory available",
    ]


def test_children_of_a_supervisor_that_is_gone_are_not_said_to_run(tmp_path: Path, ended: int) -> None:
    write(tmp_path, ended, {"ingest": child(ended), "watch": child(None, "waiting"), "sync": child(os.getpid())})
    lines, is_well = shown(tmp_path)
    assert not is_well
    assert lines[0].startswith(f"no supervisor runs: pid {ended} is gone; it last said something ")
    assert lines[1:4] == [
        f"  ingest: gone, it was running as pid {ended}",
        "  watch: does not run",
        f"  sync: pid {os.getpid()} outlived it, for 0 s",
    ]


def test_a_child_that_has_just_died_does_not_run(tmp_path: Path, ended: int) -> None:
    write(tmp_path, os.getpid(), {"ingest": child(ended), "watch": child(None, "waiting", restarts=2, last_exit="x")})
    lines, is_well = shown(tmp_path)
    assert (lines[1], is_well) == (f"  ingest: gone, it was running as pid {ended}", False)
    assert lines[2] == "  watch: waiting, 2 restarts, the last end: x"


def test_numbers_of_another_boot_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a clock of its own begins again where it was: the time alone does not tell."""
    with monkeypatch.context() as before:
        before.setattr("scripts.supervisor.state.boot_id", lambda: "another")
        write(tmp_path, os.getpid(), {"ingest": child(os.getpid())})
    lines, is_well = shown(tmp_path)
    assert not is_well
    assert lines[0].startswith(f"no supervisor runs: pid {os.getpid()} is gone")
    assert lines[1] == f"  ingest: gone, it was running as pid {os.getpid()}"


def test_a_number_that_another_process_has_now_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("scripts.supervisor.state.time.time_ns", lambda: 10**18)  # of 2001, before this one began
        write(tmp_path, os.getpid(), {"ingest": child(os.getpid())})
    assert shown(tmp_path)[0][0].startswith("no supervisor runs")


def test_one_that_says_nothing_any_more_is_not_well(tmp_path: Path) -> None:
    write(tmp_path, os.getpid(), {})
    said = SupervisorFile(tmp_path).read()
    assert said
    later_ns = said.wall_ns + 31 * 10**9
    with pytest.MonkeyPatch.context() as later:
        later.setattr("scripts.supervisor.status.time.time_ns", lambda: later_ns)
        lines, is_well = shown(tmp_path)
    assert (is_well, lines[0].split(":")[0]) == (False, "stale")


def test_a_lake_without_any(tmp_path: Path) -> None:
    assert shown(tmp_path) == (["no supervisor has run on this lake"], False)
