"""Windows of time: equal to sums made anew at every row, however the rows are cut."""

import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from etl.features.saved import restored, saved
from etl.features.windows import TimeSums

S = 10**9
HORIZONS = (2, 5, 60)


def test_the_worked_number() -> None:
    sums = TimeSums(1, [5], state={})
    t_ns, flows = np.array([1, 2, 5, 6]) * S, np.array([[5.0], [-2], [3], [1]])
    windowed = sums.update(t_ns, np.array([True, False, False, False]), flows)
    assert windowed.sums[3, 0, 0] == 2  # what happened at t = 1 is out
    assert windowed.counts[3, 0, 0] == 3
    assert windowed.known(0, length_ns=5 * S, partial=False).tolist() == [False, False, False, True]


def made(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = Random(seed)
    t_ns = np.cumsum([rng.choice([0, S // 2, S, 3 * S, 40 * S]) for _ in range(n)]).astype(np.int64)
    x = np.array([[rng.choice([1e-9, 0.1, -0.3, 1e9, math.nan]), rng.gauss(0, 1)] for _ in range(n)])
    return t_ns, np.array([k == 0 or rng.random() < 0.02 for k in range(n)]), x


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rebuilt_every", [7, 1 << 16])
def test_sums_and_counts_are_those_of_each_window_alone(seed: int, rebuilt_every: int) -> None:
    t_ns, resets, x = made(seed)
    sums = TimeSums(2, HORIZONS, state={})
    sums.rebuilt_every = rebuilt_every
    windowed = sums.update(t_ns, resets, x)
    for k in range(len(t_ns)):
        began = max(np.flatnonzero(resets[: k + 1]))
        for h, horizon in enumerate(HORIZONS):
            inside = [j for j in range(began, k + 1) if t_ns[j] > t_ns[k] - horizon * S]
            for c in range(2):
                values = [v for v in x[inside, c] if v == v]
                assert windowed.counts[k, h, c] == len(values)
                assert windowed.sums[k, h, c] == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-18)
        assert windowed.reach_ns[k] == t_ns[k] - t_ns[began]


@pytest.mark.parametrize("seed", range(5))
def test_cuts_and_saved_states_change_no_bit(seed: int) -> None:
    t_ns, resets, x = made(seed)
    whole = TimeSums(2, HORIZONS, state={}).update(t_ns, resets, x)
    rng, start, state = Random(seed), 0, {}
    while start < len(t_ns):
        stop = start + rng.randint(1, 50)
        kept = restored(saved(state))
        state = {}
        sums = TimeSums(2, HORIZONS, state=state)
        state.update(kept)
        part = sums.update(t_ns[start:stop], resets[start:stop], x[start:stop])
        assert np.array_equal(part.sums, whole.sums[start:stop])
        start = stop


def test_a_large_value_that_leaves_takes_nothing_along() -> None:
    values = [0.1] * 10 + [1e16, 0.0]
    t_ns = np.array([*range(11), 15], dtype=np.int64) * S
    windowed = TimeSums(1, [20], state={}).update(t_ns, np.arange(12) == 0, np.array(values)[:, None])
    later = np.array([1e16, -1e16])
    assert windowed.sums[9, 0, 0] == 1.0
    both = TimeSums(1, [100], state={}).update(
        np.arange(12, dtype=np.int64) * S, np.arange(12) == 0, np.concatenate([values[:10], later])[:, None]
    )
    assert both.sums[11, 0, 0] == 1.0


@pytest.mark.parametrize("rebuilt_every", [11, 1 << 16])
def test_moments_survive_a_mean_a_hundred_million_times_as_large(rebuilt_every: int) -> None:
    rng, n = Random(4), 3000
    t_ns = np.cumsum([rng.choice([1, S // 2, S, 20 * S]) for _ in range(n)]).astype(np.int64)
    x = np.array([[1e6 + rng.gauss(0, 0.01), 3e5 + rng.gauss(0, 0.01)] for _ in range(n)])
    x[rng.sample(range(n), 100)] = np.nan
    sums = TimeSums(2, [300], state={}, products=[(0, 0), (0, 1)])
    sums.rebuilt_every = rebuilt_every
    windowed = sums.update(t_ns, np.arange(n) == 0, x)
    for k in range(0, n, 97):
        inside = [j for j in range(k + 1) if t_ns[j] > t_ns[k] - 300 * S and x[j, 0] == x[j, 0]]
        a, b = ([Fraction(value) for value in x[inside, c]] for c in range(2))
        for p, (one, other) in enumerate([(a, a), (a, b)]):
            mean, other_mean = sum(one) / len(one), sum(other) / len(other)
            exact = sum((v - mean) * (w - other_mean) for v, w in zip(one, other, strict=True))
            assert windowed.centred[k, 0, p] == pytest.approx(float(exact), rel=1e-10, abs=1e-14)
            products = sum(v * w for v, w in zip(one, other, strict=True))
            assert windowed.sums[k, 0, 2 + p] == pytest.approx(float(products), rel=1e-15)


def test_of_values_that_are_equal_nothing_else_is_left() -> None:
    values = np.array([1e15 / 3, 1e-9 / 7, *[0.1] * 5, *[0.0] * 5])
    t_ns = np.arange(12, dtype=np.int64) * S
    windowed = TimeSums(1, [3], state={}, products=[(0, 0)]).update(t_ns, t_ns == 0, values[:, None])
    assert windowed.sums[[4, 5, 6], 0, 0].tolist() == [0.1 * 3] * 3
    assert windowed.sums[9:, 0].tolist() == [[0.0, 0.0]] * 3
    assert windowed.centred[[4, 5, 6, 9, 10, 11], 0, 0].tolist() == [0.0] * 6
    assert windowed.centred[8, 0, 0] > 0


def test_nothing_drifts_in_a_million_steps() -> None:
    n = 1_000_000
    x = np.random.default_rng(5).lognormal(0, 4, n)
    t_ns = np.arange(n, dtype=np.int64) * S
    windowed = TimeSums(1, [1000], state={}).update(t_ns, t_ns == 0, x[:, None])
    for k in range(999, n, 99_991):
        assert windowed.sums[k, 0, 0] == pytest.approx(math.fsum(x[k - 999 : k + 1]), rel=1e-12)
