"""Real input, end to end: recordings through the local exchange, the collectors, the journal, silver and bars."""

import csv
import os
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.core.config import BarSet, EtlOptions, FeatureConfig
from etl.core.executor import TransformExecutor
from etl.features.stateful import StatefulFeatureProcessor
from ingestion.simulator import LocalExchange, Timing, open_recording
from shared.disk import Disk
from shared.partitioning import Lake
from tests.ingestion.collecting import Run, bronze, coinbase_options

RECORDINGS = Path(os.environ.get("DAEDALUS_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}; set DAEDALUS_TEST_DATA"
)
BARS = (
    BarSet("time", {"interval": "1m"}),
    BarSet("tick", {"threshold": 50}),
    BarSet("volume", {"threshold": "0.5"}),
    BarSet("dollar", {"threshold": 10_000}),
)


async def through_the_house(recording: Path, lake: Lake, *symbols: str, tables: tuple[str, ...] = ("trades",)) -> None:
    """Replay a recording, collect it, and declare the end of the data."""
    async with LocalExchange(open_recording(recording), venues=["coinbase"], timing=Timing(speed=0)) as exchange:
        run = Run(lake)
        frames = exchange.truth.frames

        def all_read() -> bool:
            return exchange.exhausted.is_set() and run.inlet.statistics.frames >= sum(frames["coinbase"].values())

        await run.coinbase(coinbase_options(exchange, *symbols, tables=tables), until=all_read)
    features = FeatureConfig(trades=True, ticker=True, orderbook=True)
    executor = TransformExecutor(EtlOptions(lake, bars=BARS, features=features, disk=Disk(durable=False)))
    executor.run(end_of_data=True)
    executor.close()


def silver(lake: Lake, table: str = "trades") -> pl.DataFrame:
    files = sorted(lake.silver(table).glob("**/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).sort("symbol", "ordinal")


def bars(lake: Lake) -> pl.DataFrame:
    files = sorted((lake.processed / "gold" / "bars").glob("**/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files])


def assert_bars_add_up(lake: Lake, amounts: dict[str, Decimal], values: dict[str, Decimal]) -> None:
    """Volume and dollar volume of each bar set are the tape's, to the last digit."""
    sums = bars(lake).group_by("bar_set", "symbol").agg(pl.sum("volume_exact"), pl.sum("dollar_volume_exact"))
    assert sums.height == len(BARS) * len(amounts)
    for row in sums.iter_rows(named=True):
        assert row["volume_exact"] == amounts[row["symbol"]]
        assert row["dollar_volume_exact"] == values[row["symbol"]]


async def test_recorded_coinbase_frames_arrive_whole_and_bars_add_up(tmp_path: Path) -> None:
    """1,030 frames of 2026-08-09 hold 279 trades of two products; sizes and prices are compared as decimals."""
    lake = Lake.under(tmp_path)
    recording = RECORDINGS / "cryptofeed" / "v3-branch" / "COINBASE.jsonl.zst"
    await through_the_house(recording, lake, "BTC-USD", "ETH-USD", tables=("trades", "ticker", "l2"))
    expected = {"BTC-USD": range(1068571991, 1068572138), "ETH-USD": range(833140679, 833140811)}
    tape = recorded_trades(recording)
    raw, cleaned = bronze(lake), silver(lake)
    for symbol, ids in expected.items():
        assert sorted(raw.filter(pl.col("symbol") == symbol)["trade_seq"]) == list(ids)
        assert cleaned.filter(pl.col("symbol") == symbol)["trade_seq"].to_list() == list(ids)
    for row in cleaned.iter_rows(named=True):
        price, size, side = tape[row["symbol"], row["trade_id"]]
        assert (Decimal(str(row["price"])), Decimal(str(row["amount"]))) == (price, size)
        assert row["side"] == {"BUY": "sell", "SELL": "buy"}[side]  # Coinbase names the maker's side
    amounts, values = dict.fromkeys(expected, Decimal(0)), dict.fromkeys(expected, Decimal(0))
    for (symbol, _), (price, size, _) in tape.items():
        amounts[symbol] += size
        values[symbol] += price * size
    assert_bars_add_up(lake, amounts, values)
    assert bronze(lake, "gaps").height == 0
    assert bronze(lake, "rejects").height == 0
    assert bronze(lake, "l2").filter("is_snapshot").filter("is_last").height == 2
    assert silver(lake, "ticker").height == bronze(lake, "ticker").height >= 160
    assert_books_are_features_to_the_bit(lake, expected)


def assert_books_are_features_to_the_bit(lake: Lake, symbols: Iterable[str]) -> None:
    """Every row of silver is that of a plain run; every trade behind the first is in one; real books are sound."""
    rows, trades, changes = silver(lake, "orderbook"), silver(lake), bronze(lake, "l2").sort("epoch", "seq")
    for symbol in symbols:
        own = pl.col("symbol") == symbol
        processor = StatefulFeatureProcessor()
        expected = processor.update(changes.filter(own), trades.filter(own).with_columns(timestamp="tape_ts"))
        expected = pl.concat([expected, processor.flush()])
        found = rows.filter(own)
        assert_frame_equal(found.select(expected.columns), expected, check_exact=True)
        assert found.height > 20
        assert found["mid_price"].null_count() == found["n_crossed"].sum() == processor.counts["sequence_breaks"] == 0
        between = (pl.col("tape_ts") > found["timestamp"][0]) & (pl.col("tape_ts") <= found["timestamp"][-1])
        assert found["trade_count"].sum() == trades.filter(own & between).height > 30
        assert silver(lake, "trade_features").filter(own).height == trades.filter(own).height


def recorded_trades(recording: Path) -> dict[tuple[str, str], tuple[Decimal, Decimal, str]]:
    """The recording's trades, read without any code of the house."""
    import io
    import json

    import zstandard

    text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(recording.open("rb")))
    out = {}
    for line in map(json.loads, text):
        message = json.loads(line["data"]) if line["t"] == "recv" else {}
        if message.get("channel") == "market_trades":
            for trade in (trade for event in message["events"] for trade in event["trades"]):
                key = trade["product_id"], trade["trade_id"]
                out[key] = Decimal(trade["price"]), Decimal(trade["size"]), trade["side"]
    return out


async def test_a_recorded_tape_of_coinbase_fills_comes_through_fill_by_fill(tmp_path: Path) -> None:
    """13,197 fills, up to 57 in one microsecond, 582 of them identical to another, sizes like 3.844E-5."""
    lake = Lake.under(tmp_path)
    tape = RECORDINGS / "questdb-sample-datasets" / "btc_trades.older-version.csv"
    await through_the_house(tape, lake, "BTC-USD")
    with tape.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13_197
    wanted = Counter((Decimal(r["price"]), Decimal(r["amount"]), r["side"], r["timestamp"]) for r in rows)
    for frame in (bronze(lake), silver(lake)):
        assert frame.height == 13_197
        assert frame["trade_id"].n_unique() == 13_197
        times = frame["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        columns = (frame["price"], frame["amount"], frame["side"], times)
        got = Counter((Decimal(str(p)), Decimal(str(a)), s, t) for p, a, s, t in zip(*columns, strict=True))
        assert got == wanted
    amount = sum(Decimal(r["amount"]) for r in rows)
    value = sum(Decimal(r["amount"]) * Decimal(r["price"]) for r in rows)
    assert_bars_add_up(lake, {"BTC-USD": Decimal(amount)}, {"BTC-USD": Decimal(value)})
    assert not silver(lake)["gap_before"].any()
