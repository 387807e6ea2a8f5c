"""What a builder promises beside its bars: parameters, states, flushes, buckets, gaps, refusals."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import polars as pl
import pytest
from msgspec.structs import replace

from etl.bars import BAR_SCHEMA, DollarBars, TickBars, TimeBars, VolumeBars, bar_set_id, bar_types, build_bars, new_bars
from etl.bars.catalog import parameters
from shared.errors import InputUnreadable, StateMismatch
from tests.etl.bars.reference import Trade
from tests.etl.bars.trades_made import built, frame, golden, rows

SECOND = 1_000_000


def at(*seconds: float, gaps: tuple[int, ...] = ()) -> list[Trade]:
    """Trades of 1 at 10 at these seconds; those numbered in `gaps` follow a hole."""
    return [
        Trade(str(n), int(s * SECOND), Decimal(10), Decimal(1), trade_seq=n, gap_before=n in gaps)
        for n, s in enumerate(seconds)
    ]


@pytest.mark.parametrize("value", [0, -1, "nan", "inf", "ten", "", True, float("nan"), None])
def test_a_threshold_must_be_positive(value):
    for cls in (TickBars, VolumeBars, DollarBars):
        with pytest.raises(ValueError, match="threshold must be"):
            cls(threshold=value)


def test_ticks_are_whole():
    with pytest.raises(ValueError, match="whole number of trades"):
        TickBars(threshold=2.5)
    assert TickBars(threshold="2.0").params == {"threshold": "2"}


@pytest.mark.parametrize("value", [0, "0s", "-1m", "0y", "1M", "m", "", "1e400", "0.0000001", True, "1.2.3s"])
def test_an_interval_must_be_one(value):
    with pytest.raises(ValueError, match="interval must be"):
        TimeBars(interval=value)


@pytest.mark.parametrize(("name", "value"), [("late", "keep"), ("dedup_window", 0)])
def test_options_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        TickBars(threshold=1, **{name: value})


@pytest.mark.parametrize("same", [1_000_000, 1e6, "1000000.00", "1e6", Decimal("1E+6")])
def test_a_bar_set_has_one_name(same):
    name = bar_set_id("dollar", {"threshold": same})
    assert re.fullmatch(r"dollar-1000000-[0-9a-f]{6}", name)
    assert name == bar_set_id("dollar", {"threshold": 10**6})
    assert name[-6:] != bar_set_id("volume", {"threshold": 10**6})[-6:]


def test_intervals_are_named_in_seconds():
    assert bar_set_id("time", {"interval": "1m"}) == bar_set_id("time", {"interval": 60})
    assert bar_set_id("time", {"interval": "500ms"}).startswith("time-0.5s-")
    assert bar_set_id("volume", {"threshold": 0.1}).startswith("volume-0.1-")


def test_kinds_are_found_and_unknown_ones_refused():
    assert {"dollar", "tick", "time", "volume"} <= set(bar_types())
    with pytest.raises(ValueError, match=r"unknown bars 'dolar'.*dollar"):
        new_bars("dolar", threshold=1)
    with pytest.raises(ValueError, match="no parameter 'interval'"):
        new_bars("tick", interval=1)


def test_a_state_of_other_bars_is_refused():
    state = DollarBars(threshold=5).snapshot()
    for make in (lambda: DollarBars(threshold=6, state=state), lambda: VolumeBars(threshold=5, state=state)):
        with pytest.raises(StateMismatch, match="dollar"):
            make()
    with pytest.raises(StateMismatch, match="version 99"):
        DollarBars(threshold=5, state=replace(state, version=99))
    time_state = TimeBars(interval=1).snapshot()
    narrowed = msgspec.msgpack.decode(msgspec.msgpack.encode(time_state), type=DollarBars.State)
    with pytest.raises(StateMismatch):  # the fields of time bars are missing
        TimeBars(interval=1, state=narrowed)
    assert DollarBars(threshold="5.0", state=state).snapshot() == state


@pytest.mark.parametrize("kind", sorted(bar_types()))
def test_every_frame_has_the_schema(kind):
    needed = {"interval": "1m", "threshold": 3, "expected_ticks_init": 4}
    bars = new_bars(kind, **{name: needed[name] for name in parameters(kind) if name in needed})
    frames = [
        bars.update(pl.DataFrame()),
        bars.update(frame([])),
        bars.peek(),
        bars.flush(),
        bars.update(frame(golden())),
    ]
    frames += [bars.peek(), bars.flush("end"), bars.flush()]
    assert [f.schema for f in frames] == [BAR_SCHEMA] * len(frames)
    assert [len(f) for f in frames[:4]] == [0] * 4
    assert len(frames[-1]) == 0


def test_peek_shows_and_flush_ends_and_both_go_on():
    bars = VolumeBars(threshold=10)
    bars.update(frame(golden()[:2]))
    before = bars.snapshot()
    (peeked,) = rows(bars.peek())
    assert bars.snapshot() == before
    (flushed,) = rows(bars.flush("end"))
    assert flushed == peeked | {"close_reason": "end"}
    assert (peeked["close_reason"], peeked["is_partial"], peeked["volume"]) == ("open", True, 3)
    (after,) = rows(bars.update(frame(golden()[2:6])))  # 3 + 2 + 4 + 1
    assert (after["bar_seq"], after["first_trade_id"], after["volume"], after["is_partial"]) == (1, "3", 10, False)


def test_the_first_bucket_is_partial_if_its_beginning_was_not_seen():
    assert [b["is_partial"] for b in built(TimeBars(interval=60), at(30, 61, 125), flush=False)] == [True, False]
    assert [b["is_partial"] for b in built(TimeBars(interval=60), at(0, 61, 125), flush=False)] == [False, False]


def test_a_bucket_taken_up_after_a_flush_is_partial():
    bars = TimeBars(interval=60)
    bars.update(frame(at(0, 30)))
    bars.flush()
    (rest, whole) = rows(bars.update(frame(at(0, 30, 45, 70, 130)[2:])))
    assert (rest["time_start"], rest["is_partial"], whole["is_partial"]) == (0, True, False)


def test_the_watermark_ends_a_bucket_and_what_comes_behind_is_late():
    bars = TimeBars(interval=60, late="drop")
    assert len(bars.advance_watermark(0)) == 0
    bars.update(frame(at(0, 59)))
    assert len(bars.advance_watermark(60 * SECOND - 1)) == 0
    (bar,) = rows(bars.advance_watermark(60 * SECOND))
    assert (bar["close_reason"], bar["is_partial"], bar["tick_count"], bar["bar_seq"]) == ("time", False, 2, 0)
    assert len(bars.advance_watermark(90 * SECOND)) == 0
    bars.update(frame(at(0, 59, 59.5, 61)[2:]))
    assert bars.counters.n_late == 1
    (bar,) = rows(bars.peek())
    assert (bar["time_start"], bar["tick_count"], bar["bar_seq"]) == (60 * SECOND, 1, 1)


def test_a_trade_of_an_earlier_bucket_is_late_even_in_sequence():
    bars = TimeBars(interval=60, late="drop")
    out = built(bars, at(10, 70, 59, 65, 130))
    assert [b["tick_count"] for b in out] == [1, 2, 1]
    assert (bars.counters.n_late, bars.counters.n_ts_regress) == (1, 1)


def test_weeks_begin_on_monday():
    moment = datetime(2026, 8, 12, 5, tzinfo=UTC)
    bars = TimeBars(interval="1w")
    bars.update(pl.DataFrame({"trade_id": ["a"], "timestamp": [moment], "price": [1.0], "amount": [1.0]}))
    assert bars.peek()["time_start"].item() == datetime(2026, 8, 10, tzinfo=UTC)


@pytest.mark.parametrize("step", [None, 1])
def test_a_gap_marks_both_buckets_it_may_lie_in(step):
    trades = at(0, 10, 70, 80, 130, gaps=(2,))
    bars = TimeBars(interval=60)
    out = [bars.update(frame([t])) for t in trades] if step else [bars.update(frame(trades))]
    assert [b["has_gap"] for b in rows(pl.concat([*out, bars.flush()]))] == [True, True, False]


def test_a_gap_before_a_threshold_bar_is_that_bars():
    assert [b["has_gap"] for b in built(TickBars(threshold=2), at(0, 1, 2, 3, 4, 5, gaps=(2, 5)))] == [
        False,
        True,
        True,
    ]


def test_known_at_is_the_latest_capture():
    trades = at(0, 1, 2, 3)
    trades[0].known_us = 9 * SECOND
    assert [b["known_at"] for b in built(TickBars(threshold=2), trades)] == [9 * SECOND, 3 * SECOND]


def test_a_gap_told_by_the_trade_that_closes_the_bar_is_known_when_that_trade_is():
    trades = at(0, 10, 70, 130, gaps=(2,))
    assert [b["known_at"] for b in built(TimeBars(interval=60), trades)] == [70 * SECOND, 70 * SECOND, 130 * SECOND]
    trades = at(0, 10, 70, 130)
    assert [b["known_at"] for b in built(TimeBars(interval=60), trades)] == [10 * SECOND, 70 * SECOND, 130 * SECOND]


@pytest.mark.parametrize("kind", [TickBars, VolumeBars, DollarBars])
def test_a_price_too_large_for_a_kernel_stays_exact_in_the_open_bar(kind):
    trades = at(0, 1, 2)
    trades[0].price = Decimal(10) ** 19
    bars = kind(threshold=10**15 if kind is not TickBars else 3)
    for trade in trades:
        bars.update(frame([trade]))
    high = bars.peek()["high"] if kind is not TickBars else None
    assert high is None or high.item() in {1e19, 10.0}


def test_late_trades_can_be_refused_and_then_nothing_has_changed():
    bars = TickBars(threshold=2, late="raise")
    trades = at(0, 1, 2)
    bars.update(frame([trades[0], trades[2]]))
    before = bars.snapshot()
    with pytest.raises(InputUnreadable, match="1 trades came behind"):
        bars.update(frame([trades[1]]))
    assert bars.snapshot() == before


def test_the_exact_columns_hold_what_they_can():
    (bar,) = built(TickBars(threshold=1), [Trade("a", 0, Decimal(99999999999), Decimal("999999999.5"))])
    assert bar["dollar_volume_exact"] == Decimal(99999999999) * Decimal("999999999.5")


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["sell", "buy"]), pl.String])
def test_sides_of_any_text_type(dtype):
    trades = frame(golden()).with_columns(pl.col("side").cast(dtype))
    sliced = pl.concat([trades[:7], trades[7:]], rechunk=False)[3:]
    bars = TickBars(threshold=17).update(sliced)
    assert bars.select("buy_tick_count", "sell_tick_count", "unknown_tick_count").rows() == [(10, 7, 0)]


def test_build_bars_sorts_and_leaves_the_open_bar_out():
    shuffled = frame(golden()).sample(fraction=1.0, shuffle=True, seed=3)
    closed = build_bars(shuffled, "dollar", threshold=900)
    assert rows(closed) == built(DollarBars(threshold=900), golden())[:-1]
    assert len(build_bars(shuffled, "dollar", threshold=900, keep_open=True)) == 5
    assert len(build_bars(shuffled.drop("trade_seq"), "time", interval="1m")) == 3
