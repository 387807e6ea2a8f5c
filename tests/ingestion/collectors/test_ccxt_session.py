"""What ends a ccxt session and what does not: ccxt's own bugs and dead streams. Real sockets."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import ccxt.pro
import pytest

from ingestion.collectors import ccxt_session, ccxt_silence
from ingestion.collectors.ccxt_collector import CcxtCollector, CcxtOptions
from ingestion.continuity import Feed
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.retry import RetryPolicy
from ingestion.silence import SilenceRules
from ingestion.simulator.kraken import KrakenSession
from shared.clock import SystemClock
from shared.rows import Gap, Instrument, OrderBook, Trade
from tests.ingestion.collectors.test_ccxt_collector import PACED, Finite, Rig, collecting, kraken

BOTH = ("BTC/USD", "ETH/USD")
QUICK = SilenceRules(floor_s=1.0, unheard_s=1.5, second_look_s=0.5, looks_per_minute=600)


@pytest.fixture(autouse=True)
def _no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ccxt.pro.kraken.describe
    monkeypatch.setattr(ccxt.pro.kraken, "describe", lambda self: own(self) | {"rateLimit": 1})


def failing(times: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which raises as a bug would for so many calls first."""
    calls = iter(range(times))

    async def call(self: Any, *args: Any, **options: Any) -> Any:
        if next(calls, None) is not None:
            raise KeyError("quote")
        return await method(self, *args, **options)

    return call


@pytest.mark.parametrize("name", ["fetch_markets", "watch_order_book", "watch_trades_for_symbols"])
async def test_a_bug_of_ccxt_costs_sessions_and_not_the_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt.pro.kraken, name, failing(2, getattr(ccxt.pro.kraken, name)))
    market = Finite(600, rate=400, symbols=("BTC-USD", "ETH-USD"), trade_share=0.5)
    async with (
        kraken(market, timing=PACED) as exchange,
        collecting(exchange, trades=BOTH, orderbook=("BTC/USD",)) as rig,
    ):
        await rig.whole()
        assert rig.inlet.statistics.sessions == 2
        assert rig.rows(OrderBook)


async def test_a_bug_that_stays_is_tried_again_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt.pro.kraken, "load_markets", failing(1 << 30, ccxt.pro.kraken.load_markets))
    inlet = Inlet(Feed("ccxt", "kraken", "e"), Intake(bytes_max=1 << 20, rows_max=100), SystemClock())
    collector = CcxtCollector(CcxtOptions("kraken", trades=("BTC/USD",)), inlet, RetryPolicy(1.0, 60.0))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            raise asyncio.CancelledError

    collector._sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        await collector.run()
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits[:6]))
    assert max(waits) <= 60
    end = await collector.session()
    assert (end.cause, end.evidence) == ("disconnect", "ccxt failed: KeyError: 'quote'")


async def test_a_bug_of_ours_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise AssertionError("ours")

    async with kraken(Finite(100, trade_share=1.0)) as exchange:
        rig = Rig(exchange, rows_max=1000, retry_s=1, trades=("BTC/USD",))
        monkeypatch.setattr(rig.inlet, "take", broken)
        async with asyncio.timeout(20):
            with pytest.raises(AssertionError, match="ours"):
                await rig.collector.run()


def muted(symbol: str, *, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first connection is told nothing of a symbol after so many frames; acks and heartbeats go on."""
    own, first, told = KrakenSession.publish, [], []

    def publish(self: Any, moment: Any) -> Any:
        if not first:
            first.append(self)
        if self is first[0] and moment.symbol == symbol:
            if len(told) >= after:
                return []
            told.append(moment)
        return own(self, moment)

    monkeypatch.setattr(KrakenSession, "publish", publish)


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_silence, "SAMPLE_S", 0.1)
    monkeypatch.setattr(ccxt_silence, "GRACE_S", 0.3)


@pytest.mark.parametrize("after", [0, 300])
async def test_a_stream_that_says_nothing_is_found_and_comes_back(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    muted("ETH-USD", after=after, monkeypatch=monkeypatch)
    market = Finite(9000, rate=800, symbols=("BTC-USD", "ETH-USD"), trade_share=1.0)
    async with (
        kraken(market, timing=PACED) as exchange,
        collecting(exchange, trades=BOTH, silence=QUICK) as rig,
    ):
        await rig.until(lambda: rig.inlet.statistics.silences)
        before = len([row for row in rig.rows(Trade) if row.symbol == "ETH-USD"])
        assert len([row for row in rig.rows(Trade) if row.symbol == "BTC-USD"]) > before
        await rig.whole("ETH-USD")
        assert rig.inlet.statistics.silences == 1
        assert rig.inlet.statistics.sessions == 1
        gaps = {gap.symbol: gap for gap in rig.rows(Gap)}
        sent = {int(each.id) for each in exchange.truth.trades("kraken", "ETH-USD")}
        stored = {row.trade_seq for row in rig.rows(Trade) if row.symbol == "ETH-USD"}
        assert (gaps["ETH-USD"].cause, gaps["BTC-USD"].cause) == ("silence", "disconnect")
        if after:
            assert "no row for" in gaps["ETH-USD"].evidence
            assert "REST has trade" in gaps["ETH-USD"].evidence
            assert gaps["ETH-USD"].rows_lost == len(sent - stored) > 0
        else:
            assert "but no data" in gaps["ETH-USD"].evidence
            assert gaps["ETH-USD"].rows_lost is None


async def test_a_quiet_market_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    async with (
        kraken(Finite(50, rate=100, trade_share=1.0), timing=PACED) as exchange,
        collecting(exchange, trades=("BTC/USD",), silence=QUICK) as rig,
    ):
        await rig.whole()
        await rig.until(lambda: rig.inlet.statistics.silence_looks >= 2)
        assert (rig.inlet.statistics.silences, rig.inlet.statistics.sessions) == (0, 0)


async def test_instruments_are_stored_once_data_flows_and_daily(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt_session, "_INSTRUMENTS_EVERY_S", 1.0)
    market = Finite(4000, rate=1000, symbols=("BTC-USD", "ETH-USD"), trade_share=1.0)
    async with kraken(market, timing=PACED) as exchange, collecting(exchange, trades=BOTH) as rig:
        await rig.until(lambda: len(rig.rows(Instrument)) >= 4)
        rows = {row.symbol: row for row in rig.rows(Instrument)}
    row = rows["BTC-USD"]
    assert (row.raw_symbol, row.kind, row.base, row.quote) == ("XXBTZUSD", "spot", "BTC", "USD")
    assert (row.tick_size, row.lot_size, row.amount_min, row.cost_min) == (0.1, 1e-8, 1e-8, 0.5)
    assert (row.status, row.is_inverse, row.info_json) == ("active", None, None)


async def test_snapshots_of_a_book_keep_their_interval() -> None:
    market = Finite(3000, rate=1000, trade_share=0.2)
    async with (
        kraken(market, timing=PACED) as exchange,
        collecting(exchange, orderbook=("BTC/USD",), orderbook_interval_s=0.5, orderbook_depth=7) as rig,
    ):
        moments = []
        own = rig.inlet.take

        def take(rows: Any, wall_ns: int, mono_ns: int, frame_bytes: int) -> None:
            moments.extend(mono_ns for row in rows if isinstance(row, OrderBook))
            own(rows, wall_ns, mono_ns, frame_bytes)

        rig.inlet.take = take
        await exchange.exhausted.wait()
        assert 3 <= len(moments) <= 8
        assert all(b - a >= 500_000_000 for a, b in pairwise(moments))
        assert {len(row.bids) for row in rig.rows(OrderBook)} == {7}
