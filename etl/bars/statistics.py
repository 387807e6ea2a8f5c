"""How bars behave: how many, how large, how long, and how near their returns come to independent normal ones.

The questions are those that AFML exercise 2.1 puts to bar types: whose number per period is the most stable, whose
returns have the lowest serial correlation, the least variance of variances, the lowest Jarque-Bera statistic.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), ch. 2, exercise 2.1 b to e; Easley, Lopez de
Prado and O'Hara, The Volume Clock (2012), which asks the same of volume bars.
"""

import math
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from etl.bars.returns import RETURN_STATISTICS, return_statistics
from etl.bars.schema import TIME
from shared.errors import InputUnreadable

PERIODS_MIN = 10  # that a span should hold, so that a spread over periods says something
PERIODS = {
    "1mo": timedelta(days=31),
    "1w": timedelta(days=7),
    "1d": timedelta(days=1),
    "1h": timedelta(hours=1),
    "10m": timedelta(minutes=10),
    "1m": timedelta(minutes=1),
}

COLUMNS_READ = ("time_start", "time_end", "close", "tick_count", "volume", "dollar_volume")
KEYS = ("bar_set", "exchange", "symbol")
QUANTITIES = ("tick_count", "volume", "dollar_volume", "duration_s")
_SPREAD = ("mean", "std", "min", "median", "max")
_OPTIONAL = {"is_partial": False, "has_gap": False}

STATISTICS_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(KEYS, pl.String()),
        "first": TIME,
        "last": TIME,
        **dict.fromkeys(("n_bars", "n_partial", "n_gap"), pl.Int64()),
        "bars_per_day": pl.Float64(),
        **{f"{quantity}_{name}": pl.Float64() for quantity in QUANTITIES for name in _SPREAD},
        **dict.fromkeys(RETURN_STATISTICS, pl.Float64()),
        "n_returns": pl.Int64(),
        "period": pl.String(),
        "n_periods": pl.Int64(),
        "bars_per_period_mean": pl.Float64(),
        "bars_per_period_cv": pl.Float64(),
        "variance_of_variances": pl.Float64(),
        "variance_cv": pl.Float64(),
    }
)


def bar_statistics(bars: pl.DataFrame, *, period: str = "1d") -> pl.DataFrame:
    """A row of `STATISTICS_SCHEMA` for each bar set and stream; nulls where there is too little to say, never NaN.

    Partial bars are counted in `n_partial` and in nothing else. A return is ln(close / close before); one into a bar
    that spans a declared gap (`n_gap`) is none of that kind of bar, and left out.

        first, last         beginning of the first and end of the last bar, UTC
        bars_per_day        whole bars per 24 h between these two
        <quantity>_<spread> tick_count in trades, volume in base, dollar_volume in quote, duration_s = time_end -
                            time_start in seconds: mean, std (divisor n - 1), min, median, max over whole bars
        return_*, ...       see `etl.bars.returns`
        period, ...         see `period_statistics`

    Args:
        bars: rows of `BAR_SCHEMA`, or at least `COLUMNS_READ`; bar_set, exchange and symbol tell streams apart.
        period: what AFML calls a subset: 1mo, 1w, 1d, 1h, 10m or 1m.

    Raises: InputUnreadable: a column is missing or of a wrong type, or a number in it is none. ValueError: the period.

    >>> from datetime import UTC, datetime
    >>> start = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(4)]
    >>> bars = pl.DataFrame({"time_start": start, "close": [100.0, 101.0, 100.0, 102.0], "tick_count": [5, 7, 6, 6]})
    >>> bars = bars.with_columns(time_end=pl.col("time_start").dt.offset_by("1h"), volume=2.0, dollar_volume=200.0)
    >>> bar_statistics(bars)["n_bars", "bars_per_day", "tick_count_mean", "duration_s_max"].row(0)
    (4, 24.0, 6.0, 3600.0)
    """
    if period not in PERIODS:
        raise ValueError(f"period must be one of {', '.join(PERIODS)}, was {period!r}")
    checked = _checked(bars)
    keys = [name for name in KEYS if name in checked.columns]
    parts = checked.partition_by(keys, maintain_order=True) if keys else [checked] * (checked.height > 0)
    return pl.DataFrame([_row(part, keys, period) for part in parts], schema=STATISTICS_SCHEMA)


def period_statistics(bars: pl.DataFrame, *, period: str) -> dict[str, float | int | str | None]:
    """How much the number of bars and the variance of returns differ between periods of one length.

    A bar belongs to the UTC period in which it begins. The first and the last period are not whole and left out; one
    in between without bars counts 0.

        n_periods               periods counted
        bars_per_period_mean    bars in one
        bars_per_period_cv      their std / their mean (divisor n - 1): 0 for the most stable count
        variance_of_variances   variance over periods of the variance of their returns, as AFML has it (both divisors
                                n - 1; periods with fewer than 2 returns left out). Larger bars have larger returns:
                                compare sets of about as many bars
        variance_cv             the same as a std / mean, which does not depend on the size of bars

    Null: the mean without periods, the others with fewer than 2.

    Args:
        bars: in order, with time_start and `log_return` (null where there is none).
        period: one of `PERIODS`.
    """
    begins = pl.col("time_start").dt.truncate(period)
    found = bars.group_by(_begins=begins).agg(n=pl.len(), variance=pl.col("log_return").var()).sort("_begins")
    within = found[1:-1]
    n = max(0, _periods_from(found["_begins"], period) - 2)
    counts = np.zeros(n)
    counts[: within.height] = within["n"].to_numpy()
    result: dict[str, float | int | str | None] = {"period": period, "n_periods": n}
    if n:
        result["bars_per_period_mean"] = float(counts.mean())
    if n > 1 and counts.any():
        result["bars_per_period_cv"] = float(counts.std(ddof=1) / counts.mean())
    variances = within["variance"].drop_nulls().to_numpy()
    if len(variances) > 1:
        result["variance_of_variances"] = float(variances.var(ddof=1))
        result["variance_cv"] = float(variances.std(ddof=1) / variances.mean()) if variances.any() else None
    return result


def fitting_period(span: timedelta) -> str:
    """The longest period of which the span holds at least 10.

    >>> [fitting_period(timedelta(days=days)) for days in (0.01, 0.1, 1, 30, 100, 400)]
    ['1m', '10m', '1h', '1d', '1w', '1mo']
    """
    return next((name for name, length in PERIODS.items() if span >= PERIODS_MIN * length), "1m")


def _periods_from(begins: pl.Series, period: str) -> int:
    """How many periods there are from the first to the last of these, both included."""
    return pl.datetime_range(begins[0], begins[-1], interval=period, eager=True).len() if begins.len() else 0


def _checked(bars: pl.DataFrame) -> pl.DataFrame:
    """The columns that are read, in one form."""
    for name in COLUMNS_READ:
        if name not in bars.columns:
            raise InputUnreadable(f"bars have no column {name!r}", hint=f"They need {', '.join(COLUMNS_READ)}")
        dtype = bars.schema[name]
        fits = isinstance(dtype, pl.Datetime) if name.startswith("time") else dtype.is_numeric()
        if not fits:
            raise InputUnreadable(f"column {name!r} of bars is {dtype}")
        wrong = bars[name].is_null()
        if dtype.is_float():
            wrong |= ~bars[name].is_finite().fill_null(True)
        if name == "close":
            wrong |= (bars[name] <= 0).fill_null(True)
        if wrong.any():
            row = int(wrong.arg_true()[0])
            raise InputUnreadable(f"column {name!r} of bars holds {bars[name][row]} in row {row:,}")
    return bars.select(
        *(name for name in (*KEYS, "bar_seq") if name in bars.columns),
        *(_utc(bars[name]) if name.startswith("time") else pl.col(name) for name in COLUMNS_READ),
        *(
            pl.col(name).fill_null(absent) if name in bars.columns else pl.lit(absent).alias(name)
            for name, absent in _OPTIONAL.items()
        ),
    )


def _utc(moments: pl.Series) -> pl.Series:
    moments = moments.dt.cast_time_unit("us")
    is_naive = moments.dtype == pl.Datetime("us")
    return moments.dt.replace_time_zone("UTC") if is_naive else moments.dt.convert_time_zone("UTC")


def _row(bars: pl.DataFrame, keys: list[str], period: str) -> dict[str, Any]:
    bars = bars.sort("bar_seq" if "bar_seq" in bars.columns else "time_start", maintain_order=True)
    closes = bars["close"].cast(pl.Float64).to_numpy()
    returns = np.concatenate([[math.nan], np.diff(np.log(closes))])
    returns[(bars["has_gap"] | bars["is_partial"]).to_numpy()] = math.nan
    bars = bars.with_columns(log_return=pl.Series(returns, nan_to_null=True))
    whole = bars.filter(~pl.col("is_partial"))
    first, last = bars["time_start"].min(), bars["time_end"].max()
    days = (last - first) / timedelta(days=1)  # type: ignore[operator]
    row: dict[str, Any] = {
        **{name: bars[name][0] for name in keys},
        "first": first,
        "last": last,
        "n_bars": whole.height,
        "n_partial": bars.height - whole.height,
        "n_gap": whole["has_gap"].sum(),
        "bars_per_day": whole.height / days if days else None,
        **whole.select(_spreads()).row(0, named=True),
        **return_statistics(returns),
        **period_statistics(whole, period=period),
    }
    return {name: value if _is_said(value) else None for name, value in row.items()}


def _spreads() -> list[pl.Expr]:
    duration = (pl.col("time_end") - pl.col("time_start")).dt.total_microseconds() / 1e6
    return [
        getattr(duration if quantity == "duration_s" else pl.col(quantity).cast(pl.Float64), name)().alias(
            f"{quantity}_{name}"
        )
        for quantity in QUANTITIES
        for name in _SPREAD
    ]


def _is_said(value: Any) -> bool:
    """Whether a statistic has a value: sums of huge numbers may have none."""
    return not isinstance(value, float) or math.isfinite(value)
