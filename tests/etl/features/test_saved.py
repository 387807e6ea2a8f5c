"""States that are not what they should be: told in one line, never gone on from."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
import pytest

from etl.features.saved import SavedArray
from etl.features.stateful import FeatureState, StatefulFeatureProcessor
from etl.features.streaming import RollingSum
from etl.features.trade_features import TradeFeatures
from shared.errors import StateMismatch

OPTIONS: dict[str, Any] = {"max_levels": 4, "ofi_levels": 2, "horizons": (5,)}
EMPTY = SavedArray("<f8", (0,), b"")


def state() -> FeatureState:
    """Of a processor that has seen one book."""
    side = [{"price": 100.0, "size": 1.0}]
    books = pl.DataFrame({"timestamp": [datetime(2026, 1, 1, tzinfo=UTC)], "bids": [side], "asks": [side]})
    processor = StatefulFeatureProcessor(**OPTIONS)
    processor.update(books)
    return processor.snapshot()


def without(arrays: dict[str, Any], name: str) -> dict[str, Any]:
    return {other: array for other, array in arrays.items() if other != name}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda arrays: without(arrays, "motion"), "motion missing"),
        (lambda arrays: arrays | {"old": {}}, "old missing or unknown"),
        (lambda arrays: arrays | {"motion": without(arrays["motion"], "before")}, "before missing"),
        (lambda arrays: arrays | {"motion": arrays["motion"] | {"before": EMPTY}}, r"before is <f8 \(0,\)"),
        (
            lambda arrays: arrays | {"motion": arrays["motion"] | {"before": SavedArray("<f8", (2,), b"1")}},
            "before is .* of 1 bytes",
        ),
        (
            lambda arrays: arrays | {"motion": arrays["motion"] | {"before": SavedArray("<i8", (2,), bytes(16))}},
            "before is <i8",
        ),
        (lambda arrays: arrays | {"": arrays[""] | {"clock": SavedArray("<i8", (3,), bytes(24))}}, "clock is"),
    ],
)
def test_a_damaged_state_is_refused(change: Callable[[dict[str, Any]], dict[str, Any]], told: str) -> None:
    whole = state()
    StatefulFeatureProcessor(state=whole, **OPTIONS)
    with pytest.raises(StateMismatch, match=told):
        StatefulFeatureProcessor(state=msgspec.structs.replace(whole, arrays=change(whole.arrays)), **OPTIONS)


def test_so_is_that_of_another_maker() -> None:
    trades = TradeFeatures().snapshot()
    with pytest.raises(StateMismatch, match="rates missing"):
        TradeFeatures(state=msgspec.structs.replace(trades, arrays=without(trades.arrays, "rates")))
    total = RollingSum(window=3).snapshot()
    with pytest.raises(StateMismatch, match="damaged"):
        RollingSum(window=3).restore(msgspec.structs.replace(total, arrays={}))
