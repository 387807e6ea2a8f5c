"""Every option by an example small enough to be told by hand; of the reference and of the kernels."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.etl.bars.both import both, given
from tests.etl.bars.reference import Trade

SECOND, DAY = 1_000_000, 86_400_000_000
B, S, N = "buy", "sell", None


def trades(*each: tuple[float, object, str | None], price: object = 10, gaps: tuple[int, ...] = ()) -> list[Trade]:
    """Of (second, amount, side); those numbered in `gaps` follow a hole."""
    return [
        Trade(
            str(n), int(second * SECOND), Decimal(price), Decimal(str(amount)), side, trade_seq=n, gap_before=n in gaps
        )
        for n, (second, amount, side) in enumerate(each)
    ]


def told(bars: list[dict], *names: str) -> list[tuple]:
    return [tuple(bar[name] for name in names) for bar in bars]


@both
def test_prints_of_one_moment_and_sign_are_one_tick(make):
    """Ticks: 0 and 1, 2, 3, 4. The second ends when trade 3 comes, and not before."""
    tape = trades((0, 1, B), (0, 1, B), (0, 1, S), (1, 1, B), (2, 1, S))
    tape[3].known_us = 5 * SECOND
    bars = given(make("tick", threshold=2, tick_unit="order"), tape)
    assert told(bars, "last_trade_id", "tick_count", "close_reason") == [("2", 3, "threshold"), ("4", 2, "flush")]
    assert told(bars, "last_ts", "available_at", "known_at") == [
        (0, SECOND, 5 * SECOND),
        (2 * SECOND,) * 2 + (5 * SECOND,),
    ]


@both
def test_an_order_weighs_what_its_prints_weigh(make):
    """Signed orders: +5, -1, +2, -9; E0 = 2. E[bv] of the first two, spans of 3: W = 1.5, (0.5 x 5 - 1) / 1.5 = 1."""
    tape = trades((0, 2, B), (0, 3, B), (1, 1, S), (2, 2, B), (3, 4, S), (3, 5, S), (4, 1, B))
    params = {"expected_ticks_init": 2, "imbalance_window": 3, "preset": "afml_literal", "tick_unit": "order"}
    bars = given(make("volume_imbalance", **params), tape)
    names = ("last_trade_id", "close_reason", "theta", "threshold", "expected_imbalance", "tick_count")
    assert told(bars, *names)[:2] == [("2", "warmup", 4, None, None, 3), ("3", "threshold", 2, 2, 1, 1)]
    assert bars[1]["available_at"] == 3 * SECOND


@both
def test_a_gap_closes_the_bar_before_it(make):
    tape = trades(*((n, 1, B) for n in range(6)), gaps=(0, 2))
    tape[2].known_us = 9 * SECOND
    bars = given(make("tick", threshold=3, on_gap="close"), tape)
    names = ("first_trade_id", "last_trade_id", "close_reason", "is_partial", "has_gap")
    assert told(bars, *names) == [
        ("0", "1", "gap", True, True), ("2", "4", "threshold", False, True), ("5", "5", "flush", True, False),
    ]  # fmt: skip
    assert told(bars, "available_at", "known_at")[0] == (2 * SECOND, 9 * SECOND)


@both
def test_a_gap_closes_a_bucket_and_both_parts_are_partial(make):
    tape = trades((0, 1, B), (10, 1, B), (20, 1, B), (60, 1, B), (130, 1, B), gaps=(2, 4))
    bars = given(make("time", interval=60, on_gap="close"), tape)
    names = ("time_start", "tick_count", "close_reason", "is_partial", "has_gap")
    assert told(bars, *names) == [
        (0, 2, "gap", True, True), (0, 1, "time", True, True), (60 * SECOND, 1, "gap", True, True),
        (120 * SECOND, 1, "flush", True, True),
    ]  # fmt: skip


@both
def test_what_a_phase_carries_counts_for_the_next_bar(make):
    """7 of 5 leaves 2; 2 + 7 leaves 4; 4 + 1 leaves 0; 12 leaves 2; 2 + 2 is short."""
    tape = trades(*((n, amount, B) for n, amount in enumerate([7, 7, 1, 12, 2])))
    bars = given(make("volume", threshold=5, carry="phase"), tape)
    assert told(bars, "volume", "close_reason") == [
        (7, "threshold"), (7, "threshold"), (1, "threshold"), (12, "threshold"), (2, "flush"),
    ]  # fmt: skip
    again = make("volume", threshold=5, carry="phase")
    given(again, tape[:1])
    assert given(again, trades(*[(9, 1, B)] * 9)[5:])[-1]["volume"] == 4  # the flush forgot the 2


DAYS = [(0, 4, B), (DAY / SECOND - 1, 6, S), (2 * DAY / SECOND, 5, B), (2 * DAY / SECOND + 1, 15, B)]
DAYS += [(3 * DAY / SECOND + n, 4, B) for n in range(5)]


@both
@pytest.mark.parametrize(("days", "thresholds"), [(20, [5, 5, 7.5, 7.5, 7.5]), (1, [5, 5, 10, 10])])
def test_the_threshold_is_a_fraction_of_the_finished_days(make, days, thresholds):
    """Volume 10, none, 20 and 20; a half of the mean. Nothing is known on the first day."""
    bars = given(make("volume", threshold="adv_fraction", adv_fraction="0.5", adv_days=days), trades(*DAYS))
    assert [bar["threshold"] for bar in bars] == thresholds
    assert bars[0]["first_trade_id"] == "2"
    init = given(make("volume", threshold="adv_fraction", adv_fraction="0.5", threshold_init=8), trades(*DAYS))
    assert told(init, "volume", "threshold", "close_reason")[:2] == [(10, 8, "threshold"), (5, 5, "threshold")]


@both
def test_ticks_of_a_day_are_counted_as_ticks(make):
    """Three trades, two orders: a third of two ticks is passed by the first order's end."""
    tape = trades((0, 1, B), (0, 1, B), (1, 1, S), (DAY / SECOND, 1, B), (DAY / SECOND + 1, 1, B))
    for unit, threshold in (("print", 1.5), ("order", 1.0)):
        bars = given(make("tick", threshold="adv_fraction", adv_fraction="0.5", tick_unit=unit), tape)
        assert {bar["threshold"] for bar in bars} == {threshold}


@both
def test_e0_follows_the_days(make):
    """Days of 4, 10 and 5 trades, two bars a day: E0 is 7 (as given), 2, then the median 7 / 2 = 3.5, to even 4."""
    counts, tape = [4, 10, 5], []
    for day, count in enumerate(counts):
        tape += [(day * DAY / SECOND + n, 1, B if n % 2 or day == 2 else S) for n in range(count)]
    params = {"expected_ticks_init": 7, "e0_update": "daily", "bars_per_day": 2, "ewma_window": 3}
    bars = given(make("tick_imbalance", **params), trades(*tape))
    assert told(bars, "first_trade_id", "tick_count", "close_reason", "expected_ticks")[0] == ("0", 7, "warmup", 7)
    assert told(bars, "first_trade_id", "expected_ticks", "theta")[1:] == [("7", 2, 2), ("15", 4, 2), ("17", 4, 2)]
    # the floor of the second bar: sqrt(E E[b^2]), with E = 2 of its first trade's day
    assert bars[1]["noise_floor"] == math.sqrt(2)


@both
def test_a_silence_resets_the_signs(make):
    tape = trades((0, 1, B), (1, 1, N), (31, 1, N), (62, 1, N), (63, 1, S), (64, 1, N))
    bars = given(make("tick", threshold=1, gap_reset_s=30), tape)
    assert [bar["buy_tick_count"] - bar["sell_tick_count"] for bar in bars] == [1, 1, 1, 0, -1, -1]
    assert told(bars, "n_side", "n_tick", "n_carry") == [(1, 0, 0), *[(0, 0, 1)] * 3, (1, 0, 0), (0, 0, 1)]


@both
def test_where_signs_are_from_and_times_that_go_back_are_counted(make):
    tape = trades((5, 1, N), (6, 1, B), (4, 1, N), (7, 1, N))
    tape[3].price = Decimal(11)
    (bar,) = given(make("volume", threshold=4), tape)
    assert told([bar], "n_side", "n_tick", "n_carry", "n_ts_regress", "unknown_tick_count") == [(1, 1, 2, 1, 1)]


@both
def test_a_streak_bar_holds_all_trades_since_the_bar_before(make):
    tape = trades(*((n, 1, side) for n, side in enumerate([N, B, S, S, B, S, S, S, S, S, B])))
    bars = given(make("streak", threshold=3), tape)
    names = ("first_trade_id", "last_trade_id", "close_reason", "threshold")
    assert told(bars, *names) == [("0", "7", "threshold", 3), ("8", "10", "flush", 3)]


@both
def test_with_an_imbalance_given_there_is_no_warm_up(make):
    """E0 x 0.5 = 2; then E[bv], spans of 3, from 0.5: by two trades of +1 it is 0.875, by half of the way each."""
    tape = trades(*((n, 1, B) for n in range(8)))
    params = {"preset": "afml_literal", "expected_ticks": "const", "imbalance_window": 3, "init_imbalance": "0.5"}
    bars = given(make("volume_imbalance", expected_ticks_init=4, **params), tape)
    assert told(bars, "tick_count", "threshold", "close_reason")[:2] == [(2, 2, "threshold"), (4, 3.5, "threshold")]
    assert told(bars, "expected_imbalance", "overshoot")[1] == (0.875, 0.5)


@both
def test_a_flush_leaves_the_threshold_and_begins_a_warm_up_anew(make):
    bars = make("tick_imbalance", expected_ticks_init=3, preset="afml_literal", imbalance_window=3)
    tape = trades(*((n, 1, B if n % 3 else S) for n in range(12)))
    assert told(given(bars, tape[:2]), "close_reason", "expected_ticks") == [("flush", 3)]
    assert told(given(bars, tape[2:6]), "close_reason", "tick_count")[1] == ("warmup", 3)
    frozen = bars.bars[-1]["threshold"]
    given(bars, tape[6:7])
    assert bars.bars[-1]["threshold"] == frozen is not None
    assert bars.bars[-1]["close_reason"] in {"flush", "threshold"}


@both
def test_jensen_adds_what_the_larger_of_two_sums_is_expected_to_exceed(make):
    """A hundred trades, half of them buys: mu = 0, sigma = 2 sqrt(100 / 4) = 10."""
    tape = trades(*((n, 1, B if n % 2 else S) for n in range(101)))
    for kind in ("tick_run", "volume_run"):
        bars = given(make(kind, expected_ticks_init=100, run_threshold="jensen"), tape)
        assert bars[1]["threshold"] == pytest.approx(0.5 * (100 + 10 * math.sqrt(2 / math.pi)), rel=1e-13)
        assert told(bars, "p_buy", "v_plus", "v_minus")[1] == (0.5, 1, 1)


@both
@pytest.mark.parametrize("kind", ["tick_imbalance", "dollar_run"])
def test_without_any_sign_each_trade_is_a_bar(kind, make):
    bars = given(make(kind, expected_ticks_init=3), trades(*((n, 1, N) for n in range(6))))
    assert told(bars, "tick_count", "threshold") == [(3, None), (1, 0), (1, 0), (1, 0)]


@both
def test_bounds_hold_the_expected_length(make):
    tape = trades(*((n, 1, B) for n in range(40)))
    params = {"expected_ticks_init": 4, "preset": "mlfinlab_like", "bounds": (4.5, 6)}
    bars = given(make("tick_imbalance", **params), tape)
    assert told(bars, "tick_count", "expected_ticks")[:4] == [(4, 4), (4, 4), (5, 4.5), (5, 4.5625)]
    with pytest.raises(ValueError, match="bounds"):
        make("tick_imbalance", expected_ticks_init=4, preset="mlfinlab_like")


def us(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * SECOND


@both
@pytest.mark.parametrize(
    ("interval", "edges"),
    [
        ("1mo", [(2024, 2, 1), (2024, 3, 1), (2024, 4, 1)]),
        ("1y", [(2024, 1, 1), (2025, 1, 1), (2026, 1, 1)]),
        ("1w", [(2026, 8, 3), (2026, 8, 10), (2026, 8, 17)]),
    ],
)
def test_months_and_years_are_those_of_the_calendar(interval, edges, make):
    first, second, third = (us(*edge) for edge in edges)
    tape = [
        Trade(str(n), at, Decimal(1), Decimal(1), B)
        for n, at in enumerate([first, second - 1, second, third - 1, third])
    ]
    bars = given(make("time", interval=interval), tape)
    assert told(bars, "time_start", "time_end", "tick_count")[:2] == [(first, second, 2), (second, third, 2)]


@both
def test_the_first_bucket_may_be_left_out_where_its_beginning_was_not_seen(make):
    tape = trades((30, 1, B), (59, 1, B), (60, 1, B), (130, 1, B))
    bars = given(make("time", interval=60, skip_first_partial=True), tape)
    assert told(bars, "bar_seq", "first_trade_id", "is_partial") == [(0, "2", False), (1, "3", True)]
    whole = given(make("time", interval=60, skip_first_partial=True), trades((60, 1, B), (130, 1, B)))
    assert len(whole) == 2
