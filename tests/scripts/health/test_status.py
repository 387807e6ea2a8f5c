"""`daedalus status` of a real capture: while it runs, when it was killed, and where none ever was."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exchange_process import exchange_process
from tests.scripts.terminal import on_a_terminal

ROOT = Path(__file__).parents[3]
SETTINGS = """
coinbase: {{symbols: [BTC-USD], ws_url: "{url}"}}
ingestion: {{segment_max_seconds: 2, reconnect_delay: 0.05, disk_reserve_mb: 0}}
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
supervisor: {{children: [ingest]}}
"""


def settings(folder: Path, url: str = "ws://127.0.0.1:9/x") -> str:
    path = folder / "config.yaml"
    path.write_text(SETTINGS.format(root=folder, url=url))
    return str(path)


def status(config: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.check_health", "--config", config, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def as_json(config: str) -> tuple[int, dict[str, Any]]:
    done = status(config, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


@pytest.fixture
def config(tmp_path: Path) -> Iterator[str]:
    with exchange_process(tmp_path, rate=500) as url:
        yield settings(tmp_path, url)


@pytest.fixture
def ingest(config: str, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A collector that has said how it is doing at least twice."""
    with (tmp_path / "ingest.log").open("wb") as log:
        command = [sys.executable, "-m", "scripts.cli", "ingest", "--config", config]
        process = subprocess.Popen(command, cwd=ROOT, stderr=log)
        try:
            heartbeat = tmp_path / "state" / "ingestion.json"
            until(lambda: heartbeat.exists() and json.loads(heartbeat.read_bytes())["rows_total"] > 100)
            yield process
        finally:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.1)


def test_a_capture_that_runs_and_is_killed(config: str, ingest: "subprocess.Popen[bytes]") -> None:
    code, found = as_json(config)
    assert (code, found["level"], found["alarms"]) == (0, "ok", [])
    process = found["processes"][0]
    assert (process["name"], process["state"], process["pid"]) == ("ingest", "running", ingest.pid)
    channels = {each["table"]: each for each in found["feeds"][0]["channels"]}
    assert channels["trades"]["rows"] > 0
    assert channels["trades"]["rows_per_s"] > 0
    done = status(config, "--nagios")
    assert done.returncode == 0
    assert done.stdout.startswith("DAEDALUS OK - all is well | rows_per_s=")
    ingest.send_signal(signal.SIGKILL)
    ingest.wait()
    code, found = as_json(config)
    assert (code, found["level"]) == (1, "critical")
    assert [alarm["name"] for alarm in found["alarms"]] == ["capture"]
    assert found["feeds"][0]["channels"][0]["rows_per_s"] is None
    assert found["journals"]["waiting"] >= 1
    done = status(config, "--nagios")
    assert done.returncode == 2
    assert f"process {ingest.pid}) is gone" in done.stdout


def test_a_machine_that_never_captured(tmp_path: Path) -> None:
    config = settings(tmp_path)
    done = status(config)
    assert done.returncode == 1
    assert "capture has never run here" in done.stdout
    assert "Nothing was captured here yet." in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "config.yaml"]  # a look changes nothing


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.yaml")
    done = status(missing)
    assert done.returncode == 2
    assert "none.yaml" in done.stderr
    done = status(missing, "--nagios")
    assert done.returncode == 3
    assert done.stdout.startswith("DAEDALUS UNKNOWN - ")


def test_options_that_exclude_one_another(tmp_path: Path) -> None:
    done = status(settings(tmp_path), "--json", "--watch")
    assert done.returncode == 2
    assert "exclude" in done.stderr


def test_it_stays_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.cli", "status", "--config", settings(tmp_path), "--watch"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout
    shown = b""
    while b"daedalus ingest" not in shown:
        shown += process.stdout.read1()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


def test_on_a_terminal_of_80_columns(tmp_path: Path) -> None:
    path = Path(settings(tmp_path))
    path.write_text(path.read_text().replace("[ingest]", "[]"))
    text = on_a_terminal("status", "--config", str(path), columns=80)
    assert "all is well" in text
    assert "…" not in text
