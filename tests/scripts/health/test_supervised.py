"""All together: a supervisor with all its children, seen by status, by Prometheus, and by whoever reads logs."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exchange_process import ROOT, exchange_process
from tests.scripts.health.listener import until
from tests.scripts.health.test_status import as_json

SETTINGS = """
coinbase: {{symbols: [BTC-USD], ws_url: "{url}"}}
ingestion: {{segment_max_seconds: 1, disk_reserve_mb: 0}}
etl: {{poll_interval_s: 0.5}}
sync: {{interval_s: 1}}
compaction: {{interval_hours: 0.002}}
supervisor: {{restart_delay_s: 0.2}}
health: {{metrics_address: "127.0.0.1:0", statistics_interval_s: 1}}
storage:
  archive: {{type: folder, path: "{root}/archive"}}
  paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}
"""

AT_WORK = ("ingest", "watch", "sync", "supervisor")
TRADES = 'daedalus_rows_total{exchange="coinbaseadvanced",source="native",table="trades"}'


@pytest.fixture
def config(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "archive").mkdir()
    with exchange_process(tmp_path, rate=300) as url:
        path = tmp_path / "config.yaml"
        path.write_text(SETTINGS.format(url=url, root=tmp_path))
        yield str(path)


def lines(log: Path) -> list[dict[str, Any]]:
    """Every whole line, each of which is an object."""
    text = log.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def states(config: str) -> dict[str, str]:
    return {each["name"]: each["state"] for each in as_json(config)[1]["processes"]}


def scraped(log: Path) -> str:
    address = next(line["address"] for line in lines(log) if line["event"] == "metrics")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def test_a_supervised_machine_tells_the_truth_of_itself(config: str, tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    command = [sys.executable, "-m", "scripts.daedalus_supervisor", "-c", config, "--log-format", "json"]
    with log.open("wb") as file:
        supervisor = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    try:
        until(lambda: {states(config)[name] for name in AT_WORK} == {"running"})
        until(lambda: TRADES in scraped(log))  # a process runs before its first row
        found = as_json(config)[1]
        assert found["feeds"][0]["channels"]
        until(lambda: as_json(config)[1]["archive"]["last_success_age_s"] is not None)
        until(lambda: as_json(config)[1]["archive"]["uploaded_files"] > 0)
        text = scraped(log)
        assert all(f'daedalus_up{{process="{name}"}} 1.0' in text for name in AT_WORK)
        until(lambda: "daedalus_compaction_success_age_seconds " in scraped(log))
        assert as_json(config)[1]["compaction"]["last_problem"] is None
        pid = next(each["pid"] for each in found["processes"] if each["name"] == "ingest")
        os.kill(pid, signal.SIGKILL)
        until(lambda: 'daedalus_restarts_total{process="ingest"} 1.0' in scraped(log))
        until(lambda: states(config)["ingest"] == "running")
        until(lambda: any(line["event"] == "statistics" for line in lines(log)))
        supervisor.terminate()
        assert supervisor.wait() == 0
    finally:
        supervisor.kill()
        supervisor.wait()
    logged = lines(log)
    assert log.read_bytes().endswith(b"\n")
    assert all({"timestamp", "level", "event"} <= line.keys() for line in logged)
    assert {"supervisor", "health", "ingest", "collector", "compact"} <= {
        line["log"] for line in logged if "log" in line
    }
    assert as_json(config)[1]["level"] == "critical"


def test_what_is_refused_is_json_too(config: str, tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file where the lake should be")
    command = [sys.executable, "-m", "scripts.cli", "ingest", "-c", config, "--log-format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert said[-1]["event"] == "refused"
    assert str(tmp_path / "raw") in said[-1]["problem"]
