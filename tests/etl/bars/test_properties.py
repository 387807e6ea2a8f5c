"""Bars against the plain reference, and what holds for every stream: P1-P8 and P14 of the specification."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.bars import Bars, DollarBars, TickBars, TimeBars, VolumeBars
from etl.bars import steps as bar_steps
from etl.bars.kernels import SUM_LIMIT
from tests.etl.bars.reference import Reference, Trade, new_reference
from tests.etl.bars.trades_made import built, comparable, frame, golden, referred, rows, streams

KINDS = [
    ("time", {"interval": "1m"}, Decimal(60_000_000)),
    ("time", {"interval": 7}, Decimal(7_000_000)),
    ("tick", {"threshold": 1}, Decimal(1)),
    ("tick", {"threshold": 3}, Decimal(3)),
    ("volume", {"threshold": "20.25"}, Decimal("20.25")),
    ("volume", {"threshold": 3e3}, Decimal(3000)),
    ("dollar", {"threshold": 200}, Decimal(200)),
    ("dollar", {"threshold": "1e-3"}, Decimal("0.001")),
]
CLASSES: dict[str, type[Bars]] = {"time": TimeBars, "tick": TickBars, "volume": VolumeBars, "dollar": DollarBars}
kinds = pytest.mark.parametrize(("kind", "params", "threshold"), KINDS, ids=[f"{k}-{p}" for k, p, _ in KINDS])
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def new(kind: str, params: dict[str, object], **options: object) -> Bars:
    return CLASSES[kind](**params, **options)


def counts(of: Bars | Reference) -> tuple[int, int, int]:
    of = of.counters if isinstance(of, Bars) else of
    return of.n_dup, of.n_late, of.n_ts_regress


@kinds
@given(trades=streams())
@quick
def test_bars_equal_the_reference(kind, params, threshold, trades):
    bars, reference = new(kind, params), new_reference(kind, **params)
    assert comparable(built(bars, trades)) == comparable(referred(reference, trades))
    assert counts(bars) == counts(reference)


@kinds
@given(trades=streams(max_size=25, long=True))
@quick
def test_numbers_too_long_for_a_float_equal_the_reference(kind, params, threshold, trades):
    """Given as texts, the floats being wrong; most streams take the path of Python ints at some trade."""
    reference = new_reference(kind, **params)
    assert comparable(built(new(kind, params), trades, texts=True)) == comparable(referred(reference, trades))


@kinds
@given(trades=streams(), data=st.data())
@quick
def test_cuts_and_restarts_change_nothing(kind, params, threshold, trades, data):
    """P1, P14: any batches, empty ones and single rows too, the state through msgpack between any two."""
    whole = new(kind, params)
    expected = built(whole, trades)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(trades)), max_size=8), label="cuts"))
    if data.draw(st.booleans(), label="row by row"):
        cuts = list(range(len(trades) + 1))
    bars, out = new(kind, params), []
    for start, stop in pairwise([0, *cuts, len(trades)]):
        out += rows(bars.update(frame(trades[start:stop])))
        assert out == expected[: len(out)]  # what is out never changes
        cls = CLASSES[kind]
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(bars.snapshot()), type=cls.State)
        assert state == bars.snapshot()
        bars = new(kind, params, state=state)
    out += rows(bars.flush())
    assert out == expected
    assert counts(bars) == counts(whole)
    assert bars.snapshot() == whole.snapshot()


@kinds
@given(trades=streams(max_size=25), data=st.data())
@quick
def test_both_number_paths_give_the_same(kind, params, threshold, trades, data):
    """The compiled and the interpreted kernels, changing over in the middle of a bar."""
    cut = data.draw(st.integers(0, len(trades)))
    bars = new(kind, params)
    with pytest.MonkeyPatch.context() as patch:
        out = rows(bars.update(frame(trades[:cut])))
        patch.setattr(bar_steps, "SUM_LIMIT", 0)  # nothing fits
        patch.setattr(bar_steps, "ROWS_PER_STEP", 4)
        out += rows(bars.update(frame(trades[cut:])))
        out += rows(bars.flush())
    assert out == built(new(kind, params), trades)


@kinds
@given(trades=streams(with_seq=True))
@quick
def test_what_holds_of_all_bars(kind, params, threshold, trades):
    """P4 to P7."""
    bars = built(new(kind, params), trades)
    for bar in bars:
        assert bar["low"] <= min(bar["open"], bar["close"]) <= max(bar["open"], bar["close"]) <= bar["high"]
        assert bar["low"] <= bar["vwap"] <= bar["high"]
        assert bar["tick_count"] == bar["buy_tick_count"] + bar["sell_tick_count"] + bar["unknown_tick_count"] > 0
        assert bar["time_start"] <= bar["first_ts"] <= bar["last_ts"] <= bar["time_end"]
        measure = {"tick": bar["tick_count"], "volume": bar["volume_exact"], "dollar": bar["dollar_volume_exact"]}
        if bar["close_reason"] == "threshold":
            assert measure[kind] >= threshold
        elif kind != "time":
            assert measure[kind] < threshold
        else:
            assert bar["time_end"] - bar["time_start"] == threshold
            assert bar["time_start"] % threshold == 0
            assert bar["last_ts"] < bar["time_end"]
    assert [b["bar_seq"] for b in bars] == list(range(len(bars)))
    starts = [b["time_start"] for b in bars]
    assert kind != "time" or starts == sorted(set(starts))


@kinds
def test_conservation_and_slices(kind, params, threshold):
    """P2, P3, P5: nothing lost, bars are neighbouring slices, and none could have ended a trade before."""
    rng = np.random.default_rng(5)
    trades = [
        Trade(str(n), n * 400_000, Decimal(int(p)) / 100, Decimal(int(v)) / 1000, (None, "buy", "sell")[s], trade_seq=n)
        for n, (p, v, s) in enumerate(
            zip(
                10_000 + rng.integers(-9, 9, 3000).cumsum(),
                rng.integers(1, 9000, 3000),
                rng.integers(0, 3, 3000),
                strict=True,
            )
        )
    ]
    bars = new(kind, params)
    closed, left_open = rows(bars.update(frame(trades))), rows(bars.peek())
    everything = closed + left_open
    for name, side in (("", None), ("buy_", "buy"), ("sell_", "sell")):
        part = [t for t in trades if side in (None, t.side)]
        assert sum(b[f"{name}tick_count"] for b in everything) == len(part)
    assert sum(b["volume_exact"] for b in everything) == sum(Fraction(t.amount) for t in trades)
    assert sum(b["dollar_volume_exact"] for b in everything) == sum(Fraction(t.price * t.amount) for t in trades)
    at = 0
    for bar in everything:
        held = trades[at : at + bar["tick_count"]]
        assert (bar["first_trade_id"], bar["last_trade_id"]) == (held[0].trade_id, held[-1].trade_id)
        assert (bar["open"], bar["close"]) == (float(held[0].price), float(held[-1].price))
        before_last = {"tick": len(held) - 1, "volume": sum(t.amount for t in held[:-1]),
                       "dollar": sum(t.price * t.amount for t in held[:-1]), "time": 0}[kind]  # fmt: skip
        assert before_last < threshold
        at += bar["tick_count"]
    assert at == len(trades)
    assert len(closed) > 0


@given(trades=streams(with_seq=True))
@quick
def test_five_minute_bars_are_merged_one_minute_bars(trades):
    """P7, on trades whose stamps do not go back: then no trade is late for one interval and in time for the other."""
    trades = sorted({t.trade_id: t for t in trades}.values(), key=lambda t: (t.us, t.trade_seq))
    for number, trade in enumerate(trades):
        trade.trade_seq = number
    ones, fives = built(TimeBars(interval="1m"), trades), built(TimeBars(interval="5m"), trades)
    for five in fives:
        inner = [b for b in ones if five["time_start"] <= b["time_start"] < five["time_end"]]
        assert (five["open"], five["close"]) == (inner[0]["open"], inner[-1]["close"])
        assert (five["high"], five["low"]) == (max(b["high"] for b in inner), min(b["low"] for b in inner))
        for name in ("volume_exact", "dollar_volume_exact", "tick_count", "buy_tick_count"):
            assert five[name] == sum(b[name] for b in inner)


@kinds
@given(data=st.data())
@quick
def test_a_replayed_overlap_is_only_counted(kind, params, threshold, data):
    """P8."""
    trades = golden()
    if data.draw(st.booleans()):
        for trade in trades:
            trade.trade_seq = None
    stop = data.draw(st.integers(1, 20))
    start = data.draw(st.integers(0, stop - 1))
    bars = new(kind, params)
    out = rows(bars.update(frame(trades[:stop]))) + rows(bars.update(frame(trades[start:]))) + rows(bars.flush())
    assert out == built(new(kind, params), trades)
    assert counts(bars) == (stop - start, 0, 0)


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
