"""Silver `ticker`: the exchange's words, and null where a side says nothing."""

import math
from datetime import UTC, datetime

import polars as pl
import pytest

from etl.features.ticker import ticker_features
from shared.errors import InputUnreadable
from tests.etl.features.test_tables import declared

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2024, 1, 1, 12, 0, 1, tzinfo=UTC)
MADE = ("mid_price", "spread", "relative_spread", "relative_spread_bps")


def frame(bid: float | None, ask: float | None, **columns: object) -> pl.DataFrame:
    return pl.DataFrame({"timestamp": [NOON], "bid": [bid], "ask": [ask], **columns}, strict=False)


def test_the_worked_numbers() -> None:
    row = ticker_features(frame(100.00, 100.02, last=[100.01], capture_ts=[LATER])).row(0, named=True)
    assert row["mid_price"] == pytest.approx(100.01, rel=1e-12)
    assert row["spread"] == pytest.approx(0.02, rel=1e-9)
    assert row["relative_spread"] == pytest.approx(1.999800020e-4, rel=1e-9)
    assert row["relative_spread_bps"] == pytest.approx(1.999800020, rel=1e-9)
    assert (row["last"], row["timestamp"], row["known_at"], row["vwap"]) == (100.01, NOON, LATER, None)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(None, 1.0), (1.0, None), (None, None), (1.01, 1.0), (0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, math.inf)],
)
def test_a_missing_side_and_a_crossed_one_make_nulls(bid: float | None, ask: float | None) -> None:
    row = ticker_features(frame(bid, ask)).row(0, named=True)
    assert [row[name] for name in MADE] == [None] * 4
    assert row["ask"] == (None if ask is None or math.isinf(ask) else ask)


def test_a_locked_one_has_no_spread() -> None:
    assert ticker_features(frame(1.0, 1.0)).row(0, named=True)["relative_spread_bps"] == 0


def test_a_row_without_the_exchanges_time_has_that_of_its_capture() -> None:
    row = ticker_features(
        frame(1.0, 2.0, capture_ts=[LATER]).with_columns(timestamp=pl.lit(None, pl.Datetime("us", "UTC")))
    )
    assert row.row(0)[:2] == (LATER, LATER)
    with pytest.raises(InputUnreadable, match="timestamp of ticker is null"):
        ticker_features(frame(1.0, 2.0).with_columns(timestamp=pl.lit(None, pl.Datetime("us", "UTC"))))


def test_what_cannot_be_read_is_refused_by_name() -> None:
    with pytest.raises(InputUnreadable, match="no column 'bid'"):
        ticker_features(frame(1.0, 2.0).drop("bid"))
    with pytest.raises(InputUnreadable, match="column 'ask' of ticker is String"):
        ticker_features(frame(1.0, 2.0).cast({"ask": pl.String}))
    with pytest.raises(InputUnreadable, match="column 'timestamp' of ticker is Int64"):
        ticker_features(frame(1.0, 2.0).cast({"timestamp": pl.Int64}))


def test_no_rows_have_the_same_columns() -> None:
    rows = frame(1.0, 2.0)
    assert ticker_features(rows.clear()).schema == ticker_features(rows).schema == declared("ticker")
