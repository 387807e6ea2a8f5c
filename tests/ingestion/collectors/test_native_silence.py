"""A native connection that acknowledges a stream and sends nothing on it, while all else goes on. Real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ingestion.collectors import native_silence
from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.continuity import Feed
from ingestion.exchanges.kraken import Kraken
from ingestion.exchanges.protocol import SessionOptions, Subscription
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.retry import RetryPolicy
from ingestion.silence import SilenceRules
from ingestion.simulator.exchange import LocalExchange
from ingestion.simulator.kraken import KrakenSession
from shared.clock import SystemClock
from shared.rows import Gap, L2Message, Row, Trade
from tests.ingestion.collectors.test_ccxt_collector import PACED, Finite, kraken

QUICK = SilenceRules(floor_s=1.0, unheard_s=1.5, second_look_s=0.5, looks_per_minute=600)
STREAMS = (("trades", "BTC"), ("trades", "ETH"), ("l2", "BTC"), ("l2", "ETH"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_silence, "SAMPLE_S", 0.1)
    monkeypatch.setattr(native_silence, "GRACE_S", 0.3)


class Mute:
    """Says nothing of one channel of ETH on the first connection, from some frame on until it is subscribed to anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, channel: str, *, after: int) -> None:
        self.asked = 0
        self._told, self._channel, self._after = 0, channel, after
        publish, receive = KrakenSession.publish, KrakenSession.receive

        def heard(session: Any, message: bytes, now_ns: int) -> Any:
            if b'"subscribe"' in message and f'"{channel}"'.encode() in message and b"ETH/USD" in message:
                self.asked += 1
            return receive(session, message, now_ns)

        def said(session: Any, moment: Any) -> Any:
            return [each for each in publish(session, moment) if not self._swallows(moment.symbol, each.channel)]

        monkeypatch.setattr(KrakenSession, "receive", heard)
        monkeypatch.setattr(KrakenSession, "publish", said)

    def _swallows(self, symbol: str, channel: str) -> bool:
        if symbol != "ETH-USD" or channel != self._channel or self.asked > 1:
            return False
        self._told += 1
        return self._told > self._after


class Rig:
    def __init__(self, exchange: LocalExchange) -> None:
        session = SessionOptions(ws_url=exchange.kraken_ws_url, rest_url=f"{exchange.kraken_rest_url}/0/public")
        wanted = tuple(Subscription(table, f"{base}-USD", f"{base}/USD") for table, base in STREAMS)
        self.intake = Intake(bytes_max=1 << 30, rows_max=1 << 30)
        self.inlet = Inlet(Feed("native", "kraken", "e"), self.intake, SystemClock())
        options = NativeOptions(Kraken(session), wanted, silence_timeout_s=30, silence=QUICK)
        self.collector = NativeCollector(options, self.inlet, RetryPolicy(0.02, 0.02))
        self.taken: list[Row] = []

    def rows(self, kind: type[Any], symbol: str) -> list[Any]:
        for capture in self.intake.take(rows=1 << 30):
            self.taken += capture.rows
        return [row for row in self.taken if type(row) is kind and row.symbol == symbol]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.05)


@asynccontextmanager
async def collecting(exchange: LocalExchange) -> AsyncIterator[Rig]:
    rig = Rig(exchange)
    task = asyncio.create_task(rig.collector.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("after", [0, 200])
@pytest.mark.parametrize(("channel", "table", "kind"), [("trade", "trades", Trade), ("book", "l2", L2Message)])
async def test_a_mute_stream_alone_is_asked_for_anew(
    channel: str, table: str, kind: type[Row], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = Mute(monkeypatch, channel, after=after)
    market = Finite(20_000, rate=1000, symbols=("BTC-USD", "ETH-USD"), trade_share=0.5)
    async with kraken(market, timing=PACED) as exchange, collecting(exchange) as rig:
        await rig.until(lambda: rig.inlet.statistics.silences)
        before = len(rig.rows(kind, "ETH-USD"))
        await rig.until(lambda: mute.asked > 1 and len(rig.rows(kind, "ETH-USD")) > before + 20)
        assert rig.inlet.statistics.silences == 1
        assert [line["reconnects"] + line["rotations"] for line in rig.collector.report()] == [0]
        holes = [gap for gap in rig.rows(Gap, "ETH-USD") if gap.cause == "silence"]
        assert [gap.channel for gap in holes] == [table]
        if table == "trades":  # a book's snapshot is data
            assert ("but no data" in holes[0].evidence) is (after == 0)
        if table == "trades" and after:
            stored = {row.trade_seq for row in rig.rows(Trade, "ETH-USD")}
            missing = set(range(int(holes[0].prev_id) + 1, int(holes[0].next_id)))
            assert len(missing) == holes[0].rows_lost
            assert not missing & stored
        assert not [gap for gap in rig.rows(Gap, "BTC-USD") if gap.rows_lost != 0 and gap.channel in {"trades", "l2"}]


async def test_a_quiet_market_is_looked_at_and_left_alone() -> None:
    async with kraken(Finite(60, rate=100, trade_share=0.5), timing=PACED) as exchange, collecting(exchange) as rig:
        await rig.until(lambda: rig.inlet.statistics.silence_looks >= 3)
        assert rig.inlet.statistics.silences == 0
        assert not [gap for gap in rig.rows(Gap, "BTC-USD") if gap.cause == "silence"]
