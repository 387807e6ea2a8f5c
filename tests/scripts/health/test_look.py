"""What is read of a machine: processes that live, that are gone, that are others; files that are damaged."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from etl.core import executor
from etl.watcher import Status
from ingestion.writers import recovery
from scripts.health.facts import Health
from scripts.health.look import look
from scripts.health.verdict import verdict
from scripts.supervisor import readings
from shared import state_files
from shared.clock import SystemClock, boot_id
from shared.partitioning import Lake
from storage.locks import hold, sync_lock
from storage.sync.report import Told
from tests.scripts.health.examples import limits


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake.under(tmp_path)
    (found.state / "etl").mkdir(parents=True)
    found.active.mkdir(parents=True)
    return found


@pytest.fixture
def ended() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def say(lake: Lake, name: str, *, pid: int = os.getpid(), ago_s: float = 0.0, **facts: Any) -> None:
    said = {"pid": pid, "wall_ns": time.time_ns() - round(ago_s * 1e9), **facts}
    (lake.state / name).write_text(json.dumps(said))


def seen(lake: Lake, *, later_s: float = 0.0) -> Health:
    return look(lake, now_ns=time.time_ns() + round(later_s * 1e9))


def states(health: Health) -> dict[str, str]:
    return {each.name: each.state for each in health.processes}


CHANNEL = {"streams": 1, "rows": 9, "rows_per_s": 3.0, "last_row_wall_ns": 0, "interrupted": 0, "gaps_open": 0}


def captures(lake: Lake, **facts: Any) -> None:
    feed = {"sessions": 2, "rows_given_up": 5, "rejects": 6, "last_row_wall_ns": time.time_ns()}
    trades = CHANNEL | {"last_row_wall_ns": time.time_ns(), "streams": 7, "interrupted": 3, "gaps_open": 4}
    channels = {"trades": trades, "ticker": CHANNEL}
    said: dict[str, Any] = {"epoch": "20260609T120000Z-0a0b", "queue": {"rows": 5, "fill": 0.25}, "heartbeat_s": 5.0}
    said |= {"feeds": {"native:kraken": feed}, "channels": {"native:kraken": channels}, "journal_age_s": 3.5}
    say(lake, "ingestion.json", **(said | {"sacrifice": {"level": 2}, "disk": {"is_paused": True}} | facts))


def test_a_machine_on_which_nothing_ever_ran(tmp_path: Path) -> None:
    health = look(Lake.under(tmp_path / "none"), now_ns=time.time_ns())
    assert set(states(health).values()) == {"never"}
    assert (health.feeds, health.queue_percent, health.archive, health.problems) == ([], None, None, {})
    assert health.disk.free_bytes > 0


def test_a_capture_that_runs(lake: Lake) -> None:
    captures(lake)
    health = seen(lake)
    process = health.process("ingest")
    assert process.state == "running"
    assert process.memory_mb is not None
    assert process.memory_mb > 10
    assert (health.queue_percent, health.sacrifice_level, health.is_paused) == (25.0, 2, True)
    assert health.journals.open_age_s == 3.5
    (feed,) = health.feeds
    ticker, trades = feed.channels
    assert (feed.reconnects, feed.rows_given_up, feed.rejects) == (2, 5, 6)
    assert (trades.rows, trades.rows_per_s, ticker.last_row_age_s) == (9, 3.0, None)
    assert (trades.streams, trades.interrupted, trades.gaps_open) == (7, 3, 4)
    assert trades.last_row_age_s == pytest.approx(0.0, abs=60)


def test_of_a_capture_that_is_gone_nothing_looks_live(lake: Lake, ended: int) -> None:
    captures(lake, pid=ended, ago_s=100)
    health = seen(lake)
    assert states(health)["ingest"] == "gone"
    assert health.process("ingest").memory_mb is None
    assert (health.queue_percent, health.journals.open_age_s) == (None, None)
    assert (health.sacrifice_level, health.is_paused) == (0, False)
    assert {channel.rows_per_s for channel in health.feeds[0].channels} == {None}


def test_a_number_that_another_process_has_now_is_gone(lake: Lake) -> None:
    say(lake, "watcher.json", ago_s=10**7)  # long before this process began
    assert states(seen(lake))["watch"] == "gone"


@pytest.mark.parametrize("name", ["ingestion.json", "watcher.json", "sync.json", "supervisor.json"])
def test_a_number_of_another_boot_is_gone(lake: Lake, name: str) -> None:
    say(lake, name, boot=boot_id())
    assert list(states(seen(lake)).values()).count("running") == 1
    say(lake, name, boot="another")
    assert list(states(seen(lake)).values()).count("gone") == 1


def test_processes_say_in_which_boot_they_are(lake: Lake) -> None:
    Told(lake.state / "sync.json", clock=SystemClock()).begin("up")
    Status(lake.state / "watcher.json").add([])
    for name in ("sync.json", "watcher.json"):
        assert json.loads((lake.state / name).read_bytes())["boot"] == boot_id()


@pytest.fixture
def zombie() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def test_a_process_that_nobody_waited_for_is_gone(lake: Lake, zombie: int) -> None:
    say(lake, "sync.json", pid=zombie)
    assert states(seen(lake))["sync"] == "gone"


def test_a_capture_that_lives_and_says_nothing(lake: Lake) -> None:
    captures(lake)
    assert states(seen(lake, later_s=29))["ingest"] == "running"
    silent = seen(lake, later_s=31)
    assert states(silent)["ingest"] == "silent"
    assert silent.queue_percent is None
    captures(lake, heartbeat_s=20.0)
    assert states(seen(lake, later_s=119))["ingest"] == "running"
    assert states(seen(lake, later_s=121))["ingest"] == "silent"


def test_a_child_that_has_not_spoken_yet_is_starting(lake: Lake, ended: int) -> None:
    """A recovery takes its time, and the file is still that of the run before."""
    captures(lake, pid=ended, ago_s=100)
    say(lake, "supervisor.json", children={"ingest": {"pid": os.getpid(), "state": "running", "restarts": 1}})
    health = seen(lake)
    process = health.process("ingest")
    assert (process.state, process.pid, process.restarts) == ("starting", os.getpid(), 1)
    assert health.queue_percent is None
    assert [alarm for alarm in verdict(health, limits()) if alarm.name == "capture"] == []
    say(lake, "supervisor.json", children={"ingest": {"pid": ended, "state": "waiting", "restarts": 1}})
    assert states(seen(lake))["ingest"] == "gone"


@pytest.mark.parametrize(
    ("name", "take"),
    [
        ("ingest", lambda lake: recovery.lock(lake)),
        ("watch", lambda lake: executor.lock_of(lake, hint="")),
        ("sync", lambda lake: hold(sync_lock(lake), hint="")),
    ],
)
def test_who_holds_the_lock_and_has_not_spoken_yet_is_starting(
    lake: Lake, name: str, take: Callable[[Lake], FileLock]
) -> None:
    (lake.state / "sync").mkdir()
    held = take(lake)
    assert states(seen(lake))[name] == "starting"
    held.release()


@pytest.mark.parametrize("content", ["", "pid 1, boot of-another-time\n", "pid x, boot y\n", "\x00"])
def test_an_owner_of_another_time_is_nobody(lake: Lake, content: str) -> None:
    (lake.raw / "collector.owner").write_text(content)
    assert states(seen(lake))["ingest"] == "never"


def test_an_owner_that_is_gone_is_nobody(lake: Lake, ended: int) -> None:
    (lake.raw / "collector.owner").write_text(f"pid {ended}, boot {boot_id()}\n")
    assert states(seen(lake))["ingest"] == "never"


def test_a_watcher_may_be_busy_for_long(lake: Lake) -> None:
    say(lake, "watcher.json")
    assert states(seen(lake, later_s=9999))["watch"] == "running"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"pid": 12', b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"pid": -4, "wall_ns": 1}', b'{"pid": "x"}'],
    ids=["empty", "half", "cut", "a list", "null", "binary", "no number", "a text"],
)
@pytest.mark.parametrize("name", ["ingestion.json", "watcher.json", "sync.json", "compaction.json", "supervisor.json"])
def test_a_damaged_file_is_said_and_stops_nothing(lake: Lake, name: str, content: bytes) -> None:
    (lake.state / name).write_bytes(content)
    health = seen(lake)
    assert list(health.problems) == [str(lake.state / name)]
    assert list(states(health).values()).count("unreadable") == 1
    assert any(name in alarm.text for alarm in verdict(health, limits()))


def test_a_file_that_is_too_large_to_be_ours_is_not_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_files, "_BYTES_MAX", 10)
    say(lake, "sync.json")
    assert list(seen(lake).problems.values()) == ["is larger than any file of ours"]


def test_a_folder_in_the_place_of_a_file(lake: Lake) -> None:
    (lake.state / "sync.json").mkdir()
    assert states(seen(lake))["sync"] == "unreadable"


def test_a_file_in_the_place_of_the_state(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    health = look(Lake.under(tmp_path), now_ns=time.time_ns())
    assert set(states(health).values()) == {"unreadable"}


def test_damaged_positions_are_a_problem_and_everything_waits(lake: Lake) -> None:
    (lake.state / "etl" / "positions.json").write_text("{")
    assert len(seen(lake).problems) == 1


def test_a_clock_that_was_set_back_is_said(lake: Lake) -> None:
    captures(lake)
    health = seen(lake, later_s=-7200)
    assert health.clock_back_s == pytest.approx(7200, abs=60)
    assert [age.last_row_age_s for age in health.feeds] == [0.0]
    assert "clock" in [alarm.name for alarm in verdict(health, limits())]
    assert states(health)["ingest"] == "running"


@pytest.mark.parametrize("what", ["sync", "feed"])
def test_a_success_or_a_row_from_before_the_clock_was_set_back_is_not_taken_for_new(lake: Lake, what: str) -> None:
    ahead_ns = time.time_ns() + 7200 * 10**9  # the processes have spoken since, that one thing has not happened again
    if what == "sync":
        say(lake, "sync.json", last_success_wall_ns=ahead_ns)
    else:
        feed = {"sessions": 1, "rows_given_up": 0, "rejects": 0, "last_row_wall_ns": ahead_ns}
        say(lake, "ingestion.json", epoch="e", started_wall_ns=1, heartbeat_s=5.0, feeds={"native:kraken": feed})
    health = seen(lake)
    assert health.clock_back_s == pytest.approx(7200, abs=60)
    assert "clock" in [alarm.name for alarm in verdict(health, limits())]


def test_the_newest_journal_of_a_living_run_is_open_and_others_wait(lake: Lake, ended: int) -> None:
    for name, ago_s in (("20260609T110000Z-ffff_000007", 500), ("20260609T120000Z-0a0b_000000", 90)):
        path = lake.active / f"{name}.journal"
        path.write_bytes(b"1234")
        os.utime(path, (time.time() - ago_s,) * 2)
    (lake.active / "20260609T120000Z-0a0b_000001.journal").write_bytes(b"12")
    captures(lake)
    journals = seen(lake).journals
    assert (journals.waiting, journals.waiting_bytes) == (2, 8)
    assert journals.seal_lag_s == pytest.approx(500, abs=60)
    captures(lake, pid=ended)
    assert seen(lake).journals.waiting == 3


def test_the_archive_as_sync_says_it(lake: Lake) -> None:
    now_ns = time.time_ns()
    good, bad = now_ns - 100 * 10**9, now_ns - 50 * 10**9
    say(
        lake, "sync.json", backlog_files=3, last_success_wall_ns=good, last_problem="no route", last_problem_wall_ns=bad
    )
    archive = seen(lake).archive
    assert archive
    assert (archive.backlog_files, archive.last_problem) == (3, "no route")
    assert archive.last_success_age_s == pytest.approx(100, abs=60)
    say(lake, "sync.json", last_success_wall_ns=bad, last_problem="no route", last_problem_wall_ns=good)
    archive = seen(lake).archive
    assert archive
    assert archive.last_problem is None


def test_compaction_as_it_says_it(lake: Lake, ended: int) -> None:
    now_ns = time.time_ns()
    done: dict[str, Any] = {"files": 12, "made_files": 3, "rows": 99, "took_s": 4.5}
    say(lake, "compaction.json", ago_s=50, last_success_wall_ns=now_ns - 50 * 10**9, **done)
    health = seen(lake)
    assert states(health)["compact"] == "resting", "whatever process has its number now"
    found = health.compaction
    assert found
    assert (found.files, found.made_files, found.rows, found.took_s) == (12, 3, 99, 4.5)
    assert found.last_success_age_s == pytest.approx(50, abs=60)
    assert (found.last_problem, found.last_exit, found.again_s) == (None, None, None)
    say(lake, "compaction.json", is_running=True, last_problem="no room", last_problem_wall_ns=now_ns, **done)
    health = seen(lake)
    assert states(health)["compact"] == "running"
    assert health.compaction
    assert health.compaction.last_problem == "no room"
    say(lake, "compaction.json", pid=ended, is_running=True)
    assert states(seen(lake))["compact"] == "gone"


def test_compaction_as_the_supervisor_sees_it(lake: Lake, ended: int) -> None:
    child: dict[str, Any] = {"state": "resting", "again_s": 600.0}
    say(lake, "supervisor.json", ago_s=3, children={"compact": child})
    health = seen(lake)
    assert states(health)["compact"] == "resting", "its first time is still to come"
    assert health.compaction
    assert health.compaction.last_success_age_s is None
    assert health.compaction.again_s == pytest.approx(597, abs=2)
    child |= {"state": "waiting", "again_s": 4.0, "last_exit": "code 2", "restarts": 3}
    say(lake, "supervisor.json", children={"compact": child})
    health = seen(lake)
    assert health.compaction
    assert (health.compaction.last_exit, health.process("compact").restarts) == ("code 2", 3)
    say(lake, "supervisor.json", pid=ended, children={"compact": child})
    assert seen(lake).compaction is None, "nobody will start it"


def test_the_machine_of_now(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = ["under-voltage now", "warm now"]
    found = readings.Machine(81.5, reasons, throttled_bits=0x50009, memory_available_mb=512.0, disk_free_mb=1.0)
    monkeypatch.setattr(readings, "machine", lambda _: found)
    machine = seen(lake).machine
    assert (machine.temperature_c, machine.memory_available_mb) == (81.5, 512.0)
    assert machine.throttled == "under-voltage now; warm now"


def test_the_disk_is_full_when_only_what_capture_leaves_free_is_left(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.health.look.growth_bytes_per_day", lambda *_, **__: 1e9)
    captures(lake, disk={"reserve_bytes": 0})
    assert (seen(lake).disk.days_left or 0) > 0
    captures(lake, disk={"reserve_bytes": 10**18})
    assert seen(lake).disk.days_left == 0.0


def test_restarts_as_the_supervisor_counts_them(lake: Lake) -> None:
    machine = {"temperature_c": None, "throttled": None, "memory_available_mb": None, "disk_free_mb": None}
    child = {"pid": 7, "state": "running", "started_wall_ns": 1, "restarts": 3, "last_exit": -9, "memory_mb": 1.0}
    say(lake, "supervisor.json", children={"watch": child}, machine=machine)
    say(lake, "watcher.json")
    assert seen(lake).process("watch").restarts == 3


def test_what_sync_does_not_know_yet_is_unknown(lake: Lake) -> None:
    """As it stands while its first pass looks for the archive, with a network or without."""
    Told(lake.state / "sync.json", clock=SystemClock()).begin("up")
    health = seen(lake)
    assert health.archive
    assert (health.archive.backlog_files, health.archive.backlog_bytes) == (None, None)
    assert states(health)["sync"] == "running"
