"""How capture ends: whatever ends it, every numbered row reaches the lake, unless the writer itself failed."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from structlog.testing import capture_logs

from config.config import load_config
from ingestion.collectors.base_collector import BaseCollector, SessionEnd
from ingestion.continuity import Feed
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.pipeline import PipelineOptions
from ingestion.retry import RetryPolicy
from scripts import ingest
from shared.clock import boot_id
from shared.errors import ExchangeRefused, SettingsInvalid
from shared.partitioning import Lake
from shared.rows import Row, Ticker, Trade
from storage.locks import hold
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
    assert bronze(lake, "ticker").height == run.inlet.statistics.rows > 3
    assert list(lake.active.iterdir()) == []


async def test_garbage_is_looked_for_rarely_while_it_captures_and_as_usual_after_it_however_it_ended(
    lake: Lake,
) -> None:
    async def failing(_: Inlet) -> SessionEnd:
        seen.append((*gc.get_threshold(), gc.get_freeze_count() > 0))
        raise RuntimeError("boom")

    run, seen = Run(lake), list[tuple[int | bool, ...]]()
    usual, frozen = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(RuntimeError, match="boom"):
        await run.pipeline.run([Scripted(run.inlet, failing)])
    assert seen == [(50_000, *usual[1:], True)]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (usual, frozen)


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
    assert bronze(lake, "ticker").height == run.inlet.statistics.rows > 3


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
    gaps = bronze(lake, "gaps")
    assert sorted(gaps.filter(pl.col("cause") == "journal_damage")["gap_id"]) == sorted(declared)
    assert sorted(gaps.filter(pl.col("cause") == "restart")["symbol"]) == [f"S{n}-USD" for n in range(4)]
    assert [path.name for path in lake.quarantine.iterdir()] == [journal.name]


async def test_a_heartbeat_that_cannot_be_written_is_said_once_and_capture_goes_on(lake: Lake, tmp_path: Path) -> None:
    run = Run(lake, options=PipelineOptions(heartbeat_s=0.01))
    with capture_logs() as lines:
        running = asyncio.create_task(
            run.pipeline.run([Scripted(run.inlet, healthy)], heartbeat=tmp_path / "gone" / "ingestion.json")
        )
        while run.inlet.statistics.rows <= 3 or not any("cannot be written" in line["event"] for line in lines):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # ten more beats, of which nothing is said
        assert run.pipeline.statistics().boot == boot_id()
        run.pipeline.stop()
        await running
    assert [line["log_level"] for line in lines if "cannot be written" in line["event"]] == ["warning"]
    assert bronze(lake, "ticker").height == run.inlet.statistics.rows > 3


class HandClock:
    """A clock that stands still unless somebody sleeps by it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def wall_ns(self) -> int:
        return 1_780_000_000_000_000_000 + self.mono_ns()

    def mono_ns(self) -> int:
        return round(self.now_s * 1e9)


class Cut(BaseCollector):
    """Sessions that the exchange ends after a fixed time; `waited` is how long each next one was waited for."""

    def __init__(self, lasts_s: float, rows: tuple[Row, ...]) -> None:
        self.clock, self.waited, self._lasts_s, self._rows = HandClock(), list[float](), lasts_s, rows
        feed = Feed("native", "coinbaseadvanced", "e")
        inlet = Inlet(feed, Intake(bytes_max=1 << 20, rows_max=1000), self.clock)
        super().__init__(inlet, RetryPolicy(1.0, 60.0), sleep=self._wait)

    async def session(self) -> SessionEnd:
        await put(self.inlet, *self._rows)
        self.clock.now_s += self._lasts_s
        return SessionEnd("disconnect", "closed by the exchange")

    async def _wait(self, delay_s: float) -> None:
        self.waited.append(delay_s)
        self.clock.now_s += delay_s
        if len(self.waited) == 20:
            raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("lasts_s", "rows", "longest_s"),
    [(50.0, (ticker(),), 1.0), (5.0, (ticker(),), 1.0), (50.0, (), 60.0), (0.3, (ticker(),), 60.0)],
    ids=["healthy", "short", "without rows", "cut sooner than waited"],
)
async def test_the_back_off_begins_anew_after_a_session_longer_than_the_wait_for_it(
    lasts_s: float, rows: tuple[Row, ...], longest_s: float
) -> None:
    collector = Cut(lasts_s, rows)
    with pytest.raises(asyncio.CancelledError):
        await collector.run()
    assert longest_s / 2 <= max(collector.waited) <= longest_s


def test_a_lock_taken_in_one_thread_is_released_from_another(tmp_path: Path) -> None:
    held = hold(tmp_path / "collector.lock", hint="")
    with ThreadPoolExecutor(1) as other:
        other.submit(held.release).result()
    hold(tmp_path / "collector.lock", hint="").release()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_recovery_that_fails_leaves_the_lake_free(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no recovery")

    open_before = open_files()
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.writers.parquet_writer.recover", fail)
        with pytest.raises(RuntimeError, match="no recovery") as raised:
            Run(lake)
    assert open_files() == open_before, raised.traceback  # held, and with it all that could otherwise be collected
    Run(lake, number=1).pipeline._writer.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{}", "nothing to capture"),
        ("ccxt: {exchanges: {krakn: {channels: {watchTrades: [BTC/USD]}}}}", "no exchange 'krakn'; similar: kraken"),
        (
            "ccxt: {exchanges: {coinbase: {channels: {watchTrades: [BTC/USD]}}, "
            "coinbaseadvanced: {channels: {watchTicker: [BTC/USD]}}}}",
            "ccxt.exchanges.coinbase and ccxt.exchanges.coinbaseadvanced are one exchange",
        ),
    ],
)
async def test_settings_that_cannot_be_collected_leave_no_trace(tmp_path: Path, settings: str, message: str) -> None:
    file = tmp_path / "config.yaml"
    paths = f'raw_dir: "{tmp_path}/raw", processed_dir: "{tmp_path}/processed", state_dir: "{tmp_path}/state"'
    file.write_text((settings if settings != "{}" else "") + f"\nstorage: {{paths: {{{paths}}}}}\n")
    with pytest.raises(SettingsInvalid, match=message):
        await ingest.run(load_config(file))
    assert list(tmp_path.iterdir()) == [file]
