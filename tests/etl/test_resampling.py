"""Point-in-time frames: equal to a slow search over all rows, and no earlier row changes when the future is cut off."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.resampling import align_assets, join_features, resample_orderbook, resample_timeseries

Row: TypeAlias = dict[str, Any]

FIRST = datetime(2026, 6, 9, 4, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
SCHEMA = {"symbol": pl.String, "timestamp": TIME, "known_at": TIME, "mid_price": pl.Float64, "ofi": pl.Int64}


def after(seconds: float) -> datetime:
    return FIRST + timedelta(seconds=seconds)


MOMENTS = st.integers(0, 120).map(lambda half: after(half / 2))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(["BTC-USD", "ETH-USD"]),
            "timestamp": MOMENTS,
            "known_at": st.none() | MOMENTS,
            "mid_price": st.none() | st.sampled_from([1.0, 2.0, 3.0]),
            "ofi": st.none() | st.integers(-9, 9),
        }
    ),
    max_size=25,
)
INTERVALS = st.sampled_from([1, 3, 7, 20])
CLOCKS = st.sampled_from(["timestamp", "known_at"])
STALENESS = st.none() | st.integers(1, 30)


def frame_of(rows: list[Row]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema=SCHEMA)


def known_from(row: Row, clock: str) -> datetime | None:
    return None if row[clock] is None else max(row[clock], row["timestamp"])


def known(rows: list[Row], moment: datetime, clock: str) -> list[Row]:
    return [row for row in rows if (at := known_from(row, clock)) is not None and at <= moment]


def newest(rows: list[Row], moment: datetime, clock: str) -> Row | None:
    """By search: of what was known the row of the latest time, of those the last to be known, of those the last."""
    best = None
    for row in known(rows, moment, clock):
        order = (row["timestamp"], known_from(row, clock))
        if best is None or order >= (best["timestamp"], known_from(best, clock)):
            best = row
    return best


def seen(rows: list[Row], moment: datetime, clock: str, oldest_s: int | None) -> Row:
    row = newest(rows, moment, clock)
    if row is None:
        return {"mid_price": None, "ofi": None, "age": None}
    age = moment - row["timestamp"]
    is_stale = oldest_s is not None and age > timedelta(seconds=oldest_s)
    return {name: None if is_stale else row[name] for name in ("mid_price", "ofi")} | {"age": age}


def grid_of(rows: list[Row], interval_s: int, clock: str) -> list[datetime]:
    times = [at for row in rows if (at := known_from(row, clock)) is not None]
    epoch_s = int(FIRST.timestamp())
    every = (after(s) for s in range(-20, 100) if (epoch_s + s) % interval_s == 0)
    return [moment for moment in every if times and min(times) <= moment <= max(times)]


def expected(rows: list[Row], interval_s: int, clock: str, oldest_s: int | None) -> list[Row]:
    out: list[Row] = []
    for symbol in sorted({row["symbol"] for row in rows}):
        own = [row for row in rows if row["symbol"] == symbol]
        out += [
            {"symbol": symbol, "timestamp": moment} | seen(own, moment, clock, oldest_s)
            for moment in grid_of(own, interval_s, clock)
        ]
    return out


@settings(deadline=None)
@given(rows=ROWS, interval_s=INTERVALS, clock=CLOCKS, oldest_s=STALENESS)
def test_each_moment_has_the_last_row_known(rows, interval_s, clock, oldest_s):
    resample = resample_orderbook(frame_of(rows), interval_s, clock=clock, max_staleness=oldest_s)
    frame = resample.select("symbol", "timestamp", "mid_price", "ofi", "age").collect()
    assert frame.to_dicts() == expected(rows, interval_s, clock, oldest_s)


SUMMARIES: dict[str, Callable[[list[int | None]], float | None]] = {
    "first": lambda values: next((value for value in values if value is not None), None),
    "min": lambda values: min((value for value in values if value is not None), default=None),
    "max": lambda values: max((value for value in values if value is not None), default=None),
    "mean": lambda values: (
        sum(there) / len(there) if (there := [value for value in values if value is not None]) else None
    ),
    "sum": lambda values: None if None in values else sum(values),
    "count": len,
}


@settings(deadline=None)
@given(rows=ROWS, interval_s=INTERVALS, clock=CLOCKS, how=st.sampled_from(sorted(SUMMARIES)))
def test_each_interval_is_summed_up(rows, interval_s, clock, how):
    frame = resample_timeseries(frame_of(rows), interval_s, columns=["ofi"], how=how, clock=clock).collect()
    asked = frame.select("symbol", "timestamp", "ofi").rows()
    moments = [(row["symbol"], row["timestamp"]) for row in expected(rows, interval_s, clock, None)]
    assert [(symbol, moment) for symbol, moment, _ in asked] == moments
    for symbol, moment, value in asked:
        ordered = sorted(
            (row for row in known(rows, moment, clock) if row["symbol"] == symbol),
            key=lambda row: (known_from(row, clock), row["timestamp"]),
        )
        began = moment - timedelta(seconds=interval_s)
        cell = [row["ofi"] for row in ordered if known_from(row, clock) > began]
        wanted = SUMMARIES[how](cell) if cell else None
        assert value == (pytest.approx(wanted) if how == "mean" and wanted is not None else wanted)


@settings(deadline=None)
@given(rows=ROWS, moment=MOMENTS, interval_s=INTERVALS, clock=CLOCKS, oldest_s=STALENESS)
def test_no_row_knows_what_comes_later(rows, moment, interval_s, clock, oldest_s):
    def resampled(given_rows: list[Row]) -> pl.DataFrame:
        return resample_timeseries(
            frame_of(given_rows), interval_s, how={"ofi": "sum"}, clock=clock, max_staleness=oldest_s
        ).collect()

    before = resampled(known(rows, moment, clock))
    whole = resampled(rows)
    for symbol, own in before.group_by("symbol"):
        same = whole.filter(pl.col("symbol") == symbol[0], pl.col("timestamp") <= own["timestamp"].max())
        assert own.sort("timestamp").equals(same)


@settings(deadline=None)
@given(rows=ROWS, moment=MOMENTS, interval_s=INTERVALS, clock=CLOCKS, oldest_s=STALENESS)
def test_assets_side_by_side_are_the_assets_one_by_one(rows, moment, interval_s, clock, oldest_s):
    def wide(given_rows: list[Row]) -> pl.DataFrame:
        frames = {
            name: frame_of([row for row in given_rows if row["symbol"] == name]) for name in ("BTC-USD", "ETH-USD")
        }
        staleness = {"BTC-USD": oldest_s} if oldest_s else None
        return align_assets(
            frames, interval_s, columns=["mid_price", "ofi"], clock=clock, max_staleness=staleness
        ).collect()

    frame = wide(rows)
    wanted = []
    for at in grid_of(rows, interval_s, clock):
        line = {"timestamp": at}
        for symbol, oldest in (("BTC-USD", oldest_s), ("ETH-USD", None)):
            own = seen([row for row in rows if row["symbol"] == symbol], at, clock, oldest)
            line |= {f"{symbol.replace('-', '_')}_{name}": value for name, value in own.items()}
        wanted.append(line)
    assert frame.to_dicts() == wanted
    before = wide(known(rows, moment, clock))
    assert before.equals(frame.head(len(before)))


BARS = st.lists(st.tuples(st.sampled_from(["BTC-USD", "ETH-USD"]), MOMENTS), max_size=12)


@settings(deadline=None)
@given(rows=ROWS, bars=BARS, moment=MOMENTS, clock=CLOCKS, oldest_s=STALENESS)
def test_bars_have_the_features_known_when_they_were(rows, bars, moment, clock, oldest_s):
    def joined(given_rows: list[Row]) -> pl.DataFrame:
        frame = pl.LazyFrame(bars, schema={"symbol": pl.String, "available_at": TIME}, orient="row")
        columns = ["mid_price", "ofi"]
        return join_features(
            frame, frame_of(given_rows), columns=columns, clock=clock, max_staleness=oldest_s
        ).collect()

    frame = joined(rows)
    assert frame.to_dicts() == [
        {"symbol": symbol, "available_at": at}
        | seen([row for row in rows if row["symbol"] == symbol], at, clock, oldest_s)
        for symbol, at in bars
    ]
    known_then = pl.col("available_at") <= moment
    assert joined(known(rows, moment, clock)).filter(known_then).equals(frame.filter(known_then))


def test_a_late_row_does_not_put_the_clock_back():
    rows = [
        {"symbol": "A", "timestamp": after(2), "known_at": after(2), "mid_price": 2.0, "ofi": 0},
        {"symbol": "A", "timestamp": after(1), "known_at": after(3), "mid_price": 1.0, "ofi": 0},
    ]
    frame = resample_orderbook(frame_of(rows), 1, clock="known_at").collect()
    assert frame.select("mid_price", pl.col("age").dt.total_seconds()).rows() == [(2.0, 0), (2.0, 1)]


def test_a_book_is_as_old_as_its_last_event():
    times = {"timestamp": [after(60)], "book_ts": [after(13)], "mid_price": [1.0]}
    frame = resample_orderbook(pl.DataFrame(times), "1m", max_staleness="46s").collect()
    assert frame["age"].to_list() == [timedelta(seconds=47)]
    assert frame["mid_price"].to_list() == [None]


def test_books_keep_their_levels():
    books = pl.LazyFrame({"timestamp": [after(0), after(3)], "bids": [[{"price": 1.0, "size": 2.0}], []]})
    frame = resample_orderbook(books, 2, until=after(6), max_staleness=2).collect()
    assert frame["bids"].to_list() == [[{"price": 1.0, "size": 2.0}], [{"price": 1.0, "size": 2.0}], []]


def test_the_grid_is_where_it_is_asked_for():
    books = frame_of([{"symbol": "A", "timestamp": after(5), "known_at": None, "mid_price": 1.0, "ofi": 1}])
    frame = resample_orderbook(books, 5, since=after(-7), until=after(15)).collect()
    assert frame.select("timestamp", "mid_price").rows() == [
        (after(-5), None), (after(0), None), (after(5), 1.0), (after(10), 1.0),
    ]  # fmt: skip


def test_units_may_differ_and_no_nanosecond_is_looked_ahead():
    at_ns = pl.Series([1, 1_000_000_001]).cast(pl.Datetime("ns", "UTC"))
    features = pl.LazyFrame({"timestamp": at_ns, "ofi": [1.0, 2.0]})
    bars = pl.LazyFrame({"available_at": pl.Series([0, 1, 1_000_000]).cast(TIME)})
    frame = join_features(bars, features).collect()
    assert frame["ofi"].to_list() == [None, 1.0, 1.0]
    assert frame["age"].dt.total_nanoseconds().to_list() == [None, 999, 999_999_999]
    assert frame.schema["available_at"] == TIME


def test_names_that_bars_have_too_are_told_apart():
    bars = pl.LazyFrame({"available_at": [after(1)], "known_at": [after(2)], "has_gap": [True]})
    features = pl.LazyFrame({"timestamp": [after(0)], "known_at": [after(1)], "has_gap": [False]})
    frame = join_features(bars, features).collect()
    assert frame.columns == ["available_at", "known_at", "has_gap", "known_at_feature", "has_gap_feature", "age"]
    assert frame.row(0)[1:5] == (after(2), True, after(1), False)


def book(**columns: Any) -> pl.LazyFrame:
    return pl.LazyFrame({"timestamp": [after(0), after(1)], "mid_price": [1.0, 2.0]} | columns)


NAIVE = [datetime(2026, 1, 1), datetime(2026, 1, 2)]
REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: resample_orderbook(book(timestamp=NAIVE), 1), r"has no time zone: if it is UTC, say"),
    (lambda: resample_orderbook(book(timestamp=[1, 2]), 1), r"'timestamp' must hold datetimes of UTC, is Int64"),
    (lambda: resample_orderbook(book(), 1, clock="known_at"), r"no column 'known_at'; there are timestamp, mid_price"),
    (lambda: resample_orderbook(book().drop("mid_price"), 1), r"rows are no books: none of mid_price, best_bid, bids"),
    (lambda: resample_orderbook(book(), "1mo"), r"interval must have one length, at most weeks, was '1mo'"),
    (lambda: resample_orderbook(book(), 0), r"interval must be positive seconds or text"),
    (lambda: resample_orderbook(book(), 1, max_staleness="x"), r"max_staleness must be positive seconds or text"),
    (lambda: resample_orderbook(book(), 1, since=NAIVE[0]), r"since 2026-01-01 00:00:00 has no time zone"),
    (lambda: resample_orderbook(book(), 1, stale=1), r"no option 'stale'; there are clock, since, until"),
    (lambda: resample_orderbook(book(age=[1, 2]), 1), r"has a column 'age' already: leave it out of `columns`"),
    (lambda: resample_timeseries(book(), 1, columns=["ofi"]), r"no column 'ofi'; there are timestamp, mid_price"),
    (lambda: resample_timeseries(book(), 1, columns=["timestamp"]), r"has a column 'timestamp' already"),
    (lambda: resample_timeseries(book(), 1, how="ohlc"), r"how must be one of last, first, .*, was 'ohlc'"),
    (lambda: resample_timeseries(book(), 1, how={"ofi": "sum"}), r"how names 'ofi', which is none of the columns"),
    (lambda: resample_timeseries(book(side=["a", "b"]), 1, how="sum"), r"no sum of column 'side', which is String"),
    (lambda: align_assets({}, 1, columns=["mid_price"]), r"no assets were given"),
    (lambda: align_assets({"A-B": book(), "A_B": book()}, 1, columns=["mid_price"]), r"would both be A_B"),
    (
        lambda: align_assets({"A": book()}, 1, columns=["mid_price"], max_staleness={"B": 1}),
        r"max_staleness names 'B', which is none of the assets: A",
    ),
    (
        lambda: align_assets({"A": book(symbol=["X", "Y"])}, 1, columns=["mid_price"]).collect(),
        r"the frame of 'A' has rows of X and Y: give one stream to each name",
    ),
    (lambda: join_features(book(), book()), r"no column 'available_at'"),
    (
        lambda: join_features(book(available_at=[after(0), after(1)]), book(symbol="A")),
        r"features are by 'symbol', which is no column of the bars",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_a_mistake_is_told_in_one_line(number):
    call, message = REFUSED[number]
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
