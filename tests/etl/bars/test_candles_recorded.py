"""Candles of recorded trades, held to what others made of them: the exchange's own klines, and plain SQL."""

import gzip
import io
import json
import os
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import zstandard
from polars.testing import assert_frame_equal

from etl.bars.candles import TradeCandles
from etl.bars.ladder import LADDER, CandleLadder

RECORDINGS = Path(os.environ.get("DAEDALUS_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}; set DAEDALUS_TEST_DATA"
)
INTERVALS = {
    "1m": "1 minute", "5m": "5 minutes", "15m": "15 minutes", "30m": "30 minutes", "1h": "1 hour", "4h": "4 hours",
    "12h": "12 hours", "1d": "1 day", "1w": "7 days",
}  # fmt: skip


def binance_tape() -> pl.DataFrame:
    """Eleven minutes of ETHUSDT spot, over midnight."""
    rows = []
    for name in ("ethusdt_20240808.gz", "ethusdt_20240809.gz"):
        with gzip.open(RECORDINGS / "hftbacktest" / "spot" / name, "rt") as file:
            for line in file:
                message = json.loads(line.partition(" ")[2])
                if str(message.get("stream", "")).endswith("@trade"):
                    rows.append(message["data"])
    rows.sort(key=lambda row: row["t"])
    return pl.DataFrame(
        {
            "trade_id": [str(row["t"]) for row in rows],
            "trade_seq": [row["t"] for row in rows],
            "timestamp": pl.Series([row["T"] * 1000 for row in rows]).cast(pl.Datetime("us", "UTC")),
            "side": ["sell" if row["m"] else "buy" for row in rows],
            "price": [float(row["p"]) for row in rows],
            "amount": [float(row["q"]) for row in rows],
        }
    )


def coinbase_tape() -> pl.DataFrame:
    """An hour of BTC-USD, many fills to a microsecond."""
    tape = pl.read_csv(RECORDINGS / "questdb-sample-datasets" / "btc_trades.older-version.csv")
    moments = pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC")
    ordered = tape.with_columns(moments).sort("timestamp", maintain_order=True)
    return ordered.with_row_index("trade_seq").select(
        pl.col("trade_seq").cast(pl.String).alias("trade_id"),
        pl.col("trade_seq").cast(pl.Int64),
        "timestamp",
        "side",
        pl.col("price").cast(pl.Float64),
        pl.col("amount").cast(pl.Float64),
    )


@pytest.mark.parametrize("tape", [binance_tape, coinbase_tape])
def test_the_ladder_of_a_tape_is_what_sql_makes_of_it(tape: Any) -> None:
    trades = tape()
    assert trades["timestamp"].is_sorted()
    ladder = CandleLadder(LADDER)
    parts = [ladder.update(trades[row : row + 997]) for row in range(0, trades.height, 997)]
    candles = pl.concat([*parts, ladder.flush()])
    duckdb.sql("set timezone = 'UTC'")
    for interval, length in INTERVALS.items():
        expected = duckdb.sql(
            f"""
            select time_bucket(interval '{length}', timestamp, timestamptz '2024-01-01 00:00:00+00') as time_start,
                first(price order by trade_seq) as open, max(price) as high, min(price) as low,
                last(price order by trade_seq) as close, sum(amount) as volume, sum(price * amount) as dollar_volume,
                sum(price * amount) / sum(amount) as vwap, count(*) as tick_count,
                coalesce(sum(amount) filter (side = 'buy'), 0) as buy_volume, min(timestamp) as first_ts,
                max(timestamp) as last_ts
            from trades group by 1 order by 1
            """
        ).pl()
        found = candles.filter(interval=interval).select(expected.columns)
        assert_frame_equal(found, expected.cast(found.schema), rel_tol=1e-12)
    assert len(set(candles.group_by("interval").agg(pl.col("volume_exact").sum())["volume_exact"])) == 1


def test_a_minute_is_what_the_exchange_says_of_it_at_each_moment() -> None:
    """Binance sends its kline of the minute as it grows, with the ids of the first and last trade in it."""
    klines: list[dict[str, Any]] = []
    trades: dict[str, list[dict[str, Any]]] = defaultdict(list)
    packed = (RECORDINGS / "cryptofeed" / "v3-branch" / "BINANCE_FUTURES.jsonl.zst").read_bytes()
    for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed)):
        frame = json.loads(line)
        message = json.loads(frame["data"]) if frame["t"] == "recv" else {}
        if "kline" in message.get("stream", ""):
            klines.append(message["data"]["k"])
        elif "aggTrade" in message.get("stream", ""):
            trades[message["data"]["s"]].append(message["data"])
    compared = 0
    for kline in klines:
        held = [trade for trade in trades[kline["s"]] if kline["f"] <= trade["f"] and trade["l"] <= kline["L"]]
        if not held or (held[0]["f"], held[-1]["l"]) != (kline["f"], kline["L"]):
            continue  # the minute had begun before the recording
        minute = TradeCandles(interval="1m")
        minute.update(
            pl.DataFrame(
                {
                    "trade_id": [str(trade["a"]) for trade in held],
                    "timestamp": pl.Series([trade["T"] * 1000 for trade in held]).cast(pl.Datetime("us", "UTC")),
                    "side": ["sell" if trade["m"] else "buy" for trade in held],
                    "price": [float(trade["p"]) for trade in held],
                    "amount": [float(trade["q"]) for trade in held],
                }
            )
        )
        (candle,) = minute.peek().to_dicts()
        assert int(candle["time_start"].timestamp() * 1000) == kline["t"]
        prices = [candle[name] for name in ("open", "high", "low", "close")]
        assert prices == [float(kline[name]) for name in ("o", "h", "l", "c")]
        exact = [candle[f"{name}_exact"] for name in ("volume", "dollar_volume", "buy_volume", "buy_dollar_volume")]
        assert exact == [Decimal(kline[name]) for name in ("v", "q", "V", "Q")]
        compared += 1
    assert compared == 15
