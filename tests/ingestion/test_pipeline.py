"""How capture ends: whatever ends it, every numbered row reaches the lake, unless the writer itself failed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingestion.collectors.base_collector import BaseCollector, SessionEnd
from ingestion.inlet import Inlet
from ingestion.pipeline import PipelineOptions
from ingestion.retry import RetryPolicy
from shared.errors import ExchangeRefused
from shared.partitioning import Lake
from shared.rows import Row, Ticker, Trade
from tests.ingestion.collecting import Run, bronze

SLOW = PipelineOptions(flush_interval_s=0.5, journal_sync_s=30)  # rows are still in the queue at the end


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.under(tmp_path)


class Scripted(BaseCollector):
    """A collector whose session is a function of a test."""

    def __init__(self, inlet: Inlet, body: Callable[[Inlet], Awaitable[SessionEnd]]) -> None:
        super().__init__(inlet, RetryPolicy(0.01, 0.02))
        self._body = body

    async def session(self) -> SessionEnd:
        return await self._body(self.inlet)


async def put(inlet: Inlet, *rows: Row) -> None:
    await inlet.put(rows, wall_ns=inlet.clock.wall_ns(), mono_ns=inlet.clock.mono_ns(), frame_bytes=100)


def ticker() -> Ticker:
    return Ticker("BTC-USD", 1, bid=1.0)


async def healthy(inlet: Inlet) -> SessionEnd:
    while True:
        await put(inlet, ticker())
        await asyncio.sleep(0.001)


async def refused(_: Inlet) -> SessionEnd:
    await asyncio.sleep(0.1)
    return SessionEnd("refused", "no such symbol")


async def broken(_: Inlet) -> SessionEnd:
    await asyncio.sleep(0.1)
    raise ExceptionGroup("of a session", [RuntimeError("boom")])


@pytest.mark.parametrize(("body", "error"), [(refused, ExchangeRefused), (broken, RuntimeError)])
async def test_what_one_collector_numbered_is_stored_when_another_fails(
    lake: Lake, body: Callable[[Inlet], Awaitable[SessionEnd]], error: type[Exception]
) -> None:
    run = Run(lake, options=SLOW)
    collectors = [Scripted(run.inlet, healthy), Scripted(run.pipeline.inlet("ccxt", "kraken"), body)]
    with pytest.raises(error):
        await run.pipeline.run(collectors)
    assert bronze(lake, "ticker").height == run.inlet.statistics.rows > 10
    assert list(lake.active.iterdir()) == []


async def test_what_is_queued_is_stored_when_a_collector_fails_while_stopping(lake: Lake) -> None:
    async def bad_loser(_: Inlet) -> SessionEnd:
        try:
            return await asyncio.Future()
        finally:
            raise RuntimeError("close failed")

    run = Run(lake, options=SLOW)
    collectors = [Scripted(run.inlet, healthy), Scripted(run.pipeline.inlet("ccxt", "kraken"), bad_loser)]
    running = asyncio.create_task(run.pipeline.run(collectors))
    await asyncio.sleep(0.1)
    run.pipeline.stop()
    with pytest.raises(RuntimeError, match="close failed"):
        await running
    assert bronze(lake, "ticker").height == run.inlet.statistics.rows > 10


async def test_a_writer_that_fails_ends_capture_at_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("writer failed")

    async def flood(inlet: Inlet) -> SessionEnd:
        while True:
            await put(inlet, *[ticker()] * 10)

    run = Run(lake, options=PipelineOptions(queue_rows_max=50))
    monkeypatch.setattr("ingestion.writers.parquet_writer.StreamingParquetWriter.append", fail)
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="writer failed"):
            await run.pipeline.run([Scripted(run.inlet, flood)])
    Run(lake, number=1).pipeline._writer.close()  # the lake is free again


async def test_a_damaged_journal_goes_when_all_its_gaps_are_stored(lake: Lake) -> None:
    crashed = Run(lake)
    writer, offsets = crashed.pipeline._writer, []
    for number in range(40):
        await put(crashed.inlet, *(Trade(f"S{number % 4}-USD", 1, str(i), i, "buy", "BUY", 1.0, 1.0) for i in (1, 2)))
        offsets.append(writer.journal_bytes)
        writer.append(crashed.pipeline._intake.take(rows=10))
    writer.sync()
    (journal,) = lake.active.glob("*.journal")
    writer.abandon()
    data = bytearray(journal.read_bytes())
    for number in range(8, 32, 8):
        for offset in offsets[number : number + 4]:
            data[offset + 40 : offset + 48] = bytes(8)
    journal.write_bytes(data)

    run = Run(lake, number=1, options=PipelineOptions(batch_size=3, flush_interval_s=0.01, journal_sync_s=0.001))
    declared = [gap.gap.gap_id for commit in run.pipeline._writer.recovered.damaged for gap in commit.gaps]
    assert len(declared) > 6
    forget, left = run.pipeline._writer.forget_damage, []

    def forget_damage() -> None:
        left.append(len(declared) - sum(run.pipeline._writer.sync().values()))
        forget()

    run.pipeline._writer.forget_damage = forget_damage  # type: ignore[method-assign]
    run.pipeline.stop()
    await run.pipeline.run([])
    assert left == [0]
    assert sorted(bronze(lake, "gaps")["gap_id"]) == sorted(declared)
    assert [path.name for path in lake.quarantine.iterdir()] == [journal.name]


async def test_a_heartbeat_that_cannot_be_written_is_said_once_and_capture_goes_on(lake: Lake, tmp_path: Path) -> None:
    run = Run(lake, options=PipelineOptions(heartbeat_s=0.01))
    with capture_logs() as lines:
        running = asyncio.create_task(
            run.pipeline.run([Scripted(run.inlet, healthy)], heartbeat=tmp_path / "gone" / "ingestion.json")
        )
        await asyncio.sleep(0.3)
        run.pipeline.stop()
        await running
    assert [line["log_level"] for line in lines if "heartbeat" in line["event"]] == ["warning"]
    assert bronze(lake, "ticker").height == run.inlet.statistics.rows > 10
