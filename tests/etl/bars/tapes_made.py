"""Long made tapes, and what can be said of a tape without any builder: its signs and its ticks."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby

import numpy as np

from tests.etl.bars.reference import Trade


def flow(seed: int, n: int = 300, *, sided: str = "some", step_us: int = 400_000) -> list[Trade]:
    """A random walk with irregular sizes, some equal stamps; `sided`: all, some or none of the trades."""
    rng = np.random.default_rng(seed)
    prices = (10_000 + rng.integers(-2, 3, n).cumsum()).tolist()
    sizes = np.ceil(rng.lognormal(0, 1, n) * 1e6).astype(int).tolist()
    times = (rng.integers(0, 3, n) * step_us).cumsum().tolist()
    words = {"all": ["buy", "sell"], "some": ["buy", "sell", None], "none": [None]}[sided]
    sides = rng.integers(0, len(words), n).tolist()
    return [
        Trade(f"f{row}", us, Decimal(price) / 100, Decimal(size) / 10**6, words[side], trade_seq=row)
        for row, (us, price, size, side) in enumerate(zip(times, prices, sizes, sides, strict=True))
    ]


def signs_of(trades: Sequence[Trade], *, gap_reset_s: float | None = None) -> list[int]:
    """The sign of each trade, from the whole series."""
    signs: list[int] = []
    for row, trade in enumerate(trades):
        before = trades[row - 1] if row else None
        if before and gap_reset_s is not None and trade.us - before.us > gap_reset_s * 1_000_000:
            before = None
        known = {"buy": 1, "sell": -1}.get(trade.side or "")
        if known is None and before and trade.price != before.price:
            known = 1 if trade.price > before.price else -1
        signs.append(known if known is not None else signs[-1] if before else 0)
    return signs


def weight_of(trade: Trade, measure: str) -> Fraction:
    """1, the amount or the value."""
    amount = Fraction(trade.amount)
    return {"tick": Fraction(1), "volume": amount, "dollar": Fraction(trade.price) * amount}[measure]


def ticks_of(trades: Sequence[Trade], signs: Sequence[int], *, measure: str, unit: str) -> list[tuple[int, Fraction]]:
    """(sign, weight) of each tick."""
    if unit == "print":
        return [(sign, weight_of(trade, measure)) for trade, sign in zip(trades, signs, strict=True)]
    groups = groupby(zip(trades, signs, strict=True), key=lambda pair: (pair[0].us, pair[1]))
    out = []
    for (_, sign), pairs in groups:
        weights = [weight_of(trade, measure) for trade, _ in pairs]
        out.append((sign, Fraction(1) if measure == "tick" else sum(weights, Fraction(0))))
    return out
