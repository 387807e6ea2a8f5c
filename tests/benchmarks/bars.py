"""Exact dollar bars against the plainest float loop there is, in the same run."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numba import njit

from etl.bars import DollarBars

TRADES = 5_000_000
THRESHOLD = 1_000_000
ROUNDS = 5
TARGET = 0.25


def measure() -> list[tuple[str, float, float]]:
    """(name, speed as a part of the plain loop's, target) of DollarBars, with ids in sequence and with opaque ids.

    End to end: a Polars frame of silver trades in, a frame of bars out. The plain loop reads ready float arrays and
    keeps open, high, low, close, volume, value and count. The second line has no target: it hashes every id.
    """
    trades = synthetic_trades(TRADES)
    price, amount = trades["price"].to_numpy(), trades["amount"].to_numpy()
    out = np.empty((7, TRADES))
    opaque = trades.drop("trade_seq")
    plain_s = _best_s(lambda: plain_dollar_loop(price, amount, float(THRESHOLD), out))
    exact_s = _best_s(lambda: DollarBars(threshold=THRESHOLD).update(trades))
    opaque_s = _best_s(lambda: DollarBars(threshold=THRESHOLD).update(opaque), rounds=1)
    for name, seconds in (("plain float loop", plain_s), ("DollarBars", exact_s), ("DollarBars, opaque ids", opaque_s)):
        print(f"{name:24s} {TRADES / seconds / 1e6:8.1f} M trades/s")
    return [("dollar bars", plain_s / exact_s, TARGET), ("dollar bars, opaque ids", plain_s / opaque_s, 0.0)]


def synthetic_trades(n: int) -> pl.DataFrame:
    """Silver trades of a random walk at 0.01 and lognormal sizes at 1e-6, about 570 to a bar of a million."""
    rng = np.random.default_rng(7)
    start_us = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    ts = pl.Series(start_us + np.cumsum(rng.integers(0, 20_000, n))).cast(pl.Datetime("us", "UTC"))
    seq = np.arange(10_000_000, 10_000_000 + n)
    return pl.DataFrame(
        {
            "trade_id": pl.Series(seq).cast(pl.String),
            "trade_seq": seq,
            "timestamp": ts,
            "side": np.array(["buy", "sell"])[rng.integers(0, 2, n)],
            "price": (6_000_000 + np.cumsum(rng.integers(-50, 51, n))) / 100,
            "amount": np.maximum(1, rng.lognormal(9.2, 1.5, n).astype(np.int64)) / 1e6,
            "epoch": pl.repeat("20260101T000000Z-0001", n, eager=True),
            "seq": np.arange(n),
            "known_at": ts + timedelta(milliseconds=35),
            "gap_before": pl.repeat(False, n, eager=True),
        }
    )


@njit(cache=True)
def plain_dollar_loop(price, size, threshold, out):
    count = ticks = 0
    value = volume = open_ = high = low = 0.0
    for i in range(len(price)):
        p = price[i]
        if ticks == 0:
            open_ = high = low = p
        high = max(high, p)
        low = min(low, p)
        volume += size[i]
        value += p * size[i]
        ticks += 1
        if value >= threshold:
            out[0, count], out[1, count], out[2, count], out[3, count] = open_, high, low, p
            out[4, count], out[5, count], out[6, count] = volume, value, ticks
            count += 1
            ticks = 0
            value = volume = 0.0
    return count


def _best_s(run: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    run()  # compile, and fill the caches
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


if __name__ == "__main__":
    for name, ratio, target in measure():
        print(f"{name:24s} {ratio:.2f} of the plain loop (target {target})")
