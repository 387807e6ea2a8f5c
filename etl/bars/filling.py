"""Time bars with a row for every bucket: for those who read bars, never for those who store them."""

from datetime import timedelta
from typing import Literal, TypeAlias

import polars as pl

from etl.bars.schema import BAR_SCHEMA
from etl.bars.threshold import interval_us

Fill: TypeAlias = Literal["ffill", "null"]

_PRICES = ("open", "high", "low", "close")
_ROWS_MAX = 100_000_000


def filled(bars: pl.DataFrame, *, interval: str, fill: Fill) -> pl.DataFrame:
    """The bars, and between them a row for each bucket without a trade; `is_filled` tells the two apart.

    A filled row has no trades: volumes and counts are 0; ids, times of trades and vwap null. Its prices are the close
    before it, or null with `fill="null"`. `has_gap` is that of the next bar: it may have been the feed that was silent.

    Args:
        bars: time bars of one stream in their order; columns beside those of `BAR_SCHEMA` keep their values.
        interval: theirs, as "1m" or "1mo".
        fill: what the prices of an empty bucket are.

    Raises: ValueError for an interval that is none, or that leaves more than 100 million empty buckets.

    >>> from datetime import UTC, datetime
    >>> from etl.bars import build_bars
    >>> times = [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in (0, 3)]
    >>> trades = pl.DataFrame({"trade_id": ["a", "b"], "timestamp": times, "price": [10.0, 11.0], "amount": 2.0})
    >>> bars = build_bars(trades, "time", interval="1m", keep_open=True)
    >>> filled(bars, interval="1m", fill="ffill").select("open", "volume", "is_filled").rows()
    [(10.0, 2.0, False), (10.0, 0.0, True), (10.0, 0.0, True), (11.0, 2.0, False)]
    """
    known = bars.with_columns(is_filled=pl.lit(False))
    if len(bars) < 2:
        return known
    empty = _empty_buckets(bars["time_start"], interval)
    whole = pl.concat([known, empty], how="diagonal").sort("time_start", maintain_order=True)
    is_new = pl.col("is_filled")
    zeros = [pl.when(is_new).then(0).otherwise(name).cast(bars.schema[name]).alias(name) for name in _sums(bars)]
    others = [name for name in bars.columns if name not in BAR_SCHEMA and name not in {"year", "month"}]
    start = pl.col("time_start").dt
    parts = {"year": start.year().cast(pl.Int32), "month": start.month().cast(pl.Int32)}
    closes = pl.col("close").forward_fill()
    return whole.with_columns(
        *zeros,
        *(pl.when(is_new).then(closes).otherwise(name).alias(name) for name in _PRICES if fill == "ffill"),
        pl.col(others).forward_fill(),
        is_partial=pl.col("is_partial").fill_null(False),
        has_gap=pl.col("has_gap").backward_fill(),
        **{name: part for name, part in parts.items() if name in bars.columns},
    )


def _empty_buckets(starts: pl.Series, interval: str) -> pl.DataFrame:
    """Start and end of the buckets between the first bar and the last that have no bar."""
    is_calendar = interval.strip().endswith(("mo", "y"))
    step = interval.strip() if is_calendar else timedelta(microseconds=interval_us(interval))
    if isinstance(step, timedelta) and (starts[-1] - starts[0]) / step > _ROWS_MAX:
        raise ValueError(f"interval must leave at most {_ROWS_MAX:,} buckets to fill, was {interval!r}")
    grid = pl.datetime_range(starts[0], starts[-1], step, time_unit="us", eager=True).alias("time_start")
    empty = grid.to_frame().join(starts.unique().to_frame("time_start"), on="time_start", how="anti")
    end = pl.col("time_start").dt.offset_by(step) if isinstance(step, str) else pl.col("time_start") + step
    return empty.with_columns(time_end=end, available_at=end, is_filled=pl.lit(True))


def _sums(bars: pl.DataFrame) -> list[str]:
    """The columns that are 0 where nothing was traded."""
    return [name for name in bars.columns if "volume" in name or name.endswith("_count") or name.startswith("n_")]
