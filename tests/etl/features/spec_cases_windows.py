"""Worked numbers of what looks back: windows, regimes, Kyle, VPIN."""

import math
from collections.abc import Sequence
from decimal import Decimal

from tests.etl.features.reference import Snapshot, Trade
from tests.etl.features.spec_cases import (
    S0,
    S0_ASKS,
    S0_BIDS,
    S1,
    Case,
    around,
    at,
    mids_after,
    top,
)

GROWING = (10, 15, 13, 16, 17)  # bid sizes at 0, 1, 2, 5, 6 s: e = 5, -2, 3, 1
RETURNS = (1e-4, -2e-4, 3e-4, -1e-4)
QUIET = [top(second, (99.99, 1), (100.01, 1)) for second in (*range(13), 15)]
BURIED = [Trade(at(second - 0.5), 100, 0.1, 1) for second in range(1, 11)]
BURIED += [Trade(at(10.5), 100, 1e16, 1), Trade(at(11.5), 100, 1e16, -1)]


def books_of(mids: Sequence[float]) -> list[Snapshot]:
    """One a second."""
    return [around(second, mid) for second, mid in enumerate(mids)]


def trades_at(prices: Sequence[float]) -> list[Trade]:
    """One before each book but the first."""
    return [Trade(at(second + 0.5), price, 1, 1) for second, price in enumerate(prices)]


def deep(second: float, depth: float) -> Snapshot:
    return top(second, (99.99, depth - 30), (100.01, 30))


OFI_BETA = [
    top(second, (round(99.99 + rise, 3), bid_size), (round(100.01 + rise, 3), ask_size))
    for second, (rise, bid_size, ask_size) in enumerate(
        [(0, 1, 3), (0.005, 2, 1), (0.001, 1, 1), (0.003, 1, 1), (0.003, 1, 2), (0.006, 2, 1)]
    )
]
IMPACT_RETURNS = (0.001, -0.002, 0.0005)
IMPACT_TRADES = [Trade(at(0.5), 100, 2e4, 1), Trade(at(1.5), 100, 1e4, -1), Trade(at(2.5), 100, 5e3, 1)]
WEIGHTED = [around(-1, 100), *(top(s, (99.995, q), (100.005, 1)) for s, q in ((0, 6), (4, 4), (10, 7)))]


def day_of_flows() -> list[Snapshot]:
    """A day before whose flows are multiples of (5, 3, 2, 0, 0), then S0 and S1 of the next."""
    books, amount = [], 10.0
    for second, step in enumerate((0, 1, 2, -1, 3, -2, 1, -3, 2, 4, -2, 1, -1)):
        amount += step
        sizes = (5 * amount, 3 * amount, 2 * amount, 100, 100)
        bids = [(price, size) for (price, _), size in zip(S0_BIDS, sizes, strict=True)]
        books.append(Snapshot(at(second - 30), bids, S0_ASKS))
    return [*books, S0, S1]


ROLLING = [
    Case(
        "S21",
        {"ofi_sum_5s": 2},
        [top(s, (99.99, q), (100.01, 1)) for s, q in zip((0, 1, 2, 5, 6), GROWING, strict=True)],
    ),
    Case("0.2 nothing is lost beside 1e16", {"tfi_sum_15s": 1.0}, QUIET, BURIED),
    Case(
        "S22 S23 S24",
        {
            "rv_3s": 3.741657387e-4,
            "rstd_3s": 2.645751311e-4,
            "mean_return_3s": 0.0,
            "sum_return_3s": 0.0,
            "rv_ann_3s": math.sqrt(14e-8 * 365 * 86_400 / 3),
        },
        books_of(mids_after(RETURNS)),
        options={"horizons": (3,)},
    ),
    Case("0.2 younger than the window", {"rv_5s": None}, books_of(mids_after(RETURNS))),
    Case(
        "S26",
        {"depth_var_5s": 13.0, "depth_mean_5s": 76.0, "coverage_5s": 0.4},
        [deep(0, 75), deep(1, 73), deep(2, 80)],
        options={"partial_windows": True},
    ),
    Case(
        "A4",
        {"ofi_norm_5s": 0.6756756757},
        [S0, S1],
        options={"partial_windows": True, "min_obs": 1, "ofi_levels": 5},
    ),
    Case("A5", {"ofi_integrated": 0.5810810811}, day_of_flows(), options={"ofi_levels": 5}),
    Case("A15", {"quote_rate_5s": 0.8, "book_age": 0}, [deep(second, 50 + second) for second in (0, 1, 2, 3, 5)]),
    Case("A15 age", {"book_age": 0.3}, [deep(0, 50), deep(0.7, 51)], options={"hf_emit_interval": 1}),
    Case("A17", {"ofi_beta_5s": 9.867256637e-4}, OFI_BETA, options={"min_obs_regression": 5}),
    Case("A17 too few", {"ofi_beta_5s": None}, OFI_BETA),
    Case("A18", {"ew_ofi_10s": 3.741773934}, WEIGHTED),
    Case(
        "A25 A26",
        {"amihud_3s": 1.166666667e-9, "hasbrouck_lambda_3s": 1.076504844e-6},
        books_of(mids_after(IMPACT_RETURNS)),
        IMPACT_TRADES,
        {"horizons": (3,), "min_obs_regression": 3},
    ),
    Case(
        "A27",
        {"roll_spread_5s": 0.02828427125},
        books_of([100] * 7),
        trades_at([100, 100.02, 100, 100.02, 100.02, 100]),
        {"min_obs_regression": 4},
    ),
    Case(
        "A27 no bounce",
        {"roll_spread_5s": None},
        books_of([100] * 7),
        trades_at([100, 100.01, 100.02, 100.03, 100.04, 100.05]),
        {"min_obs_regression": 4},
    ),
]

TICKS = (1, 1, 2, 1, 3, 1, 1, 2)
REGIME = [
    Case(
        f"S17 {ticks} ticks",
        {"spread_pct": rank, "spread_regime": regime, "regime_source": "dynamic"},
        [around(s, 100, half_spread=0.005 * n, size=s + 1) for s, n in enumerate((*TICKS * 4, ticks))],
    )
    for ticks, rank, regime in [(2, Decimal("0.75"), 0), (1, Decimal("0.3125"), 0), (3, Decimal("0.9375"), 1)]
]
REGIME += [
    Case(
        "S17 all equal",
        {"spread_pct": Decimal("0.5"), "spread_regime": 0},
        [around(second, 100, size=second + 1) for second in range(31)],
    ),
    Case(
        "S17 warm-up",
        {"spread_pct": None, "spread_regime": -1, "regime_source": "static"},
        [around(second, 100, size=second + 1) for second in range(30)],
    ),
    Case("S17 warm-up, not tight", {"spread_regime": 0, "regime_source": "static"}, [S0]),
]

KYLE_MIDS = [100, 100.02, 100.01, 100.02, 100.05, 100.04]
KYLE_TRADES = [
    Trade(at(second + 0.5), 100, abs(amount), 1 if amount > 0 else -1)
    for second, amount in enumerate((3, -2, 1, 4, -1))
]
KYLE_OPTIONS = {"partial_windows": True, "min_obs_regression": 5}
VPIN_TRADES = [
    Trade(at(0.1 * place), 100, abs(amount), 1 if amount > 0 else -1) for place, amount in enumerate((6, -8, 3, 5), 1)
]
VPIN_OPTIONS = {"vpin_bucket_volume": 10, "vpin_window_buckets": 2}
IMPACT = [
    Case(
        "S18",
        {"kyle_lambda": 0.006923076923, "kyle_t": 10.50973575, "kyle_r2": 0.9735576923},
        books_of(KYLE_MIDS),
        KYLE_TRADES,
        KYLE_OPTIONS,
    ),
    Case(
        "S18 no intercept",
        {"kyle_lambda": 0.007096774194},
        books_of(KYLE_MIDS),
        KYLE_TRADES,
        {**KYLE_OPTIONS, "kyle_intercept": False},
    ),
    Case(
        "S18 too few",
        {"kyle_lambda": None, "kyle_t": None},
        books_of(KYLE_MIDS),
        KYLE_TRADES,
        {"partial_windows": True},
    ),
    Case(
        "S19",
        {"vpin": Decimal("0.2"), "vpin_bucket_fill": Decimal("0.2"), "vpin_gap": False},
        [S0, S1],
        VPIN_TRADES,
        VPIN_OPTIONS,
    ),
    Case(
        "S19 too few",
        {"vpin": None, "vpin_bucket_fill": 0.2},
        [S0, S1],
        VPIN_TRADES,
        {**VPIN_OPTIONS, "vpin_window_buckets": 3},
    ),
    Case("S19 no size yet", {"vpin": None, "vpin_bucket_fill": None}, [S0, S1], VPIN_TRADES),
    Case(
        "0.3 the open bucket is discarded",
        {"vpin": 0.2, "vpin_bucket_fill": 0, "vpin_gap": True},
        [S0, Snapshot(at(1), S1.bids, S1.asks, True)],
        VPIN_TRADES,
        VPIN_OPTIONS,
    ),
]

ALL = [*ROLLING, *REGIME, *IMPACT]
