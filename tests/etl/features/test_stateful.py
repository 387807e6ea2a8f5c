"""`StatefulFeatureProcessor` as its users meet it."""

import hashlib
import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from etl.features.book_bars import BookBars
from etl.features.saved import SavedArray
from etl.features.stateful import StatefulFeatureProcessor
from etl.features.trade_features import TradeFeatures
from shared.errors import InputUnreadable


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_level": 3}, "max_level is not an option of features: did you mean max_levels?"),
        ({"horizons": "5s"}, "horizons: Expected `array`, got `str`"),
        ({"ofi_levels": 11}, "ofi_levels must be at most half of max_levels"),
        ({"bands_bps": (5, 10)}, "bands_bps must ascend from 0"),
        ({"bands_bps": (0, 1 / 3)}, "bands_bps must ascend from 0, with at most 6 decimal places"),
        ({"bands_bps": (0, 1e300)}, "bands_bps"),
        ({"cost_quote_sizes": (10, 10)}, "cost_quote_sizes must ascend"),
        ({"ew_taus_s": (60, 10)}, "ew_taus_s must ascend"),
        ({"horizons": (1e-10,)}, "horizons.* >= 1e-06"),
        ({"horizons": (1e300,)}, "horizons.* <= 1000000000.0"),
        ({"max_state_staleness_seconds": 1e300}, "max_state_staleness_seconds.* <= 1000000000.0"),
        ({"kyle_lambda_window": 1e-10}, "kyle_lambda_window.* >= 1e-06"),
        ({"hf_emit_interval": 1e-10}, "hf_emit_interval must be 0 or at least 1e-6"),
        ({"bar_durations": (60, 10**12)}, "bar_durations.* <= 604800"),
        ({"ofi_decay_kind": "power", "ofi_decay_alpha": 1e300}, "ofi_decay_alpha.* <= 1000"),
        ({"vpin_bucket_volume": 1e-19}, "vpin_bucket_volume.* >= 1e-18"),
        ({"vpin_bucket_volume": 1e18}, "vpin_bucket_volume x vpin_window_buckets must be below"),
        ({"vpin_window_buckets": 10**12}, "vpin_window_buckets.* <= 10000"),
        ({"lot_size": float("inf")}, "lot_size must be finite"),
        ({"cost_base_sizes": (5, float("inf"))}, "cost_base_sizes must be finite"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")):
        StatefulFeatureProcessor(**options)


LAYOUTS = {  # (version, digest of the names, types and dimensions of all arrays)
    "orderbook": (2, "f1b43507196e"),
    "trade_features": (1, "4c13ff7d3ba1"),
    "book_bars": (1, "d4a3caefefb8"),
}


def test_another_layout_of_states_is_another_version() -> None:
    """Else the states of before are refused as damaged, and a watcher does not make their rows anew but ends."""
    processor = StatefulFeatureProcessor().snapshot()
    arrays = {f"{family}.{name}": array for family, own in processor.arrays.items() for name, array in own.items()}
    trades, bars = TradeFeatures().snapshot(), BookBars(bar_duration_sec=60).snapshot()
    found = {
        "orderbook": (processor.version, layout(arrays)),
        "trade_features": (trades.version, layout(trades.arrays)),
        "book_bars": (bars.version, layout(bars.arrays)),
    }
    assert found == LAYOUTS, "raise VERSION beside what changed, then write the new layout here"


def layout(arrays: dict[str, SavedArray]) -> str:
    """A short digest of what there is, apart from lengths and values."""
    told = sorted((name, array.dtype, len(array.shape)) for name, array in arrays.items())
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def test_every_window_has_a_name_of_its_own() -> None:
    nothing = pl.DataFrame(schema={"timestamp": pl.Datetime("us", "UTC"), "bids": pl.Null, "asks": pl.Null})
    rows = StatefulFeatureProcessor(horizons=(1_000_000, 1_000_001)).update(nothing)
    assert {"rv_1000000s", "rv_1000001s"} <= set(rows.columns)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"side": "BUY"}, "side of trades is 'BUY'"),
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
