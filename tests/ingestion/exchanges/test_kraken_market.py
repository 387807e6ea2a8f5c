"""Kraken's protocol from both ends: the local exchange's session and ours talk to each other, message by message."""

import re
from itertools import islice
from random import Random
from typing import Any

import pytest

from ingestion.exchanges.kraken import Kraken
from ingestion.exchanges.kraken_session import KrakenSession
from ingestion.exchanges.protocol import Break, Refused, Send, SessionOptions, Subscription
from ingestion.simulator.kraken import KrakenVenue
from ingestion.simulator.market import SeededMarket
from ingestion.simulator.state import VenueState
from shared.rows import L2Message, OrderBook, Row, Trade
from tests.levels import by_level

T = 1_700_000_000_000_000_000
NAMES = ("BTC/USD", "ETH/USD")
TABLES = ("trades", "ticker", "l2", "orderbook")
SMALL = re.compile(rb'(?<="qty":)0\.0000(\d{4})\b')


class Market:
    """A market of the local exchange, and our session on one connection to it."""

    def __init__(self, *, seed: int, lost: float = 0, tables: tuple[str, ...] = TABLES, depth: int = 50) -> None:
        source = SeededMarket(seed=seed, symbols=("BTC-USD", "ETH-USD"), rate=1000)
        self.state = VenueState(source.traded_on("kraken"), has_book=True)
        self.moments = source.moments("kraken", start_ns=T)
        self._there = KrakenVenue(self.state).session()
        options = SessionOptions(orderbook_depth=depth, orderbook_interval_ns=0)
        streams = [Subscription(table, name.replace("/", "-"), name) for table in tables for name in NAMES]
        self.ours: KrakenSession = Kraken(options).session(streams)
        self._random, self._lost = Random(seed), lost
        self.rows: list[Row] = []
        self.events: list[Any] = []
        self.lost_books = 0
        self._arrive([frame.data for frame in self._there.open(T)])

    def subscribe(self) -> None:
        self._send(self.ours.opening())

    def run(self, count: int) -> None:
        for moment in islice(self.moments, count):
            self.state.apply(moment)
            self._arrive([frame.data for frame in self._there.publish(moment)], lose=True)

    def _send(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._arrive([each.data for each in self._there.receive(frame, T)])

    def _arrive(self, frames: list[bytes], *, lose: bool = False) -> None:
        for frame in frames:
            if lose and b'"channel":"book"' in frame and self._random.random() < self._lost:
                self.lost_books += 1
                continue
            exponents = SMALL.sub(lambda found: f"{int(found[1])}e-08".encode(), frame)
            rows = self.ours.receive(exponents, T, self.ours.frame_count * 1_000_000_000)
            events, self.ours.events = self.ours.events, []
            self.events += events
            self.rows += rows
            for event in events:
                if isinstance(event, Send):
                    self._send(event.frames)


@pytest.mark.parametrize("seed", range(3))
def test_a_market_without_faults_is_followed_without_a_break(seed: int) -> None:
    """Small sizes come with an exponent, which hides trailing zeros that the checksum sees."""
    market = Market(seed=seed)
    market.run(500)
    market.subscribe()
    assert not market.ours.unconfirmed
    market.run(3000)
    assert not market.events
    assert len(market.rows) > 3000
    for name in ("BTC-USD", "ETH-USD"):
        ids = [row.trade_seq for row in market.rows if isinstance(row, Trade) and row.symbol == name]
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert_last_snapshot_is_the_markets(market, name)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tables", [TABLES, ("orderbook",)])
def test_lost_messages_are_found_and_the_book_comes_back(seed: int, tables: tuple[str, ...]) -> None:
    market = Market(seed=seed, lost=0.003, tables=tables, depth=10)
    market.subscribe()
    market.run(6000)
    market._lost = 0
    market.run(1500)
    breaks = [event for event in market.events if isinstance(event, Break)]
    assert market.lost_books > 5
    assert 0 < len(breaks) <= market.lost_books
    assert {event.cause for event in breaks} == {"checksum"}
    assert {event.symbols for event in breaks} <= {("BTC-USD",), ("ETH-USD",)}
    for name in ("BTC-USD", "ETH-USD"):
        assert_last_snapshot_is_the_markets(market, name)
        if "l2" in tables:
            assert_level_2_rebuilds_the_market(market, name)


def test_a_symbol_that_the_exchange_does_not_have_is_refused_and_the_rest_goes_on() -> None:
    market = Market(seed=1, tables=("trades",))
    unknown = Subscription("trades", "NO-USD", "NO/USD")
    market.ours.want([unknown])
    market.subscribe()
    assert [event.subscription for event in market.events if isinstance(event, Refused)] == [unknown]
    market.run(500)
    assert any(isinstance(row, Trade) for row in market.rows)


def sides(market: Market, symbol: str, depth: int) -> list[list[tuple[float, float]]]:
    """The market's own best levels, as numbers."""
    pair = market.state.pairs[symbol]
    item = pair.instrument
    return [
        [(float(f"{price}e-{item.price_decimals}"), float(f"{size}e-{item.size_decimals}")) for price, size in side]
        for side in pair.book.top(depth)
    ]


def assert_last_snapshot_is_the_markets(market: Market, symbol: str) -> None:
    last = next(row for row in reversed(market.rows) if isinstance(row, OrderBook) and row.symbol == symbol)
    depth = min(10, len(last.bids), len(last.asks))
    assert [last.bids[:depth], last.asks[:depth]] == sides(market, symbol, depth)


def assert_level_2_rebuilds_the_market(market: Market, symbol: str) -> None:
    book: dict[str, dict[float, float]] = {}
    for row in market.rows:
        if isinstance(row, L2Message) and row.symbol == symbol:
            book = {"bid": {}, "ask": {}} if row.is_snapshot else book
            for level in by_level(row):
                book[level.side][level.price] = level.size
    best = [sorted((each for each in book[side].items() if each[1]), reverse=side == "bid") for side in ("bid", "ask")]
    assert [side[:100] for side in best] == sides(market, symbol, 100)
