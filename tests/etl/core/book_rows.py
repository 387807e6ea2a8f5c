"""Rows of books of a seeded market, with what feeds do wrong: for tests of chains."""

import random
from collections.abc import Iterable, Iterator

from shared.rows import L2Message, OrderBook

SNAPSHOT_EVERY = 25  # messages


def snapshots(rng: random.Random, moments_us: Iterable[int]) -> Iterator[OrderBook]:
    """Snapshots of a walk at these times, some of them crossed, one-sided, doubled or out of order."""
    mid = 100.0
    for us in moments_us:
        mid += rng.choice((-0.5, 0, 0, 0.5))
        width = rng.choice((0.5, 0.5, 0.5, 1.0, -0.5))
        bids = [(mid - width / 2 - i / 2, rng.randint(1, 40) / 8) for i in range(rng.choice((5, 5, 5, 0)))]
        asks = [(mid + width / 2 + i / 2, rng.randint(1, 40) / 8) for i in range(5)]
        moment = rng.choice((us, us, us, us - 500_000, None))
        best = bids[0] if bids else (None, None)
        book = OrderBook("BTC-USD", moment, None, *best, *asks[0], bids, asks)
        yield book
        if rng.random() < 0.1:
            yield book


def messages(rng: random.Random, moments_us: Iterable[int]) -> Iterator[L2Message]:
    """Messages of table l2 at these times, with a snapshot now and then; some are missing or out of order."""
    for version, us in enumerate(moments_us):
        is_snapshot = version % SNAPSHOT_EVERY == 0
        levels = 12 if is_snapshot else rng.randint(1, 4)
        side = ["bid", "ask"] * 6 if is_snapshot else rng.choices(("bid", "ask"), k=levels)
        price = [100 + (1 if each == "ask" else -1) * (rng.randint(0, 5) - 0.5) / 2 for each in side]
        size = [rng.randint(0, 0 if rng.random() < 0.2 and not is_snapshot else 40) / 8 for _ in side]
        moment = rng.choice((us, us, us, us - 500_000, None))
        ids = (version + 1, None if is_snapshot else version)
        if rng.random() > 0.03:
            yield L2Message("BTC-USD", moment, version, is_snapshot, side, price, size, *ids)
