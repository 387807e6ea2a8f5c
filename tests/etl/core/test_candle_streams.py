"""Candles in the lake are, after every poll, those that silver's trades so far make: every rung, every column."""

import random
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.bars.candles import TradeCandles
from etl.core.config import EtlOptions
from etl.core.executor import TransformExecutor
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Trade
from tests.etl.core.test_streams import Recorder, market, silver_of

LADDER = ("5s", "15s", "1m", "1h", "1d")


def run(lake: Lake, *, intervals: tuple[str, ...] = LADDER, end_of_data: bool = False, rows_per_step: int = 40) -> None:
    options = EtlOptions(lake, lateness_s=5, candles=intervals, disk=Disk(durable=False), rows_per_step=rows_per_step)
    executor = TransformExecutor(options)
    try:
        executor.run(end_of_data=end_of_data)
    finally:
        executor.close()


def stored(lake: Lake, interval: str) -> pl.DataFrame:
    files = sorted(lake.candles(interval).glob("**/*.parquet"))
    parts = [pl.read_parquet(path, hive_partitioning=False) for path in files]
    return pl.concat(parts) if parts else pl.DataFrame()


def assert_candles_are_those_of_silver(
    lake: Lake, *, intervals: tuple[str, ...] = LADDER, is_ended: bool = False
) -> None:
    trades = silver_of(lake).with_columns(trade_seq="ordinal", timestamp="tape_ts")
    for interval in intervals:
        builder = TradeCandles(interval=interval)
        expected = builder.update(trades)
        if is_ended:
            expected = pl.concat([expected, builder.flush()])
        found = stored(lake, interval)
        if not expected.height:
            assert not found.height
            continue
        assert set(found["symbol"]) == {"BTC-USD"}
        assert_frame_equal(found.select(expected.columns), expected)


def quiet(seed: int, *, trades: int) -> list[Trade]:
    """A market with minutes, hours and days without a trade."""
    rng, wait_us = random.Random(seed), 0
    out = []
    for trade in market(seed, exchange="kraken", trades=trades):
        wait_us += rng.choice((0, 0, 0, 0, 70_000_000, 4_000_000_000, 90_000_000_000))
        out.append(msgspec.structs.replace(trade, timestamp=(trade.timestamp or 0) + wait_us))
    return out


@pytest.mark.parametrize("seed", range(4))
def test_after_every_poll_each_rung_is_what_the_trades_so_far_make(tmp_path: Path, seed: int) -> None:
    """Also where the last finer candles of a longer one are missing, and across a trade that comes late."""
    trades, rng, lake = quiet(seed, trades=90), random.Random(seed), Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    late = set(rng.sample(range(5, 80), 4))
    for start in range(0, 90, 6):
        recorder.record([[trades[n] for n in range(start, start + 6) if n not in late]])
        if rng.random() < 0.3 and (back := [n for n in late if n < start]):
            late -= set(back)
            recorder.record([[trades[n] for n in back]])
        run(lake, rows_per_step=rng.choice((1, 7, 1000)))
        assert_candles_are_those_of_silver(lake)
    run(lake, end_of_data=True)
    assert_candles_are_those_of_silver(lake, is_ended=True)


def test_an_end_that_was_not_the_end_leaves_no_trace(tmp_path: Path) -> None:
    trades, lake = quiet(5, trades=60), Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    for start in (0, 20, 40):
        recorder.record([trades[start : start + 20]])
        run(lake, end_of_data=True)
        assert_candles_are_those_of_silver(lake, is_ended=True)
    last = trades[-1]
    later = [msgspec.structs.replace(last, trade_seq=n, timestamp=(last.timestamp or 0) + n * 10**6) for n in (61, 69)]
    recorder.record([later])
    run(lake)
    assert_candles_are_those_of_silver(lake)


def test_a_late_trade_in_a_stretch_without_candles_is_in_every_rung(tmp_path: Path) -> None:
    """The longer candles had closed over a stretch that was empty; its first trade must open them again."""
    first, late, last = quiet(6, trades=3)
    hour_us = 3_600_000_000
    start_us = (first.timestamp or 0) // hour_us * hour_us
    first, late, last = (
        msgspec.structs.replace(trade, timestamp=start_us + minutes * 60_000_000)
        for trade, minutes in ((first, 1), (late, 50), (last, 61))
    )
    more = [
        msgspec.structs.replace(last, trade_id=str(n), trade_seq=n, timestamp=start_us + (60 + n) * 60_000_000)
        for n in range(4, 7)
    ]
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([[first, last, *more]])
    run(lake)
    assert_candles_are_those_of_silver(lake)
    assert stored(lake, "1h")["tick_count"].to_list() == [1]
    recorder.record([[late]])
    run(lake)
    assert_candles_are_those_of_silver(lake)
    assert stored(lake, "1h")["tick_count"].to_list() == [2]


def test_a_late_trade_before_all_others_is_in_every_rung(tmp_path: Path) -> None:
    hour_us = 3_600_000_000
    trades = [
        msgspec.structs.replace(trade, timestamp=494_000 * hour_us + minutes * 60_000_000)
        for trade, minutes in zip(quiet(6, trades=3), (50, 61, 62), strict=True)
    ]
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([trades[1:]])
    run(lake)
    recorder.record([trades[:1]])
    run(lake)
    assert_candles_are_those_of_silver(lake)
    assert stored(lake, "1h")["tick_count"].to_list() == [1]


@pytest.mark.parametrize("later", [("1m", "1h"), ("5s", "1m", "30m", "1h", "1d"), ("20s", "1m", "1h")])
def test_a_ladder_with_other_rungs_gives_the_same_candles(tmp_path: Path, later: tuple[str, ...]) -> None:
    """A rung that is made of another one now begins at the beginning."""
    trades, lake = quiet(7, trades=80), Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    for start, intervals in ((0, LADDER), (40, later), (60, LADDER)):
        recorder.record([trades[start : start + 20]])
        run(lake, intervals=intervals)
        assert_candles_are_those_of_silver(lake, intervals=intervals)


def test_long_candles_share_a_file_of_a_month(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([quiet(8, trades=90)])
    run(lake)
    for interval in LADDER:
        per_file = [pl.read_parquet(path).height for path in lake.candles(interval).glob("**/*.parquet")]
        assert max(per_file) > 1
        if interval in ("1h", "1d"):
            assert len(per_file) <= 3
