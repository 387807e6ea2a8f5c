"""Empty buckets get rows for those who ask; what was traded stays as it was."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.bars import BAR_SCHEMA, build_bars
from etl.bars.filling import filled

START = datetime(2026, 1, 30, 23, 50, tzinfo=UTC)


def bars_at(moments: list[datetime]) -> pl.DataFrame:
    """A minute bar for each of these times, with the columns that gold has."""
    trades = pl.DataFrame(
        {
            "trade_id": [str(number) for number in range(len(moments))],
            "timestamp": moments,
            "price": [100.0 + number for number in range(len(moments))],
            "amount": 2.0,
        }
    )
    keys = {"bar_set": pl.lit("time-60s-x"), "symbol": pl.lit("BTC-USD")}
    start = pl.col("time_start").dt
    bars = build_bars(trades, "time", interval="1m", keep_open=True)
    return bars.with_columns(**keys, year=start.year().cast(pl.Int32), month=start.month().cast(pl.Int32))


@settings(deadline=None, max_examples=50)
@given(minutes=st.lists(st.integers(0, 60), min_size=1, max_size=20), fill=st.sampled_from(["ffill", "null"]))
def test_every_bucket_has_a_row_and_bars_stay_as_they_were(minutes, fill):
    bars = bars_at([START + timedelta(minutes=minute) for minute in sorted(minutes)])
    whole = filled(bars, interval="1m", fill=fill)
    assert whole.filter(~pl.col("is_filled")).drop("is_filled").equals(bars)
    assert whole.schema == {**bars.schema, "is_filled": pl.Boolean}
    first = START + timedelta(minutes=min(minutes))
    count = max(minutes) - min(minutes) + 1
    assert whole["time_start"].to_list() == [first + timedelta(minutes=number) for number in range(count)]
    assert (whole["time_end"] - whole["time_start"]).unique().to_list() == [timedelta(minutes=1)]
    assert whole["year"].to_list() == [moment.year for moment in whole["time_start"]]
    assert whole["month"].to_list() == [moment.month for moment in whole["time_start"]]
    close = None
    for row in whole.to_dicts():
        if not row["is_filled"]:
            close = row["close"]
            continue
        assert [row[name] for name in ("open", "high", "low", "close")] == [close if fill == "ffill" else None] * 4
        assert (row["volume"], row["volume_exact"], row["tick_count"], row["vwap"]) == (0.0, 0, 0, None)
        assert (row["symbol"], row["is_partial"], row["first_trade_id"], row["bar_seq"]) == (
            "BTC-USD",
            False,
            None,
            None,
        )


def test_a_gap_reaches_over_the_buckets_it_may_have_emptied():
    bars = bars_at([START, START + timedelta(minutes=3), START + timedelta(minutes=5)])
    bars = bars.with_columns(has_gap=pl.Series([False, True, False]))
    assert filled(bars, interval="1m", fill="ffill")["has_gap"].to_list() == [False, True, True, True, False, False]


def test_months_and_years_go_by_the_calendar():
    bars = bars_at([START, START + timedelta(minutes=3)])
    starts = [datetime(2023, 11, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)]
    ends = [datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)]
    times = {"time_start": starts, "time_end": ends}
    monthly = bars.with_columns(pl.Series(name, each, dtype=BAR_SCHEMA[name]) for name, each in times.items())
    whole = filled(monthly, interval="1mo", fill="ffill")
    assert [f"{moment:%Y-%m-%d}" for moment in whole["time_start"]] == [
        "2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01",
    ]  # fmt: skip
    assert whole["time_end"].to_list()[:-1] == whole["time_start"].to_list()[1:]
    assert whole["available_at"].to_list()[1:-1] == whole["time_end"].to_list()[1:-1]


def test_a_bucket_in_two_parts_is_not_filled_again():
    bars = bars_at([START, START + timedelta(minutes=2)])
    twice = pl.concat([bars[:1], bars])
    assert filled(twice, interval="1m", fill="null")["is_filled"].to_list() == [False, False, True, False]


def test_nothing_lies_between_fewer_than_two_bars():
    bars = bars_at([START])
    for few in (bars, bars[:0]):
        assert filled(few, interval="1m", fill="ffill").drop("is_filled").equals(few)


@pytest.mark.parametrize("interval", ["1ms", "x", ""])
def test_what_cannot_be_filled_is_refused(interval):
    bars = bars_at([START, START + timedelta(days=400)])
    with pytest.raises(ValueError, match="interval must"):
        filled(bars, interval=interval, fill="ffill")
