"""Every option changes what it is about and nothing else; by it states and rows made with another are told apart."""

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import polars as pl
import pytest

from etl.features import book_bars, trade_features
from etl.features.options import FeatureOptions
from etl.features.stateful import StatefulFeatureProcessor
from etl.features.trade_features import TradeFeatures

BEGIN = datetime(2026, 5, 1, 12, tzinfo=UTC)
BASE = FeatureOptions(
    horizons=(5, 20),
    kyle_lambda_window=30,
    spread_regime_window=40,
    vpin_bucket_volume=20,
    vpin_window_buckets=5,
    sign_window=20,
    large_trade_window=20,
)
OTHER: dict[str, tuple[Any, dict[str, Any]]] = {  # another value of each, and what must be so for it to matter
    "max_levels": (22, {}),
    "hf_emit_interval": (2.0, {}),
    "max_state_staleness_seconds": (1.5, {}),
    "level_columns": (False, {}),
    "depth_levels": (6, {}),
    "bands_bps": ((0, 5, 10, 30), {}),
    "smart_depth_kind": ("index", {}),
    "smart_half_life_bps": (6.0, {}),
    "smart_alpha": (0.6, {"smart_depth_kind": "index"}),
    "slope_kinds": (("gn",), {}),
    "lot_size": (0.5, {"slope_kinds": ("ns",)}),
    "cost_base_sizes": ((1.0,), {}),
    "cost_quote_sizes": ((500.0,), {}),
    "ofi_levels": (9, {}),
    "ofi_decay_alpha": (0.6, {}),
    "ofi_decay_kind": ("power", {}),
    "use_dynamic_spread_regime": (False, {}),
    "spread_regime_window": (35.0, {}),
    "spread_tight_percentile": (0.45, {}),
    "spread_wide_percentile": (0.55, {}),
    "tight_spread_threshold": (1e-2, {"use_dynamic_spread_regime": False}),
    "kyle_lambda_window": (40.0, {}),
    "kyle_intercept": (False, {}),
    "enable_vpin": (False, {}),
    "vpin_bucket_volume": (25.0, {}),
    "vpin_window_buckets": (6, {}),
    "horizons": ((5, 30), {}),
    "partial_windows": (True, {}),
    "min_obs": (4, {}),
    "min_obs_regression": (14, {}),
    "ew_taus_s": ((10.0, 30.0), {}),
    "bar_durations": ((60, 600), {}),
    "variance_ratio_lags": ((2, 4), {}),
    "yang_zhang_bars": ((10,), {}),
    "trade_rate_tau_s": (5.0, {}),
    "sign_window": (30, {}),
    "large_trade_window": (30, {}),
}
OF_BARS = ("bar_durations", "variance_ratio_lags", "yang_zhang_bars")
OF_BOOKS = [name for name in OTHER if name not in (*OF_BARS, *trade_features.OPTIONS)]


@cache
def market() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two minutes of books of 24 levels, with pauses, and the trades between them."""
    rng, moment, mid = random.Random(1), BEGIN, 1000
    books: list[dict[str, Any]] = []
    trades: list[dict[str, Any]] = []
    for _ in range(240):
        moment += timedelta(milliseconds=rng.choice((100, 400, 400, 600, 2000)))
        mid += rng.choice((-2, -1, 0, 0, 1, 2))
        width = rng.choice((1, 1, 2, 3, 4))
        sides = [
            [{"price": (mid + sign * (width + i)) / 10, "size": rng.randint(1, 80) / 8} for i in range(24)]
            for sign in (-1, 1)
        ]
        books.append({"timestamp": moment, "bids": sides[0], "asks": sides[1]})
        if rng.random() < 0.7:
            side = rng.choice(("buy", "sell"))
            price = (mid + width * (1 if side == "buy" else -1)) / 10
            trades.append({"timestamp": moment, "price": price, "amount": rng.randint(1, 40) / 8, "side": side})
    return tuple(
        pl.DataFrame(rows).with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC"))) for rows in (books, trades)
    )  # type: ignore[return-value]


def of_books(options: FeatureOptions) -> tuple[str, pl.DataFrame]:
    """What rows of books depend on, by the processor's word, and these rows."""
    processor = StatefulFeatureProcessor(**msgspec.structs.asdict(options))
    return processor.identity, processor.update(*market())


def of_trades(options: FeatureOptions) -> pl.DataFrame:
    return TradeFeatures(**msgspec.structs.asdict(options)).update(market()[1])


def changed(name: str) -> tuple[FeatureOptions, FeatureOptions]:
    """Options that make it matter, and the same with another value of it."""
    other, context = OTHER[name]
    base = msgspec.structs.replace(BASE, **context)
    return base, msgspec.structs.replace(base, **{name: other})


def test_every_option_is_tried() -> None:
    assert list(OTHER) == [field.name for field in msgspec.structs.fields(FeatureOptions)]


@pytest.mark.parametrize("name", OF_BOOKS)
def test_an_option_of_books_changes_their_rows_and_the_identity(name: str) -> None:
    (identity, rows), (other_identity, other_rows) = map(of_books, changed(name))
    assert identity != other_identity
    assert not rows.equals(other_rows)
    assert of_trades(changed(name)[1]).equals(of_trades(BASE))


@pytest.mark.parametrize("name", trade_features.OPTIONS)
def test_an_option_of_trades_changes_their_rows_alone(name: str) -> None:
    base, other = changed(name)
    assert not of_trades(base).equals(of_trades(other))
    assert of_books(base)[0] == of_books(other)[0]
    assert of_books(base)[1].equals(of_books(other)[1])


@pytest.mark.parametrize("name", OF_BARS)
def test_an_option_of_bars_changes_no_row_of_books_or_trades(name: str) -> None:
    base, other = changed(name)
    assert of_books(base)[0] == of_books(other)[0]
    assert of_trades(base).equals(of_trades(other))
    assert name == "bar_durations" or book_bars.features(base) != book_bars.features(other)
