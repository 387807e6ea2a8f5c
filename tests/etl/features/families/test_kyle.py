"""Kyle's lambda: each window fitted anew in exact fractions."""

import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows
from tests.etl.features.kernels import Kernels
from tests.etl.features.made_rows import columns_of, made_rows
from tests.etl.features.portions import columns_in_portions
from tests.etl.features.reference.numbers import Line, exact, fitted, log_ratio
from tests.etl.features.spec_cases import Case
from tests.etl.features.spec_cases_windows import IMPACT
from tests.etl.features.test_spec_numbers import meant, rows_of

NAMES = ("kyle_lambda", "kyle_lambda_bps", "kyle_t", "kyle_r2")
Trade = tuple[float, float, float, int]


@pytest.mark.parametrize("case", [case for case in IMPACT if "kyle_lambda" in case.expected], ids=lambda c: c.name)
def test_the_worked_numbers(case: Case) -> None:
    row = rows_of(case, Kernels())[case.row]
    assert {name: row[name] for name in case.expected} == {name: meant(value) for name, value in case.expected.items()}


def options(**chosen: object) -> FeatureOptions:
    return FeatureOptions.of({"hf_emit_interval": 0, "ofi_levels": 1, "max_levels": 2, "horizons": (1,), **chosen})


def tape(seed: int, n: int = 150) -> tuple[list[int], list[float], list[list[Trade]], list[int]]:
    """Twice the mids in ticks, times, the trades of each row, and rows that are reset."""
    rng, t, mid = random.Random(seed), 0.0, 20_001
    mids, times, trades, resets = [], [], [], [0]
    for k in range(n):
        before, t = t, t + rng.choice((0.25, 0.5, 1.0, 1.0, 2.0))
        own = [
            (
                before + (t - before) * rng.random(),
                100.0 + rng.randrange(9) / 100,
                rng.randrange(1, 99) / 10,
                rng.choice((1, -1, 0)),
            )
            for _ in range(rng.choice((0, 0, 1, 2)))
        ]
        trades.append(sorted(own))
        times.append(t)
        mids.append(mid := mid + 2 * rng.choice((-1, 0, 0, 1)) + (1 if sum(s for *_, s in own) > 0 else 0))
        if k and rng.random() < 0.01:
            resets.append(k)
    return mids, times, trades, resets


def rows_from(
    mids: Sequence[int], times: Sequence[float], trades: Sequence[Sequence[Trade]], resets: Sequence[int]
) -> Rows:
    books = [
        (t, [((mid // 2) / 100, 1.0)], [((mid - mid // 2) / 100, 1.0)]) for mid, t in zip(mids, times, strict=True)
    ]
    return made_rows(books, [trade for own in trades for trade in own], options=options(), resets=resets)


def brute(
    k: int, rows: Rows, mids: Sequence[int], trades: Sequence[Sequence[Trade]], chosen: FeatureOptions
) -> list[float | None]:
    """The four columns of a row, from the whole window."""
    began, window_ns = max(r for r in np.flatnonzero(rows.is_reset) if r <= k), chosen.kyle_lambda_window * 1e9
    inside = [j for j in range(began + 1, k + 1) if rows.t_ns[k] - rows.t_ns[j] < window_ns and rows.has_trades[j]]
    flows = [sum((sign * exact(amount) for *_, amount, sign in trades[j]), Fraction(0)) for j in inside]
    is_full = chosen.partial_windows or rows.t_ns[k] - rows.t_ns[began] >= window_ns
    if not is_full or sum(x != 0 for x in flows) < chosen.min_obs_regression:
        return [None] * 4
    values = [sum((s * exact(p) * exact(a) for _, p, a, s in trades[j]), Fraction(0)) / 10**6 for j in inside]
    returns = [exact(log_ratio(Fraction(mids[j]), Fraction(mids[j - 1]))) * 10_000 for j in inside]
    line = fitted(flows, [Fraction(mids[j] - mids[j - 1], 200) for j in inside], with_intercept=chosen.kyle_intercept)
    in_bps = fitted(values, returns, with_intercept=chosen.kyle_intercept)
    return [slope(line), slope(in_bps), line and line.t, line and line.r2]


def slope(line: Line | None) -> float | None:
    return None if line is None else float(line.slope)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_each_window_is_fitted_alone(seed: int, *, intercept: bool) -> None:
    mids, times, trades, resets = tape(seed)
    rows = rows_from(mids, times, trades, resets)
    chosen = options(
        kyle_intercept=intercept, kyle_lambda_window=20, min_obs_regression=3 + seed, partial_windows=seed % 2 == 1
    )
    made, told = columns_of(rows, options=chosen), 0
    for k in range(len(rows)):
        for name, expected in zip(NAMES, brute(k, rows, mids, trades, chosen), strict=True):
            if expected is None:
                assert np.isnan(made[name][k]), (name, k)
            else:
                assert made[name][k] == pytest.approx(expected, rel=1e-10, abs=1e-14), (name, k)
                told += 1
    assert told > 100


@pytest.mark.parametrize("seed", range(4))
def test_cuts_and_saved_states_change_no_bit(seed: int) -> None:
    rows, chosen = rows_from(*tape(seed)), options(kyle_lambda_window=20, min_obs_regression=3)
    cuts = random.Random(seed).sample(range(len(rows)), 20)
    whole, parts = columns_of(rows, options=chosen), columns_in_portions(rows, cuts, options=chosen)
    for name in NAMES:
        assert np.array_equal(whole[name], parts[name], equal_nan=True)


def last(flows: Sequence[float], moves: Sequence[int], **chosen: object) -> list[float]:
    """The four columns after a row a second: net flow in base, moves of the mid in ticks."""
    mids = [20_001, *(20_001 + 2 * int(total) for total in np.cumsum(moves))]
    times = [float(k) for k in range(len(mids))]
    trades = [[], *([(k + 0.5, 100.0, abs(x), 1 if x > 0 else -1)] if x else [] for k, x in enumerate(flows))]
    rows = rows_from(mids, times, trades, [0])
    made = columns_of(rows, options=options(partial_windows=True, min_obs_regression=3, **chosen))
    return [float(made[name][-1]) for name in NAMES]


def test_an_exact_line_has_no_t() -> None:
    slope, _, t, r2 = last([0.3, -0.1, 0.2, 0.0, -0.7], [3, -1, 2, 0, -7])
    assert slope == pytest.approx(0.1, rel=1e-12)
    assert r2 == pytest.approx(1.0, abs=1e-12)
    assert np.isnan(t)


@pytest.mark.parametrize("intercept", [True, False])
def test_a_mid_that_stands_still_has_no_impact(*, intercept: bool) -> None:
    slope, in_bps, t, r2 = last([0.3, -0.1, 0.2, 0.0, -0.7], [0] * 5, kyle_intercept=intercept)
    assert (slope, in_bps) == (0, 0)
    assert np.isnan([t, r2]).all()


def test_flows_that_do_not_vary_tell_nothing() -> None:
    assert np.isnan(last([0.1] * 6, [1, 0, -1, 2, 1, 1])).all()


def test_moves_that_do_not_vary_are_not_explained() -> None:
    slope, _, t, r2 = last([0.3, -0.1, 0.2, 0.5, -0.7], [1] * 5)
    assert slope == 0
    assert np.isnan([t, r2]).all()


def test_a_flow_that_nets_to_nothing_is_no_observation() -> None:
    """0.1 + 0.2 - 0.3 is not 0 in floats."""
    mids, times = [20_001, 20_003, 20_001, 20_005], [0.0, 1.0, 2.0, 3.0]
    netted = [(1.2, 100.0, 0.1, 1), (1.3, 100.0, 0.2, 1), (1.4, 100.0, 0.3, -1)]
    trades = [[], [(0.5, 100.0, 1.0, 1)], netted, [(2.5, 100.0, 2.0, 1)]]
    made = columns_of(rows_from(mids, times, trades, [0]), options=options(partial_windows=True, min_obs_regression=3))
    assert np.isnan(made["kyle_lambda"]).all()


def test_the_impact_that_was_put_in_is_found() -> None:
    rng = random.Random(7)
    flows = [rng.randrange(-50, 50) / 10 for _ in range(2000)]
    found: Floats = np.array(last(flows, [round(20 * x) for x in flows]))
    assert found[0] == pytest.approx(0.2, rel=1e-3)
    assert found[3] > 0.99
