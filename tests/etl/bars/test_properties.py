"""What holds for every stream and every kind, whatever made the bars: P2 to P7, P9 to P12, P15 and P16."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.bars import TimeBars
from tests.etl.bars.cases import CASES, Case, every_case
from tests.etl.bars.reference import Trade
from tests.etl.bars.tapes_made import flow, signs_of, ticks_of, weight_of
from tests.etl.bars.trades_made import built, frame, put_in_order, referred, rows, shown, streams

Rows = list[dict[str, Any]]
REASONS = {"time", "threshold", "max_ticks", "warmup", "flush", "gap", "open"}
NEAR = Fraction(1, 10**12)
quick = settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.too_slow])
information = pytest.mark.parametrize("case", [case for case in CASES if case.is_information], ids=str)
seeds = st.integers(0, 2**32)
COUNTING = [c for c in CASES if c.is_information or c.kind == "tick"]
COUNTING = [c for c in COUNTING if c.measure == "tick" and (c.is_information or "tick_unit" not in c.params)]


def agreed(case: Case, trades: Sequence[Trade], *, flush: str = "flush") -> Rows:
    """The bars, which kernel and reference have alike; the open one by a look at it if nothing is flushed."""
    reference = case.reference()
    referred(reference, trades, flush=flush)
    expected = reference.bars
    if not flush:
        expected = [*reference.bars, *filter(None, [reference.peek()])]
    bars = case.bars()
    closed = rows(bars.update(frame(trades)))
    assert closed + rows(bars.flush(flush) if flush else bars.peek()) == [shown(bar) for bar in expected]
    return expected


def slices(bars: Rows, trades: Sequence[Trade]) -> list[tuple[dict[str, Any], slice]]:
    """Each bar and the rows it holds; some kinds leave the first trades of a stream out."""
    at = len(trades) - sum(bar["tick_count"] for bar in bars)
    out = []
    for bar in bars:
        out.append((bar, slice(at, at + bar["tick_count"])))
        at += bar["tick_count"]
    return out


@every_case
@given(data=st.data())
@quick
def test_what_holds_of_all_bars(case, data):
    """P4, P6, P7."""
    bars = agreed(case, data.draw(streams(with_seq=True, days=case.needs_days)))
    for bar in bars:
        assert bar["low"] <= min(bar["open"], bar["close"]) <= max(bar["open"], bar["close"]) <= bar["high"]
        assert bar["low"] <= bar["vwap"] <= bar["high"]
        assert bar["tick_count"] == bar["buy_tick_count"] + bar["sell_tick_count"] + bar["unknown_tick_count"] > 0
        assert bar["time_start"] <= bar["first_ts"] <= bar["last_ts"] <= bar["time_end"] <= bar["available_at"]
        assert bar["close_reason"] in REASONS
        assert bar["is_partial"] or bar["close_reason"] not in {"flush", "gap"}
        if case.kind == "time":
            assert bar["last_ts"] < bar["time_end"]
        assert bar["n_side"] + bar["n_tick"] + bar["n_carry"] == bar["tick_count"] > bar["n_ts_regress"] - 1
    assert [b["bar_seq"] for b in bars] == list(range(len(bars)))
    starts = [b["time_start"] for b in bars]
    assert case.kind != "time" or starts == sorted(set(starts)) or case.params.get("on_gap") == "close"


@every_case
@given(data=st.data())
@quick
def test_nothing_is_lost_and_bars_are_neighbouring_slices(case, data):
    """P2, P3, P6: exact sums by side, first and last prints, times that never go back."""
    trades = put_in_order(data.draw(streams(days=case.needs_days)))
    signs = signs_of(trades, gap_reset_s=case.params.get("gap_reset_s"))
    bars = agreed(case, trades, flush="")
    for bar, held in slices(bars, trades):
        inside, sides = trades[held], signs[held]
        assert (bar["first_trade_id"], bar["last_trade_id"]) == (inside[0].trade_id, inside[-1].trade_id)
        assert (bar["open"], bar["close"]) == (float(inside[0].price), float(inside[-1].price))
        assert bar["volume_exact"] == sum(weight_of(t, "volume") for t in inside)
        assert bar["dollar_volume_exact"] == sum(weight_of(t, "dollar") for t in inside)
        for name, sign in (("buy", 1), ("sell", -1), ("unknown", 0)):
            part = [t for t, b in zip(inside, sides, strict=True) if b == sign]
            assert bar[f"{name}_tick_count"] == len(part)
            assert bar[f"{name}_volume"] == float(sum(weight_of(t, "volume") for t in part))
            assert bar[f"{name}_dollar_volume"] == float(sum(weight_of(t, "dollar") for t in part))
    for name in ("time_start", "time_end", "first_ts", "last_ts", "available_at"):
        assert [b[name] for b in bars] == sorted(b[name] for b in bars)
    left_out = len(trades) - sum(bar["tick_count"] for bar in bars)
    assert left_out == 0 or "skip_first_partial" in case.params or case.params.get("threshold") == "adv_fraction"


def reached(case: Case, bar: dict[str, Any], ticks: list[tuple[int, Fraction]]) -> Fraction:
    """What is held against the threshold after these ticks of the bar."""
    if case.kind == "streak":
        sign, run = [(sign, len(list(run))) for sign, run in groupby(ticks, key=lambda tick: tick[0])][-1]
        return Fraction(run if sign else 0)
    sums = {sign: sum((w for b, w in ticks if b == sign), Fraction(0)) for sign in (1, -1, 0)}
    if case.kind.endswith("_imbalance"):
        return abs(sums[1] - sums[-1])
    return max(sums[1], sums[-1]) if case.kind.endswith("_run") else sum(sums.values())


@pytest.mark.parametrize("case", [c for c in CASES if c.kind != "time" and c.params.get("carry") != "phase"], ids=str)
@given(data=st.data())
@quick
def test_a_bar_ends_with_the_first_tick_that_reaches_its_threshold(case, data):
    """P5, P15: and with no other, unless by the guards."""
    trades = put_in_order(data.draw(st.one_of(streams(days=case.needs_days), seeds.map(lambda seed: flow(seed, 120)))))
    signs = signs_of(trades, gap_reset_s=case.params.get("gap_reset_s"))
    unit = case.params.get("tick_unit", "print")
    for bar, held in slices(agreed(case, trades, flush=""), trades):
        ticks = ticks_of(trades[held], signs[held], measure=case.measure, unit=unit)
        reason, threshold = bar["close_reason"], bar["threshold"]
        tested = len(ticks) if reason not in {"open", "gap"} or unit == "print" else len(ticks) - 1
        if threshold is not None:
            limit = Fraction(threshold)
            for count in range(1, tested):
                assert reached(case, bar, ticks[:count]) < limit * (1 + NEAR)
            if reason == "threshold":
                assert reached(case, bar, ticks) >= limit * (1 - NEAR)
            elif tested:
                assert reached(case, bar, ticks[:tested]) < limit * (1 + NEAR)
        if case.is_information:
            check_guards(case, bar, len(ticks))


def check_guards(case: Case, bar: dict[str, Any], ticks: int) -> None:
    """P15."""
    e0 = None if "e0_update" in case.params else case.params["expected_ticks_init"]
    preset, expected = case.params.get("preset", "guarded"), bar["expected_ticks"]
    if bar["threshold"] is None:
        assert bar["close_reason"] in {"warmup", "gap", "open"}
        assert e0 in (None, expected)
        assert ticks == expected if bar["close_reason"] == "warmup" else ticks <= expected
        return
    if bar["noise_floor"] is not None:
        assert bar["threshold"] >= bar["noise_floor"]
        assert bar["threshold"] >= expected * abs(bar["expected_imbalance"]) * (1 - 1e-12)
    longest = case.params.get("max_ticks", 10 * e0 if e0 and preset.startswith("guarded") else None)
    if longest is not None:
        assert ticks <= longest
        assert (ticks == longest) or bar["close_reason"] != "max_ticks"
    if preset == "guarded_ema" and e0:
        assert e0 / 3 <= expected <= 3 * e0
    if preset == "guarded" and e0 and "expected_ticks" not in case.params:
        assert expected == e0


@pytest.mark.parametrize("case", [c for c in CASES if c.params.get("carry") == "phase"], ids=str)
@given(trades=streams(days=True))
@quick
def test_with_phase_as_many_thresholds_are_passed_as_the_total_holds(case, trades):
    """P5 of `carry="phase"`: a bar ends where the total since the last cut passes a multiple of the threshold."""
    trades = put_in_order(trades)
    threshold, so_far = Fraction(str(case.params["threshold"])), Fraction(0)
    for bar, held in slices(agreed(case, trades, flush=""), trades):
        for row in range(held.start, held.stop):
            if case.params.get("on_gap") == "close" and trades[row].gap_before:
                so_far = Fraction(0)
            before = so_far // threshold
            so_far += weight_of(trades[row], case.measure)
            is_passed = so_far // threshold > before
            assert is_passed == (row == held.stop - 1 and bar["close_reason"] == "threshold")


@given(trades=streams(with_seq=True))
@settings(max_examples=25, deadline=None)
def test_five_minute_bars_are_merged_one_minute_bars(trades):
    """P7, on trades whose stamps do not go back: then no trade is late for one interval and in time for the other."""
    trades = put_in_order(trades)
    ones, fives = built(TimeBars(interval="1m"), trades), built(TimeBars(interval="5m"), trades)
    for five in fives:
        inner = [b for b in ones if five["time_start"] <= b["time_start"] < five["time_end"]]
        assert (five["open"], five["close"]) == (inner[0]["open"], inner[-1]["close"])
        assert (five["high"], five["low"]) == (max(b["high"] for b in inner), min(b["low"] for b in inner))
        for name in ("volume_exact", "dollar_volume_exact", "tick_count", "buy_tick_count"):
            assert five[name] == sum(b[name] for b in inner)


def ends(bars: Rows) -> list[tuple[str, str, str]]:
    return [(bar["first_trade_id"], bar["last_trade_id"], bar["close_reason"]) for bar in bars]


def scaled(case: Case, factor: int) -> Case:
    """The case with its thresholds in units so much smaller."""
    names = {"threshold", "threshold_init", "init_imbalance"} & set(case.params)
    numbers = {name: case.params[name] for name in names if case.params[name] != "adv_fraction"}
    return replace(case, params=case.params | {name: Decimal(str(n)) * factor for name, n in numbers.items()})


@every_case
@given(seed=seeds)
@settings(max_examples=3, deadline=None)
def test_units_do_not_matter(case, seed):
    """P9: by powers of two, others can flip a tie of floats."""
    trades = flow(seed, 150)
    factors = (32,) if case.is_information else (32, 1000)
    for factor in factors:
        sizes = [replace(t, amount=t.amount * factor) for t in trades]
        other = scaled(case, factor) if case.measure in ("volume", "dollar") else case
        assert ends(agreed(other, sizes)) == ends(agreed(case, trades))
        prices = [replace(t, price=t.price * factor) for t in trades]
        other = scaled(case, factor) if case.measure == "dollar" else case
        assert ends(agreed(other, prices)) == ends(agreed(case, trades))


def check_alike(one: Rows, other: Rows) -> None:
    """The same ends, up to the first threshold that is met so exactly that the last bit of a float decides."""
    for a, b in zip(ends(one), ends(other), strict=False):
        if a != b:
            bar = min(one[ends(one).index(a)], other[ends(other).index(b)], key=lambda bar: bar["tick_count"])
            assert abs(bar["overshoot"]) <= 1e-12 * bar["threshold"]
            return
    assert len(one) == len(other)


@every_case
@given(seed=seeds)
@settings(max_examples=3, deadline=None)
def test_a_market_upside_down_gives_the_same_bars(case, seed):
    """P10: of run bars 1 - P is rounded, so an exact tie may fall either way."""
    trades = flow(seed, 150, sided="all")
    turned = [replace(t, side={"buy": "sell", "sell": "buy"}[t.side]) for t in trades]
    if "init_imbalance" in case.params:
        case = replace(case, params=case.params | {"init_imbalance": 0})
    one, other = agreed(case, trades), agreed(case, turned)
    check_alike(one, other)
    if case.kind.endswith("_run"):
        return
    for bar, mirror in zip(one, other, strict=True):
        for name in ("volume", "dollar_volume", "tick_count"):
            assert (bar[f"buy_{name}"], bar[f"sell_{name}"]) == (mirror[f"sell_{name}"], mirror[f"buy_{name}"])
        for name in ("open", "high", "low", "close", "vwap", "volume_exact", "threshold", "expected_ticks"):
            assert bar.get(name) == mirror.get(name)
        for name in ("theta", "expected_imbalance"):
            assert bar.get(name) is None or bar[name] == -mirror[name]


def counterpart(case: Case, measure: str, factor: object = 1) -> Case:
    """The same bars of another measure."""
    kind = measure if case.measure == case.kind else case.kind.replace(f"{case.measure}_", f"{measure}_")
    return scaled(Case(kind, case.params), factor)


@pytest.mark.parametrize("case", COUNTING, ids=str)
@given(seed=seeds)
@settings(max_examples=3, deadline=None)
def test_with_sizes_of_one_volume_is_ticks_and_with_one_price_value_is_volume(case, seed):
    """P11."""
    trades = [replace(t, amount=Decimal(1)) for t in flow(seed, 150, sided="all")]
    if "tick_unit" in case.params:  # then no two are of one moment
        trades = [replace(t, us=row * 1_000_000) for row, t in enumerate(trades)]
    ticks = agreed(case, trades)
    check_alike(ticks, agreed(counterpart(case, "volume"), trades))
    priced = [replace(t, price=Decimal(8)) for t in trades]
    check_alike(ticks, agreed(counterpart(case, "dollar", 8), priced))


@pytest.mark.parametrize("preset", ["guarded", "guarded_ema", "afml_literal"])
@given(e0=st.integers(1, 9), seed=seeds)
@settings(max_examples=3, deadline=None)
def test_in_a_market_of_buys_tick_imbalance_bars_keep_their_length(preset, e0, seed):
    """P11: T = E[T] = E0 for ever."""
    trades = [replace(t, side="buy") for t in flow(seed, 90)]
    bars = agreed(Case("tick_imbalance", {"expected_ticks_init": e0, "preset": preset}), trades, flush="")
    whole = [bar for bar in bars if bar["close_reason"] != "open"]
    assert [bar["tick_count"] for bar in whole] == [e0] * (90 // e0)
    assert {bar["expected_ticks"] for bar in whole} == {e0}


@given(seed=seeds, cuts=st.lists(st.integers(0, 200), max_size=9))
@settings(max_examples=20, deadline=None)
def test_the_tick_rule_equals_that_of_the_whole_series(seed, cuts):
    """P12."""
    trades, case = flow(seed, 200, sided="none"), Case("tick", {"threshold": 1})
    for row in range(0, 200, 17):
        trades[row].side = "buy" if row % 2 else "sell"
    trades[0].side = None if seed % 2 else "buy"
    bars, reference = case.bars(), referred(case.reference(), trades)
    out = []
    for start, stop in pairwise([0, *sorted(cuts), 200]):
        out += rows(bars.update(frame(trades[start:stop])))
    for got in (out, reference):
        assert [bar["buy_tick_count"] - bar["sell_tick_count"] for bar in got] == signs_of(trades)


def weighted(span: float, xs: Sequence[float]) -> float:
    """The mean with weights (1 - alpha)^age: pandas' `ewm(span=span, adjust=True).mean()`, written out."""
    decay = 1 - Fraction(2) / (Fraction(span) + 1)
    weights = [decay ** (len(xs) - 1 - n) for n in range(len(xs))]
    return float(sum(w * Fraction(x) for w, x in zip(weights, xs, strict=True)) / sum(weights))


@pytest.mark.parametrize("measure", ["tick", "volume", "dollar"])
@given(seed=seeds)
@settings(max_examples=4, deadline=None)
def test_expectations_equal_the_weighted_means_of_the_whole_history(measure, seed):
    """P16: of imbalances over all ticks, of sizes over the ticks of a side, of shares of buys over bars."""
    trades = flow(seed, 120)
    signs = signs_of(trades)
    params = {"expected_ticks_init": 10, "ewma_window": 4, "imbalance_window": 25}
    weights = [float(weight_of(t, measure)) for t in trades]
    for bar, held in slices(agreed(Case(f"{measure}_imbalance", params), trades), trades)[1:]:
        xs = [b * w for b, w in zip(signs, weights, strict=True)][: held.start]
        near = pytest.approx(weighted(25, xs), rel=1e-12, abs=1e-12 * max(map(abs, xs)))
        assert bar["expected_imbalance"] == near
        assert bar["noise_floor"] == pytest.approx((10 * weighted(25, [x * x for x in xs])) ** 0.5, rel=1e-12)
    shares: list[float] = []
    for bar, held in slices(agreed(Case(f"{measure}_run", params), trades), trades):
        if shares:
            assert bar["p_buy"] == pytest.approx(weighted(4, shares), rel=1e-12)
        for name, sign in (("v_plus", 1), ("v_minus", -1)):
            xs = [w for b, w in zip(signs[: held.start], weights, strict=False) if b == sign]
            if shares and xs:
                assert bar[name] == pytest.approx(weighted(25, xs), rel=1e-12)
        buys, sells = bar["buy_tick_count"], bar["sell_tick_count"]
        shares += [buys / (buys + sells)] if buys + sells else []
