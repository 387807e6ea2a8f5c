"""Made books, changes and trades for the benchmark of features: a random walk of the mid, sizes as they come."""

import numpy as np
import polars as pl
import pyarrow as pa

LEVELS = 20
_START_US = 1_700_006_400_000_000
_TICK = 0.01


def made_books(rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(snapshots of 20 levels a side, one a second; trades, two a second)."""
    rng = np.random.default_rng(7)
    mid = 100_000 + np.cumsum(rng.integers(-1, 2, rows))
    wide = rng.integers(1, 3, rows)
    steps = rng.integers(1, 3, (2, rows, LEVELS)).cumsum(axis=2)
    seconds = np.arange(rows) * 1_000_000 + _START_US
    books = pl.DataFrame(
        {
            "timestamp": _moments(seconds),
            "bids": _side(mid[:, None] - steps[0], rng),
            "asks": _side(mid[:, None] + wide[:, None] - 1 + steps[1], rng),
        }
    )
    t = np.sort(rng.integers(0, rows * 1_000_000, 2 * rows))
    price = mid[t // 1_000_000] + rng.integers(-1, 2, len(t))
    side = np.where(rng.random(len(t)) < 0.5, "buy", "sell")
    amount = rng.integers(1, 500, len(t)) / 1000
    trades = {"timestamp": _moments(t + _START_US), "price": np.round(price * _TICK, 2), "amount": amount, "side": side}
    return books, pl.DataFrame(trades)


def made_changes(messages: int, *, levels_a_message: int, levels: int = 1000) -> pl.DataFrame:
    """Messages of table l2, 20 a second, after a snapshot of so many levels a side; most changes are near the best."""
    rng = np.random.default_rng(8)
    mid, step = 100_000, 0
    sides, prices, sizes, numbers = [], [], [], []
    for offset in range(1, levels + 1):
        for is_ask in (False, True):
            sides.append(is_ask)
            prices.append(mid + offset if is_ask else mid - offset)
            sizes.append(1.0)
            numbers.append(0)
    asks = rng.random((messages, levels_a_message)) < 0.5
    offsets = np.minimum(rng.exponential(80, asks.shape).astype(np.int64) + 1, levels)
    amounts = np.where(rng.random(asks.shape) < 0.4, 0.0, rng.integers(1, 10_000, asks.shape) / 1000)
    moves = np.where(rng.random(messages) < 0.1, rng.choice((-1, 1), messages), 0)
    for number in range(1, messages + 1):
        step = int(moves[number - 1])
        mid += step
        if step:  # what the mid has come to is gone
            sides.append(step > 0)
            prices.append(mid)
            sizes.append(0.0)
            numbers.append(number)
        is_ask = asks[number - 1]
        sides += is_ask.tolist()
        prices += (mid + np.where(is_ask, 1, -1) * offsets[number - 1]).tolist()
        sizes += amounts[number - 1].tolist()
        numbers += [number] * levels_a_message
    number = np.array(numbers)
    return pl.DataFrame(
        {
            "timestamp": _moments(number * 50_000 + _START_US),
            "msg_seq": number,
            "is_snapshot": number == 0,
            "is_last": np.append(number[1:] != number[:-1], True),
            "side": np.where(sides, "ask", "bid"),
            "price": np.round(np.array(prices) * _TICK, 2),
            "size": np.array(sizes),
        }
    )


def _moments(us: np.ndarray) -> pl.Series:
    return pl.Series(us).cast(pl.Datetime("us", "UTC"))


def _side(ticks: np.ndarray, rng: np.random.Generator) -> pl.Series:
    prices, sizes = np.round(ticks.ravel() * _TICK, 2), rng.integers(1, 5000, ticks.size) / 1000
    levels = pa.StructArray.from_arrays([pa.array(prices), pa.array(sizes)], ["price", "size"])
    ends = pa.array(np.arange(0, ticks.size + 1, ticks.shape[1]))
    side = pl.from_arrow(pa.LargeListArray.from_arrays(ends, levels))
    assert isinstance(side, pl.Series)
    return side
