"""SIGKILL for real: a collector under load is killed at random moments, a third of them while it seals or recovers."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from ingestion.simulator import read_truth
from shared.partitioning import Lake
from tests.ingestion.collecting import bronze, unsaid

ROOT = Path(__file__).parents[2]
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
PHASES = ("seal", "publish", "recovery")
SETTINGS = """
coinbase: {{symbols: [BTC-USD, ETH-USD, SOL-USD], ws_url: "{url}"}}
ingestion: {{segment_max_seconds: 0.8, journal_sync_ms: 50, flush_interval_seconds: 0.02, reconnect_delay: 0.05}}
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
logging: {{level: error}}
"""


@contextmanager
def exchange(folder: Path) -> Iterator[str]:
    """A local exchange in a process of its own that sends some 3,000 messages a second."""
    ready = folder / "exchange.json"
    command = [sys.executable, "-m", "scripts.simulate", "--venue", "coinbase", "--rate", "2500", "--seed", "11"]
    options = ["--ready-file", str(ready), "--truth-log", str(folder / "truth.ndjson")]
    process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield json.loads(ready.read_text())["coinbase_ws_url"]
    finally:
        process.terminate()
        process.wait()


class Collector:
    """The child, and what it has said so far."""

    def __init__(self, config: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.collector_process", str(config)], cwd=ROOT, stdout=subprocess.PIPE
        )
        self.phase = ""
        self.epoch = ""
        self.rows: dict[tuple[str, ...], int] = {}

    def listen(self) -> bool:
        """Take one line; False at the end of what it said."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            return False
        said: dict[str, Any] = json.loads(line)
        if "phase" in said:
            self.phase = said["phase"]
        else:
            self.epoch = said["epoch"]
            self.rows = {tuple(stream): count for *stream, count in said["rows"]}
        return True

    def kill(self) -> str:
        """SIGKILL, then hear it out; the phase it died in, empty for plain collecting."""
        self.process.send_signal(signal.SIGKILL)
        while self.listen():
            pass
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        return self.phase


def one_life(config: Path, rng: random.Random, wanted: str) -> tuple[str, str, dict[tuple[str, ...], int]]:
    """Start a collector and kill it, in a phase if one is wanted; the phase, the epoch, what it had acknowledged."""
    collector = Collector(config)
    if wanted:
        while collector.phase != wanted and collector.listen():
            pass
        time.sleep(rng.uniform(0, 0.05))
    else:
        while not collector.rows and collector.listen():
            pass
        time.sleep(rng.uniform(0, 1.5))
    return collector.kill(), collector.epoch, collector.rows


def kill_many(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Kill a collector `count` times, stop the last one in order, and check everything; what was measured."""
    rng, lake = random.Random(seed), Lake.under(folder)
    config = folder / "config.yaml"
    phases: Counter[str] = Counter()
    acknowledged: dict[str, dict[tuple[str, ...], int]] = {}
    with exchange(folder) as url:
        config.write_text(SETTINGS.format(url=url, root=folder))
        for number in range(count):
            phase, epoch, rows = one_life(config, rng, PHASES[number // 2 % 3] if number % 2 else "")
            phases[phase or "collecting"] += 1
            acknowledged[epoch] = rows
        last = Collector(config)
        while not last.rows and last.listen():
            pass
    last.process.send_signal(signal.SIGTERM)
    while last.listen():
        pass
    assert last.process.wait() == 0
    assert last.process.stdout
    last.process.stdout.close()
    acknowledged[last.epoch] = last.rows
    rows = check_rows(lake, acknowledged)
    check_files(lake)
    truth = read_truth(folder / "truth.ndjson")
    trades = bronze(lake)
    for symbol in SYMBOLS:
        newest = trades.filter(pl.col("symbol") == symbol)["trade_seq"].max()
        made = {int(trade.id) for trade in truth.trades("coinbase", symbol)}
        assert unsaid(lake, {number for number in made if number <= newest}, symbol) == set()  # type: ignore[operator]
    return {"phases": dict(phases), "rows": rows, "messages_per_s": load(lake)}


def load(lake: Lake) -> int:
    """Messages a second while a collector was collecting: distinct receipts over the time from first to last."""
    receipts = pl.concat(
        [bronze(lake, table).select("epoch", "capture_mono_ns") for table in ("trades", "ticker", "l2")]
    )
    runs = receipts.unique().group_by("epoch").agg(pl.len(), span=pl.max("capture_mono_ns") - pl.min("capture_mono_ns"))
    return round(runs["len"].sum() / (runs["span"].sum() / 1e9))


def check_rows(lake: Lake, acknowledged: dict[str, dict[tuple[str, ...], int]]) -> int:
    """Every acknowledged row is in `ready` once, and no `seq` is missing. The number of rows in `ready`."""
    total = 0
    streams = {stream for rows in acknowledged.values() for stream in rows}
    for table in {stream[2] for stream in streams}:
        rows = bronze(lake, table)
        total += rows.height
        for (epoch, symbol), part in rows.group_by("epoch", "symbol"):
            seqs = part["seq"].sort().to_list()
            assert seqs == list(range(len(seqs))), f"{table} {symbol} of {epoch}: a hole or a double"
            known = acknowledged.get(str(epoch), {}).get(("native", "coinbaseadvanced", table, str(symbol)), 0)
            assert len(seqs) >= known, f"{table} {symbol} of {epoch}: {known} acknowledged, {len(seqs)} stored"
        stored = {(epoch, symbol) for epoch, symbol in rows.select("epoch", "symbol").iter_rows()}
        for epoch, counts in acknowledged.items():
            for stream, count in counts.items():
                assert count == 0 or stream[2] != table or (epoch, stream[3]) in stored
    return total


def check_files(lake: Lake) -> None:
    """Every file opens in Polars, DuckDB and pyarrow with the same number of rows; nothing is left over."""
    files = sorted(lake.ready.glob("**/*.parquet"))
    connection = duckdb.connect()
    for path in files:
        counts = {
            pl.scan_parquet(path).select(pl.len()).collect().item(),
            connection.sql(f"select count(*) from '{path}'").fetchall()[0][0],
            pq.read_table(path).num_rows,
        }
        assert len(counts) == 1
    assert files
    assert [path.name for path in (*lake.active.iterdir(), *lake.staging.iterdir())] == []


def test_25_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    measured = kill_many(tmp_path, 25, seed=int(os.environ.get("DAEDALUS_CRASH_SEED", "1")))
    print(f"25 kills: {measured}")
    assert sum(measured["phases"].get(phase, 0) for phase in PHASES) >= 8
    assert measured["messages_per_s"] >= 1000


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(8))
def test_many_kills_lose_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    measured = kill_many(tmp_path, 50, seed=seed)
    print(f"50 kills: {measured}")
