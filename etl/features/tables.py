"""The tables of features that there are, and every column of each: pages, lists and settings are made from this."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from etl.features import book_bars, ticker, trade_features
from etl.features.declared import TIME, Fact, Feature, features
from etl.features.options import FeatureOptions


@dataclass(frozen=True)
class FeatureTable:
    """One table: what a row is, what stands before its features, and the features as options make them."""

    name: str
    tier: str  # silver | gold
    made_from: str  # the table that it follows
    row: str  # what a row is
    about: str
    facts: tuple[Fact, ...]
    features: Callable[[FeatureOptions], Sequence[Feature]]

    def columns(self, options: FeatureOptions) -> list[str]:
        """The names of its columns, in order, but for those of its partitions."""
        return [fact.name for fact in self.facts] + [feature.name for feature in self.features(options)]


_BOOK_FACTS = (
    Fact("timestamp", TIME, "end of the row's cell of time; with hf_emit_interval 0 the time of the update"),
    Fact("book_ts", TIME, "time of the last update of the book that the row shows"),
    Fact("known_at", TIME, "when the last input of this and all earlier rows had arrived"),
    Fact("is_reset", pl.Boolean(), "nothing is compared with earlier rows: the first one, a long silence, a gap"),
    Fact("is_locked", pl.Boolean(), "best bid and ask are equal"),
    Fact("is_crossed", pl.Boolean(), "the best bid is above the best ask: all features are null"),
    Fact("is_one_sided", pl.Boolean(), "a side is empty: only features of the other side are there"),
    Fact("has_gap", pl.Boolean(), "something is missing between this row and the one before"),
    Fact("levels_bid", pl.Int64(), "levels that the bids had, at most max_levels"),
    Fact("levels_ask", pl.Int64(), "levels that the asks had, at most max_levels"),
    Fact("n_updates", pl.Int64(), "valid updates of the book since the row before"),
    Fact("n_crossed", pl.Int64(), "crossed ones among the updates of the row's cell"),
    Fact("ofi_source", pl.String(), "what order flow is summed over: event (every update, l2) or snapshot"),
)

TABLES = (
    FeatureTable(
        name="orderbook",
        tier="silver",
        made_from="orderbook or l2",
        row="the book at the end of each hf_emit_interval in which it was updated",
        about="The state of the book, how it moved, and the flow of orders and trades that moved it.",
        facts=_BOOK_FACTS,
        features=features,
    ),
    FeatureTable(
        name="trade_features",
        tier="silver",
        made_from="silver trades",
        row="a trade",
        about="The sign and value of each trade, the pace of trading, runs of one side, and how large trades weigh.",
        facts=trade_features.FACTS,
        features=trade_features.features,
    ),
    FeatureTable(
        name="ticker",
        tier="silver",
        made_from="ticker",
        row="an update of the exchange's own summary",
        about="The summary as the exchange sent it, with the mid price and spread of its best bid and ask.",
        facts=ticker.FACTS,
        features=ticker.features,
    ),
    FeatureTable(
        name="book_bars",
        tier="gold",
        made_from="silver orderbook",
        row="an interval of each length of bar_durations in which the book had a valid row",
        about="Mid price, spread, imbalance and flow over an interval of time, and what its returns say of volatility.",
        facts=book_bars.FACTS,
        features=book_bars.features,
    ),
)
