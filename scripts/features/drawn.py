"""What is drawn of the features of a book: columns of time with the book in each, and order flow beside returns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from scripts.bars.file import collected

COLUMNS_MAX = 720  # in the width of a page; more cannot be told apart
_POINTS_LEAST = 120  # of the scatter, from which on intervals are made longer
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400, 604_800)
_VOLATILITY = re.compile(r"rv_(\d+(?:\.\d+)?)s")
_VOLATILITY_S = 60.0  # the window that is drawn, or the next longer one there is
NEEDED = ("timestamp", "mid_price", "spread", "relative_spread_bps", "is_crossed", "has_gap", "is_reset")
_LAST = ("mid_price", "spread", "vpin", "spread_regime", "ofi_source")
_SUMS = ("ofi", "tfi", "trade_volume")


@dataclass(frozen=True)
class Drawn:
    """The features of one stream, ready to be drawn.

    `columns` has a row for each stretch of time `step` in which there are rows: `start` and `end`, the book at its end
    (`bid_price_L0` and so on, as many levels as there are), sums of flows, the mean spread. `pairs` has
    order flow over `pair` (`ofi`, base), and the return of the mid price over the same time and over the next one
    (`same`, `next`, bps).
    """

    exchange: str
    symbol: str
    n_rows: int
    columns: pl.DataFrame
    step: timedelta
    levels: int
    volatility: str | None  # the name of its column
    pairs: pl.DataFrame
    pair: timedelta


def drawn(rows: pl.LazyFrame, *, exchange: str, symbol: str) -> Drawn | None:
    """What to draw of these rows of silver `orderbook`, no more of them held; None where no book of them is valid."""
    names = rows.collect_schema().names()
    interval, n, n_valid, first, last = _facts(rows, symbol)
    if not n_valid:
        return None
    step = _step(max(interval, (last - first) / COLUMNS_MAX))
    volatility = _volatility(names)
    levels = next((i for i in range(10_000) if f"bid_price_L{i}" not in names), 0)
    columns = collected(_columns(rows, names, step, levels=levels, volatility=volatility), symbol)
    pair = _step(max(interval, min((last - first) / _POINTS_LEAST, timedelta(seconds=60))))
    pairs = collected(_pairs(rows, pair), symbol) if "ofi" in names else pl.DataFrame()
    return Drawn(exchange, symbol, n, columns, step, levels, volatility, pairs, pair)


def _facts(rows: pl.LazyFrame, symbol: str) -> tuple[timedelta, int, int, datetime, datetime]:
    """The time from row to row, how many there are, how many have a mid price, the first and the last."""
    time = pl.col("timestamp")
    found = rows.select(
        interval=time.diff().median(), n=pl.len(), n_valid=pl.col("mid_price").count(), a=time.min(), b=time.max()
    )
    interval, n, n_valid, first, last = collected(found, symbol).row(0)
    return interval or timedelta(seconds=1), n, n_valid, first, last


def _step(least: timedelta) -> timedelta:
    """The shortest round stretch of time that is not shorter."""
    seconds = least.total_seconds()
    return timedelta(seconds=next((step for step in _STEPS_S if step >= seconds), _STEPS_S[-1]))


def _volatility(names: Sequence[str]) -> str | None:
    found = sorted((float(match[1]), name) for name in names if (match := _VOLATILITY.fullmatch(name)))
    longer = [name for seconds, name in found if seconds >= _VOLATILITY_S]
    return longer[0] if longer else found[-1][1] if found else None


def _stretch(step: timedelta) -> pl.Expr:
    """The end of the stretch of time that a row lies in: one stamped at the end belongs to it."""
    us = step // timedelta(microseconds=1)
    return (-(-pl.col("timestamp").dt.epoch("us") // us) * us).cast(pl.Datetime("us", "UTC")).alias("end")


def _columns(
    rows: pl.LazyFrame, names: Sequence[str], step: timedelta, *, levels: int, volatility: str | None
) -> pl.LazyFrame:
    book = [f"{side}_{what}_L{i}" for side in ("bid", "ask") for what in ("price", "size") for i in range(levels)]
    last = [name for name in (*_LAST, volatility) if name and name in names]
    known = pl.col("mid_price").is_not_null()
    sums = (pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in _SUMS if name in names)
    return (
        rows.group_by(_stretch(step), maintain_order=True)
        .agg(
            pl.col(*last, *book).filter(known).last(),
            pl.col("relative_spread_bps").mean(),
            *sums,
            pl.col("is_crossed", "has_gap", "is_reset").any(),
        )
        .with_columns(start=pl.col("end") - step)
        .sort("end")
    )


def _pairs(rows: pl.LazyFrame, pair: timedelta) -> pl.LazyFrame:
    """Order flow with returns; none over a reset or a stretch without rows."""
    end, mid = pl.col("end"), pl.col("mid_price")
    follows = (end.diff() == pair) & ~pl.col("is_reset")
    same = pl.when(follows).then((mid / mid.shift(1)).log() * 1e4)
    return (
        rows.filter(mid.is_not_null())
        .group_by(_stretch(pair), maintain_order=True)
        .agg(pl.col("ofi").sum(), mid.last(), pl.col("is_reset").any())
        .sort("end")
        .select("end", "ofi", same=same)
        .with_columns(next=pl.when(end.diff().shift(-1) == pair).then(pl.col("same").shift(-1)))
        .filter(pl.col("same").is_not_null())
    )
