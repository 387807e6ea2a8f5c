"""The specification's own examples, number by number."""

from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest

from etl.bars import DollarBars, TickBars, TimeBars, VolumeBars, new_bars
from tests.etl.bars.both import both, given
from tests.etl.bars.golden_vectors import BARS, TICK_RULE, WITHOUT_SIDES, golden, vectors
from tests.etl.bars.reference import Trade
from tests.etl.bars.trades_made import built, frame

VECTORS = vectors()
SUMS = {"volume", "dollar_volume", "tick_count", "buy_volume", "theta", "theta_buy", "theta_sell", "bar_seq"}


@both
@pytest.mark.parametrize("name", VECTORS)
def test_the_golden_vectors(name, make):
    """Rows, and what is in force for the bar after each: of the last bar by one more trade, and a look at the bar."""
    kind, params = BARS[name]
    bars = make(kind, **params)
    got = given(bars, golden(with_sides=name not in WITHOUT_SIDES))
    assert len(got) == len(VECTORS[name])
    bars.give(Trade("21", 306_000_000, Decimal(102), Decimal(1), "buy", trade_seq=21))
    for want, bar, after in zip(VECTORS[name], got, [*got[1:], bars.peek()], strict=True):
        ends = want.first_id, want.last_id, want.close_reason
        assert ends == (bar["first_trade_id"], bar["last_trade_id"], bar["close_reason"])
        for column, value in want.shown.items():
            exact = Fraction(bar[column]) == value if column in SUMS else close(bar[column], value)
            assert exact, (column, bar[column], value)
        for column, value in want.frozen.items():
            assert close(after[column], value), (column, after[column], value)
        assert bar["is_partial"] == (want.close_reason == "flush")
        if want.close_reason == "warmup":
            assert bar["threshold"] is None


def close(got: float, want: Fraction) -> bool:
    return abs(Fraction(got) - want) <= abs(want) / 10**12


@both
def test_the_golden_signs_by_the_tick_rule(make):
    bars = given(make("tick", threshold=1), golden(with_sides=False))
    assert [bar["buy_tick_count"] - bar["sell_tick_count"] for bar in bars] == TICK_RULE
    assert sum(bar["unknown_tick_count"] for bar in bars) == 1


@pytest.mark.parametrize("name", ["G1", "G2", "G3", "G4", "G5"])
def test_golden_numbers_given_as_texts(name):
    kind, params = BARS[name]
    assert built(new_bars(kind, **params), golden(), texts=True) == built(new_bars(kind, **params), golden())


@both
def test_all_buys_close_tick_imbalance_bars_of_e0(make):
    trades = [Trade(str(n), n, Decimal(10), Decimal(1), "buy") for n in range(40)]
    for preset in ("guarded", "guarded_ema", "afml_literal"):
        bars = given(make("tick_imbalance", expected_ticks_init=4, preset=preset), trades)
        assert [bar["tick_count"] for bar in bars] == [4] * 10
        assert {bar["expected_ticks"] for bar in bars} == {4.0}


def test_golden_buckets_are_half_open_and_known_at_their_end():
    bars = built(TimeBars(interval="1m"), golden())
    assert [(b["time_start"] // 10**6, b["time_end"] // 10**6) for b in bars] == [
        (0, 60),
        (60, 120),
        (240, 300),
        (300, 360),
    ]
    assert [b["available_at"] for b in bars] == [b["time_end"] for b in bars]
    assert [b["last_ts"] // 10**6 for b in bars] == [59, 119, 299, 305]


def sized(*sizes: object, us: list[int] | None = None) -> list[Trade]:
    moments = us or [0] * len(sizes)
    return [
        Trade(str(row), moment, Decimal(10), Decimal(str(size)))
        for row, (size, moment) in enumerate(zip(sizes, moments, strict=True))
    ]


def test_eight_tenths_are_eight_trades():
    trades = [Trade(str(n), n, Decimal("0.1"), Decimal(1)) for n in range(24)]
    assert [b["tick_count"] for b in built(DollarBars(threshold="0.8"), trades)] == [8, 8, 8]


def test_a_threshold_finer_than_the_sizes_is_not_rounded_down():
    assert [b["tick_count"] for b in built(VolumeBars(threshold="2.5"), sized(1, 1, 1, 1, 1, 1))] == [3, 3]
    assert [b["tick_count"] for b in built(DollarBars(threshold="20.01"), sized(1, 1, 1, 1, 1, 1))] == [3, 3]


def test_bars_of_one_moment_are_told_apart_by_number():
    bars = built(VolumeBars(threshold=1), sized(1, 1, 1))
    assert [(b["bar_seq"], b["time_start"]) for b in bars] == [(0, 0), (1, 0), (2, 0)]


def test_a_giant_trade_ends_one_bar():
    assert [b["volume"] for b in built(VolumeBars(threshold=10), sized(4, 35, 3))] == [39, 3]


def test_a_late_trade_is_in_no_bar():
    bars = VolumeBars(threshold=10, late="drop")
    assert [b["volume"] for b in built(bars, sized(4, 8, 6, us=[1000, 500, 2000]))] == [10]
    assert (bars.counters.n_late, bars.counters.n_dup) == (1, 0)


@pytest.mark.parametrize("with_seq", [False, True])
def test_repeated_trades_change_nothing_but_their_count(with_seq):
    trades = golden()
    for trade in trades:
        trade.trade_seq = trade.trade_seq if with_seq else None
    bars = DollarBars(threshold=900)
    assert built(bars, trades + trades[14:]) == built(DollarBars(threshold=900), trades)
    assert (bars.counters.n_dup, bars.counters.n_late, bars.counters.n_trades) == (6, 0, 20)


def test_a_notebook_needs_four_columns_only():
    four = frame(golden()).select("trade_id", "timestamp", "price", "amount")
    bars = TickBars(threshold=20).update(four)
    assert bars.select("unknown_tick_count", "unknown_volume", "buy_volume").rows() == [(1, 2.0, 21.0)]
    assert bars["known_at"].equals(bars["last_ts"].rename("known_at"))
    assert isinstance(bars, pl.DataFrame)
