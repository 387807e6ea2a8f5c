"""Other libraries' bars, made in an interpreter of their own: how fast they are, and where their bars end."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("DAEDALUS_BENCH_PYTHON") or ROOT / ".bench-venv/bin/python")
_SCRIPT = Path(__file__).with_name("peer_process.py")


class Task(NamedTuple):
    """Some bars that a peer shall make; the parameters are in its own words."""

    peer: str
    kind: str
    params: dict[str, Any]
    trades: pl.DataFrame


class Made(msgspec.Struct):
    """What came of a task."""

    seconds: float
    ends: list[int]  # per bar, how many trades lie before its end, by the peer's own count
    labels: list[str] = []
    sell_volume: list[float] = []


def made_by_peers(tasks: Sequence[Task]) -> list[Made] | None:
    """The peers' bars of each task; None where they are not installed."""
    if not PYTHON.exists():
        return None
    with TemporaryDirectory() as folder:
        files: dict[int, str] = {}
        told = []
        for task in tasks:
            if id(task.trades) not in files:
                files[id(task.trades)] = _saved(task.trades, Path(folder) / f"{len(files)}.npz")
            told.append({**task._asdict(), "trades": files[id(task.trades)]})
        work = Path(folder) / "tasks.json"
        work.write_text(json.dumps(told))
        command = [str(PYTHON), "-I", str(_SCRIPT), str(work)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=alone())
    if done.returncode:
        print(f"the peers' process ended with {done.returncode}", file=sys.stderr)
        return None
    return msgspec.json.decode(done.stdout, type=list[Made])


def information_params(peer: str, expected: int, bars_window: int, ticks_window: int) -> dict[str, Any]:
    """The parameters of imbalance and run bars in the peer's words."""
    if peer == "mlfinpy":
        return {
            "num_prev_bars": bars_window,
            "expected_imbalance_window": ticks_window,
            "exp_num_ticks_init": expected,
        }
    return {
        "window_size_for_expected_n_ticks_estimation": bars_window,
        "window_size_for_expected_imbalance_estimation": ticks_window,
        "initial_estimate_of_expected_n_ticks_in_bar": expected,
    }


def _saved(trades: pl.DataFrame, path: Path) -> str:
    us = trades["timestamp"].to_physical().to_numpy()
    np.savez(path, price=trades["price"].to_numpy(), size=trades["amount"].to_numpy(), us=us)
    return str(path)


def alone() -> dict[str, str]:
    """The environment with one thread a library."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}
