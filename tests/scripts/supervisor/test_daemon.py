"""The supervisor as it runs: real children on a real lake, an exchange in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil

from scripts.check import examine
from scripts.demo.evidence import read_evidence
from scripts.demo.folder import SYMBOLS
from scripts.demo.verdict import verdict
from scripts.supervisor.children import MODULE, end_leftovers
from scripts.supervisor.state import ChildState, SupervisorState
from shared.partitioning import Lake
from storage.inspection import Scope
from storage.locks import hold
from tests.crash.test_watcher_sigkill import refine
from tests.exchange_process import ROOT, exchange_process
from tests.ingestion.collecting import bronze
from tests.scripts.supervisor.running import WITHIN_S, Folder, Running, write_settings
from tests.storage.many_files import many_files, same, scanned


def test_a_killed_child_comes_back_and_an_orderly_end_leaves_nothing_behind(tmp_path: Path) -> None:
    """All that the exchange made is in bronze or declared; the watcher has taken the last of it before it ended."""
    with ExitStack() as market:
        url = market.enter_context(exchange_process(tmp_path, rate=300))
        settings = write_settings(tmp_path, url, children="ingest, watch, sync", symbols=", ".join(SYMBOLS))
        with Running(settings, tmp_path) as running:
            killed = running.until_fed()
            os.kill(killed, signal.SIGKILL)
            running.until_fed(after=killed)
            running.until(lambda: running.refined() > 0)
            assert running.child("ingest")["last_exit"] == "killed by SIGKILL"
            assert (running.status().returncode, running.child("ingest")["restarts"]) == (0, 1)
            running.until_heard_out(market.close)
            children = [psutil.Process(each["pid"]) for each in running.children().values()]
            assert running.stop() == 0
            ended = running.children()
    assert len(children) == 2, "without an archive there is nothing to synchronise"
    assert not any(each.is_running() for each in children)
    assert {(each["state"], each["last_exit"]) for each in ended.values()} == {("off", "code 0 (asked to stop)")}
    assert not [*running.lake.active.iterdir(), *running.lake.staging.iterdir()]
    assert running.refined() == bronze(running.lake).height
    refine(tmp_path, running.lake, end_of_data=True)
    assert verdict(read_evidence(Folder(tmp_path))).problems == []


def test_memory_beyond_the_critical_level_ends_a_child_in_good_order(tmp_path: Path) -> None:
    with exchange_process(tmp_path, rate=100) as url:
        settings = write_settings(tmp_path, url)
        with Running(settings, tmp_path) as running:
            running.until_fed()
            write_settings(tmp_path, url, more="memory_warning_mb: 16, memory_critical_mb: 20")
            running.send(signal.SIGHUP)
            running.until(lambda: running.child("ingest")["restarts"] > 0)
            assert "critical is 20" in running.child("ingest")["last_exit"]
            assert running.stop() == 0
    assert not [*running.lake.active.iterdir(), *running.lake.staging.iterdir()]


def test_a_child_that_cannot_start_is_tried_again_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with exchange_process(tmp_path, rate=100) as url, ExitStack() as elsewhere:
        elsewhere.enter_context(hold(tmp_path / "raw" / "collector.lock", hint="It is held by a test"))
        with Running(write_settings(tmp_path, url), tmp_path) as running:
            running.until(lambda: running.child("ingest").get("restarts", 0) > 1)
            assert running.child("ingest")["last_exit"] == "code 2"
            elsewhere.close()
            running.until_fed()
            assert running.stop() == 0


def test_a_child_that_does_not_end_is_killed_at_the_bound(tmp_path: Path) -> None:
    with exchange_process(tmp_path, rate=100) as url:
        with Running(write_settings(tmp_path, url, more="stop_timeout_s: 2"), tmp_path) as running:
            os.kill(running.until_fed(), signal.SIGSTOP)
            assert running.stop() == 0
            assert running.child("ingest")["last_exit"] == "killed by SIGKILL (asked to stop)"
        with Running(running.file, tmp_path) as again:
            again.until_fed()
            assert again.stop() == 0
    _, unproven, _ = examine(again.lake, Scope())
    assert unproven == []


def test_a_changed_file_reaches_every_child_and_a_refused_one_none(tmp_path: Path) -> None:
    with exchange_process(tmp_path, rate=100) as url:
        settings = write_settings(tmp_path, url, children="ingest, watch")
        with Running(settings, tmp_path) as running:
            ingest = running.until_fed()
            watch = running.child("watch")["pid"]
            write_settings(tmp_path, url, children="ingest", symbols="BTC-USD, nonsense")
            running.send(signal.SIGHUP)
            running.until_told(2)
            assert {each["pid"] for each in running.children().values()} == {ingest, watch}
            write_settings(tmp_path, url, children="ingest, watch", symbols="BTC-USD, ETH-USD", poll_s=0.1)
            running.send(signal.SIGHUP)
            running.until(lambda: running.child("watch")["pid"] not in (None, watch))
            assert running.child("watch")["last_exit"] == "code 0 (its settings changed)"
            running.until(lambda: any(running.lake.ready.glob("*/trades/*/symbol=ETH-USD")))
            assert running.child("ingest")["pid"] == ingest
            assert running.stop() == 0


def test_days_that_are_over_are_compacted_now_and_then_beside_capture_and_watcher(tmp_path: Path) -> None:
    before = scanned(many_files(tmp_path, exchange="okx"))
    with exchange_process(tmp_path, rate=100) as url:
        settings = write_settings(tmp_path, url, children="ingest, watch, compact")
        with Running(settings, tmp_path) as running:
            file = running.lake.state / "compaction.json"

            def ended_well() -> int:
                return json.loads(file.read_bytes())["last_success_wall_ns"] or 0 if file.exists() else 0

            running.until_fed()
            running.until(ended_well)
            first = ended_well()
            running.until(lambda: ended_well() > first)
            assert running.child("compact")["restarts"] == 0
            write_settings(tmp_path, url, children="ingest, watch, compact", compact_hours=100)
            running.send(signal.SIGHUP)
            running.until(lambda: (running.child("compact")["again_s"] or 0) > 99 * 3600)
            assert running.child("compact")["state"] == "resting"
            assert running.status().returncode == 0
            assert running.stop() == 0
            assert {each["state"] for each in running.children().values()} == {"off"}
    okx = [path for path in running.lake.ready.rglob("*.parquet") if "exchange=okx" in path.parts]
    assert okx == []
    bronze_alone = Lake(running.lake.raw, tmp_path / "none", tmp_path / "none")
    after = {name: rows.filter(exchange="okx") for name, rows in scanned(bronze_alone).items()}
    assert same(before, {name: rows for name, rows in after.items() if rows.height})
    _, unproven, _ = examine(running.lake, Scope())
    assert unproven == []


def test_compaction_that_may_not_begin_yet_is_tried_until_it_may(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with ExitStack() as elsewhere:
        elsewhere.enter_context(hold(tmp_path / "state" / "maintenance.lock", hint="It is held by a test"))
        with Running(write_settings(tmp_path, "ws://127.0.0.1:1/x", children="compact"), tmp_path) as running:
            running.until(lambda: running.child("compact").get("restarts", 0) > 1)
            assert running.child("compact")["last_exit"] == "code 2"
            elsewhere.close()
            running.until(lambda: running.child("compact")["last_exit"] == "code 0")
            assert running.stop() == 0


def test_children_end_with_a_killed_supervisor_and_the_next_one_begins_at_once(tmp_path: Path) -> None:
    with exchange_process(tmp_path, rate=100) as url:
        settings = write_settings(tmp_path, url)
        with Running(settings, tmp_path) as first:
            orphan = psutil.Process(first.until_fed())
        with Running(settings, tmp_path) as second:
            second.until_fed()
            assert not orphan.is_running()
            assert second.stop() == 0
    assert not [*second.lake.active.iterdir(), *second.lake.staging.iterdir()]


def test_an_orphan_that_does_not_end_is_killed_and_nobody_else_is() -> None:
    command = [sys.executable, "-m", MODULE, str(os.getpid()), "simulate"]
    orphan = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert orphan.stdout
        orphan.stdout.readline()
        os.kill(orphan.pid, signal.SIGSTOP)  # deaf to SIGTERM
        pids = {"ingest": orphan.pid, "watch": other.pid, "sync": None}
        children = {name: ChildState(pid=pid) for name, pid in pids.items()}
        own, anothers = (SupervisorState(pid=pid, wall_ns=1, children=children) for pid in (os.getpid(), 1))
        assert end_leftovers(anothers, within_s=0.1) == []
        assert end_leftovers(own, within_s=0.1) == [orphan.pid]
        orphan.wait(WITHIN_S)
        assert not psutil.pid_exists(orphan.pid)
        assert other.poll() is None
        assert end_leftovers(None, within_s=0.1) == []
    finally:
        for process in (orphan, other):
            process.kill()
            process.communicate()


def test_a_lake_has_one_supervisor_and_status_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, "ws://127.0.0.1:1/coinbase/ws")
    with Running(settings, tmp_path) as running:
        running.until(lambda: running.child("ingest").get("pid"))
        child = psutil.Process(running.child("ingest")["pid"])
        second = subprocess.run(running.command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert f"in use by pid {running.process.pid}" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        living = running.status()
        assert (living.returncode, living.stdout.splitlines()[0]) == (
            0,
            f"supervisor runs as pid {running.process.pid}",
        )
    psutil.wait_procs([child], timeout=WITHIN_S)
    gone = running.status()
    assert gone.returncode == 1
    head, ingest, *_ = gone.stdout.splitlines()
    assert f"pid {running.process.pid} is gone" in head
    assert ingest.startswith("  ingest: gone")
