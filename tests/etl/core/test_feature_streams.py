"""Features of trades and silver tickers are, however polls and late rows fall, what one plain run over all gives."""

import random
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.core.config import EtlOptions, FeatureConfig
from etl.core.executor import TransformExecutor
from etl.core.streams import StreamResult
from etl.features.options import FeatureOptions
from etl.features.ticker import ticker_features
from etl.features.trade_features import TradeFeatures
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Ticker
from tests.etl.core.test_book_streams import stored
from tests.etl.core.test_streams import Recorder, cut, market, silver_of, tables
from tests.ingestion.writers.lake_rows import START_NS

OPTIONS = FeatureOptions(sign_window=20, large_trade_window=15)


def run(lake: Lake, *, end_of_data: bool = False, features: FeatureOptions = OPTIONS) -> list[StreamResult]:
    wanted = FeatureConfig(trades=True, ticker=True, options=features, ticker_unit="month")
    executor = TransformExecutor(EtlOptions(lake, features=wanted, disk=Disk(durable=False), rows_per_step=40))
    try:
        return executor.run(end_of_data=end_of_data)
    finally:
        executor.close()


def at_once(lake: Lake, folder: Path, features: FeatureOptions = OPTIONS) -> Lake:
    other = Lake(lake.raw, folder / "at_once", folder / "at_once_state")
    run(other, end_of_data=True, features=features)
    return other


def assert_trade_features_are_those_of_silver(lake: Lake, features: FeatureOptions = OPTIONS) -> None:
    given = silver_of(lake).with_columns(timestamp="tape_ts")
    expected = TradeFeatures(**msgspec.structs.asdict(features)).update(given)
    found = stored(lake, "trade_features")
    assert_frame_equal(found.select(expected.columns), expected, check_exact=True)
    assert found.columns[1:3] == ["exchange", "symbol"]


@pytest.mark.parametrize("exchange", ["kraken", "bitfinex"])
@pytest.mark.parametrize("seed", range(3))
def test_features_of_trades_go_with_silver_also_back_for_a_late_trade(tmp_path: Path, exchange: str, seed: int) -> None:
    rng, lake, trades = random.Random(seed), Lake.under(tmp_path), market(seed, exchange=exchange, trades=200)
    recorder = Recorder(lake, exchange)
    late = set(rng.sample(range(200), 4))
    for journals in cut([trade for n, trade in enumerate(trades) if n not in late], rng):
        back = [trades[late.pop()] for _ in range(rng.randint(0, 2)) if late]
        recorder.record([journals, back])
        run(lake)
        assert_trade_features_are_those_of_silver(lake)
    recorder.record([[trades[n] for n in late]])
    run(lake, end_of_data=True)
    assert_trade_features_are_those_of_silver(lake)
    assert tables(lake) == tables(at_once(lake, tmp_path))


def test_other_options_of_trades_make_their_features_anew_and_those_of_books_do_not(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([market(1, exchange="kraken", trades=80)])
    assert run(lake)[0].features["trade_features"] > 50
    assert run(lake, features=msgspec.structs.replace(OPTIONS, depth_levels=7))[0].features["trade_features"] == 0
    other = msgspec.structs.replace(OPTIONS, trade_rate_tau_s=3.0)
    assert run(lake, features=other)[0].features["trade_features"] > 50
    assert_trade_features_are_those_of_silver(lake, other)


def tickers(seed: int, *, rows: int) -> list[Ticker]:
    """Summaries of a seeded market, some without a time, a side or in order."""
    rng, us, out = random.Random(seed), START_NS // 1000, []
    for _ in range(rows):
        us += rng.choice((0, 400_000, 90_000_000))
        bid = rng.choice((100.0, 100.5, None, 101.5))
        moment = rng.choice((us, us, us - 200_000_000, None))
        out.append(Ticker("BTC-USD", moment, bid, 101.0, last=rng.choice((100.5, 101.0)), base_volume=us / 1e9))
    return out


@pytest.mark.parametrize("seed", range(3))
def test_tickers_alone_are_a_stream(tmp_path: Path, seed: int) -> None:
    lake, rng = Lake.under(tmp_path), random.Random(seed)
    recorder = Recorder(lake, "kraken")
    for journals in cut(tickers(seed, rows=150), rng):
        recorder.record([journals])
        run(lake)
    run(lake, end_of_data=True)
    bronze = pl.read_parquet(list(lake.ready.glob("*/ticker/**/*.parquet")), hive_partitioning=False)
    expected = ticker_features(bronze.sort("epoch", "seq"))
    found = stored(lake, "ticker").sort("ordinal")
    assert found["ordinal"].to_list() == list(range(150))
    assert_frame_equal(found.select(expected.columns), expected, check_exact=True)
    assert 0 < found["mid_price"].null_count() < 150
    assert tables(lake) == tables(at_once(lake, tmp_path))
    assert not list(lake.silver("ticker").glob("**/day=*"))


def test_tickers_of_an_earlier_run_that_come_later_are_put_where_they_belong(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    rows = tickers(4, rows=60)
    for start in (0, 20, 40):
        recorder.record([rows[start : start + 20]])
    logs = sorted(path for path in lake.ready.parent.rglob("*") if path.suffix in (".log", ".jsonl", ".published"))
    aside = logs[1].with_suffix(".aside")
    logs[1].rename(aside)
    run(lake)
    aside.rename(logs[1])
    run(lake)
    assert stored(lake, "ticker").height == 60
    assert tables(lake) == tables(at_once(lake, tmp_path))
