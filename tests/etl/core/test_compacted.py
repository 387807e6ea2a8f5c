"""Silver and gold do not know whether bronze was compacted: not a run that goes on, not one from the beginning."""

import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from etl.core.bronze import BronzeMissing, history, require
from etl.core.config import EtlOptions, FilterSpec, StreamKey
from etl.core.executor import TransformExecutor
from etl.core.feeds import feed_of
from etl.core.rebuild import Rebuilding
from etl.tapes.arrivals import Arrivals
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Row, Ticker
from storage.compaction import Compactor, MadeOptions
from storage.compaction_plan import Rules, planned, survey
from tests.etl.core.test_streams import BARS, CANDLES, Recorder, cut, market, tables

RULES = Rules(now=datetime(2030, 1, 1, tzinfo=UTC))


def options(lake: Lake) -> EtlOptions:
    return EtlOptions(lake, bars=BARS, candles=CANDLES, disk=Disk(durable=False), rows_per_step=50)


def run(lake: Lake, *, end_of_data: bool = False) -> None:
    executor = TransformExecutor(options(lake))
    try:
        executor.run(end_of_data=end_of_data)
    finally:
        executor.close()


def compact(lake: Lake) -> None:
    compactor = Compactor(lake, MadeOptions(), disk=Disk(durable=False))
    for merge in list(planned(survey(lake), RULES)):
        compactor.compact(merge)


@pytest.mark.parametrize("exchange", ["kraken", "bitfinex"], ids=["ids-contiguous", "ids-opaque"])
def test_compacted_between_two_runs_or_before_the_first_gives_the_same(tmp_path: Path, exchange: str) -> None:
    lake, rng = Lake.under(tmp_path / "lake"), random.Random(7)
    trades, recorder = market(31, exchange=exchange, trades=240), Recorder(lake, exchange)
    late = sorted(rng.sample(range(240), 4))
    parts = cut([trade for at, trade in enumerate(trades) if at not in late], rng)
    for part in parts[: len(parts) // 2]:
        recorder.record([part])
    run(lake)
    compact(lake)
    for part in parts[len(parts) // 2 :]:
        recorder.record([part])
    recorder.record([[trades[at] for at in late]])
    plain = Lake.under(tmp_path / "plain")
    run(lake)  # goes back, into what is compacted
    run(lake, end_of_data=True)
    shutil.copytree(lake.raw, plain.raw)
    expected = tables(lake)
    compact(plain)
    assert not list(plain.ready.rglob("*.parquet"))
    run(plain, end_of_data=True)
    assert tables(plain) == expected
    rebuilt = list(Rebuilding(options(plain), options(plain).bars, since=None).run())
    assert rebuilt
    assert not any(each.files.replaced or each.files.added or each.files.removed for each in rebuilt)
    never = Lake.under(tmp_path / "never compacted")
    again, rng = Recorder(never, exchange), random.Random(7)
    rng.sample(range(240), 4)
    for part in cut([trade for at, trade in enumerate(trades) if at not in late], rng):
        again.record([part])
    again.record([[trades[at] for at in late]])
    run(never, end_of_data=True)
    assert tables(never) == expected


def test_rows_arrive_in_the_same_order_out_of_a_compacted_day(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    for part in range(6):
        rows: list[Row] = [Ticker("BTC-USD", None, bid=float(part * 10 + at)) for at in range(10)]
        recorder.record([rows[:4], rows[4:]])
        recorder.clock.now_ns += 1_700_000_000_000
    key = StreamKey("kraken", "BTC-USD")

    def arrived() -> tuple[str, pl.DataFrame]:
        arrivals = Arrivals(lake, "ticker", key, FilterSpec(), columns=["bid"], seen={})
        return arrivals.source, pl.concat(arrivals.portions())

    before = arrived()
    assert before[1]["gap_before"].sum() > 3
    compact(lake)
    assert not list(lake.ready.rglob("*.parquet"))
    assert arrived()[0] == "native"
    assert arrived()[1].equals(before[1])
    hour = FilterSpec(hour=before[1]["capture_ts"][0].hour)
    some = pl.concat(Arrivals(lake, "ticker", key, hour, columns=["bid"], seen={}).portions())
    assert some["bid"].to_list() == before[1]["bid"].to_list()[: some.height]
    assert 0 < some.height < before[1].height


def test_a_lake_that_has_compacted_days_alone_has_its_feeds_and_names_what_is_missing(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([[Ticker("BTC-USD", None, bid=1.0)], market(3, exchange="kraken", trades=5)])
    compact(lake)
    shutil.rmtree(lake.ready)
    feed = feed_of(StreamKey("kraken", "BTC-USD"), ["ticker"], lake)
    assert feed
    assert feed.source == "native"
    require(lake, history(lake))
    shutil.rmtree(lake.daily)
    with pytest.raises(BronzeMissing, match="published files are missing"):
        require(lake, history(lake))
