"""Point-in-time frames: what was known at each moment, of one stream, of many side by side, or for each bar.

Nothing later than a moment is ever used for it: with `clock="timestamp"` later by exchange time, with
`clock="known_at"` (of bronze `capture_ts`) also what reached us later. Frames are lazy in and out, in any order of
rows; rows of several streams (`exchange`, `symbol`, `bar_set`, ...) are never mixed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias, Unpack, get_args

import polars as pl

from etl.as_of import AGE, Rows, Unit, as_of, known_rows, reserved, unit_of
from etl.bars.threshold import Number
from etl.grid import TIME, Grid, GridOptions, bounds_of, shared_bounds

How: TypeAlias = Literal["last", "first", "min", "max", "mean", "sum", "count"]

_OF_NUMBERS = ("min", "max", "mean", "sum")
_BOOK_COLUMNS = ("mid_price", "best_bid", "bids")


def resample_orderbook(
    frame: pl.LazyFrame | pl.DataFrame,
    interval: Number,
    *,
    max_staleness: Number | None = None,
    **options: Unpack[GridOptions],
) -> pl.LazyFrame:
    """The book known at each moment of a grid: snapshots of bronze, or features of silver, with all their columns.

    Sums over a row's own interval (`ofi`, `tfi`, `trade_volume`) are those of the last row alone: add them up over the
    grid's interval with `resample_timeseries(..., how={"ofi": "sum"})`.

    Args:
        frame: rows with `timestamp`, whole books or what was made of them.
        interval: of the grid, seconds or text such as "1s", aligned to 1970 UTC.
        max_staleness: as the interval; books that are older by then are null. Default: none is too old.
        options: `clock`, `since`, `until`, see `etl.grid.GridOptions`.

    Returns:
        (`exchange`, `symbol`,) `timestamp` the moment, every other column, and `age`: how old the book is by then.

    Raises: ValueError: a bad argument, or rows that are not whole books.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (0, 1, 7)]
    >>> books = pl.LazyFrame({"timestamp": times, "mid_price": [10.0, 11.0, 12.0]})
    >>> frame = resample_orderbook(books, "2s", max_staleness="3s").collect()
    >>> frame.select(pl.col("timestamp").dt.second(), "mid_price", pl.col("age").dt.total_seconds()).rows()
    [(0, 10.0, 0), (2, 11.0, 1), (4, 11.0, 3), (6, None, 5)]
    """
    rows = frame.lazy()
    schema = rows.collect_schema()
    if not any(name in schema for name in _BOOK_COLUMNS):
        raise ValueError(
            f"rows are no books: none of {', '.join(_BOOK_COLUMNS)} is a column; make features of l2 first"
        )
    return resample_timeseries(rows, interval, max_staleness=max_staleness, **options)


def resample_timeseries(
    frame: pl.LazyFrame | pl.DataFrame,
    interval: Number,
    *,
    columns: Sequence[str] | None = None,
    how: How | Mapping[str, How] = "last",
    max_staleness: Number | None = None,
    **options: Unpack[GridOptions],
) -> pl.LazyFrame:
    """What was known at each moment of a grid, or what became known in the interval that ends with it.

    Args:
        frame: rows with `timestamp`, of bars `available_at`.
        interval: of the grid, seconds or text such as "1m", aligned to 1970 UTC, weeks to Monday.
        columns: those that are wanted; all, if not given.
        how: "last" is the value of the last row, however long ago, see `max_staleness`, even if that is null. The
            others are of the rows in (moment - interval, moment]: "first", "min", "max" and "mean" of the values that
            are not null, "count" of rows, "sum", null where a value is; all null without a row. One for all columns,
            or by column, where those that are not named are "last".
        max_staleness: as the interval; values of "last" that are older by then are null. Default: none is too old.
        options: `clock`, `since`, `until`, see `etl.grid.GridOptions`.

    Returns:
        (the columns that name the stream,) `timestamp` the moment, the columns, and `age` of the last row.

    Raises: ValueError: a bad argument or column.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (0, 1, 3, 4, 8)]
    >>> rows = pl.LazyFrame({"timestamp": times, "mid": [10.0, 11.0, 12.0, 13.0, 14.0], "ofi": [1, 2, 4, 8, 16]})
    >>> frame = resample_timeseries(rows, "4s", how={"ofi": "sum"})
    >>> frame.select(pl.col("timestamp").dt.second(), "mid", "ofi").collect().rows()
    [(0, 10.0, 1), (4, 13.0, 14), (8, 14.0, 16)]
    """
    grid = Grid.of(interval, options)
    rows = known_rows(frame.lazy(), grid.clock, columns)
    reserved(rows.columns, [*rows.by, TIME, AGE])
    cells = _cells(how, rows)
    standing = rows._replace(columns=[name for name in rows.columns if name not in cells])
    moments = grid.moments(bounds_of(rows), rows.by, rows.unit)
    known = as_of(moments, TIME, standing, by=rows.by, max_staleness=max_staleness)
    if cells:
        cell = grid.cell(rows.unit).alias(TIME)
        summed = rows.in_order().group_by(*rows.by, cell).agg(_summary(name, kind) for name, kind in cells.items())
        known = known.join(summed, on=[*rows.by, TIME], how="left", maintain_order="left")
    return known.select(*rows.by, TIME, *rows.columns, AGE)


def align_assets(
    frames: Mapping[str, pl.LazyFrame | pl.DataFrame],
    interval: Number,
    *,
    columns: Sequence[str],
    max_staleness: Number | Mapping[str, Number] | None = None,
    **options: Unpack[GridOptions],
) -> pl.LazyFrame:
    """What was known of each asset at each moment of one grid, side by side: `BTC_USD_mid_price`, `BTC_USD_age`, ...

    The grid goes from the first row of any asset to the last; an asset is null before its own first row.

    Args:
        frames: rows by the name of the asset, of one stream each.
        interval: of the grid, as in `resample_timeseries`.
        columns: those that are wanted of each.
        max_staleness: for all, or by name; assets that are not named have none.
        options: `clock`, `since`, `until`, see `etl.grid.GridOptions`.

    Raises: ValueError: a bad argument or column, two names that become one; when collected: a frame of two streams.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(3)]
    >>> btc = pl.LazyFrame({"timestamp": times, "mid_price": [10.0, 11.0, 12.0]})
    >>> eth = pl.LazyFrame({"timestamp": times[1:2], "mid_price": [5.0]})
    >>> wide = align_assets({"BTC-USD": btc, "ETH-USD": eth}, "1s", columns=["mid_price"])
    >>> wide.select(pl.col("timestamp").dt.second(), "BTC_USD_mid_price", "ETH_USD_mid_price").collect().rows()
    [(0, 10.0, None), (1, 11.0, 5.0), (2, 12.0, 5.0)]
    """
    if not frames:
        raise ValueError("no assets were given")
    grid, staleness = Grid.of(interval, options), _by_asset(max_staleness, frames)
    assets = {name: known_rows(frame.lazy(), grid.clock, columns) for name, frame in frames.items()}
    unit: Unit = "ns" if any(rows.unit == "ns" for rows in assets.values()) else "us"
    wide = grid.moments(shared_bounds(assets, unit), (), unit)
    for name, prefix in _prefixes(frames).items():
        rows = assets[name].renamed({column: f"{prefix}_{column}" for column in columns})
        reserved([*rows.columns, f"{prefix}_{AGE}"], wide.collect_schema())
        wide = as_of(wide, TIME, rows, by=(), max_staleness=staleness[name]).rename({AGE: f"{prefix}_{AGE}"})
    return wide


def join_features(
    bars: pl.LazyFrame | pl.DataFrame,
    features: pl.LazyFrame | pl.DataFrame,
    *,
    on: str = "available_at",
    columns: Sequence[str] | None = None,
    clock: str = "timestamp",
    max_staleness: Number | None = None,
) -> pl.LazyFrame:
    """Bars, each with the last row of features that was known when the bar was, and its `age`; never a later one.

    Every bar stays, once and in its place. Features are joined by those of `exchange`, `symbol`, ... that they have:
    without them (`.drop("exchange", "symbol")`) one stream's features go to the bars of all.

    Args:
        bars: with a column `on`.
        features: rows with `timestamp`, of silver or resampled; of bars and candles `available_at`.
        on: the moment: "available_at", by exchange time, or "known_at", when the bar was known here.
        columns: the features that are wanted; all, if not given. Names that bars have too end in `_feature`.
        clock: when a row of features was known: "timestamp", or "known_at", here.
        max_staleness: seconds or text such as "5s": features that are older are null.

    Raises: ValueError: a bad argument or column, or features of streams that the bars do not name.

    >>> from datetime import UTC, datetime
    >>> at = [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in range(4)]
    >>> bars = pl.LazyFrame({"available_at": [at[1], at[3]], "close": [10.0, 11.0]})
    >>> features = pl.LazyFrame({"timestamp": [at[0], at[1], at[2]], "ofi": [1.0, 2.0, 3.0]})
    >>> join_features(bars, features).select("close", "ofi", pl.col("age").dt.total_seconds()).collect().rows()
    [(10.0, 2.0, 0), (11.0, 3.0, 60)]
    """
    left, rows = bars.lazy(), known_rows(features.lazy(), clock, columns)
    schema = left.collect_schema()
    unit_of(schema, on)
    if unnamed := [name for name in rows.by if name not in schema]:
        hint = "keep those of one stream and drop the column"
        raise ValueError(f"features are by {unnamed[0]!r}, which is no column of the bars: {hint}")
    rows = rows.renamed({name: f"{name}_feature" if name in schema else name for name in rows.columns})
    reserved([*rows.columns, AGE], schema)
    reserved(rows.columns, [AGE])
    return as_of(left, on, rows, by=rows.by, max_staleness=max_staleness)


def _cells(how: How | Mapping[str, How], rows: Rows) -> dict[str, How]:
    """The columns that are not "last". Raises: ValueError."""
    hows = dict.fromkeys(rows.columns, how) if isinstance(how, str) else dict(how)
    schema = rows.frame.collect_schema()
    for name, kind in hows.items():
        if kind not in get_args(How):
            raise ValueError(f"how must be one of {', '.join(get_args(How))}, was {kind!r}")
        if name not in rows.columns:
            raise ValueError(f"how names {name!r}, which is none of the columns: {', '.join(rows.columns)}")
        if kind in _OF_NUMBERS and not schema[name].is_numeric():
            raise ValueError(f"there is no {kind} of column {name!r}, which is {schema[name]}: name the columns")
    return {name: kind for name, kind in hows.items() if kind != "last"}


def _summary(name: str, how: How) -> pl.Expr:
    values = pl.col(name)
    if how == "count":
        return pl.len().alias(name)
    if how == "sum":
        return pl.when(values.null_count() == 0).then(values.sum()).alias(name)
    known = values.drop_nulls()
    return {"first": known.first, "min": known.min, "max": known.max, "mean": known.mean}[how]()


def _prefixes(names: Iterable[str]) -> dict[str, str]:
    """What the columns of each asset begin with. Raises: ValueError: those of two are the same."""
    prefixes = {name: re.sub(r"\W", "_", name) for name in names}
    for (first, prefix), (second, other) in pairwise(sorted(prefixes.items(), key=lambda pair: pair[1])):
        if prefix == other:
            raise ValueError(f"{first!r} and {second!r} would both be {prefix}: name one of them otherwise")
    return prefixes


def _by_asset(max_staleness: Number | Mapping[str, Number] | None, names: Iterable[str]) -> dict[str, Number | None]:
    if not isinstance(max_staleness, Mapping):
        return dict.fromkeys(names, max_staleness)
    if unknown := sorted(set(max_staleness) - set(names)):
        raise ValueError(f"max_staleness names {unknown[0]!r}, which is none of the assets: {', '.join(names)}")
    return {name: max_staleness.get(name) for name in names}
