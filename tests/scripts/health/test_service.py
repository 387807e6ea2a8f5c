"""The service as the supervisor runs it: metrics over real HTTP, notices of alarms, a line of statistics."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.config import Settings
from scripts.health import service as health_service
from scripts.health.service import HealthService, statistics
from tests.scripts.health.examples import healthy
from tests.scripts.health.listener import listening, until

ROOT = Path(__file__).parents[3]

_AMPLE = {"memory_warning_mb": 1e6, "memory_critical_mb": 1e6}  # the process looked at is that of the tests


def settings(folder: Path, **health: Any) -> Settings:
    paths = {"raw_dir": str(folder / "raw"), "processed_dir": str(folder / "p"), "state_dir": str(folder / "state")}
    found = {"metrics_address": "127.0.0.1:0", **health}
    tree = {"storage": {"paths": paths}, "health": found, "supervisor": {"children": ["ingest"], **_AMPLE}}
    return Settings.model_validate(tree)


def say(folder: Path, *, ago_s: float = 0.0) -> None:
    (folder / "state").mkdir(exist_ok=True)
    wall_ns = time.time_ns() - round(ago_s * 1e9)
    channel = {"streams": 1, "rows": 7, "rows_per_s": 1.0, "last_row_wall_ns": wall_ns}
    said = {
        "feeds": {"native:kraken": {"last_row_wall_ns": wall_ns}},
        "channels": {"native:kraken": {"trades": channel}},
    }
    text = json.dumps({"pid": os.getpid(), "wall_ns": wall_ns, **said})
    (folder / "state" / "ingestion.json").write_text(text)


def scraped(service: HealthService) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def test_metrics_are_those_of_the_moment_of_the_scrape(tmp_path: Path) -> None:
    service = HealthService(settings(tmp_path), look_s=1000)
    service.start()
    try:
        assert 'daedalus_up{process="ingest"} 0.0' in scraped(service)
        say(tmp_path)
        text = scraped(service)
        assert 'daedalus_up{process="ingest"} 1.0' in text
        assert 'daedalus_rows_total{exchange="kraken",source="native",table="trades"} 7.0' in text
    finally:
        service.stop()


def test_a_port_in_use_is_said_in_a_line_and_taken_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_service, "_SERVE_AGAIN_S", 0.05)
    with capture_logs() as logs:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            service = HealthService(settings(tmp_path, metrics_address=address), look_s=0.02)
            service.start()
            time.sleep(0.3)
            assert service.port is None
        until(lambda: service.port is not None)
        service.stop()
    (line,) = [line for line in logs if line["event"] == "no metrics"]
    assert (line["address"], line["reason"]) == (address, "address already in use")
    assert "capture goes on" in line["hint"]


def test_no_address_no_server(tmp_path: Path) -> None:
    service = HealthService(settings(tmp_path, metrics_address=""))
    service.start()
    assert service.port is None
    service.stop()
    service.stop()


def test_an_alarm_is_told_and_its_end(tmp_path: Path) -> None:
    with listening() as listener, capture_logs() as logs:
        service = HealthService(settings(tmp_path, webhook_url=listener.url), look_s=0.05)
        service.start()
        until(lambda: len(listener.told) == 1)
        say(tmp_path)
        until(lambda: len(listener.told) == 2)
        service.stop()
    told = [(line["log_level"], line["event"], line["alarm"]) for line in logs if "alarm" in line]
    assert told == [("error", "alarm begins", "capture"), ("info", "alarm ends", "capture")]
    begin, end = listener.told
    assert (begin["event"], begin["alarm"], begin["level"]) == ("begin", "capture", "critical")
    assert "capture has never run here" in begin["text"]
    assert (end["event"], end["alarm"]) == ("end", "capture")
    assert "SECRET" not in repr(logs)


def test_a_line_of_statistics_now_and_then(tmp_path: Path) -> None:
    say(tmp_path)
    with capture_logs() as logs:
        service = HealthService(settings(tmp_path, statistics_interval_s=1.0), look_s=0.05)
        service.start()
        until(lambda: any(line["event"] == "statistics" for line in logs))
        service.stop()
    line = next(line for line in logs if line["event"] == "statistics")
    assert (line["rows"], line["rows_per_s"], line["feeds"]) == (7, 1.0, 1)


def test_lines_of_statistics_bring_no_alarm_forward(tmp_path: Path) -> None:
    with capture_logs() as logs:
        service = HealthService(settings(tmp_path, statistics_interval_s=1.0), look_s=1000)
        service.start()
        until(lambda: sum(line["event"] == "statistics" for line in logs) == 3)
        service.stop()
    assert [line["alarms"] for line in logs if line["event"] == "statistics"] == [["capture"]] * 3
    assert not [line for line in logs if line["event"].startswith("alarm")]


def test_the_fields_of_the_line() -> None:
    found = statistics(healthy(), [])
    assert found == {
        "rows": 987_648,
        "rows_per_s": 736.8,
        "feeds": 2,
        "reconnects": 2,
        "gaps_open": 0,
        "queue_percent": 0.4,
        "journals_waiting": 0,
        "watcher_files": 0,
        "watcher_lag_s": 0.0,
        "sync_files": 12,
        "disk_free_gb": 41.0,
        "disk_days": 31.2,
        "memory_mb": {"ingest": 200.0, "watch": 200.0, "sync": 200.0, "compact": 200.0, "supervisor": 200.0},
        "alarms": [],
    }


def test_a_look_that_fails_is_said_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = []

    def fails(*_: object, **__: object) -> None:
        failures.append(1)
        raise RuntimeError("a bug")

    monkeypatch.setattr(health_service, "look", fails)
    with capture_logs() as logs:
        service = HealthService(settings(tmp_path, metrics_address=""), look_s=0.02)
        service.start()
        until(lambda: len(failures) > 3)
        service.stop()
    assert [line["event"] for line in logs] == ["a look at the lake failed; it is tried again"]


def test_the_service_brings_no_large_libraries_into_the_supervisor() -> None:
    code = (
        "import sys, scripts.health.service; print(*{'pyarrow', 'polars', 'ccxt', 'numpy', 'duckdb'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
