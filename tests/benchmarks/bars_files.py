"""From Parquet files of trades to files of bars: beside the time of merely reading them, and in how much memory.

Each is measured in a process of its own with one thread.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from etl.tapes.lake import SILVER_COLUMNS
from scripts.cli import app
from shared.partitioning import Lake
from tests.benchmarks.bars_trades import written
from tests.benchmarks.ingest import Line

ROOT = Path(__file__).parents[2]
TRADES = 10_000_000
MEMORY_TRADES = int(os.environ.get("DAEDALUS_BENCH_TRADES") or 20_000_000)
_WHAT = "silver files to bar files"
_ROUNDS = 3
_SPEED_TARGET, _MEMORY_TARGET_MB = 0.5, 500


def measure() -> list[Line]:
    """Speed of building over that of reading, and the largest resident set of a long build."""
    with TemporaryDirectory() as folder:
        written(TRADES, Lake.under(Path(folder)))
        times = _child("compare", Path(folder))
        written(MEMORY_TRADES, Lake.under(Path(folder)))
        peak_mb = _child("build", Path(folder))["peak_mb"]
    ratio = times["read_s"] / times["build_s"]
    speeds = f"{TRADES / times['build_s'] / 1e6:.1f} / {TRADES / times['read_s'] / 1e6:.1f} M trades/s"
    resident = f"largest resident set, {MEMORY_TRADES / 1e6:.0f} M trades"
    return [
        Line(f"{_WHAT} / reading alone, speed", ratio, f">= {_SPEED_TARGET}", speeds),
        Line(f"{_WHAT}, MB of memory", peak_mb, f"<= {_MEMORY_TARGET_MB}", resident),
    ]


def _child(what: str, folder: Path) -> dict[str, float]:
    """What it printed."""
    command = [sys.executable, "-m", "tests.benchmarks.bars_files", what, str(folder)]
    one_thread = {**os.environ, "POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, env=one_thread, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _compare(folder: Path) -> None:
    best = {"read_s": float("inf"), "build_s": float("inf")}
    runs = {"read_s": _read, "build_s": _build}
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            began_s = time.perf_counter()
            run(folder)
            best[name] = min(best[name], time.perf_counter() - began_s)
    print(json.dumps(best))


def _read(folder: Path) -> None:
    for path in sorted(Lake.under(folder).silver("trades").rglob("*.parquet")):
        pl.read_parquet(path, columns=list(SILVER_COLUMNS), hive_partitioning=False)


def _build(folder: Path) -> None:
    """`daedalus bars build`, without the start of Python."""
    lake = Lake.under(folder)
    settings = folder / "config.yaml"
    settings.write_text(
        f"storage: {{paths: {{raw_dir: {lake.raw}, processed_dir: {lake.processed}, state_dir: {lake.state}}}}}"
    )
    options = [
        "--type",
        "dollar",
        "--threshold",
        "1000000",
        "--output",
        str(folder / "bars"),
        "--config",
        str(settings),
    ]
    with redirect_stdout(sys.stderr):
        app(["bars", "build", *options], standalone_mode=False)


def _measured_build(folder: Path) -> None:
    _build(folder)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"peak_mb": int(status["VmHWM"].split()[0]) / 1024}))  # of this program alone, unlike ru_maxrss


if __name__ == "__main__":
    {"compare": _compare, "build": _measured_build}[sys.argv[1]](Path(sys.argv[2]))
