"""Properties of specification 8, over every implementation."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.etl.features.implementations import IMPLEMENTATIONS, Implementation, Rows
from tests.etl.features.reference import Snapshot, Trade
from tests.etl.features.simulated import NS, simulated, snapshots, trade_tapes

SMALL: dict[str, Any] = {
    "hf_emit_interval": 0,
    "max_levels": 4,
    "ofi_levels": 2,
    "depth_levels": 2,
    "horizons": (5,),
    "vpin_bucket_volume": 2,
    "vpin_window_buckets": 2,
    "min_obs_regression": 3,
    "partial_windows": True,
    "cost_quote_sizes": (100,),
}
GRID = SMALL | {"hf_emit_interval": 1}

every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS.keys())
few = settings(max_examples=25, deadline=None)


def without(rows: Rows, *names: str) -> Rows:
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


@every_implementation
@pytest.mark.parametrize("options", [SMALL, GRID], ids=["each event", "grid"])
@pytest.mark.parametrize("seed", [1, 2])
def test_snapshots_and_changes_of_one_book_give_the_same_rows(
    implementation: Implementation, options: dict[str, Any], seed: int
) -> None:
    told = simulated(seed, events=120)
    by_snapshot = implementation.book_rows(told.snapshots, told.trades, options)
    by_message = implementation.book_rows(told.messages, told.trades, options)
    assert without(by_snapshot, "ofi_source") == without(by_message, "ofi_source")


@every_implementation
@few
@given(books=snapshots(), trades=trade_tapes(), interval_s=st.sampled_from((0, 1)))
def test_null_and_never_nan(
    implementation: Implementation, books: list[Snapshot], trades: list[Trade], interval_s: int
) -> None:
    """F5, and the bounds of F8."""
    rows = implementation.book_rows(books, trades, SMALL | {"hf_emit_interval": interval_s})
    bars = implementation.bar_rows(rows, 60, {})
    for row in [*rows, *bars, *implementation.trade_rows(trades, {})]:
        assert all(math.isfinite(value) for value in row.values() if isinstance(value, float)), row
    for row in rows:
        assert (row["mid_price"] is None) == (row["is_crossed"] or row["is_one_sided"])
        if row["mid_price"] is None:
            assert row["imbalance_L1"] is row["ofi"] is row["vpin"] is row["rv_5s"] is None
            continue
        within = row["spread"] * (0.5 + 1e-9)
        assert row["mid_price"] - within <= row["microprice"] <= row["mid_price"] + within
        assert all(abs(row[name]) <= 1 for name in row if name.startswith("imbalance_") and row[name] is not None)
        for side in ("bid", "ask"):
            bands = [value for name, value in row.items() if name.startswith(f"{side}_vol_band_")]
            assert sum(bands) == pytest.approx(row[f"{side}_depth_100bps"])
        assert row["vpin"] is None or 0 <= row["vpin"] <= 1


@every_implementation
@few
@given(books=snapshots(), trades=trade_tapes(), data=st.data())
def test_no_row_knows_what_comes_after(
    implementation: Implementation, books: list[Snapshot], trades: list[Trade], data: st.DataObject
) -> None:
    """F7."""
    cut = data.draw(st.integers(1, len(books)))
    until_ns = books[cut - 1].t_ns
    early = implementation.book_rows(books[:cut], [trade for trade in trades if trade.t_ns <= until_ns], SMALL)
    assert implementation.book_rows(books, trades, SMALL)[: len(early)] == early


@every_implementation
@few
@given(books=snapshots(), trades=trade_tapes(), data=st.data())
def test_a_crossed_book_changes_no_other_row(
    implementation: Implementation, books: list[Snapshot], trades: list[Trade], data: st.DataObject
) -> None:
    """F9; its time is its own, so that it parts no two equal books of one time."""
    place = data.draw(st.integers(0, len(books) - 1))
    crossed = Snapshot(books[place].t_ns + 7, [(101, 1)], [(100, 1)])
    times = [book.t_ns for book in books]
    if crossed.t_ns in times or (place + 1 < len(books) and times[place + 1] < crossed.t_ns):
        return
    with_it = implementation.book_rows([*books[: place + 1], crossed, *books[place + 1 :]], trades, SMALL)
    assert [row for row in with_it if row["timestamp"] != crossed.t_ns] == implementation.book_rows(
        books, trades, SMALL
    )


@every_implementation
@few
@given(books=snapshots(), trades=trade_tapes(), data=st.data())
def test_a_level_of_nothing_changes_nothing(
    implementation: Implementation, books: list[Snapshot], trades: list[Trade], data: st.DataObject
) -> None:
    """F11, and F4's level beyond the last."""
    place = data.draw(st.integers(0, len(books) - 1))
    book = books[place]
    price = data.draw(st.integers(9_990, 10_010)) / 100
    more = replace(
        book, bids=[(price, 0.0), *book.bids, (1.0, 5.0)] if len(deep(book)) >= 4 else [*book.bids, (price, 0)]
    )
    changed = [*books[:place], more, *books[place + 1 :]]
    assert implementation.book_rows(changed, trades, GRID) == implementation.book_rows(books, trades, GRID)


def deep(book: Snapshot) -> set[float]:
    return {price for price, size in book.bids if size > 0}


def mirrored(books: Sequence[Snapshot], trades: Sequence[Trade]) -> tuple[list[Snapshot], list[Trade]]:
    def turned(price: float) -> float:
        return round(200 - price, 2)

    other = [
        replace(book, bids=[(turned(p), q) for p, q in book.asks], asks=[(turned(p), q) for p, q in book.bids])
        for book in books
    ]
    return other, [Trade(t, turned(price), amount, sign and -sign) for t, price, amount, sign in trades]


@every_implementation
@few
@given(books=snapshots(), trades=trade_tapes())
def test_a_mirror_turns_signs(implementation: Implementation, books: list[Snapshot], trades: list[Trade]) -> None:
    """F2."""
    rows = implementation.book_rows(books, trades, GRID)
    other = implementation.book_rows(*mirrored(books, trades), GRID)
    turns = (
        "imbalance_L1 imbalance_L3 total_imbalance micro_dev queue_log_ratio ofi mlofi mlofi_L1 log_gofi tfi tfi_norm"
    )
    for row, turned in zip(rows, other, strict=True):
        for name in f"{turns} lofi mid_velocity trade_loc ofi_sum_5s tfi_sum_5s".split():
            assert (row[name] is None) == (turned[name] is None), name
            assert row[name] is None or row[name] == pytest.approx(-turned[name], abs=1e-12), name
        for name in ("spread", "vpin", "trade_count", "kyle_lambda", "roll_spread_5s", "ofi_beta_5s", "is_reset"):
            assert row[name] == (None if turned[name] is None else pytest.approx(turned[name])), name
        assert row["bid_top_share"] == turned["ask_top_share"]


@every_implementation
def test_variance_of_bars_adds_up(implementation: Implementation) -> None:
    told = simulated(3, events=150, long_pauses=0.1)
    rows = implementation.book_rows(told.snapshots, [], GRID)
    minutes, fives = (implementation.bar_rows(rows, seconds, {}) for seconds in (60, 300))
    for five in fives:
        inside = [
            bar["realized_variance"] for bar in minutes if five["time_start"] <= bar["time_start"] < five["time_end"]
        ]
        assert sum(rv or 0 for rv in inside) == pytest.approx(five["realized_variance"] or 0)
        assert five["bar_duration_sec"] * NS == five["time_end"] - five["time_start"]
    assert len(fives) > 1
