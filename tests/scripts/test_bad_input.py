"""What a user's mistake or a full disk looks like: one line that says what to do, exit code 2, nothing lost."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from shared.partitioning import Lake
from tests.exchange_process import exchange_process
from tests.ingestion.collecting import bronze

ROOT = Path(__file__).parents[2]
SETTINGS = """
coinbase: {{symbols: [{symbol}], ws_url: "{url}"}}
ingestion: {{segment_max_seconds: 2, journal_sync_ms: 50, reconnect_delay: 0.05, disk_reserve_mb: 0}}
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
"""


def daedalus(*args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.cli", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def one_line(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    """Exit code 2 and a single error line with these words; no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in line


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    """The address of a local exchange in a process of its own."""
    with exchange_process(tmp_path, rate=3000) as url:
        yield url


def settings(
    folder: Path, *, root: Path | None = None, url: str = "ws://127.0.0.1:9/x", symbol: str = "BTC-USD"
) -> str:
    path = folder / "config.yaml"
    path.write_text(SETTINGS.format(root=root or folder, url=url, symbol=symbol))
    return str(path)


@pytest.mark.parametrize("command", ["ingest", "watch", "query"])
def test_a_missing_settings_file(tmp_path: Path, command: str) -> None:
    one_line(daedalus(command, "--config", str(tmp_path / "none.yaml")), "none.yaml")


def test_settings_that_are_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("coinbase: [unclosed\n")
    one_line(daedalus("ingest", "--config", str(path)), "config.yaml", "line")


def test_an_unknown_symbol(tmp_path: Path, exchange: str) -> None:
    one_line(daedalus("ingest", "--config", settings(tmp_path, url=exchange, symbol="NO-SUCH")), "NO-SUCH", "symbols")


def test_settings_that_capture_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"storage: {{paths: {{raw_dir: {tmp_path}/raw, state_dir: {tmp_path}/state}}}}\n")
    one_line(daedalus("ingest", "--config", str(path)), "nothing to capture", "coinbase.symbols")


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one_line(daedalus("simulate", "--port", str(port)), str(port), "in use", "--port")


def test_a_second_collector_on_one_folder(tmp_path: Path, exchange: str) -> None:
    config = settings(tmp_path, url=exchange)
    command = [sys.executable, "-m", "scripts.cli", "ingest", "--config", config]
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "raw" / "collector.owner").exists():
            time.sleep(0.05)
        time.sleep(0.2)
        one_line(daedalus("ingest", "--config", config), f"in use by pid {first.pid},", "raw_dir")
    finally:
        first.send_signal(signal.SIGTERM)
        assert first.wait() == 0


@pytest.mark.parametrize("command", ["check", "gaps", "watch"])
def test_a_symbol_that_is_none(tmp_path: Path, command: str) -> None:
    one_line(daedalus(command, "-c", settings(tmp_path), "--symbol", "BTC$USD"), "'BTC$USD'", "use letters")


def test_a_query_over_an_empty_lake_and_one_that_is_no_sql(tmp_path: Path) -> None:
    one_line(daedalus("query", "--config", settings(tmp_path)), "no tables yet", "ingest")


def test_a_full_disk_pauses_capture_and_whoever_stops_it_then_loses_nothing_acknowledged(
    tmp_path: Path, small_disk: Path, exchange: str
) -> None:
    config = settings(tmp_path, root=small_disk, url=exchange)
    command = [sys.executable, "-m", "scripts.cli", "ingest", "--config", config]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr
        said = ""
        while "capture pauses" not in said:
            line = first.stderr.readline()
            assert line, said
            said += line
        first.send_signal(signal.SIGTERM)
        said += first.stderr.read()
    one_line(subprocess.CompletedProcess(command, first.returncode, "", said), "the disk is full", "Free some space")
    again = daedalus("ingest", "--config", config)
    one_line(again, "the disk is full")
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    lake, deadline_s = Lake.under(small_disk), time.monotonic() + 60
    heartbeat = lake.state / "ingestion.json"
    while time.monotonic() < deadline_s:
        beat = json.loads(heartbeat.read_text())
        if beat["pid"] == process.pid and beat["rows_total"] > 5000:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    trades = bronze(lake)
    assert trades["epoch"].n_unique() >= 2  # what was captured before the disk was full is there
    for _, rows in trades.group_by("epoch"):
        assert rows["seq"].sort().to_list() == list(range(rows.height))
    assert bronze(lake, "gaps").filter(pl.col("cause") == "restart").height > 0


def test_a_folder_that_may_not_be_written(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    one_line(daedalus("ingest", "--config", settings(tmp_path, root=small_disk)), "read-only", str(small_disk))


def test_a_folder_without_permission(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    powerless: list[str] = []
    if os.geteuid() == 0:  # root writes everywhere, unless it gives that power up
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and setpriv is missing")
        caps = "-dac_override,-dac_read_search"
        powerless = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}"]
    command = [*powerless, sys.executable, "-m", "scripts.cli", "ingest", "--config", settings(tmp_path, root=locked)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    one_line(done, "permission denied", str(locked))
