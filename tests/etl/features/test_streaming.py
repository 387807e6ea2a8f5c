"""Online statistics: equal to whole windows computed anew, and to the columns of the features, wherever they go on."""

import math
import random
import statistics
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.features.options import FeatureOptions
from etl.features.streaming import (
    KyleLambdaEstimator,
    RollingSum,
    RollingWelford,
    Statistic,
    StatisticState,
    VPINCalculator,
)
from shared.errors import StateMismatch
from tests.etl.features.made_rows import columns_of, made_rows
from tests.etl.features.reference.numbers import exact, fitted

S = 10**9
values = st.one_of(
    st.none(), st.just(math.nan), st.integers(-1000, 1000).map(lambda n: n / 8), st.sampled_from([1e9, -1e9, 0.1])
)
steps = st.lists(st.tuples(st.sampled_from([0, S // 2, S, 4 * S]), values), max_size=30)


def is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


@given(steps=steps, window=st.integers(1, 6))
def test_the_last_items(steps: list[tuple[int, float | None]], window: int) -> None:
    total, moments, seen = RollingSum(window=window), RollingWelford(window=window), []
    for _, value in steps:
        total.update(value)
        moments.update(value)
        seen.append(value)
        check(total, moments, [v for v in seen[-window:] if is_known(v)])


@given(steps=steps, window_s=st.sampled_from([0.5, 2, 5]))
def test_the_last_seconds(steps: list[tuple[int, float | None]], window_s: float) -> None:
    total, moments, seen, t_ns = RollingSum(window_s=window_s), RollingWelford(window_s=window_s), [], 0
    for pause_ns, value in steps:
        t_ns += pause_ns
        total.update(value, t_ns=t_ns)
        moments.update(value, t_ns=t_ns)
        seen.append((t_ns, value))
        check(total, moments, [v for t, v in seen if t > t_ns - window_s * S and is_known(v)])


def check(total: RollingSum, moments: RollingWelford, window: list[Any]) -> None:
    numbers = [Fraction(v) for v in window]
    n = len(numbers)
    assert total.count == moments.count == n
    if not n:
        assert total.get() is moments.mean is moments.get() is moments.std is None
        return
    whole = sum(numbers, Fraction(0))
    assert total.get() == pytest.approx(float(whole), rel=1e-12, abs=1e-12)
    assert moments.mean == pytest.approx(float(whole / n), rel=1e-12, abs=1e-12)
    if n == 1:
        assert moments.get() is moments.std is None
        return
    variance = float(statistics.variance(numbers))
    assert moments.get() == pytest.approx(variance, rel=1e-10, abs=1e-10)
    assert moments.std == pytest.approx(math.sqrt(variance), rel=1e-10, abs=1e-5)


def test_digits_survive_a_mean_a_million_million_times_as_large() -> None:
    moments = RollingWelford(window=4)
    for k in range(100):
        moments.update(1e9 + k % 4 / 1000)
    expected = float(statistics.variance(Fraction(1e9 + k / 1000) for k in range(4)))
    assert moments.get() == pytest.approx(expected, rel=1e-9)


def made(seed: int) -> tuple[list[float], list[float]]:
    rng = random.Random(seed)
    flows = [rng.choice((0.0, rng.randrange(-40, 40) / 10)) for _ in range(60)]
    return flows, [round(x + rng.randrange(-3, 4)) / 100 for x in flows]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_lines_are_fitted_to_their_window(seed: int, *, intercept: bool) -> None:
    kyle = KyleLambdaEstimator(window=20, intercept=intercept, min_obs=4)
    flows, changes = made(seed)
    for k, (flow, change) in enumerate(zip(flows, changes, strict=True), 1):
        kyle.update(flow, change)
        x, y = [exact(v) for v in flows[max(0, k - 20) : k]], [exact(v) for v in changes[max(0, k - 20) : k]]
        line = fitted(x, y, with_intercept=intercept) if sum(v != 0 for v in x) >= 4 else None
        if line is None:
            assert kyle.get() is kyle.t is kyle.r2 is None
        else:
            assert (kyle.get(), kyle.t, kyle.r2) == pytest.approx((float(line.slope), line.t, line.r2), rel=1e-10)


def test_a_pair_that_lacks_a_number_is_none() -> None:
    kyle = KyleLambdaEstimator(window=9, min_obs=3)
    for flow, change in ((1, 1), (None, 5), (2, 2.5), (3, math.nan), (4, 3)):
        kyle.update(flow, change)
    assert kyle.get() == pytest.approx(float(np.polyfit([1, 2, 4], [1, 2.5, 3], 1)[0]))


def test_what_does_not_vary_tells_nothing() -> None:
    kyle = KyleLambdaEstimator(window=9, min_obs=3)
    for _ in range(5):
        kyle.update(0.1, 0.3)
    assert kyle.get() is kyle.t is kyle.r2 is None


STATISTICS: dict[str, tuple[Callable[[], Statistic], Callable[[Any, random.Random, int], None]]] = {
    "sum": (lambda: RollingSum(window=7), lambda s, rng, _: s.update(rng.choice((None, rng.gauss(0, 1))))),
    "sum of seconds": (lambda: RollingSum(window_s=3), lambda s, rng, k: s.update(rng.gauss(0, 1), t_ns=k * S // 3)),
    "variance": (lambda: RollingWelford(window=7), lambda s, rng, _: s.update(rng.gauss(1e6, 1))),
    "kyle": (
        lambda: KyleLambdaEstimator(window=20, min_obs=5),
        lambda s, rng, _: s.update(rng.gauss(0, 1), rng.gauss(0, 1)),
    ),
    "vpin": (
        lambda: VPINCalculator(bucket_volume=Decimal("1.5"), window_buckets=4),
        lambda s, rng, _: s.update(rng.randrange(1, 40) / 10, rng.choice((1, -1, 0))),
    ),
}


@pytest.mark.parametrize(("make", "feed"), STATISTICS.values(), ids=STATISTICS.keys())
def test_a_restart_anywhere_changes_no_bit(
    make: Callable[[], Statistic], feed: Callable[[Any, random.Random, int], None]
) -> None:
    rng, other = random.Random(5), random.Random(5)
    whole, known = make(), 0
    part = make()
    for k in range(40):
        feed(whole, rng, k)
        feed(part, other, k)
        told = msgspec.msgpack.decode(msgspec.msgpack.encode(part.snapshot()), type=StatisticState)
        part = make().restore(told)
        assert part.get() == whole.get()
        known += whole.get() is not None
    assert known > 20


def test_a_state_of_something_else_is_refused() -> None:
    state = RollingSum(window=3).snapshot()
    for other in (RollingSum(window=4), RollingWelford(window=3)):
        with pytest.raises(StateMismatch, match="RollingSum"):
            other.restore(state)
    VPINCalculator(bucket_volume=10).restore(VPINCalculator(bucket_volume=Decimal("10.0")).snapshot())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: RollingSum(), "one of the two"),
        (lambda: RollingSum(window=1, window_s=1), "one of the two"),
        (lambda: RollingSum(window=0), "at least a whole item"),
        (lambda: RollingSum(window=2.5), "at least a whole item"),  # type: ignore[arg-type]
        (lambda: RollingSum(window_s=1e-10), "at least 1e-09 s"),
        (lambda: RollingWelford(window_s=math.nan), "at least 1e-09 s"),
        (lambda: RollingSum(window=1).update(math.inf), "1e100"),
        (lambda: RollingSum(window=1).update(1, t_ns=1), "t_ns"),
        (lambda: RollingSum(window_s=1).update(1), "t_ns"),
        (lambda: KyleLambdaEstimator(window=5).update(1e200, 1), "1e100"),
        (lambda: VPINCalculator(bucket_volume=0), "bucket_volume"),
        (lambda: VPINCalculator(bucket_volume=1, window_buckets=0), "window_buckets"),
        (lambda: VPINCalculator(bucket_volume=2**59), "all buckets together"),
        (lambda: VPINCalculator(bucket_volume=1).update(math.nan, 1), "amount"),
        (lambda: VPINCalculator(bucket_volume=1).update(-1, 1), "amount"),
        (lambda: VPINCalculator(bucket_volume=1).update(1, 2), "sign"),
    ],
)
def test_what_cannot_be_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_time_does_not_go_back() -> None:
    total = RollingSum(window_s=1)
    total.update(1, t_ns=5)
    with pytest.raises(ValueError, match="go back"):
        total.update(1, t_ns=4)
    total.update(1, t_ns=5)
    assert total.get() == 2


def test_a_gap_discards_the_open_bucket() -> None:
    vpin = VPINCalculator(bucket_volume=1, window_buckets=1)
    assert (vpin.get(), vpin.fill) == (None, 0)
    vpin.update(1.5, 1)
    assert (vpin.get(), vpin.fill) == (1, 0.5)
    vpin.reset()
    vpin.update(0.7, -1)
    assert (vpin.get(), vpin.fill) == (1, 0.7)


@pytest.mark.parametrize("kind", [RollingSum, RollingWelford])
def test_a_value_that_is_refused_takes_no_place(kind: type[RollingSum] | type[RollingWelford]) -> None:
    refused, never = kind(window=3), kind(window=3)
    for value in (1, 2, 3, 4):
        with pytest.raises(ValueError, match="within 1e100"):
            refused.update(math.inf)
        refused.update(value)
        never.update(value)
    assert (refused.count, refused.get()) == (3, never.get())


@pytest.mark.parametrize("seed", range(2))
def test_they_are_the_columns_of_the_features(seed: int) -> None:
    """One truth: a bit-equal number, live and in the table."""
    rng = random.Random(seed)
    books, trades, bid = [], [], 10_000
    for k in range(150):
        bid += rng.choice((-1, 0, 1))
        books.append((float(k), [(bid / 100, rng.randrange(1, 9))], [((bid + 1) / 100, rng.randrange(1, 9))]))
        trades += [
            (k - 0.5, 100.0, rng.randrange(1, 30) / 10, rng.choice((1, -1))) for _ in range(rng.choice((0, 1, 1)))
        ]
    options = FeatureOptions(
        hf_emit_interval=0, partial_windows=True, min_obs=1, horizons=(15,), vpin_bucket_volume=5,
        vpin_window_buckets=8, kyle_lambda_window=30, min_obs_regression=6,
    )  # fmt: skip
    rows = made_rows(books, [trade for trade in trades if trade[0] > 0], options=options)
    columns = columns_of(rows, options=options)
    flow, depth = RollingSum(window_s=15), RollingWelford(window_s=15)
    vpin, kyle = VPINCalculator(bucket_volume=5, window_buckets=8), KyleLambdaEstimator(window_s=30, min_obs=6)
    place = 0
    for k in range(len(rows)):
        t_ns = int(rows.t_ns[k])
        flow.update(columns["ofi"][k], t_ns=t_ns)
        depth.update(books[k][1][0][1] + books[k][2][0][1], t_ns=t_ns)
        move = round((sum(rows.bid_price[k - 1 : k + 1, 0] * (-1, 1))), 2) if k else None
        kyle.update(columns["tfi"][k], move, t_ns=t_ns)
        while place < len(rows.trades.row) and rows.trades.row[place] == k:
            vpin.update(float(rows.trades.amount[place]), int(rows.trades.sign[place]))
            place += 1
        told = {"ofi_sum_15s": flow.get(), "depth_var_15s": depth.get(), "vpin": vpin.get(), "kyle_lambda": kyle.get()}
        for name, value in told.items():
            assert value == (None if np.isnan(columns[name][k]) else columns[name][k]), (name, k)
    assert None not in told.values()
