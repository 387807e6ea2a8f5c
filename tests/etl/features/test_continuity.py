"""Every column of every table, by itself: the future changes no earlier row, and no cut or restart changes a bit.

Nothing here names a feature: what is declared is tested. Where the properties F1 to F12 of the specification are tested
over the kernels (`test_spec_properties` and `test_spec_numbers` run over the reference as well):

| property | where |
|---|---|
| F1 batch = stream = restart, bit-equal | here, through msgpack, at every cut and at random ones |
| F2 mirror | test_spec_properties |
| F3 scale of sizes and prices | test_scale, every column of the book |
| F4 a level beyond the last changes nothing | test_spec_properties |
| F5 null, never NaN or infinite | test_spec_properties, and here over every frame |
| F6 windows are those of brute force | test_differential: every column, every option |
| F7 no look-ahead | here, at every cut; test_spec_properties |
| F8 bounds, bands, additive variance | test_spec_properties |
| F9 a crossed book changes no other row | test_spec_properties |
| F10 300 s do not reset, a nanosecond more does | test_spec_numbers, test_events |
| F11 a level of nothing changes nothing | test_spec_properties |
| F12 equal books at one time are dropped, different ones kept | test_spec_numbers, test_events |
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features.book_bars import BookBars
from etl.features.stateful import StatefulFeatureProcessor
from etl.features.trade_features import TradeFeatures
from tests.etl.features.kernels import frame_of_books, frame_of_trades
from tests.etl.features.simulated import simulated

OPTIONS: dict[str, Any] = {
    "horizons": (2, 5),
    "max_levels": 6,
    "ofi_levels": 2,
    "depth_levels": 3,
    "slope_kinds": ("gn", "ns"),
    "cost_base_sizes": (10,),
    "cost_quote_sizes": (1000,),
    "vpin_bucket_volume": 2,
    "vpin_window_buckets": 2,
    "kyle_lambda_window": 5,
    "spread_regime_window": 60,
    "min_obs_regression": 3,
    "partial_windows": True,
    "sign_window": 5,
    "large_trade_window": 4,
    "variance_ratio_lags": (2,),
    "yang_zhang_bars": (2,),
}


@dataclass(frozen=True)
class Feed:
    """A table's input in order, and what makes the table's rows of it."""

    make: Callable[..., Any]
    rows: pl.DataFrame
    trades: pl.DataFrame | None = None  # beside the rows

    def portion(self, start: int, stop: int, *, ahead: int = 0) -> list[pl.DataFrame]:
        """Some of the rows, with the trades of their time that did not come before; so many come too early."""
        if self.trades is None:
            return [self.rows[start:stop]]
        return [self.rows[start:stop], self.trades[self._trades_at(start, ahead) : self._trades_at(stop, ahead)]]

    def cuts(self) -> range:
        """Every row, or as many as take little time."""
        return range(0, len(self.rows) + 1, len(self.rows) // 60 or 1)

    def _trades_at(self, stop: int, ahead: int) -> int:
        """How many trades had come with the rows until here."""
        assert self.trades is not None
        if stop in (0, len(self.rows)):
            return len(self.trades) if stop else 0
        times = (frame["timestamp"].to_physical() for frame in (self.trades, self.rows[:stop]))
        return int((next(times) <= next(times).max()).sum()) + ahead


def feed(table: str, seed: int, events: int) -> Feed:
    """The input of a table, made by chance."""
    told = simulated(seed, events=events)
    trades = frame_of_trades(told.trades)
    if table == "trade_features":
        return Feed(partial(TradeFeatures, **OPTIONS), trades)
    if table == "book_bars":
        books = StatefulFeatureProcessor(**OPTIONS, hf_emit_interval=0).update(frame_of_books(told.snapshots), trades)
        return Feed(partial(BookBars, bar_duration_sec=10, **OPTIONS), books)
    interval_s = random.Random(seed).choice((0, 1))

    def book(**more: Any) -> StatefulFeatureProcessor:
        return StatefulFeatureProcessor(**OPTIONS, hf_emit_interval=interval_s, **more)

    return Feed(book, frame_of_books(told.snapshots if table == "snapshots" else told.messages), trades)


FEEDS = ("snapshots", "l2", "trade_features", "book_bars")


def whole(of: Feed) -> tuple[pl.DataFrame, dict[str, int]]:
    maker = of.make()
    rows = pl.concat([maker.update(*of.portion(0, len(of.rows))), maker.flush()])
    return rows, dict(maker.counts)


def restarted(of: Feed, cuts: Sequence[int], *, ahead: int = 0) -> tuple[pl.DataFrame, dict[str, int]]:
    """All rows and counts; at each cut the state is saved as bytes, and another goes on from them."""
    maker, parts, start = of.make(), [], 0
    for stop in [*cuts, len(of.rows)]:
        parts.append(maker.update(*of.portion(start, stop, ahead=ahead)))
        state = maker.snapshot()
        kept = msgspec.msgpack.encode(state)
        maker, start = of.make(state=msgspec.msgpack.decode(kept, type=type(state))), stop
    return pl.concat([*parts, maker.flush()]), dict(maker.counts)


def assert_same_bits(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert one.schema == other.schema
    assert len(one) == len(other)
    for name in one.columns:
        ours, theirs = one[name], other[name]
        assert ours.is_null().equals(theirs.is_null()), name
        if ours.dtype == pl.Float64:
            left, right = (column.fill_null(0.0).to_numpy() for column in (ours, theirs))
            assert np.isfinite(left).all(), name
            assert (left.view(np.int64) == right.view(np.int64)).all(), name
        else:
            assert ours.equals(theirs), name


@pytest.mark.parametrize("table", FEEDS)
def test_a_restart_at_every_cut(table: str) -> None:
    of = feed(table, 11, 60)
    rows, counts = whole(of)
    assert len(rows) > 5
    for cut in of.cuts():
        again, counted = restarted(of, [cut])
        assert_same_bits(again, rows)
        assert counted == counts


@pytest.mark.parametrize("table", FEEDS)
def test_a_restart_after_every_row(table: str) -> None:
    of = feed(table, 12, 60)
    rows, counts = whole(of)
    again, counted = restarted(of, of.cuts())
    assert_same_bits(again, rows)
    assert counted == counts


@pytest.mark.parametrize("table", FEEDS)
@settings(max_examples=15)
@given(seed=st.integers(0, 10**9), ahead=st.integers(0, 3), data=st.data())
def test_restarts_at_any_cuts(table: str, seed: int, ahead: int, data: st.DataObject) -> None:
    """Trades may also come before the books of their time."""
    of = feed(table, seed, 60)
    rows, _ = whole(of)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(of.rows)), max_size=8)))
    again, _ = restarted(of, cuts, ahead=ahead)
    assert_same_bits(again, rows)


@pytest.mark.parametrize("table", FEEDS)
@pytest.mark.parametrize("seed", [21, 22])
def test_the_future_changes_no_earlier_row(table: str, seed: int) -> None:
    of = feed(table, seed, 60)
    rows, _ = whole(of)
    known = 0
    for cut in of.cuts()[1:-1]:
        early = of.make().update(*of.portion(0, cut))
        assert_same_bits(early, rows[: len(early)])
        assert len(early) >= known
        known = len(early)
    assert known > 3
