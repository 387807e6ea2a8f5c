"""A small lake to look at, made in half a minute: a local exchange, captured and refined. Prices are invented.

`python -m research.small_lake FOLDER`; the notebooks read it with `DAEDALUS_LAKE=FOLDER`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TRADES = 6000
_WITHIN_S = 180.0
_ROOT = Path(__file__).resolve().parents[1]
_SETTINGS = """\
coinbase: {{symbols: [BTC-USD], ws_url: "{ws}", rest_url: "{rest}/api/v3/brokerage/market"}}
ingestion: {{segment_max_seconds: 5, journal_sync_ms: 250, reconnect_delay: 0.2, disk_reserve_mb: 0}}
etl:
  lateness_s: 2
  channels: # buckets of VPIN are those of a small market
    orderbook: {{processor_options: {{vpin_bucket_volume: 0.4, vpin_window_buckets: 20}}}}
  bars:
    - {{type: time, interval: 5s}}
    - {{type: tick, threshold: 20}}
    - {{type: volume, threshold: 0.15}}
    - {{type: dollar, threshold: 10000}}
    - {{type: tick_imbalance, expected_ticks_init: 20}}
storage: {{paths: {{raw_dir: "{folder}/raw", processed_dir: "{folder}/processed", state_dir: "{folder}/state"}}}}
"""


def small_lake(folder: Path, *, trades: int = TRADES) -> Path:
    """Make the lake in a folder that is not there yet, or empty; returns its settings."""
    folder.mkdir(parents=True, exist_ok=True)
    ready, truth, config = folder / "exchange.json", folder / "exchange.jsonl", folder / "config.yaml"
    market = ["--venue", "coinbase", "--symbols", "BTC-USD", "--rate", "10", "--seed", "7", "--speed", "600"]
    exchange = _started(folder, "simulate", *market, "--ready-file", str(ready), "--truth-log", str(truth))
    collector = None
    try:
        _await(ready.exists, exchange, folder)
        urls = json.loads(ready.read_text())
        names = {"ws": urls["coinbase_ws_url"], "rest": urls["coinbase_rest_url"], "folder": folder.resolve()}
        config.write_text(_SETTINGS.format(**names))
        collector = _started(folder, "ingest", "-c", str(config))
        _await(lambda: truth.exists() and truth.read_bytes().count(b"\n") >= trades, collector, folder)
        _ended(exchange)  # it first sends what has happened
    finally:
        for process in filter(None, (exchange, collector)):
            _ended(process)
    watch = _started(folder, "watch", "-c", str(config), "--once", "--end-of-data")
    if watch.wait(_WITHIN_S):
        raise RuntimeError(f"the watcher failed, see {folder}/watch.log")
    return config


def _started(folder: Path, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
    with (folder / f"{command}.log").open("wb") as log:
        words = [sys.executable, "-m", "scripts.cli", command, *arguments]
        return subprocess.Popen(words, cwd=_ROOT, stdout=log, stderr=log)  # noqa: S603 - our own command line


def _await(done: Callable[[], bool], process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline_s = time.monotonic() + _WITHIN_S
    while not done():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"nothing to capture, see the logs in {folder}")
        time.sleep(0.1)


def _ended(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    process.wait(_WITHIN_S)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m research.small_lake FOLDER")
    made = Path(sys.argv[1]).resolve()
    print(f"settings {small_lake(made)}; look at it with DAEDALUS_LAKE={made}")
