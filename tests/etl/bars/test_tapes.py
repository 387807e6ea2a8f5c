"""Real trades: kernel and reference alike in every field, at random cuts, with the state a file in between."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from tests.etl.bars.cases import MEASURES, Case
from tests.etl.bars.reference import Trade
from tests.etl.bars.tapes import DATA, SOURCES, tapes
from tests.etl.bars.tapes_made import weight_of
from tests.etl.bars.test_differential import counts, restarted
from tests.etl.bars.trades_made import frame, referred, rows

SLICE = 1_000
TRADES = {  # of each source, counted when it was first read
    "coinbase": 279, "binance": 2, "binance-futures": 91, "bitfinex": 210, "bitstamp": 10, "gateio": 9, "gemini": 2,
    "huobi": 73, "kraken": 10, "kucoin": 18, "okx": 74, "upbit": 304, "hftbacktest": 30_387, "questdb": 13_197,
    "pyalgotrade": 12_329, "gocryptotrader": 5_646, "equities": 332_732,
}  # fmt: skip
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}; set DAEDALUS_TEST_DATA")


def cases_of(trades: Sequence[Trade], rng: Random) -> list[Case]:
    """Every kind, about fifty bars of each, with options drawn by chance."""
    bars = rng.choice([5, 20, 60])
    means = {m: sum(weight_of(t, m) for t in trades) / len(trades) for m in MEASURES}
    length = max(1, len(trades) // bars)
    gaps = {"on_gap": rng.choice(["mark", "close"]), "gap_reset_s": rng.choice([None, 1, 60])}
    unit = {"tick_unit": rng.choice(["print", "order"])}
    out = [
        Case("time", {"interval": rng.choice(["1s", "1m", "4h", "1mo"]), "on_gap": gaps["on_gap"]}),
        Case("streak", {"threshold": rng.choice([2, 5]), **unit, **gaps}),
        Case("tick", {"threshold": length, **unit, **gaps}),
    ]
    for measure in MEASURES:
        threshold = f"{float(means[measure] * length):.6g}" if measure != "tick" else length
        carry = {"carry": rng.choice(["reset", "phase"])}
        out.append(Case(measure, {"threshold": threshold, **carry, **gaps}))
        adv = {"threshold": "adv_fraction", "adv_fraction": "0.013", "adv_days": rng.choice([1, 20])}
        out.append(Case(measure, {**adv, **gaps, "threshold_init": rng.choice([None, threshold])}))
        for kind in ("imbalance", "run"):
            params = {"expected_ticks_init": length, "ewma_window": rng.choice([1, 3, 15]), **unit, **gaps}
            params["preset"] = rng.choice(["guarded", "guarded_ema", "afml_literal", "mlfinlab_like"])
            if params["preset"] == "mlfinlab_like":
                params["bounds"] = (length / 4, length * 4)
            if rng.random() < 0.5:
                params |= {"e0_update": "daily", "bars_per_day": bars}
            if kind == "run":
                params["run_threshold"] = rng.choice(["afml", "jensen"])
            out.append(Case(f"{measure}_{kind}", params))
    return out


def compared(case: Case, trades: Sequence[Trade], rng: Random) -> int:
    """How many bars were compared; the trades are given in pieces cut by chance."""
    reference = case.reference()
    expected = referred(reference, trades)
    bars, out = case.bars(), []
    cuts = sorted(rng.randrange(len(trades) + 1) for _ in range(6))
    for start, stop in pairwise([0, *cuts, len(trades)]):
        out += rows(bars.update(frame(trades[start:stop], texts=rng.random() < 0.3)))
        bars = restarted(case, bars)
    out += rows(bars.flush())
    assert len(out) == len(expected)
    for got, want in zip(out, expected, strict=True):
        assert got == want, case
    assert counts(bars) == counts(reference)
    return len(out)


def with_holes(trades: Sequence[Trade], rng: Random) -> list[Trade]:
    """The recordings say of no hole; some are said here. One value has nineteen places: bars refuse it, and say so."""
    return [replace(t, gap_before=rng.random() < 0.003) for t in trades if t.trade_id != "5957241"]


def compare(source: str, *, longest: int | None) -> None:
    told: dict[str, Any] = {"trades": 0, "bars": 0, "sets": 0}
    for market, tape in tapes(source).items():
        rng = Random(f"{source} {market}")
        start = rng.randrange(max(1, len(tape) - longest)) if longest else 0
        trades = with_holes(tape[start : start + longest] if longest else tape, rng)
        cases = cases_of(trades, rng)
        told["trades"] += len(trades)
        told["sets"] += len(cases)
        told["bars"] += sum(compared(case, trades, rng) for case in cases)
    print(f"{source}: {told['trades']:,} trades, {told['sets']} bar sets, {told['bars']:,} bars compared")


@pytest.mark.parametrize("source", SOURCES)
def test_a_piece_of_every_tape(source):
    assert sum(map(len, tapes(source).values())) == TRADES[source]
    compare(source, longest=SLICE)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("source", SOURCES)
def test_every_tape_whole(source):
    compare(source, longest=None)
