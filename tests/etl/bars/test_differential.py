"""Kernel and reference side by side, in every field: any stream, any cuts, flushes and looks between: P1, P8, P14, P17.

P13, a kill between any two writes of a checkpoint, is shown with real processes by the tests of the watcher.
"""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.bars import Bars, TickBars
from etl.bars import steps as bar_steps
from etl.bars.kernels import SUM_LIMIT
from tests.etl.bars.cases import CASES, Case, every_case
from tests.etl.bars.reference import Reference, Trade
from tests.etl.bars.trades_made import built, frame, golden, referred, rows, shown, streams

quick = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
thorough = settings(quick, max_examples=10)


def counts(of: Bars | Reference) -> tuple[int, ...]:
    of = of.counters if isinstance(of, Bars) else of
    return of.n_dup, of.n_late, of.n_ts_regress, of.n_trades, of.n_skipped


def restarted(case: Case, bars: Bars) -> Bars:
    """The builder anew from its state, which has been a file in between."""
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(bars.snapshot()), type=type(bars).State)
    again = case.bars(state=state)
    assert again.snapshot() == bars.snapshot() == state  # a number that is not finite would equal nothing
    return again


def peeked(bars: Bars | Reference) -> list[dict[str, Any]]:
    if isinstance(bars, Bars):
        return rows(bars.peek())
    bar = bars.peek()
    return [shown(bar)] if bar else []


@every_case
@given(data=st.data())
@thorough
def test_cuts_restarts_flushes_and_looks_equal_the_reference(case, data):
    """P1, P14, P17: what is out is out, and no batch, restart or look changes what comes after."""
    trades = data.draw(streams(days=case.needs_days))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(trades)), max_size=8), label="cuts"))
    if data.draw(st.booleans(), label="row by row"):
        cuts = list(range(len(trades) + 1))
    flushes = data.draw(st.sets(st.sampled_from(cuts), max_size=2) if cuts else st.just(set()), label="flushes")
    bars, reference, out = case.bars(), case.reference(), []
    for start, stop in pairwise([0, *cuts, len(trades)]):
        if start in flushes:
            flushes -= {start}
            out += rows(bars.flush())
            reference.flush()
        out += rows(bars.update(frame(trades[start:stop])))
        assert out == referred(reference, trades[start:stop], flush="")
        assert peeked(bars) == peeked(reference)
        bars = restarted(case, bars)
    assert out + rows(bars.flush("end")) == referred(reference, [], flush="end")
    assert counts(bars) == counts(reference)


@every_case
@given(data=st.data())
@quick
def test_numbers_too_long_for_a_float_equal_the_reference(case, data):
    """Given as texts, the floats being wrong; most streams take the path of Python ints at some trade."""
    trades = data.draw(streams(max_size=25, long=True, days=case.needs_days))
    assert built(case.bars(), trades, texts=True) == referred(case.reference(), trades)


@every_case
@given(data=st.data())
@quick
def test_both_number_paths_equal_the_reference(case, data):
    """The compiled and the interpreted kernels, changing over in the middle of a bar, and back."""
    trades = data.draw(streams(max_size=25, days=case.needs_days))
    cut = data.draw(st.integers(0, len(trades)))
    back = data.draw(st.integers(cut, len(trades)))
    bars = case.bars()
    out = rows(bars.update(frame(trades[:cut])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bar_steps, "SUM_LIMIT", 0)  # nothing fits
        patch.setattr(bar_steps, "ROWS_PER_STEP", 4)
        out += rows(bars.update(frame(trades[cut:back])))
    out += rows(bars.update(frame(trades[back:]))) + rows(bars.flush())
    assert out == referred(case.reference(), trades)


@pytest.mark.parametrize("case", [case for case in CASES if case.kind == "time"], ids=str)
@given(data=st.data())
@quick
def test_watermarks_equal_the_reference(case, data):
    trades = data.draw(streams(with_seq=True))
    bars, reference, out = case.bars(), case.reference(), []
    for trade in trades:
        out += rows(bars.update(frame([trade])))
        reference.give(trade)
        if data.draw(st.integers(0, 3)) == 0:
            us = max(0, trade.us + data.draw(st.sampled_from([-70_000_000, 0, 1, 3_000_000, 61_000_000, 10**13])))
            out += rows(bars.advance_watermark(us))
            reference.watermark(us)
            bars = restarted(case, bars)
        assert out == referred(reference, [], flush="")
    assert counts(bars) == counts(reference)


@every_case
@given(data=st.data())
@quick
def test_a_replayed_overlap_is_only_counted(case, data):
    """P8."""
    trades = golden()
    if data.draw(st.booleans()):
        for trade in trades:
            trade.trade_seq = None
    stop = data.draw(st.integers(1, 20))
    start = data.draw(st.integers(0, stop - 1))
    bars = case.bars()
    out = rows(bars.update(frame(trades[:stop]))) + rows(bars.update(frame(trades[start:]))) + rows(bars.flush())
    assert out == built(case.bars(), trades)
    assert counts(bars)[:3] == (stop - start, 0, 0)


@pytest.mark.parametrize("value", ["0.1", "1e-8", "33333333.3"])
def test_sums_of_many_steps_stay_exact(value, monkeypatch):
    """A bar over several kernel calls, its sums beyond 53 bits."""
    monkeypatch.setattr(bar_steps, "ROWS_PER_STEP", 1000)
    n = 5000
    trades = frame([Trade("x", 0, Decimal(value), Decimal("123456.789"))]).select(pl.all().repeat_by(n).explode())
    trades = trades.with_columns(trade_seq=pl.int_range(n), trade_id=pl.int_range(n).cast(pl.String))
    bars = TickBars(threshold=n + 1)
    bars.update(trades)
    (bar,) = rows(bars.peek())
    exact = Fraction(value) * Fraction("123456.789") * n
    assert bar["dollar_volume_exact"] == exact
    assert bar["dollar_volume"] == exact.numerator / exact.denominator
    assert SUM_LIMIT == 1 << 62


@pytest.mark.parametrize("kind", ["volume", "dollar"])
def test_a_phase_beyond_compiled_sums_is_carried(kind):
    """Between batches; the count is far above 2^62, or 2^93, at the scale that the first trade needs."""
    numbers = [("1.00000001", "1e-8"), ("1", "1.999e12"), ("1", "1"), ("1", "1"), ("1", "2")]
    tape = [Trade(str(n), n, Decimal(p), Decimal(v), "buy", trade_seq=n) for n, (p, v) in enumerate(numbers)]
    case = Case(kind, {"threshold": "1e12", "carry": "phase"})
    bars, out = case.bars(), []
    for trade in tape:
        out += rows(bars.update(frame([trade], texts=True)))
    assert out + rows(bars.flush()) == referred(case.reference(), tape)


@pytest.mark.parametrize("kind", ["dollar_imbalance", "dollar_run"])
def test_an_order_that_waits_while_the_scale_rises_weighs_the_same(kind):
    """Its value, about 2^86 at the scale of the last trade, is a compiled number: the price of its print was not."""
    numbers = [("1.001", "0.1", "sell"), ("1e9", "98634.04", "buy"), ("14", "1.23e-7", "sell")]
    tape = [Trade(str(n), n, Decimal(p), Decimal(v), s, trade_seq=n) for n, (p, v, s) in enumerate(numbers)]
    case = Case(kind, {"expected_ticks_init": 2, "tick_unit": "order"})
    bars, reference, out = case.bars(), case.reference(), []
    for trade in tape:
        out += rows(bars.update(frame([trade])))
        assert out == referred(reference, [trade], flush="")
        assert peeked(bars) == peeked(reference)
