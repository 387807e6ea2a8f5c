"""`StatefulFeatureProcessor` as its users meet it."""

import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from etl.features.stateful import StatefulFeatureProcessor
from shared.errors import InputUnreadable


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_level": 3}, "max_level is not an option of features: did you mean max_levels?"),
        ({"horizons": "5s"}, "horizons: Expected `array`, got `str`"),
        ({"ofi_levels": 11}, "ofi_levels must be at most half of max_levels"),
        ({"bands_bps": (5, 10)}, "bands_bps must ascend from 0"),
        ({"ofi_decay_alpha": float("inf")}, "ofi_decay_alpha must be finite"),
        ({"horizons": (5, float("inf"))}, "horizons must be finite"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")):
        StatefulFeatureProcessor(**options)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"side": "BUY"}, "side of a trade is 'BUY'"),
        ({"price": math.nan}, "price of trade 1 is nan"),
        ({"price": None}, "price of trade 1 is None"),
        ({"amount": 0.0}, "amount of trade 1 is 0.0"),
        ({"amount": -1.0}, "amount of trade 1 is -1.0"),
        ({"amount": math.inf}, "amount of trade 1 is inf"),
    ],
)
def test_trades_that_are_none_are_refused_and_nothing_is_remembered_of_them(bad: dict[str, Any], problem: str) -> None:
    """They would be a flow that never was, and a null or a NaN would stay in the tick rule."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    good = {"timestamp": moment, "price": 100.0, "amount": 1.0, "side": "buy"}
    trades, level = pl.DataFrame([good, {**good, **bad}]), [{"price": 100.0, "size": 1.0}]
    books = pl.DataFrame({"timestamp": [moment], "bids": [level], "asks": [level]})
    processor = StatefulFeatureProcessor()
    before = processor.snapshot()
    with pytest.raises(InputUnreadable, match=problem):
        processor.update(books, trades)
    assert processor.snapshot() == before
