"""Frames as hostile users give them: one clear line, or the right numbers."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.features.orderbook import compute_rolling_features, extract_structural_features
from etl.features.stateful import StatefulFeatureProcessor
from shared.errors import InputUnreadable

START = datetime(2026, 1, 1, tzinfo=UTC)
OPTIONS: dict[str, Any] = {"max_levels": 4, "ofi_levels": 2, "depth_levels": 2, "horizons": (5,)}


class DataFrame:
    """As that of another library: columns, but not our methods."""

    columns = ("timestamp", "bids", "asks")


def books(n: int, *, unit: Any = float) -> pl.DataFrame:
    """One a second; a level's size varies."""
    sides = [
        [[{"price": unit(100 + way * (k + 1)), "size": unit(1 + (s + k) % 3)} for k in range(3)] for s in range(n)]
        for way in (-1, 1)
    ]
    times = [START + timedelta(seconds=s) for s in range(n)]
    return pl.DataFrame(
        {"timestamp": times, "bids": sides[0], "asks": sides[1]}, schema_overrides={"timestamp": pl.Datetime("us", UTC)}
    )


def trades(*seconds: float, amount: float = 1.0) -> pl.DataFrame:
    times = [START + timedelta(seconds=s) for s in seconds]
    return pl.DataFrame({"timestamp": times, "price": 100.0, "amount": amount, "side": "buy"})


@pytest.mark.parametrize("frame", [books(3).lazy(), DataFrame(), None, []])
def test_other_frames_are_refused_by_their_library(frame: Any) -> None:
    told = r"(books|trades|rows) are a \w+ of (polars|tests|builtins)"
    with pytest.raises(InputUnreadable, match=told):
        StatefulFeatureProcessor(**OPTIONS).update(frame)
    if frame is not None:
        with pytest.raises(InputUnreadable, match=told):
            StatefulFeatureProcessor(**OPTIONS).update(books(3), frame)
    if not isinstance(frame, pl.LazyFrame):
        for of_frames in (extract_structural_features, compute_rolling_features):
            with pytest.raises(InputUnreadable, match=told):
                of_frames(frame, **OPTIONS)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_any_unit_of_time_gives_the_same_rows(unit: Any) -> None:
    expected = StatefulFeatureProcessor(**OPTIONS).update(books(20), trades(3.5, 7.25))
    others = [frame.cast({"timestamp": pl.Datetime(unit, "UTC")}) for frame in (books(20), trades(3.5, 7.25))]
    assert_frame_equal(StatefulFeatureProcessor(**OPTIONS).update(*others), expected, check_exact=True)


def test_decimals_and_pairs_give_the_same_rows() -> None:
    expected = StatefulFeatureProcessor(**OPTIONS).update(books(20))
    exact = pl.List(pl.Struct({"price": pl.Decimal(38, 18), "size": pl.Decimal(38, 18)}))
    others = books(20, unit=Decimal).cast({"bids": exact, "asks": exact})
    assert_frame_equal(StatefulFeatureProcessor(**OPTIONS).update(others), expected, check_exact=True)
    pair = pl.concat_list(pl.element().struct.field("price"), pl.element().struct.field("size"))
    pairs = books(20).with_columns(pl.col("bids", "asks").list.eval(pair))
    assert_frame_equal(StatefulFeatureProcessor(**OPTIONS).update(pairs), expected, check_exact=True)


@pytest.mark.parametrize("year", [1600, 2300, 9999])
def test_times_that_ns_cannot_tell_are_refused(year: int) -> None:
    """They would come round to another century."""
    wrong = books(2).with_columns(timestamp=pl.lit(datetime(year, 1, 1, tzinfo=UTC)))
    with pytest.raises(InputUnreadable, match=f"timestamp of books is {year}-01-01"):
        StatefulFeatureProcessor(**OPTIONS).update(wrong)
    rows = pl.DataFrame({"timestamp": wrong["timestamp"], "ofi": 1.0})
    with pytest.raises(InputUnreadable, match=f"timestamp of rows is {year}-01-01"):
        compute_rolling_features(rows, horizons=(5,))


def test_a_row_is_known_when_its_last_trade_was_captured() -> None:
    late = START + timedelta(minutes=5)
    captured = trades(0.5, 1.5).with_columns(capture_ts=pl.Series([late, late + timedelta(minutes=1)]))
    rows = StatefulFeatureProcessor(**OPTIONS).update(books(4), captured)
    assert rows["known_at"].to_list() == [START, late, late + timedelta(minutes=1)]


def test_trades_of_an_update_do_not_begin_before_those_that_wait() -> None:
    processor = StatefulFeatureProcessor(**OPTIONS)
    processor.update(books(2), trades(0.5, 8.0))
    before = processor.snapshot()
    with pytest.raises(InputUnreadable, match="trades begin before the last one seen"):
        processor.update(books(9)[2:], trades(5.0))
    assert processor.snapshot() == before


@pytest.mark.parametrize("level", [{"price": 2.0**60, "size": 1.0}, {"price": 101.0, "size": 1e200}])
def test_a_level_beyond_all_numbers_is_left_out_and_harms_no_later_row(level: dict[str, float]) -> None:
    """Infinite sums would make every later sum nothing, until they are made anew."""
    calm, wild = books(60), books(60).to_dicts()
    wild[9]["asks"] = [level]
    processor = StatefulFeatureProcessor(**OPTIONS)
    rows = processor.update(pl.DataFrame(wild, schema=calm.schema))
    assert processor.counts["invalid_levels"] == processor.counts["one_sided"] == 1
    expected = StatefulFeatureProcessor(**OPTIONS).update(calm)
    assert_frame_equal(rows[45:], expected[45:])
    with pytest.raises(InputUnreadable, match=r"amount of trade 0 is 1e\+200"):
        processor.update(books(0), trades(70, amount=1e200))


def test_a_number_beyond_all_numbers_is_none_in_windows() -> None:
    rows = StatefulFeatureProcessor(**OPTIONS).update(books(60))
    wild = rows.with_columns(bid_size_L1=pl.when(pl.int_range(60 - 1) == 9).then(1e200).otherwise("bid_size_L1"))
    made = compute_rolling_features(wild, features=["depth_var"], **OPTIONS)
    assert made["depth_var_5s"][20:].to_list() == rows["depth_var_5s"][20:].to_list()
