"""Whether stored sides are the taker's: a taker who buys lifts the price, one who sells presses it.

Of sides that name the maker about as many disagree as of the taker's agree, so an inverted feed cannot hide.

Source: bars-spec 3.1; ccxt issue 18986 judges some hundred exchanges in the same way.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

import polars as pl

Verdict: TypeAlias = Literal["taker", "inverted", "inconclusive", "too few"]
JUDGED_MIN = 10_000  # comparisons
TAKER_ABOVE, INVERTED_BELOW = 0.6, 0.4
QUOTE_AGE_MAX = timedelta(seconds=10)  # a feed that is down leaves its last quote standing


@dataclass(frozen=True)
class Agreement:
    """How many stored sides could be compared, and how many of them agree.

    >>> (Agreement(9_000, 8_000) + Agreement(1_000, 700)).verdict
    'taker'
    """

    compared: int = 0
    agreeing: int = 0

    def __add__(self, other: "Agreement") -> "Agreement":
        """Both together."""
        return Agreement(self.compared + other.compared, self.agreeing + other.agreeing)

    @property
    def share(self) -> float | None:
        """The share that agrees; None where nothing could be compared."""
        return self.agreeing / self.compared if self.compared else None

    @property
    def verdict(self) -> Verdict:
        """What the share says about whose side is stored."""
        if self.share is None or self.compared < JUDGED_MIN:
            return "too few"
        if self.share > TAKER_ABOVE:
            return "taker"
        return "inverted" if self.share < INVERTED_BELOW else "inconclusive"


def judge(prices: Agreement, quotes: Agreement) -> Verdict:
    """The verdict of the price changes; of the quotes where those leave it open.

    >>> judge(Agreement(400, 200), Agreement(20_000, 1_000))
    'inverted'
    """
    is_open = prices.verdict in {"too few", "inconclusive"}
    return quotes.verdict if is_open and quotes.verdict != "too few" else prices.verdict


def agreement_with_prices(trades: pl.DataFrame, *, last_price: float | None = None) -> Agreement:
    """How many sides agree with the price change that their trade made; trades that made none are left out.

    Args:
        trades: columns `price` and `side` (buy, sell or null) in the exchange's order.
        last_price: of the trade before them.

    >>> trades = pl.DataFrame({"price": [9.0, 10.0, 10.0, 9.0], "side": ["buy", "buy", "sell", "buy"]})
    >>> agreement_with_prices(trades)
    Agreement(compared=2, agreeing=1)
    """
    before = pl.col("price").shift(1, fill_value=last_price)
    return _agreement(trades, pl.col("price") - before)


def agreement_with_quotes(trades: pl.DataFrame, quotes: pl.DataFrame) -> Agreement:
    """How many sides agree with the half of the spread that their trade was made in; trades at the mid are left out.

    It judges markets whose price hardly moves, where `agreement_with_prices` has too little to compare.

    Args:
        trades: columns `timestamp`, `price` and `side`, in any order.
        quotes: columns `timestamp`, `bid` and `ask`, in any order. In force for a trade is the last one stamped before
            it, never at its own moment: that one may already show what the trade left.
    """
    known = quotes.filter(pl.col("timestamp").is_not_null() & (pl.col("bid") < pl.col("ask"))).sort("timestamp")
    in_force = trades.sort("timestamp").join_asof(
        known.select("timestamp", mid=(pl.col("bid") + pl.col("ask")) / 2),
        on="timestamp",
        strategy="backward",
        allow_exact_matches=False,
        tolerance=QUOTE_AGE_MAX,
    )
    return _agreement(in_force, pl.col("price") - pl.col("mid"))


def _agreement(trades: pl.DataFrame, direction: pl.Expr) -> Agreement:
    compared = pl.col("side").is_in(["buy", "sell"]) & (direction != 0)
    agreeing = compared & ((pl.col("side") == "buy") == (direction > 0))
    return Agreement(*trades.select(compared.sum().alias("compared"), agreeing.sum().alias("agreeing")).row(0))
