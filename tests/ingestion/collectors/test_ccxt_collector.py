"""ccxt against the local Kraken over real sockets: what was sent is stored, or stands in a gap."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import ccxt.pro
import polars as pl
import pytest

from ingestion.collectors.ccxt_collector import CcxtCollector, CcxtOptions
from ingestion.continuity import Feed
from ingestion.exchanges.ccxt_rows import TradeRows, book_row, ticker_row
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.retry import RetryPolicy
from ingestion.simulator.events import Instrument as Traded
from ingestion.simulator.events import Moment
from ingestion.simulator.exchange import LocalExchange, Timing
from ingestion.simulator.faults import Fault
from ingestion.simulator.market import SeededMarket
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.errors import ExchangeRefused
from shared.partitioning import Lake, epoch_name, stored_exchange
from shared.rows import LIFECYCLE_CAUSES, Gap, Instrument, OrderBook, Reject, Row, Ticker, Trade

UNPACED = Timing(speed=0, heartbeat_s=0.2)
PACED = Timing(speed=1, heartbeat_s=0.1)


@pytest.fixture(autouse=True)
def _no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """ccxt spares the real exchanges: a second between two requests to Kraken. The local one needs no sparing."""
    for base in (ccxt.pro.kraken, ccxt.pro.coinbase):
        own = base.describe
        monkeypatch.setattr(base, "describe", lambda self, own=own: own(self) | {"rateLimit": 1})


class Finite:
    """The first `count` moments of a seeded market, so that everything sent can be awaited."""

    has_book = True
    is_live = True

    def __init__(self, count: int, *, symbols: Sequence[str] = ("BTC-USD",), **market: Any) -> None:
        self._market, self._count = SeededMarket(seed=5, symbols=symbols, **market), count
        self._books = len(symbols)

    def traded_on(self, venue: str) -> tuple[Traded, ...]:
        return self._market.traded_on(venue)

    def moments(self, venue: str, *, start_ns: int) -> Iterator[Moment]:
        return islice(self._market.moments(venue, start_ns=start_ns), self._books + self._count)


class Rig:
    """A collector on an inlet of its own, and the rows that came through."""

    def __init__(
        self, exchange: LocalExchange, *, rows_max: int, retry_s: float, name: str = "kraken", **options: Any
    ) -> None:
        self.exchange, self.name = exchange, name
        self.intake = Intake(bytes_max=1 << 30, rows_max=rows_max)
        self.inlet = Inlet(Feed("ccxt", stored_exchange(name), "e"), self.intake, SystemClock())
        self.options = CcxtOptions(name, urls=exchange.ccxt_urls(name), **options)
        self.collector = CcxtCollector(self.options, self.inlet, RetryPolicy(retry_s, retry_s))
        self.taken: list[Row] = []
        self.task: asyncio.Task[None] | None = None

    def rows(self, kind: type[Any]) -> list[Any]:
        """Rows of a kind; of gaps those that declare a loss."""
        rows = [row for row in self.all() if isinstance(row, kind)]
        return [row for row in rows if not isinstance(row, Gap) or row.cause not in LIFECYCLE_CAUSES]

    def all(self) -> list[Row]:
        for capture in self.intake.take(rows=1 << 30):
            self.taken += capture.rows
        return self.taken

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(40):
            while not condition():
                if self.task and self.task.done():
                    self.task.result()
                await asyncio.sleep(0.02)

    async def whole(self, symbol: str = "BTC-USD") -> None:
        """Wait until the market is over and its last trade has come."""
        await self.exchange.exhausted.wait()
        last = self.exchange.truth.trades(self.name, symbol)[-1].id
        await self.until(lambda: any(row.trade_id == last for row in self.rows(Trade)[-100:]))


@asynccontextmanager
async def collecting(
    exchange: LocalExchange, *, rows_max: int = 1 << 30, retry_s: float = 0.02, **options: Any
) -> AsyncIterator[Rig]:
    rig = Rig(exchange, rows_max=rows_max, retry_s=retry_s, **options)
    rig.task = asyncio.create_task(rig.collector.run())
    try:
        yield rig
    finally:
        rig.task.cancel()
        await asyncio.gather(rig.task, return_exceptions=True)
        gc.collect()  # an unclosed session warns when it is collected, and warnings are errors


def kraken(source: Any, *, timing: Timing = UNPACED, faults: Sequence[Fault] = ()) -> LocalExchange:
    return LocalExchange(source, venues=("kraken",), timing=timing, faults=faults)


def inside_gaps(gaps: list[Gap], channel: str = "trades") -> set[int]:
    """Ids that the gap rows, each in its latest revision, declare as missing."""
    latest = {gap.gap_id: gap for gap in gaps if gap.channel == channel}
    return {
        number for gap in latest.values() if gap.rows_lost for number in range(int(gap.prev_id) + 1, int(gap.next_id))
    }


def accounted(rig: Rig) -> None:
    """Sent = stored + inside declared gaps, and no gap claims what is stored."""
    sent = {int(trade.id) for trade in rig.exchange.truth.trades("kraken", "BTC-USD")}
    stored = {row.trade_seq for row in rig.rows(Trade)}
    missing = inside_gaps(rig.rows(Gap))
    assert stored <= sent
    assert sent - stored == missing


async def test_every_trade_of_a_burst_is_stored_once() -> None:
    async with kraken(Finite(20_000, trade_share=1.0)) as exchange, collecting(exchange, trades=("BTC/USD",)) as rig:
        await rig.whole()
        rows, truth = rig.rows(Trade), exchange.truth.trades("kraken", "BTC-USD")
        assert len(truth) >= 20_000
        got = [(row.trade_id, row.price, row.amount, row.timestamp, row.side) for row in rows]
        assert got == [(each.id, float(each.price), float(each.size), each.ts_us, each.taker) for each in truth]
        assert all(after.trade_seq == before.trade_seq + 1 for before, after in pairwise(rows))
        assert {type(row) for row in rig.all()} == {Trade, Instrument, Gap}
        assert not rig.rows(Gap)


async def test_plain_watch_trades_loses_in_such_a_burst() -> None:
    async with kraken(Finite(20_000, trade_share=1.0)) as exchange:
        plain = ccxt.pro.kraken({"urls": exchange.ccxt_urls("kraken")})
        got: set[str] = set()
        try:
            while not exchange.exhausted.is_set():
                got.update(trade["id"] for trade in await plain.watch_trades("BTC/USD"))
                await asyncio.sleep(0.3)  # a consumer that writes to a slow disk
            assert len(got) < len(exchange.truth.trades("kraken", "BTC-USD"))
        finally:
            await plain.session.close()
            await plain.close()


async def test_each_message_of_each_channel_is_a_row() -> None:
    market = Finite(4000, symbols=("BTC-USD", "ETH-USD"), trade_share=0.4)
    both = ("BTC/USD", "ETH/USD")
    async with kraken(market) as exchange, collecting(exchange, trades=both, ticker=both, orderbook=both) as rig:
        await exchange.exhausted.wait()
        sent = exchange.truth.frames["kraken"]
        await rig.until(lambda: len(rig.rows(OrderBook)) >= sent["book"] and len(rig.rows(Ticker)) >= sent["ticker"])
        assert len(rig.rows(OrderBook)) == sent["book"] > 2000
        assert len(rig.rows(Ticker)) == sent["ticker"] > 500
        assert len(rig.rows(Trade)) == exchange.truth.count()
        for book in rig.rows(OrderBook):
            assert book.best_bid < book.best_ask
            assert book.bids == sorted(book.bids, reverse=True)
            assert book.asks == sorted(book.asks)
            assert (book.best_bid, book.bid_size) == book.bids[0]
            assert len(book.bids) <= 50


async def test_coinbase_through_ccxt() -> None:
    market, both = Finite(3000, symbols=("BTC-USD", "ETH-USD"), trade_share=0.4), ("BTC/USD", "ETH/USD")
    async with (
        LocalExchange(market, venues=("coinbase",), timing=UNPACED) as exchange,
        collecting(exchange, name="coinbase", trades=both, ticker=both, orderbook=both, orderbook_depth=5) as rig,
    ):
        await rig.whole()
        await rig.whole("ETH-USD")
        for symbol in ("BTC-USD", "ETH-USD"):
            rows = {row.trade_id: row for row in rig.rows(Trade) if row.symbol == symbol}
            truth = exchange.truth.trades("coinbase", symbol)
            got = [(row.trade_id, row.price, row.amount, row.timestamp, row.side) for row in rows.values()]
            assert got == [(each.id, float(each.price), float(each.size), each.ts_us, each.taker) for each in truth]
        sent = exchange.truth.frames["coinbase"]
        await rig.until(lambda: len(rig.rows(OrderBook)) == sent["l2_data"] > 1000)
        assert len(rig.rows(Ticker)) == sent["ticker"] > 500


async def test_a_full_queue_stops_the_reading_and_loses_nothing() -> None:
    async with (
        kraken(Finite(15_000, trade_share=1.0)) as exchange,
        collecting(exchange, rows_max=400, trades=("BTC/USD",)) as rig,
    ):
        await rig.until(lambda: rig.intake.full_count)
        for _ in range(20):  # nobody takes anything
            await asyncio.sleep(0.02)
        assert rig.intake.rows < 500
        await rig.until(lambda: rig.all() and exchange.exhausted.is_set())
        await rig.whole()
        assert [row.trade_id for row in rig.rows(Trade)] == [t.id for t in exchange.truth.trades("kraken", "BTC-USD")]


@pytest.mark.parametrize("kind", ["close", "abort"])
async def test_a_disconnect_is_a_gap_of_known_size(kind: str) -> None:
    market = Finite(4000, rate=2000, trade_share=1.0)
    async with (
        kraken(market, timing=PACED, faults=[Fault(kind=kind, at=300)]) as exchange,
        collecting(exchange, retry_s=0.4, trades=("BTC/USD",)) as rig,
    ):
        await rig.whole()
        accounted(rig)
        assert rig.inlet.statistics.sessions == 1
        assert [gap.cause for gap in rig.rows(Gap)] == ["disconnect"]
        assert rig.rows(Gap)[0].rows_lost > 100


async def test_a_snapshot_that_covers_the_hole_fills_the_gap() -> None:
    market = Finite(25, rate=20, trade_share=1.0)  # fewer trades than a snapshot holds
    async with (
        kraken(market, timing=PACED, faults=[Fault(kind="abort", at=8)]) as exchange,
        collecting(exchange, trades=("BTC/USD",)) as rig,
    ):
        await rig.whole()
        accounted(rig)
        assert {gap.status for gap in rig.rows(Gap)} == {"filled"}
        assert {row.trade_id for row in rig.rows(Trade)} == {t.id for t in exchange.truth.trades("kraken", "BTC-USD")}


async def test_silence_ends_the_session() -> None:
    market = Finite(3000, rate=1000, trade_share=1.0)
    async with (
        kraken(market, timing=PACED, faults=[Fault(kind="stall", at=200, duration_s=60)]) as exchange,
        collecting(exchange, trades=("BTC/USD",), silence_timeout_s=0.5) as rig,
    ):
        await rig.whole()
        accounted(rig)
        assert [gap.cause for gap in rig.rows(Gap)] == ["silence"]


async def test_a_torn_frame_is_kept_and_the_stream_goes_on() -> None:
    async with (
        kraken(Finite(500, trade_share=1.0), faults=[Fault(kind="malformed", at=100, channel="trade")]) as exchange,
        collecting(exchange, trades=("BTC/USD",)) as rig,
    ):
        await rig.whole()
        accounted(rig)
        (reject,) = rig.rows(Reject)
        assert (reject.symbol, reject.channel) == ("unknown", "frames")
        assert reject.payload.startswith('{"channel":"trade"')
        assert rig.inlet.statistics.sessions == 0


async def test_a_torn_book_frame_gives_fresh_books() -> None:
    market = Finite(800, rate=400, trade_share=0.3)
    async with (
        kraken(market, timing=PACED, faults=[Fault(kind="malformed", at=60, channel="book")]) as exchange,
        collecting(exchange, trades=("BTC/USD",), orderbook=("BTC/USD",)) as rig,
    ):
        await rig.whole()
        accounted(rig)
        assert rig.inlet.statistics.sessions == 1
        assert len(rig.rows(Reject)) == 1
        assert ("orderbook", "sequence_break") in {(gap.channel, gap.cause) for gap in rig.rows(Gap)}
        assert all(book.best_bid < book.best_ask for book in rig.rows(OrderBook))


@pytest.mark.parametrize("price", ["-1", "0", "nan", "inf"])
async def test_an_impossible_price_is_rejected(price: str) -> None:
    async with (
        kraken(Finite(300, trade_share=1.0), faults=[Fault(kind="bad_price", at=50, price=price)]) as exchange,
        collecting(exchange, trades=("BTC/USD",)) as rig,
    ):
        await rig.whole()
        accounted(rig)
        (reject,) = rig.rows(Reject)
        assert '"trade_id":0' in reject.payload
        assert (reject.channel, reject.row_id) in {("trades", "0"), ("frames", None)}


async def test_an_unknown_symbol_is_refused_before_anything_is_subscribed() -> None:
    async with kraken(Finite(10)) as exchange:
        rig = Rig(exchange, rows_max=10, retry_s=1, trades=("BTC/UDS",))
        with pytest.raises(ExchangeRefused, match=r"kraken: no market BTC/UDS; similar: BTC/USD") as refused:
            await rig.collector.run()
        assert "settings" in refused.value.line()
        assert exchange.truth.frames["kraken"]["status"] == 0


async def test_a_refused_subscription_does_not_hang() -> None:
    async with kraken(Finite(10)) as exchange:
        rig = Rig(exchange, rows_max=10, retry_s=1, trades=("BTC/USD", "BTC/USD"))
        with pytest.raises(ExchangeRefused, match="Already subscribed"):
            await rig.collector.run()


async def test_a_closed_door_is_tried_again() -> None:
    async with kraken(Finite(200, trade_share=1.0)) as exchange:
        exchange.inject(Fault(kind="refuse", duration_s=3))
        async with collecting(exchange, retry_s=0.2, trades=("BTC/USD",)) as rig:
            await rig.until(lambda: rig.inlet.statistics.sessions)
            await rig.whole()
            accounted(rig)


async def test_rows_reach_the_lake(tmp_path: Path) -> None:
    lake, clock = Lake.under(tmp_path), SystemClock()
    epoch = epoch_name(clock.wall_ns(), 1)
    writer = StreamingParquetWriter(lake, WriterOptions(), epoch=epoch, clock=clock, disk=Disk())
    pipeline = IngestionPipeline(writer, PipelineOptions(), epoch=epoch, clock=clock)
    market = Finite(1000, trade_share=0.5)
    async with kraken(market) as exchange:
        urls = exchange.ccxt_urls("kraken")
        options = CcxtOptions("kraken", ("BTC/USD",), ("BTC/USD",), ("BTC/USD",), 10, urls=urls)
        collector = CcxtCollector(options, pipeline.inlet("ccxt", "kraken"), RetryPolicy())
        run = asyncio.create_task(pipeline.run([collector]))
        await exchange.exhausted.wait()
        sent = exchange.truth.frames["kraken"]
        wanted = {"trades": exchange.truth.count(), "ticker": sent["ticker"], "orderbook": sent["book"]}
        async with asyncio.timeout(30):
            while pipeline.statistics().rows_total < sum(wanted.values()) and not run.done():
                await asyncio.sleep(0.02)
        pipeline.stop()
        await run
    for table, count in wanted.items():
        files = list(lake.ready.glob(f"ccxt/{table}/exchange=kraken/symbol=BTC-USD/**/*.parquet"))
        assert sum(pl.read_parquet(file, hive_partitioning=False).height for file in files) == count > 0


def test_options_are_refused_early() -> None:
    with pytest.raises(ValueError, match="needs symbols"):
        CcxtOptions("kraken")
    with pytest.raises(ValueError, match="cannot name a partition"):
        CcxtOptions("kraken", trades=("BTC USD",))
    intake = Intake(bytes_max=1, rows_max=1)
    inlet = Inlet(Feed("ccxt", "krakn", "e"), intake, SystemClock())
    with pytest.raises(ValueError, match="no exchange 'krakn'; similar: kraken"):
        CcxtCollector(CcxtOptions("krakn", trades=("BTC/USD",)), inlet, RetryPolicy())
    assert CcxtOptions("coinbaseadvanced", trades=("BTC/USD",)).ccxt_id == "coinbase"
    assert "hush" not in repr(CcxtOptions("kraken", trades=("BTC/USD",), credentials={"secret": "hush"}))


KRAKEN_TRADE = {
    "symbol": "BTC/USD",
    "id": "4665906",
    "timestamp": 1695627989377,
    "side": "sell",
    "price": 0.5117,
    "amount": 40.0,
    "cost": 20.468,
    "info": {
        "symbol": "BTC/USD",
        "side": "sell",
        "price": 0.5117,
        "qty": 40.0,
        "trade_id": 4665906,
        "timestamp": "2023-09-25T07:46:29.377706Z",
    },
}


def test_kraken_trade() -> None:
    (row,) = TradeRows("kraken").rows([KRAKEN_TRADE])
    assert row == Trade("BTC-USD", 1695627989377706, "4665906", 4665906, "sell", "sell", 0.5117, 40.0)


def test_trades_of_one_millisecond_are_put_in_order_of_their_ids() -> None:
    rows = TradeRows("kraken").rows([KRAKEN_TRADE | {"id": "10"}, KRAKEN_TRADE | {"id": "9"}])
    assert [row.trade_id for row in rows] == ["9", "10"]


def test_binance_trade_keeps_texts_that_float64_cannot_hold() -> None:
    info = {"e": "trade", "s": "BTCUSDT", "t": 12345, "p": "0.12345678901234567", "q": "100.00000000", "m": True}
    trade = {"symbol": "BTC/USDT", "id": "12345", "timestamp": 1672515782136, "side": "sell", "info": info}
    (row,) = TradeRows("binance").rows([trade | {"price": 0.12345678901234567, "amount": 100.0, "cost": None}])
    assert (row.price_text, row.amount_text, row.amount) == ("0.12345678901234567", None, 100.0)
    assert (row.trade_seq, row.side, row.side_raw, row.timestamp) == (12345, "sell", "sell", 1672515782136000)


def test_coinbase_trade_names_the_makers_side() -> None:
    info = {"trade_id": "7", "product_id": "BTC-USD", "price": "1.5", "size": "2", "side": "BUY"}
    trade = {
        "symbol": "BTC/USD",
        "id": "7",
        "timestamp": None,
        "side": "buy",
        "price": 1.5,
        "amount": 2.0,
        "info": info,
    }
    for name in ("coinbase", "coinbaseadvanced"):
        (row,) = TradeRows(name).rows([trade])
        assert (row.side, row.side_raw, row.trade_seq, row.timestamp) == ("sell", "BUY", 7, None)


def test_an_unlisted_exchange_is_read_by_ccxts_word() -> None:
    info = {"side": "buy", "price": "3"}  # the maker's, as ccxt knows
    trade = {"symbol": "A/B:C", "id": "x7", "timestamp": 5, "side": "sell", "price": 3.0, "amount": 2.0, "cost": 600.0}
    (row,) = TradeRows("coinbaseexchange").rows([trade | {"info": info}])
    assert (row.symbol, row.side, row.side_raw, row.trade_seq, row.cost) == ("A-B_C", "sell", "sell", None, 600.0)


@pytest.mark.parametrize("change", [{"price": -1.0}, {"price": None}, {"amount": float("nan")}, {"amount": 0}])
def test_an_invalid_trade_is_a_reject_with_its_payload(change: dict[str, Any]) -> None:
    (row,) = TradeRows("kraken").rows([KRAKEN_TRADE | change])
    assert isinstance(row, Reject)
    assert (row.symbol, row.channel, row.row_id) == ("BTC-USD", "trades", "4665906")
    assert '"trade_id":4665906' in row.payload


def test_info_is_kept_where_asked_for() -> None:
    (row,) = TradeRows("kraken", keep_info=True).rows([KRAKEN_TRADE])
    assert '"qty":40.0' in row.info_json
    assert ticker_row({"symbol": "A/B", "info": {"a": 1}}, keep_info=True).info_json == '{"a":1}'


def test_a_book_is_cut_to_its_depth() -> None:
    book = {"bids": [[2.0, 1.0], [1.0, 5.0]], "asks": [[3.0, 1.0, 7], [4.0, 1.0, 2]], "nonce": 9, "timestamp": 12}
    row = book_row(book, "BTC/USD", 1)
    assert row == OrderBook("BTC-USD", 12000, 9, 2.0, 1.0, 3.0, 1.0, [(2.0, 1.0)], [(3.0, 1.0)])
    assert book_row({"bids": [], "asks": []}, "BTC/USD", 1).best_bid is None
    assert isinstance(book_row(book | {"bids": [[2.0, -1.0]]}, "BTC/USD", 1), Reject)
