"""Clock steps, latencies and what time daemons say."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion import rounds
from ingestion.continuity import Feed
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.rounds import Rounds
from ingestion.timekeeping import (
    WINDOW_NS,
    WINDOW_ROWS_MAX,
    ClockSample,
    LatencyWindow,
    StepDetector,
    chrony_sample,
    timesyncd_sample,
)
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from scripts.check import examine
from shared.disk import Disk
from shared.partitioning import Lake, Partition, epoch_name
from shared.rows import Gap, Row, Trade
from storage.inspection import Scope
from tests.ingestion.collecting import Run, bronze, events

SECOND_NS = 1_000_000_000
WALL_NS = 1_780_000_000 * SECOND_NS
STEP_NS = 100_000_000
SAID = "C0248F82,ntp.example,2,1780000000.1,0.000123,-0.00001,0.00002,-7.1,0.0,0.04,0.02,0.001,64.2,Normal"


class SettableClock:
    """Two clocks that a test moves apart."""

    def __init__(self) -> None:
        self.mono, self.offset = 0, WALL_NS

    def wall_ns(self) -> int:
        return self.mono + self.offset

    def mono_ns(self) -> int:
        return self.mono


def detector() -> StepDetector:
    return StepDetector(STEP_NS)


@given(st.lists(st.integers(-83_000_000, 83_000_000), max_size=50))
def test_slewing_is_no_step_however_long_it_goes_on(drifts_ns: list[int]) -> None:
    one, clock = detector(), SettableClock()
    for drift_ns in drifts_ns:
        clock.mono += SECOND_NS
        clock.offset += drift_ns
        assert one.sample(clock.mono, clock.wall_ns(), clock.mono) is None


@given(st.integers(STEP_NS + 1, 10**15), st.sampled_from([1, -1]))
def test_a_step_is_told_once_with_both_offsets(size_ns: int, sign: int) -> None:
    one, clock = detector(), SettableClock()
    assert one.sample(clock.mono, clock.wall_ns(), clock.mono) is None
    before_ns = clock.wall_ns()
    clock.mono += SECOND_NS
    clock.offset += sign * size_ns
    step = one.sample(clock.mono, clock.wall_ns(), clock.mono)
    assert step
    assert (step.before_ns, step.after_ns) == (WALL_NS, WALL_NS + sign * size_ns)
    assert (step.last_wall_ns, step.wall_ns) == (before_ns, clock.wall_ns())
    assert ("forward" if sign > 0 else "back") in step.evidence
    clock.mono += SECOND_NS
    assert one.sample(clock.mono, clock.wall_ns(), clock.mono) is None


def test_a_late_sample_allows_for_a_longer_slew_and_an_interrupted_one_says_nothing() -> None:
    one = detector()
    one.sample(0, WALL_NS, 0)
    assert one.sample(10 * SECOND_NS, WALL_NS + 10 * SECOND_NS + 9 * STEP_NS, 10 * SECOND_NS) is None
    assert one.sample(11 * SECOND_NS, WALL_NS + 50 * SECOND_NS, 12 * SECOND_NS) is None
    assert one.sample(13 * SECOND_NS, WALL_NS + 13 * SECOND_NS + 9 * STEP_NS, 13 * SECOND_NS) is None


def test_a_threshold_that_everything_passes_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        StepDetector(0)


def test_latencies_are_those_of_ten_minutes_may_be_negative_and_are_bounded() -> None:
    window = LatencyWindow()
    assert window.measured(0) is None
    for second, latency_us in enumerate((-1_260_000, 40_000, 50_000)):
        window.add(second * SECOND_NS, latency_us)
    assert window.measured(2 * SECOND_NS) == (-1_260_000, 40_000)
    assert window.measured(WINDOW_NS + 1) == (40_000, 45_000)
    for at in range(5 * WINDOW_ROWS_MAX):
        window.add(WINDOW_NS + at, at)
    assert window.measured(WINDOW_NS) == (4 * WINDOW_ROWS_MAX, round((4 + 5) * WINDOW_ROWS_MAX / 2 - 0.5))
    window.forget()
    assert window.measured(WINDOW_NS) is None


@pytest.mark.parametrize(
    "text",
    ["", "x", SAID.replace("Normal", "Not synchronised"), SAID.replace("0.000123", "nan"), "506 Cannot talk to daemon"],
)
def test_chrony_that_knows_nothing_gives_no_sample(text: str) -> None:
    assert chrony_sample(text) is None


def test_timesyncd_says_how_far_behind_we_are() -> None:
    text = "       Server: 203.0.113.7 (ntp.example)\nPoll interval: 34min 8s (min: 32s; max 34min 8s)\n"
    text += "      Stratum: 2\n       Offset: +1.234ms\n        Delay: 11.5ms\n       Jitter: 500us\n"
    assert timesyncd_sample(text) == ClockSample("timesyncd", -0.001234, 2)
    assert timesyncd_sample("Server: n/a\n") is None
    assert timesyncd_sample(text.replace("+1.234ms", "n/a")) is None


@given(
    st.text(max_size=200) | st.from_regex(r"(Offset|Stratum|: ?|[+-]?\d{1,400}(us|ms|s)|\n| ){1,20}", fullmatch=True)
)
@example(": ")
def test_whatever_a_daemon_prints_is_read_without_an_error(text: str) -> None:
    chrony_sample(text)
    timesyncd_sample(text)


def walking(clock: SettableClock) -> tuple[Rounds, Inlet, Callable[[], list[Gap]]]:
    intake = Intake(bytes_max=1 << 20, rows_max=1000)
    inlet = Inlet(Feed("native", "coinbaseadvanced", "e"), intake, clock)

    def told() -> list[Gap]:
        captures = intake.take(rows=1000)
        return [row for capture in captures for row in capture.rows if isinstance(row, Gap)]

    return Rounds([inlet], clock, clock_step_ns=STEP_NS), inlet, told


def put(inlet: Inlet, *rows: Row) -> None:
    inlet.take(rows, inlet.clock.wall_ns(), inlet.clock.mono_ns(), 100)


def test_a_step_is_a_row_of_each_feed_and_counted() -> None:
    clock = SettableClock()
    walk, inlet, told = walking(clock)
    walk.go()
    clock.mono += SECOND_NS
    clock.offset -= 3600 * SECOND_NS
    walk.go()
    (row,) = told()
    assert (row.cause, row.symbol, row.channel, row.status, row.rows_lost) == ("clock_step", "all", "all", "filled", 0)
    assert (row.start_ts, row.end_ts) == (WALL_NS // 1000, clock.wall_ns() // 1000)
    assert str(WALL_NS) in (row.evidence or "")
    assert (walk.statistics["steps"], inlet.statistics.clock_steps) == (1, 1)
    assert (inlet.statistics.gaps, inlet.statistics.rows) == (0, 0)


def test_latency_is_sampled_from_the_newest_row_and_forgotten_at_a_step() -> None:
    clock = SettableClock()
    walk, inlet, _ = walking(clock)
    ahead_us = clock.wall_ns() // 1000 + 1_260_000
    put(inlet, Trade("BTC-USD", ahead_us, "1", 1, "buy", "BUY", 1.0, 1.0))
    walk.go()
    assert (inlet.statistics.latency_min_us, inlet.statistics.latency_median_us) == (-1_260_000, -1_260_000)
    clock.mono += SECOND_NS
    clock.offset += 3600 * SECOND_NS
    walk.go()
    assert inlet.statistics.latency_min_us is None


async def test_a_time_daemon_is_asked_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "chronyc"
    program.write_text(f"#!/bin/sh\necho {SAID}\n")
    program.chmod(0o755)
    monkeypatch.setattr(rounds, "_PATH", f"{tmp_path}:/bin:/usr/bin")
    walk, _, _ = walking(SettableClock())
    running = asyncio.create_task(walk.run())
    async with asyncio.timeout(10):
        while walk.statistics["daemon"] is None:
            await asyncio.sleep(0.01)
    running.cancel()
    assert walk.statistics["daemon"]["offset_s"] == -0.000123


async def test_a_run_tells_its_start_its_stop_and_what_never_spoke_again(tmp_path: Path) -> None:
    run = Run(Lake.under(tmp_path))
    put(run.inlet, Trade("BTC-USD", 1, "7", 7, "buy", "BUY", 1.0, 1.0))
    run.inlet.interrupt("disconnect", "closed")
    running = asyncio.create_task(run.pipeline.run([]))
    await asyncio.sleep(0.05)
    run.pipeline.stop()
    await running
    told = events(run.lake)
    assert told["cause"].to_list() == ["start", "stop"]
    assert "boot " in told["evidence"][0]
    (gap,) = bronze(run.lake, "gaps").to_dicts()
    assert (gap["cause"], gap["status"], gap["prev_id"], gap["next_id"]) == ("disconnect", "open", "7", None)
    assert (gap["prev_seq"], gap["end_ts"], gap["rows_lost"]) == (0, None, None)
    again = Run(run.lake, number=1)
    put(again.inlet, Trade("BTC-USD", 1, "12", 12, "buy", "BUY", 1.0, 1.0))
    again.pipeline.stop()
    await again.pipeline.run([])
    restart = bronze(run.lake, "gaps").filter(pl.col("cause") == "restart").to_dicts()
    assert [(row["prev_id"], row["next_id"], row["rows_lost"]) for row in restart] == [("7", "12", 4)]


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_jumps_an_hour_loses_nothing_and_partitions_follow_it(tmp_path: Path, jump_s: int) -> None:
    lake, clock = Lake.under(tmp_path), SettableClock()
    epoch = epoch_name(clock.wall_ns(), 1)
    options = WriterOptions(segment_max_seconds=60)
    writer = StreamingParquetWriter(lake, options, epoch=epoch, clock=clock, disk=Disk(durable=False))
    intake = Intake(bytes_max=1 << 30, rows_max=10**6)
    inlet = Inlet(Feed("native", "coinbaseadvanced", epoch), intake, clock)
    walk, sealed = Rounds([inlet], clock, clock_step_ns=STEP_NS), 0
    for number in range(1, 601):
        clock.mono += SECOND_NS
        if number in (200, 400):
            clock.offset += (jump_s if number == 200 else -jump_s) * SECOND_NS
        walk.go()
        put(inlet, Trade("BTC-USD", clock.wall_ns() // 1000, str(number), number, "buy", "BUY", 1.0, 1.0))
        writer.append(intake.take(rows=1000))
        if writer.due() and (journal := writer.rotate()):
            writer.seal(journal)
            sealed += 1
    writer.close()
    trades = bronze(lake)
    assert trades["seq"].to_list() == list(range(600))
    assert trades["trade_seq"].to_list() == list(range(1, 601))
    assert trades["capture_mono_ns"].is_sorted()
    assert sealed >= 9  # every minute by the monotonic clock, whatever the wall clock does
    assert events(lake)["cause"].to_list() == ["clock_step", "clock_step"]
    for path in lake.ready.glob("**/*.parquet"):
        hour = Partition.parse(path.relative_to(lake.ready))
        moments = pl.read_parquet(path, hive_partitioning=False)["capture_ts"]
        assert moments.is_between(hour.start(), hour.end(), closed="left").all()
    assert examine(lake, Scope(), deep=True)[1] == []
