"""A line's replacements by their rules alone: connections are stand-ins, no socket is open."""

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ingestion.collectors import line as line_module
from ingestion.collectors.base_collector import SessionEnd
from ingestion.collectors.line import Line, Surroundings
from ingestion.continuity import Feed
from ingestion.exchanges.protocol import Subscription
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.retry import RetryPolicy
from ingestion.shards import Shard
from shared.clock import Clock, SystemClock
from shared.rows import Row, Trade
from tests.ingestion.writers.lake_rows import StepClock

STREAM = Subscription("trades", "BTC-USD", "BTC/USD")


class StandIn:
    """A connection that is open at once and brings what a test gives it."""

    made: list["StandIn"]

    def __init__(self, number: int, *, url: str, session: Any, venue: Any, owner: Line) -> None:
        self.number, self.url, self.session = number, url, session
        self.sift: Any = None
        self.stored: Any = None
        self.opened_ns, self.has_asked, self.rows, self.age_s = 1, True, 1, 1.0
        self.looks = 0  # how often somebody asked what time it is here
        self._inlet, self._over = venue.inlet, asyncio.Event()
        self.made.append(self)

    @property
    def now_s(self) -> float:
        self.looks += 1
        return self._inlet.clock.mono_ns() / 1e9

    async def run(self) -> SessionEnd:
        await self._over.wait()
        return SessionEnd("replaced", "")

    async def close(self) -> None:
        self._over.set()

    def brings(self, *numbers: int) -> None:
        rows: Sequence[Row] = [Trade("BTC-USD", 1, str(each), each, "buy", "BUY", 1.0, 1.0) for each in numbers]
        if self.sift is not None:
            rows = self.sift(rows, 1, 1)
        self._inlet.take(rows, 1, 1, 0)
        if self.stored is not None:
            self.stored()


class AtWork:
    """A line that runs."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.intake = Intake(bytes_max=1 << 20, rows_max=1000)
        inlet = Inlet(Feed("native", "kraken", "20260101T000000Z-0000"), self.intake, clock or SystemClock())
        profile = SimpleNamespace(limits=SimpleNamespace(lifetime_s=None))
        exchange = SimpleNamespace(profile=profile, session=lambda _: SimpleNamespace(unconfirmed=set()))
        venue: Any = SimpleNamespace(inlet=inlet, exchange=exchange, has_delivered=True, rotating=asyncio.Lock())
        shard = Shard(1, "ws://127.0.0.1:9", frozenset({STREAM}))
        self.line = Line(shard, Surroundings(venue, RetryPolicy(), random.Random(1)))
        self._task = asyncio.create_task(self.line.run())

    async def until_made(self, count: int) -> StandIn:
        async with asyncio.timeout(30):
            while len(StandIn.made) < count:
                await asyncio.sleep(0.01)
        return StandIn.made[-1]

    async def stop(self) -> list[int | None]:
        """Cancel it; the trades that were stored."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        rows = [row for capture in self.intake.take(rows=1000) for row in capture.rows]
        return [row.trade_seq for row in rows if isinstance(row, Trade)]


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn.made = []
    monkeypatch.setattr(line_module, "Connection", StandIn)


async def test_trades_that_wait_in_a_handover_are_stored_when_it_is_cancelled() -> None:
    work = AtWork()
    old = await work.until_made(1)
    old.brings(1, 2, 3)
    work.line.rotate("a test")
    new = await work.until_made(2)
    new.brings(6, 7)
    assert await work.stop() == [1, 2, 3, 6, 7]


async def test_what_is_wished_during_a_replacement_is_done_after_it() -> None:
    work = AtWork()
    await work.until_made(1)
    work.line.rotate("one reason")
    await work.until_made(2)
    work.line.rotate("the settings changed meanwhile")
    await work.until_made(3)
    await work.stop()


async def test_a_venue_that_sends_each_connection_away_at_once_is_not_obeyed_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_module, "_LOOK_S", 0.01)
    clock = StepClock()
    work = AtWork(clock)
    young = await work.until_made(1)
    work.line.leaving(young, "the venue closes for maintenance")  # of the age of one second
    clock.now_ns += 8_900_000_000
    looks = young.looks
    async with asyncio.timeout(30):
        while young.looks < looks + 3:
            await asyncio.sleep(0.01)
    assert StandIn.made == [young]
    clock.now_ns += 200_000_000
    await work.until_made(2)
    await work.stop()


async def test_a_connection_that_has_lasted_is_replaced_as_soon_as_the_venue_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_module, "_LOOK_S", 0.01)
    work = AtWork(StepClock())
    old = await work.until_made(1)
    old.age_s = 60.0
    work.line.leaving(old, "the venue closes for maintenance")
    await work.until_made(2)  # though no time passes on the clock
    await work.stop()
