"""Synthetic trades in the layout of silver, in portions, so that they need never be in memory all at once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from etl.core.outputs import Output
from shared.partitioning import Lake, stored_exchange

PORTION = 1_800_000  # rows: five hours; the price comes back to about where it was
EXCHANGE, SYMBOL = stored_exchange("coinbase"), "BTC-USD"
_START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_FIRST_SEQ = 10_000_000
_STEP_US = 10_000  # mean time between two trades
_HOUR = 3_600_000_000 // _STEP_US  # rows
_P_UP = 0.6  # with even odds the imbalance bars of others collapse to bars of one trade (bars-spec 7.1)


def synthetic_trades(rows: int) -> pl.DataFrame:
    """The first trades: a walk of single cents whose sides are those of the tick rule, and lognormal sizes at 1e-6.

    The mean trade is worth 1,850, so about 550 make a million.
    """
    return pl.concat(list(portions(rows)), rechunk=True)


def portions(rows: int) -> Iterator[pl.DataFrame]:
    """The same trades in parts."""
    for first in range(0, rows, PORTION):
        yield _portion(first, min(PORTION, rows - first))


def written(rows: int, lake: Lake) -> list[Path]:
    """The same trades as the files of silver, an hour each: zstd, row groups of 131,072."""
    output = Output(lake.silver("trades"), EXCHANGE, SYMBOL, "trades", "ordinal", "tape_ts", "hour", "day")
    paths = []
    for trades in portions(rows):
        for first in range(0, len(trades), _HOUR):
            part = trades.slice(first, _HOUR)
            path = output.path(output.unit_us(int(part["tape_ts"].to_physical()[0])))
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_parquet(path, compression="zstd", compression_level=3, row_group_size=1 << 17)
            paths.append(path)
    return paths


def _portion(first: int, rows: int) -> pl.DataFrame:
    rng = np.random.default_rng([7, first])
    number = np.arange(first, first + rows)
    us = _START_US + number * _STEP_US + rng.integers(0, _STEP_US, rows)
    is_up = rng.random(rows) < np.where(number // (PORTION // 2) % 2 == 0, _P_UP, 1 - _P_UP)
    price = (6_000_000 + np.cumsum(np.where(is_up, 1, -1))) / 100
    amount = np.maximum(1, rng.lognormal(9.2, 1.5, rows).astype(np.int64)) / 1e6
    known_us = np.maximum.accumulate(us + rng.integers(20_000, 50_000, rows))
    ts = pl.Series(us).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {
            "ordinal": number,
            "exchange": pl.repeat(EXCHANGE, rows, eager=True),
            "symbol": pl.repeat(SYMBOL, rows, eager=True),
            "timestamp": ts,
            "tape_ts": ts,
            "trade_id": pl.Series(number + _FIRST_SEQ).cast(pl.String),
            "trade_seq": number + _FIRST_SEQ,
            "side": pl.Series(np.array(["sell", "buy"])[is_up.astype(np.int8)]),
            "side_names": pl.repeat("taker", rows, eager=True),
            "price": price,
            "amount": amount,
            "price_text": pl.repeat(None, rows, dtype=pl.String, eager=True),
            "amount_text": pl.repeat(None, rows, dtype=pl.String, eager=True),
            "cost": price * amount,
            "gap_before": pl.repeat(False, rows, eager=True),
            "known_at": pl.Series(known_us).cast(pl.Datetime("us", "UTC")),
            "epoch": pl.repeat("20260101T000000Z-0001", rows, eager=True),
            "seq": number,
            "year": pl.repeat(2026, rows, dtype=pl.Int32, eager=True),
            "month": pl.repeat(1, rows, dtype=pl.Int32, eager=True),
            "day": pl.repeat(1, rows, dtype=pl.Int32, eager=True),
        }
    )
