"""Bars about the turn of a month, where the exchange's own order takes times back over it."""

import random
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from etl.core.config import BarSet
from shared.clock import us_from_utc
from shared.partitioning import Lake
from storage.bar_sets import bar_streams
from tests.etl.core.test_rebuild import run
from tests.etl.core.test_streams import Recorder, cut, market, tables

PAIRS = (BarSet("tick", {"threshold": 2}),)
TURN_US = us_from_utc(datetime(2026, 7, 1, tzinfo=UTC))


@pytest.mark.parametrize("seed", [0, 5, 11])
def test_numbers_of_bars_rise_from_file_to_file_although_times_go_back(tmp_path: Path, seed: int) -> None:
    lake, rng = Lake.under(tmp_path / "lake"), random.Random(seed)
    trades = market(seed, exchange="kraken", trades=300)
    shift_us = TURN_US - (trades[150].timestamp or 0)
    jumps_us = [shift_us + rng.choice((0, 0, -2_000_000)) for _ in trades]
    trades = [
        msgspec.structs.replace(trade, timestamp=(trade.timestamp or 0) + jump_us)
        for trade, jump_us in zip(trades, jumps_us, strict=True)
    ]
    late = sorted(rng.sample(range(300), 3))
    recorder = Recorder(lake, "kraken")
    in_time = [trade for number, trade in enumerate(trades) if number not in late]
    for part in (*cut(in_time, rng), *([trades[number]] for number in late)):
        recorder.record([part])
        run(lake, bars=PAIRS)
    run(lake, bars=PAIRS, end_of_data=True)
    at_once = Lake(lake.raw, tmp_path / "at_once", tmp_path / "at_once_state")
    run(at_once, bars=PAIRS, end_of_data=True)
    assert tables(lake) == tables(at_once)
    (stream,) = bar_streams(lake)
    bars = stream.scan().collect()
    assert bars["bar_seq"].to_list() == list(range(150))
    assert not bars["time_start"].is_sorted()
    for path in stream.files():
        by_path, own = pl.read_parquet(path, hive_partitioning=True), pl.read_parquet(path, hive_partitioning=False)
        assert by_path.select("year", "month").rows() == own.select("year", "month").rows()
