"""Times of trades, however a file writes them, as microseconds UTC."""

from typing import Literal, TypeAlias, get_args

import polars as pl

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns"]

TIME = pl.Datetime("us", "UTC")
_PER_S: dict[TimeUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_BELOW: dict[TimeUnit, float] = {"s": 1e11, "ms": 1e14, "us": 1e17, "ns": float("inf")}  # from 1973 to 5138
_NUMBER = r"^\s*[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*$"
UNITS: tuple[TimeUnit, ...] = get_args(TimeUnit)


def unit_of(column: pl.Series) -> TimeUnit | None:
    """The unit that the first time has, by its size; None where times are not numbers.

    >>> unit_of(pl.Series([1_780_977_600_000])), unit_of(pl.Series(["2026-06-09T04:00:00Z"]))
    ('ms', None)
    """
    numbers = _numeric(column)
    if numbers is None or numbers.null_count() == len(numbers):
        return None
    first = float(numbers.drop_nulls()[0])
    return next(unit for unit in UNITS if first < _BELOW[unit])


def misfit(column: pl.Series, unit: TimeUnit | None) -> int | None:
    """The first row whose time has another unit by its size, where times are numbers."""
    numbers = _numeric(column)
    if numbers is None or unit is None:
        return None
    low = _BELOW[UNITS[UNITS.index(unit) - 1]] if unit != "s" else 0
    wrong = ((numbers < low) | (numbers >= _BELOW[unit])).fill_null(False)
    return int(wrong.arg_true()[0]) if wrong.any() else None


def moments(column: pl.Series, unit: TimeUnit | None) -> pl.Series:
    """The times, null where one cannot be read; those without a zone are UTC, digits behind us are cut off.

    >>> moments(pl.Series([1.5]), "s")[0].isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    if isinstance(column.dtype, pl.Datetime):
        zoned = column.dt.convert_time_zone("UTC") if column.dtype.time_zone else column.dt.replace_time_zone("UTC")
        return zoned.dt.cast_time_unit("us")
    numbers = _numeric(column)
    if numbers is None:
        return _of_text(column.cast(pl.String)) if column.dtype == pl.String else column.cast(TIME)
    per_s = _PER_S[unit or "us"]
    if numbers.dtype.is_float():
        us = (numbers.fill_nan(None) * (1e6 / per_s)).round().cast(pl.Int64, strict=False)
    else:
        us = numbers * (10**6 // per_s) if per_s <= 10**6 else numbers // 1000
    return us.set(us <= 0, None).cast(TIME)


def _numeric(column: pl.Series) -> pl.Series | None:
    """The column as whole numbers, or as floats; None where its first value is no number."""
    if column.dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    known = column.drop_nulls()
    if column.dtype != pl.String or not len(known) or not known.head(1).str.contains(_NUMBER)[0]:
        return None
    text = column.str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == column.null_count() else text.cast(pl.Float64, strict=False)


def _of_text(column: pl.Series) -> pl.Series:
    text = column.str.strip_chars().str.replace(" ", "T", literal=True)
    zoned = text.str.contains(r"(Z|[+-]\d\d:?\d\d)$").fill_null(False)
    plain = text.str.strip_suffix("Z")
    local = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    if (zoned & ~text.str.ends_with("Z")).any():
        moved = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)
        local = local.zip_with(local.is_not_null(), moved.dt.convert_time_zone("UTC"))
    return local
