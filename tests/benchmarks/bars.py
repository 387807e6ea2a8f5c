"""Exact bars of every kind against the plainest float loop of the kind, in turns; and against other libraries.

Two measures of ours. "kernels": ready float arrays in, exact bars out, the scaling of the floats included. "update": a
Polars frame of silver trades in, a frame of bars out, with sides read, order and duplicates checked.
The loop reads ready arrays and writes floats. Everything runs in one thread.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from etl.bars import new_bars
from etl.bars.given import frame_of_trades
from etl.bars.trades import read
from tests.benchmarks.bars_kernels import exact_sums
from tests.benchmarks.bars_peers import Task, information_params, made_by_peers
from tests.benchmarks.bars_plain import OUT_ROWS, plain_loop
from tests.benchmarks.bars_trades import synthetic_trades
from tests.benchmarks.ingest import Line

TRADES = 10_000_000
PEER_TRADES = 200_000  # per kind; a peer's speed does not depend on it while its bars keep their length
ROUNDS = 5
_COLUMNS = (
    "trade_id", "trade_seq", "timestamp", "side", "price", "amount", "price_text", "amount_text", "gap_before",
    "known_at",
)  # fmt: skip
_STANDARD, _INFORMATION = 0.5, 0.4
_GUARDED = {"expected_ticks_init": 500, "ewma_window": 15}
KINDS: dict[str, dict[str, Any]] = {  # about 500 trades to a bar
    "time": {"interval": 5}, "tick": {"threshold": 500}, "volume": {"threshold": 16},
    "dollar": {"threshold": 1_000_000},
    **{f"{weight}_{family}": _GUARDED for family in ("imbalance", "run") for weight in ("tick", "volume", "dollar")},
}  # fmt: skip
_PEER_TARGETS = {"dollar": 300, "tick_imbalance": 500, "volume_imbalance": 500, "dollar_imbalance": 500}


def measure(trades_number: int = TRADES) -> list[Line]:
    """Speed of ours over that of the plain loops and of the peers."""
    trades = synthetic_trades(trades_number).select(_COLUMNS)
    lines: list[Line] = []
    update_s: dict[str, float] = {}
    batch, arrays = read(frame_of_trades(trades), first_number=0), _arrays(trades)
    out = np.empty((OUT_ROWS, trades_number // 10))
    for kind, params in KINDS.items():
        plain = plain_loop(kind, params)
        best = _best_s(
            {
                "plain": lambda plain=plain: plain(arrays, out),
                "kernels": lambda kind=kind, params=params: exact_sums(batch, kind, params),
                "update": lambda kind=kind, params=params: new_bars(kind, **params).update(trades),
            }
        )
        update_s[kind] = best["update"] / trades_number
        target = _STANDARD if kind in ("time", "tick", "volume", "dollar") else _INFORMATION
        speed = {name: f"{trades_number / seconds / 1e6:.0f}" for name, seconds in best.items()}
        for name, bound in (("kernels", f">= {target}"), ("update", "")):
            detail = f"{speed[name]} / {speed['plain']} M trades/s"
            lines.append(Line(f"{kind} bars, {name} / plain float loop", best["plain"] / best[name], bound, detail))
    return lines + _against_peers(trades.head(PEER_TRADES), update_s)


def _against_peers(trades: pl.DataFrame, update_s: dict[str, float]) -> list[Line]:
    tasks = _tasks(trades)
    made = made_by_peers(tasks)
    lines = []
    for place, task in enumerate(tasks):
        target = f">= {_PEER_TARGETS[task.kind]}" if task.kind in _PEER_TARGETS else ""
        theirs_s = made[place].seconds / len(trades) if made else None
        ratio = theirs_s / update_s[task.kind] if theirs_s else None
        detail = f"{1e-6 / update_s[task.kind]:.0f} / {1e-6 / theirs_s:.3f} M trades/s" if theirs_s else ""
        lines.append(Line(f"{task.kind} bars, update / {task.peer}", ratio, target, detail))
    return lines


def _tasks(trades: pl.DataFrame) -> list[Task]:
    tasks = [
        Task(peer, kind, {"threshold": KINDS[kind]["threshold"]}, trades)
        for kind in ("tick", "volume", "dollar")
        for peer in ("mlfinpy", "RiskLabAI", "nautilus_trader")
    ]
    tasks.append(Task("mlfinpy", "time", {"resolution": "S", "num_units": 5}, trades))
    tasks.append(Task("RiskLabAI", "time", {"resolution_type": "S", "resolution_units": 5}, trades))
    for kind in (kind for kind in KINDS if "_" in kind):
        expected, window = _GUARDED["expected_ticks_init"], _GUARDED["ewma_window"]
        tasks.append(Task("mlfinpy", kind, information_params("mlfinpy", expected, window, window * expected), trades))
        tasks.append(
            Task("RiskLabAI", kind, information_params("RiskLabAI", expected, window, window * expected), trades)
        )
    return tasks


def _arrays(trades: pl.DataFrame) -> Any:
    side = (trades["side"] == "buy").to_numpy()
    columns = (trades["price"], trades["amount"], trades["timestamp"].to_physical())
    price, size, us = (column.to_numpy() for column in columns)
    return price, size, np.where(side, 1, -1).astype(np.int8), us


def _best_s(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The best of some rounds of each, in turns, so that whatever else the machine does strikes all."""
    for run in runs.values():
        run()  # compile, and fill the caches
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best
