"""F3: what a change of the units of price and of size does to a feature, by the unit that it declares."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features.declared import features
from etl.features.options import FeatureOptions
from tests.etl.features.kernels import Kernels
from tests.etl.features.reference import Trade
from tests.etl.features.simulated import simulated

POWERS = {  # of price, of size
    "quote": (1, 0),
    "quote/s": (1, 0),
    "quote/s2": (1, 0),
    "base": (0, 1),
    "base^2": (0, 2),
    "base per bps": (0, 1),
    "quote per base": (1, -1),
    "1/quote": (-1, -1),
    "bps per 1e6 quote": (-1, -1),
    "1/sqrt(quote)": (-0.5, -0.5),
}
_NEITHER = (
    "1",
    "fraction",
    "bps",
    "[-1, 1]",
    "[0, 1]",
    "[0, 1)",
    "1/bps",
    "bps/s",
    "1/s",
    "1/sqrt(year)",
    "s",
    "trades",
)
POWERS |= dict.fromkeys((*_NEITHER, "flag", ""), (0, 0))
VALUES = {"trade_value": (1, 1)}  # quote as an amount, not as the price of one
NOT_HOMOGENEOUS = {"log_gofi"}  # ln(1 + size)
OPTIONS: dict[str, Any] = {
    "hf_emit_interval": 0,
    "horizons": (2, 5),
    "slope_kinds": ("gn", "ns"),
    "min_obs_regression": 3,
    "partial_windows": True,
    "kyle_lambda_window": 5,
    "vpin_window_buckets": 2,
}


@settings(max_examples=8)
@given(seed=st.integers(0, 10**9), powers=st.tuples(st.sampled_from((-4, 0, 2, 6)), st.sampled_from((-4, 0, 2, 6))))
def test_features_change_as_their_units_do(seed: int, powers: tuple[int, int]) -> None:
    """Scales are powers of two, which change no digit of a float."""
    price, size = (2.0**power for power in powers)
    told = simulated(seed, events=60)
    books = [
        replace(
            book, bids=[(p * price, q * size) for p, q in book.bids], asks=[(p * price, q * size) for p, q in book.asks]
        )
        for book in told.snapshots
    ]
    trades = [Trade(t, p * price, amount * size, sign) for t, p, amount, sign in told.trades]
    here, there = sized(1, 1), sized(price, size)
    rows, scaled = Kernels().book_rows(told.snapshots, told.trades, here), Kernels().book_rows(books, trades, there)
    assert len(rows) == len(scaled)
    for one, other in zip(features(FeatureOptions.of(here)), features(FeatureOptions.of(there)), strict=True):
        if one.name in NOT_HOMOGENEOUS:
            continue
        of_price, of_size = VALUES.get(one.name, POWERS[one.unit])
        factor = price**of_price * size**of_size
        for row, twin in zip(rows, scaled, strict=True):
            value = row[one.name]
            is_number = isinstance(value, float)
            expected = pytest.approx(value * factor, rel=1e-9, abs=1e-12 * factor) if is_number else value
            assert twin[other.name] == expected, one.name


def sized(price: float, size: float) -> dict[str, Any]:
    """Options in which amounts are of these units; the names of costs follow them."""
    return OPTIONS | {
        "cost_base_sizes": (8 * size,),
        "cost_quote_sizes": (1024 * price * size,),
        "vpin_bucket_volume": 2 * size,
        "lot_size": 0.001 * size,
    }
