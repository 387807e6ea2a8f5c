"""The regime of the spread: mid-ranks of exact spreads, counted anew at every row."""

import random
from fractions import Fraction

import numpy as np
import pytest

from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows
from tests.etl.features.kernels import Kernels
from tests.etl.features.made_rows import columns_of, made_rows
from tests.etl.features.portions import columns_in_portions
from tests.etl.features.spec_cases import Case
from tests.etl.features.spec_cases_windows import REGIME
from tests.etl.features.test_spec_numbers import meant, rows_of

OPTIONS = FeatureOptions(hf_emit_interval=0, spread_regime_window=20, horizons=(2, 9))
PAUSES = (0.0, 0.1, 0.25, 0.5, 1.0)


@pytest.mark.parametrize("case", REGIME, ids=lambda case: case.name)
def test_the_worked_numbers(case: Case) -> None:
    row = rows_of(case, Kernels())[case.row]
    assert {name: row[name] for name in case.expected} == {name: meant(value) for name, value in case.expected.items()}


def walk(seed: int, n: int = 300, *, tens: int = 100) -> tuple[Rows, list[int], list[int]]:
    """Rows whose mid walks, with their spreads in ticks and the sums of bid and ask in ticks."""
    rng, t, bid = random.Random(seed), 0.0, 10_000
    books, spreads, sums, resets = [], [], [], [0]
    for k in range(n):
        t += 400 if rng.random() < 0.01 else rng.choice(PAUSES)
        bid += rng.choice((-1, 0, 0, 1))
        spread = rng.choice((0, 1, 1, 1, 1, 2, 3, rng.randrange(1, 40)))
        books.append((t, [(bid / tens, 1.0)], [((bid + spread) / tens, 1.0)]))
        spreads.append(spread)
        sums.append(2 * bid + spread)
        if k and rng.random() < 0.01:
            resets.append(k)
    return made_rows(books, options=OPTIONS, resets=resets), spreads, sums


@pytest.mark.parametrize("seed", range(6))
def test_ranks_and_shares_are_those_of_each_window_alone(seed: int) -> None:
    rows, spreads, sums = walk(seed, tens=random.Random(seed).choice((1, 100, 10**6)))
    made = columns_of(rows, options=OPTIONS)
    regimes: list[int] = []
    for k, now in enumerate(rows.t_ns):
        history = [spreads[j] for j in range(k) if now - rows.t_ns[j] < 20 * 10**9]
        rank = regime = None
        if len(history) >= 30:
            lower, same = sum(x < spreads[k] for x in history), sum(x == spreads[k] for x in history)
            rank = Fraction(2 * lower + same, 2 * len(history))
            regime = -1 if rank <= Fraction(1, 5) else int(rank >= Fraction(4, 5))
        else:
            regime = -1 if Fraction(2 * spreads[k], sums[k]) <= Fraction(1, 10_000) else 0
        regimes.append(regime)
        assert made["spread_pct"][k] == float(rank) if rank is not None else np.isnan(made["spread_pct"][k])
        assert made["spread_regime"][k] == regime
        assert made["regime_source"][k] == (rank is not None)
    began = [max(r for r in np.flatnonzero(rows.is_reset) if r <= k) for k in range(len(rows))]
    for h in (2, 9):
        for name, which in (("tight", -1), ("wide", 1)):
            expected = [share(rows, regimes[: k + 1], began[k], h, which) for k in range(len(rows))]
            assert np.array_equal(made[f"{name}_frac_{h}s"], expected, equal_nan=True)


def share(rows: Rows, regimes: list[int], began: int, h: int, which: int) -> float:
    now = rows.t_ns[len(regimes) - 1]
    inside = [r for t, r in zip(rows.t_ns[began:], regimes[began:], strict=False) if now - t < h * 10**9]
    is_full = now - rows.t_ns[began] >= h * 10**9 and len(inside) >= 2
    return sum(r == which for r in inside) / len(inside) if is_full else float("nan")


@pytest.mark.parametrize("seed", range(4))
def test_cuts_and_saved_states_change_no_bit(seed: int) -> None:
    rows, _, _ = walk(seed)
    cuts = random.Random(seed).sample(range(len(rows)), 20)
    whole, parts = columns_of(rows, options=OPTIONS), columns_in_portions(rows, cuts, options=OPTIONS)
    for name in ("spread_pct", "spread_regime", "regime_source", "tight_frac_2s", "wide_frac_9s"):
        assert np.array_equal(whole[name], parts[name], equal_nan=True)


def test_one_tick_is_one_tick_wherever_the_mid_is() -> None:
    """Floats of equal spreads differ by rounding, and relative spreads by the mid."""
    books = [(float(k), [((10_000 + k) / 100, 1.0)], [((10_001 + k) / 100, 1.0)]) for k in range(100)]
    assert len({ask[0][0] - bid[0][0] for _, bid, ask in books}) > 1
    ranks = spread_pct(made_rows(books, options=OPTIONS), FeatureOptions(hf_emit_interval=0))
    assert np.isnan(ranks[:30]).all()
    assert (ranks[30:] == 0.5).all()


def spread_pct(rows: Rows, options: FeatureOptions) -> Floats:
    return columns_of(rows, options=options)["spread_pct"]


def test_prices_with_all_digits_of_a_float_are_ranked_too() -> None:
    fine = 1 / 3
    books = [(float(k), [(fine * 100 + k, 1.0)], [(fine * 100 + k + 0.25, 1.0)]) for k in range(40)]
    ranks = spread_pct(made_rows(books, options=OPTIONS), FeatureOptions(hf_emit_interval=0))
    assert ((ranks[30:] >= 0) & (ranks[30:] <= 1)).all()


@pytest.mark.parametrize(("spread", "mid", "expected"), [(0.03, 300.0, -1), (0.07, 700.0, -1), (0.0301, 300.0, 0)])
def test_a_relative_spread_of_exactly_the_threshold_is_tight(spread: float, mid: float, expected: int) -> None:
    book = (0.0, [(round(mid - spread / 2, 6), 1.0)], [(round(mid + spread / 2, 6), 1.0)])
    assert columns_of(made_rows([book]), options=FeatureOptions(hf_emit_interval=0))["spread_regime"][0] == expected


def test_without_ranks_the_threshold_alone_decides() -> None:
    options = FeatureOptions(hf_emit_interval=0, use_dynamic_spread_regime=False)
    made = columns_of(walk(1)[0], options=options)
    assert np.isnan(made["spread_pct"]).all()
    assert (made["regime_source"] == 0).all()
    assert set(made["spread_regime"]) == {-1, 0}
