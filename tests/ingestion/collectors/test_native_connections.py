"""Connections that stay alive, on real sockets: replaced without a gap, spread over sockets, changed while they run."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.coinbase import Coinbase
from ingestion.exchanges.protocol import Exchange, SessionOptions, Subscription
from ingestion.pipeline import IngestionPipeline
from ingestion.simulator import Fault, LocalExchange, SeededMarket
from shared.partitioning import Lake, stored_symbol
from shared.rows import LIFECYCLE_CAUSES
from tests.ingestion.collecting import QUICK, Run, bronze

SYMBOLS = ("BTC/USD", "ETH/USD", "SOL/USD")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.under(tmp_path)


def made(exchange: LocalExchange, kind: type[Exchange]) -> Exchange:
    if kind.profile.name == "kraken":
        return kind(SessionOptions(ws_url=exchange.kraken_ws_url, rest_url=exchange.kraken_rest_url))
    rest_url = f"{exchange.coinbase_rest_url}/api/v3/brokerage/market"
    return kind(SessionOptions(ws_url=exchange.coinbase_ws_url, rest_url=rest_url))


def options(exchange: Exchange, symbols: tuple[str, ...] = SYMBOLS, *tables: str) -> NativeOptions:
    wanted = [
        Subscription(table, stored_symbol(symbol), exchange.raw_symbol(symbol))
        for table in tables or ("trades", "l2", "ticker")
        for symbol in symbols
    ]
    return NativeOptions(exchange, tuple(wanted), 5.0)


class Session:
    """A collector at work on a lake."""

    def __init__(self, lake: Lake, options: NativeOptions) -> None:
        self.pipeline: IngestionPipeline = Run(lake).pipeline
        inlet = self.pipeline.inlet("native", options.exchange.profile.name)
        self.pipeline._inlets[:] = [inlet]
        self.collector = NativeCollector(options, inlet, QUICK)
        self.statistics = inlet.statistics
        self._running = asyncio.create_task(self.pipeline.run([self.collector]))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                assert not self._running.done(), self._running.result()
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self.pipeline.stop()
        await self._running

    async def drained(self, exchange: LocalExchange) -> None:
        """End the market, wait until nothing comes any more, and stop."""
        assert await exchange.close_market(within_s=20)
        rows = -1
        while rows != self.statistics.rows:
            rows = self.statistics.rows
            await asyncio.sleep(0.3)
        await self.stop()


def holes(lake: Lake) -> list[dict[str, object]]:
    gaps = bronze(lake, "gaps")
    return gaps.filter(~pl.col("cause").is_in(list(LIFECYCLE_CAUSES))).to_dicts() if gaps.height else []


def book_of(lake: Lake, symbol: str) -> dict[tuple[str, float], float]:
    """The book that a reader has who applies the rows in their order."""
    book: dict[tuple[str, float], float] = {}
    begun = None
    for row in bronze(lake, "l2").filter(pl.col("symbol") == symbol).sort("seq").iter_rows(named=True):
        if row["is_snapshot"] and begun != row["msg_seq"]:
            book.clear()
        begun = row["msg_seq"] if row["is_snapshot"] else None
        book[row["side"], row["price"]] = row["size"]
    return {level: size for level, size in book.items() if size}


def true_book(exchange: LocalExchange, venue: str, symbol: str) -> dict[tuple[str, float], float]:
    pair = exchange._feeds[venue].state.pairs[symbol]
    scale, lots = 10.0**pair.instrument.price_decimals, 10.0**pair.instrument.size_decimals
    sides = {"bid": pair.book.bids, "ask": pair.book.asks}
    return {(side, price / scale): size / lots for side, levels in sides.items() for price, size in levels.items()}


@pytest.mark.parametrize("name", ["coinbaseadvanced", "kraken"])
async def test_a_connection_is_replaced_again_and_again_and_nothing_is_missing(lake: Lake, name: str) -> None:
    venue = name.removesuffix("advanced")
    market = SeededMarket(seed=11, symbols=["BTC-USD", "ETH-USD", "SOL-USD"], rate=600, trade_share=0.4)
    base = native_exchanges()[name]
    limits = replace(base.profile.limits, lifetime_s=5.0, connections_per_minute=600, messages_per_s=100)
    short = type("Short", (base,), {"profile": replace(base.profile, limits=limits)})
    async with LocalExchange(market, venues=[venue]) as exchange:
        session = Session(lake, options(made(exchange, short)))
        await session.until(lambda: sum(line["rotations"] for line in session.collector.report()) >= 3)
        await session.drained(exchange)
        assert session.statistics.sessions == 0
        assert holes(lake) == []
        for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
            trades = bronze(lake).filter(pl.col("symbol") == symbol)
            kept = set(trades["trade_seq"])
            truth = [int(trade.id) for trade in exchange.truth.trades(venue, symbol)]
            assert kept == {number for number in truth if number >= min(kept)}
            if venue == "coinbase":
                wanted = true_book(exchange, venue, symbol)
                assert book_of(lake, symbol) == pytest.approx(wanted)
        for table in ("trades", "l2", "ticker"):
            for _, rows in bronze(lake, table).group_by("symbol"):
                assert rows["seq"].sort().to_list() == list(range(rows.height))


async def test_a_change_of_the_settings_touches_no_other_stream(lake: Lake) -> None:
    market = SeededMarket(seed=12, symbols=["BTC-USD", "ETH-USD", "SOL-USD"], rate=600, trade_share=0.5)
    async with LocalExchange(market, venues=["coinbase"]) as exchange:
        venue = made(exchange, Coinbase)
        session = Session(lake, options(venue, ("BTC/USD", "ETH/USD")))
        await session.until(lambda: session.statistics.rows > 500)
        before = session.collector.report()
        session.collector.change(options(venue, ("BTC/USD", "SOL/USD")))
        await session.until(lambda: session.collector.inlet.standing("trades", "SOL-USD").rows > 50)
        session.collector.change(options(venue, SYMBOLS))
        came_back = session.collector.inlet.standing("trades", "ETH-USD").rows
        await session.until(lambda: session.collector.inlet.standing("trades", "ETH-USD").rows > came_back + 50)
        after = session.collector.report()
        await session.drained(exchange)
        assert [line["connection"] for line in before] == [line["connection"] for line in after] == [1]
        assert session.statistics.sessions == 0
        gaps = holes(lake)
        assert {(gap["symbol"], gap["cause"]) for gap in gaps} == {("ETH-USD", "unsubscribed")}
        assert {gap["channel"] for gap in gaps} == {"trades", "l2", "ticker"}
        kept = bronze(lake).filter(pl.col("symbol") == "BTC-USD").sort("seq")["trade_seq"].unique().to_list()
        truth = [int(trade.id) for trade in exchange.truth.trades("coinbase", "BTC-USD")]
        assert kept == [number for number in truth if number >= kept[0]]
        for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
            assert book_of(lake, symbol) == pytest.approx(true_book(exchange, "coinbase", symbol))


async def test_more_books_than_a_connection_takes_are_spread_over_several(lake: Lake) -> None:
    limits = replace(Coinbase.profile.limits, streams_of_table={"l2": 1, "orderbook": 1}, connections_per_minute=600)
    narrow = type("Narrow", (Coinbase,), {"profile": replace(Coinbase.profile, limits=limits)})
    market = SeededMarket(seed=13, symbols=["BTC-USD", "ETH-USD", "SOL-USD"], rate=300, trade_share=0.3)
    async with LocalExchange(market, venues=["coinbase"]) as exchange:
        session = Session(lake, options(made(exchange, narrow), SYMBOLS, "trades", "l2", "orderbook"))
        await session.until(lambda: session.statistics.rows > 800)
        assert exchange.connection_count == 3
        exchange.inject(Fault(kind="drop", at=0, count=3, channel="l2_data"))
        await session.until(lambda: session.statistics.sequence_breaks == 1)
        rows = session.statistics.rows
        await session.until(lambda: session.statistics.rows > rows + 300)
        await session.drained(exchange)
        gaps = holes(lake)
        assert {gap["cause"] for gap in gaps} == {"sequence_break"}
        assert len({gap["symbol"] for gap in gaps if gap["channel"] in {"l2", "orderbook"}}) == 1  # one connection's
        for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
            assert book_of(lake, symbol) == pytest.approx(true_book(exchange, "coinbase", symbol))


async def test_one_unknown_symbol_is_reported_and_hurts_no_other(lake: Lake) -> None:
    market = SeededMarket(seed=14, symbols=["BTC-USD"], rate=300, trade_share=0.5)
    async with LocalExchange(market, venues=["coinbase"]) as exchange:
        session = Session(lake, options(made(exchange, Coinbase), ("BTC/USD", "NO/SUCH")))
        await session.until(lambda: session.statistics.rows > 300)
        report = session.collector.report()
        session.collector.change(options(made(exchange, Coinbase), ("BTC/USD",)))
        after = session.collector.report()
        await session.drained(exchange)
    assert [line["unconfirmed"] for line in report] == [3]
    assert [line["unconfirmed"] for line in after] == [0]
    assert session.statistics.sessions == 0
    rejects = bronze(lake, "rejects")
    assert set(rejects["channel"]) == {"subscriptions"}
    assert sorted(rejects["symbol"]) == ["NO-SUCH"] * 3
    assert holes(lake) == []


async def test_instruments_are_stored_with_their_origin(lake: Lake) -> None:
    market = SeededMarket(seed=15, symbols=["BTC-USD"], rate=200, trade_share=0.5)
    async with LocalExchange(market, venues=["coinbase"]) as exchange:
        session = Session(lake, options(made(exchange, Coinbase), ("BTC/USD",), "trades"))
        await session.until(lambda: session.collector.inlet.standing("instruments", "BTC-USD").rows == 1)
        await session.drained(exchange)
    (row,) = bronze(lake, "instruments").to_dicts()
    assert (row["symbol"], row["raw_symbol"], row["origin"], row["base"]) == ("BTC-USD", "BTC-USD", "rest", "BTC")


async def test_capture_goes_on_after_a_pause_and_follows_what_changed_meanwhile(lake: Lake) -> None:
    """A full disk cancels the collector; the same one is run again when there is room."""
    market = SeededMarket(seed=9, symbols=["BTC-USD", "ETH-USD", "SOL-USD"], rate=300, trade_share=0.5)
    async with LocalExchange(market) as exchange:
        session = Session(lake, options(made(exchange, Coinbase), SYMBOLS[:2]))
        await session.until(lambda: session.statistics.rows > 100)
        guard = session.pipeline._guard
        guard._pause("a test")
        await session.until(lambda: not session.collector.report())
        session.collector.change(options(made(exchange, Coinbase)))
        guard._resume()
        inlet = session.collector.inlet
        await session.until(lambda: inlet.standing("l2", "SOL-USD").rows > 50 and bool(session.collector.report()))
        await session.stop()
    causes = {hole["cause"] for hole in holes(lake) if hole["symbol"] == "BTC-USD"}
    assert causes == {"disk_full"}
