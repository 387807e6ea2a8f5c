"""Statistics of bars against golden numbers, plain Python, and bars of which the answer is known."""

import math
import statistics
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.bars import build_bars
from etl.bars.returns import LAGS, RETURN_STATISTICS, return_statistics
from etl.bars.statistics import QUANTITIES, STATISTICS_SCHEMA, bar_statistics
from shared.errors import InputUnreadable

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
CLOSES = [
    100.0, 100.5, 100.25, 101.0, 100.75, 100.75, 101.5, 101.25, 100.0, 100.5, 102.0, 101.75, 101.0, 101.25, 100.5,
    100.75, 101.5, 103.0, 102.5, 102.25,
]  # fmt: skip
# scipy 1.17.1 (skew, kurtosis, jarque_bera) and statsmodels 0.15.0 (acf, acorr_ljungbox) of the log returns.
GOLDEN = {
    "n_returns": 19,
    "return_mean": 0.0011710846807799768,
    "return_std": 0.007282666964151833,
    "return_skewness": 0.23788361691734505,
    "return_excess_kurtosis": -0.4957996691298141,
    "jarque_bera": 0.3738026533874571,
    "jarque_bera_p": 0.8295255843792788,
    "autocorrelation_1": -0.05787001793169162,
    "ljung_box_10": 16.89470115883209,
    "ljung_box_10_p": 0.07672668966955143,
}
RETURNS = st.integers(-(10**8), 10**8).map(lambda n: n / 1e9)  # what closes of nine digits give


def bars_at(starts: list[datetime], closes: list[float], **columns: object) -> pl.DataFrame:
    """Bars of a minute each, of 2 trades, unless the columns say otherwise."""
    frame = pl.DataFrame(
        {"time_start": starts, "close": closes},
        schema_overrides={"time_start": pl.Datetime("us", "UTC"), "close": pl.Float64},
    )
    filled = {"tick_count": 2, "volume": 1.5, "dollar_volume": 150.0, "is_partial": False, "has_gap": False} | columns
    end = pl.col("time_start") + timedelta(minutes=1)
    return frame.with_columns(
        time_end=end, **{n: pl.Series(v) if isinstance(v, list) else pl.lit(v) for n, v in filled.items()}
    )


def minutes(count: int, *, every: int = 1) -> list[datetime]:
    return [START + timedelta(minutes=every * number) for number in range(count)]


def slowly(returns: list[float]) -> dict[str, float | int | None]:
    """`return_statistics` in exact fractions of plain Python; nan is a missing return."""
    known = [Fraction(r) for r in returns if not math.isnan(r)]
    n = len(known)
    found: dict[str, float | int | None] = {**dict.fromkeys(RETURN_STATISTICS), "n_returns": n}
    if not n:
        return found
    mean = sum(known) / n
    found["return_mean"] = float(mean)
    squares = sum((r - mean) ** 2 for r in known)
    if n > 1:
        found["return_std"] = math.sqrt(squares / (n - 1))
    if not squares:
        return found
    m2, m3, m4 = (sum((r - mean) ** power for r in known) / n for power in (2, 3, 4))
    found["return_skewness"] = float(m3) / float(m2) ** 1.5
    found["return_excess_kurtosis"] = float(m4 / m2**2 - 3)
    found["jarque_bera"] = n * (float(m3**2 / m2**3) / 6 + float(m4 / m2**2 - 3) ** 2 / 24)
    found["jarque_bera_p"] = math.exp(-found["jarque_bera"] / 2)
    d = [Fraction(0) if math.isnan(r) else Fraction(r) - mean for r in returns]
    r = [float(sum(d[t] * d[t + k] for t in range(len(d) - k)) / squares) for k in range(1, LAGS + 1)]
    found["autocorrelation_1"] = r[0]
    if n > LAGS:
        found["ljung_box_10"] = q = n * (n + 2) * sum(r[k - 1] ** 2 / (n - k) for k in range(1, LAGS + 1))
        found["ljung_box_10_p"] = sum((q / 2) ** i / math.factorial(i) for i in range(LAGS // 2)) * math.exp(-q / 2)
    return found


def equal(found: dict[str, object], expected: dict[str, object], *, rel: float = 1e-6) -> None:
    assert {name: found[name] for name in expected} == {
        name: value if value is None else pytest.approx(value, rel=rel, abs=1e-12) for name, value in expected.items()
    }


def test_golden_numbers_of_other_libraries() -> None:
    equal(return_statistics(np.diff(np.log(CLOSES))), GOLDEN, rel=1e-11)
    (row,) = bar_statistics(bars_at(minutes(20), CLOSES)).to_dicts()
    equal(row, GOLDEN)


@given(st.lists(st.one_of(RETURNS, st.just(math.nan), st.sampled_from([0.0, 0.01])), max_size=60))
def test_returns_as_exact_fractions_have_it(returns: list[float]) -> None:
    equal(return_statistics(np.array(returns)), slowly(returns))


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1.0])
def test_the_shape_does_not_depend_on_the_size_of_returns(size: float) -> None:
    found = return_statistics(np.diff(np.log(CLOSES)) * size)
    names = ("return_skewness", "return_excess_kurtosis", "jarque_bera", "autocorrelation_1", "ljung_box_10")
    equal(found, {name: GOLDEN[name] for name in names})


def test_equal_returns_have_no_shape() -> None:
    found = return_statistics(np.full(50, 0.1))
    assert {name for name, value in found.items() if value is not None} == {"n_returns", "return_mean", "return_std"}


def test_sizes_and_durations() -> None:
    ticks, volumes = [3, 1, 4, 1, 5], [0.5, 1.5, 2.5, 0.25, 8.0]
    bars = bars_at(minutes(5), CLOSES[:5], tick_count=ticks, volume=volumes)
    (row,) = bar_statistics(bars).to_dicts()
    assert (row["first"], row["last"]) == (START, START + timedelta(minutes=5))
    expected = {"n_bars": 5, "bars_per_day": 1440.0}
    for name, values in (("tick_count", ticks), ("volume", volumes), ("duration_s", [60.0] * 5)):
        expected |= {f"{name}_mean": statistics.fmean(values), f"{name}_std": statistics.stdev(values)}
        expected |= {f"{name}_min": min(values), f"{name}_max": max(values)}
        expected[f"{name}_median"] = statistics.median(values)
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_a_partial_bar_is_counted_and_no_more() -> None:
    flags = [False] * 19 + [True]
    (row,) = bar_statistics(bars_at(minutes(20), [*CLOSES[:19], 1e9], is_partial=flags)).to_dicts()
    (whole,) = bar_statistics(bars_at(minutes(19), CLOSES[:19])).to_dicts()
    assert (row["n_bars"], row["n_partial"]) == (19, 1)
    differ = {name for name in row if row[name] != whole[name]}
    assert differ == {"n_partial", "last", "bars_per_day"}


def test_a_return_over_a_gap_is_left_out() -> None:
    closes = [*CLOSES[:10], *(close * 3 for close in CLOSES[10:])]
    (row,) = bar_statistics(bars_at(minutes(20), closes, has_gap=[n == 10 for n in range(20)])).to_dicts()
    returns = np.diff(np.log(closes))
    returns[9] = math.nan
    assert (row["n_gap"], row["n_returns"]) == (1, 18)
    equal(row, slowly(returns.tolist()))


def test_periods_count_empty_ones_and_leave_out_the_ends() -> None:
    starts = [
        START + timedelta(days=day, hours=hour)
        for day, hours in ((0, 9), (1, 4), (3, 2), (4, 9))
        for hour in range(hours)
    ]
    closes = [100.0 + (number * 7 % 5) for number in range(len(starts))]
    (row,) = bar_statistics(bars_at(starts, closes), period="1d").to_dicts()
    assert (row["period"], row["n_periods"]) == ("1d", 3)
    returns = [math.nan, *np.diff(np.log(closes))]
    variances = [statistics.variance(returns[9:13]), statistics.variance(returns[13:15])]
    expected = {
        "bars_per_period_mean": 2.0,
        "bars_per_period_cv": statistics.stdev([4, 0, 2]) / 2,
        "variance_of_variances": statistics.variance(variances),
        "variance_cv": statistics.stdev(variances) / statistics.fmean(variances),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_a_steady_count_has_no_spread_and_months_have_their_lengths() -> None:
    days = [START + timedelta(days=number) for number in range(365)]
    (daily,) = bar_statistics(bars_at(days, [1.0 + n % 3 for n in range(365)]), period="1w").to_dicts()
    assert (daily["n_periods"], daily["bars_per_period_mean"], daily["bars_per_period_cv"]) == (51, 7.0, 0.0)
    (monthly,) = bar_statistics(bars_at(days, [1.0 + n % 3 for n in range(365)]), period="1mo").to_dicts()
    lengths = [28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]  # February to December: the last bar is of January
    assert monthly["n_periods"] == 11
    assert monthly["bars_per_period_mean"] == pytest.approx(statistics.fmean(lengths))


@given(
    closes=st.lists(st.floats(1e-300, 1e300), max_size=30),
    volume=st.floats(0, 1e308),
    flags=st.lists(st.booleans(), min_size=60, max_size=60),
    every=st.integers(0, 5000),
)
def test_never_nan_or_infinite(closes: list[float], volume: float, flags: list[bool], every: int) -> None:
    n = len(closes)
    bars = bars_at(minutes(n, every=every), closes, volume=volume, is_partial=flags[:n], has_gap=flags[30 : 30 + n])
    found = bar_statistics(bars, period="1h")
    assert found.schema == STATISTICS_SCHEMA
    assert found.height == (n > 0)
    numbers = [value for row in found.to_dicts() for value in row.values() if isinstance(value, float)]
    assert all(map(math.isfinite, numbers))


def test_streams_stand_apart_and_in_the_order_of_their_numbers() -> None:
    one, other = bars_at(minutes(20), CLOSES), bars_at(minutes(20), CLOSES[::-1])
    marked = [
        part.with_row_index("bar_seq").with_columns(
            bar_set=pl.lit("tick-2"), exchange=pl.lit("kraken"), symbol=pl.lit(s)
        )
        for part, s in ((one, "BTC-USD"), (other, "ETH-USD"))
    ]
    found = bar_statistics(pl.concat(marked).sample(fraction=1.0, shuffle=True, seed=5)).sort("symbol")
    assert found["symbol"].to_list() == ["BTC-USD", "ETH-USD"]
    names = [name for name in STATISTICS_SCHEMA if name not in {"bar_set", "exchange", "symbol"}]
    apart = pl.concat([bar_statistics(one), bar_statistics(other)])
    assert found.select(names).equals(apart.select(names))


def test_bars_of_a_builder_fit() -> None:
    times = [START + timedelta(seconds=number) for number in range(500)]
    prices = [100.0 + (number * 37 % 11) / 4 for number in range(500)]
    trades = pl.DataFrame(
        {"trade_id": [str(n) for n in range(500)], "timestamp": times, "price": prices, "amount": 0.5}
    )
    (row,) = bar_statistics(build_bars(trades, "tick", threshold=5, keep_open=True), period="1m").to_dicts()
    assert (row["n_bars"], row["tick_count_mean"], row["volume_std"]) == (100, 5.0, 0.0)
    assert (row["bars_per_period_mean"], row["bars_per_period_cv"]) == (12.0, 0.0)
    assert all(row[f"{quantity}_mean"] for quantity in QUANTITIES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda bars: bars.drop("volume"), "no column 'volume'"),
        (lambda bars: bars.with_columns(close=pl.lit("x")), "column 'close' of bars is String"),
        (lambda bars: bars.with_columns(time_end=1), "column 'time_end' of bars is Int32"),
        (lambda bars: bars.with_columns(close=pl.Series([1.0, 0.0, 2.0])), "holds 0.0 in row 1"),
        (lambda bars: bars.with_columns(close=pl.Series([1.0, None, 2.0])), "holds None in row 1"),
        (lambda bars: bars.with_columns(volume=pl.Series([1.0, 2.0, math.inf])), "holds inf in row 2"),
    ],
)
def test_bars_that_are_none_are_refused(change: object, words: str) -> None:
    with pytest.raises(InputUnreadable, match=words):
        bar_statistics(change(bars_at(minutes(3), [1.0, 2.0, 3.0])))  # type: ignore[operator]


def test_an_unknown_period_is_refused() -> None:
    with pytest.raises(ValueError, match="period must be one of 1mo, 1w"):
        bar_statistics(bars_at(minutes(3), [1.0, 2.0, 3.0]), period="2d")


def test_times_without_a_zone_are_utc() -> None:
    naive = bars_at(minutes(20), CLOSES).with_columns(pl.col("time_start", "time_end").dt.replace_time_zone(None))
    assert bar_statistics(naive).equals(bar_statistics(bars_at(minutes(20), CLOSES)))
