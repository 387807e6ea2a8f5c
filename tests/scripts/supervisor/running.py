"""A real supervisor over a lake of a test, asked by its state file alone."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.demo.folder import DemoFolder
from shared.partitioning import Lake
from tests.exchange_process import ROOT

WITHIN_S = 120.0  # generous: nothing here is about speed
_SETTINGS = """
coinbase: {{symbols: [{symbols}], channels: {{ticker: [], level2: []}}, ws_url: "{url}", rest_url: "{rest_url}"}}
ingestion: {{segment_max_seconds: 1, journal_sync_ms: 100, flush_interval_seconds: 0.05, reconnect_delay: 0.1}}
etl: {{lateness_s: 1, poll_interval_s: {poll_s}, bars: [{{type: tick, threshold: 50}}, {{type: time, interval: 10s}}]}}
sync: {{interval_s: 0.5}}
compaction: {{interval_hours: {compact_hours}}}
supervisor: {{restart_delay_s: 0.2, children: [{children}], {more}}}
health: {{metrics_address: ""}}
logging: {{level: error}}
storage:
  archive: {archive}
  paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}
"""
_NOWHERE = {"type": "local"}


def write_settings(
    root: Path,
    url: str,
    *,
    children: str = "ingest",
    symbols: str = "BTC-USD",
    more: str = "",
    poll_s: float = 0.2,
    archive: Mapping[str, object] = _NOWHERE,
    compact_hours: float = 0.0003,
) -> Path:
    """The settings of a supervised lake in `root`; `more` are keys of the supervisor, `poll_s` is the watcher's."""
    file = root / "config.yaml"
    values: dict[str, object] = {
        "root": root,
        "url": url,
        "rest_url": url.replace("ws://", "http://").replace("/ws", "/api/v3/brokerage/market"),
    }
    values |= {"children": children, "symbols": symbols, "more": more, "archive": json.dumps(archive)}
    file.write_text(_SETTINGS.format(**values, poll_s=poll_s, compact_hours=compact_hours))
    return file


class Folder(DemoFolder):
    """A lake of these tests, as the demo's verdict reads one."""

    @property
    def truth_log(self) -> Path:
        return self.root / "truth.ndjson"


class Running:
    """The process. Leaving the `with` block ends it and whatever it has started."""

    def __init__(self, file: Path, root: Path) -> None:
        self.file, self.lake = file, Lake.under(root)
        self.command = [sys.executable, "scripts/daedalus_supervisor.py", "-c", str(file)]
        self.process = subprocess.Popen(self.command, cwd=ROOT)

    def _state(self) -> dict[str, Any]:
        file = self.lake.state / "supervisor.json"
        said = dict(json.loads(file.read_bytes())) if file.exists() else {}
        return said if said.get("pid") == self.process.pid else {}

    def children(self) -> dict[str, dict[str, Any]]:
        """What its state file says of them; nothing before it has written one."""
        return dict(self._state().get("children", {}))

    def child(self, name: str) -> dict[str, Any]:
        return self.children().get(name, {})

    def until(self, happened: Callable[[], object]) -> None:
        """Wait for something that the supervisor or a child of it does."""
        until_s = time.monotonic() + WITHIN_S
        while not happened():
            assert self.process.poll() is None, "the supervisor ended by itself"
            assert time.monotonic() < until_s, f"it never happened; children: {self.children()}"
            time.sleep(0.05)

    def until_fed(self, *, after: int = 0) -> int:
        """Wait for a collector that tells of data; its pid, which is another one than `after`."""

        def is_fed() -> bool:
            ingest = self.child("ingest")
            return bool(ingest and ingest["fed_wall_ns"] and ingest["pid"] not in (None, after))

        self.until(is_fed)
        return int(self.child("ingest")["pid"])

    def until_heard_out(self, close: Callable[[], None]) -> None:
        """Close the exchange, and wait until the collector has seen its connections end: it has all that was sent."""

        def sessions() -> list[int]:
            file = self.lake.state / "ingestion.json"
            beat = json.loads(file.read_bytes()) if file.exists() else {}
            is_of_now = beat.get("pid") == self.child("ingest").get("pid")
            return [feed["sessions"] for feed in beat["feeds"].values()] if is_of_now else []

        self.until(sessions)
        before = sessions()
        close()
        self.until(lambda: sessions() > before)

    def until_told(self, times: int) -> None:
        """Wait until the state file was written so often again."""
        for _ in range(times):
            before = self._state().get("wall_ns")
            self.until(lambda before=before: self._state().get("wall_ns") != before)

    def refined(self) -> int:
        """The trades that the watcher says it has read in its life."""
        file = self.lake.state / "watcher.json"
        streams = json.loads(file.read_bytes())["streams"] if file.exists() else {}
        return sum(int(each["trades_in"]) for each in streams.values())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(3 * WITHIN_S)

    def status(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self.command, "--status"], cwd=ROOT, capture_output=True, text=True, check=False)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
