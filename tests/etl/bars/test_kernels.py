"""The kernels' shortcuts against what they stand for."""

from fractions import Fraction

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.bars.imbalance import averaged
from etl.bars.kernels import BITS, BLOCK, MASK, bucket_stops
from etl.bars.ticks import in_unit

quick = settings(max_examples=300, deadline=None)
VALUES = st.floats(-1e40, 1e40) | st.floats(-10, 10)


@given(mean=VALUES, square=VALUES, value=VALUES, weight=st.floats(1, 1e9))
@example(mean=5e-324, square=2.0**-1022, value=0.0, weight=3.0)  # quotients below the smallest float
@example(mean=1.0, square=1.0, value=1.0 + 3 * 2.0**-53 * 4, weight=4.0)  # a sum in the middle between two floats
@quick
def test_an_average_is_the_one_with_a_division(mean, square, value, weight):
    got = averaged(mean, square, value, weight)
    assert got == (mean + (value - mean) / weight, square + (value * value - square) / weight)


def test_averages_are_those_with_a_division_over_a_long_time():
    rng = np.random.default_rng(7)
    mean = square = weight = 0.0
    expected = (0.0, 0.0)
    for value in (rng.choice([-1.0, 1.0], 100_000) * np.rint(rng.lognormal(16, 1.5, 100_000))).tolist():
        weight = 1.0 + (1 - 2 / 301) * weight
        mean, square = averaged(mean, square, value, weight)
        before, before_square = expected
        expected = (before + (value - before) / weight, before_square + (value * value - before_square) / weight)
        assert (mean, square) == expected


@given(numbers=st.lists(st.integers(0, 2**50) | st.integers(2**53, 2**93 - 1), min_size=1, max_size=20))
@example(numbers=[98634040000000000000000000])  # its high limb is no float
@example(numbers=[2**bits // 7 for bits in range(56, 96)])
@quick
def test_a_weight_in_its_unit_is_the_nearest_float(numbers):
    hi, lo = (np.array(limb, dtype=np.int64) for limb in ([n >> BITS for n in numbers], [n & MASK for n in numbers]))
    for up, down in ((1.0, 1.0), (1e4, 1.0), (1e8, 1.0), (1.0, 1e4)):
        x, is_sure = np.empty(len(numbers)), np.empty(len(numbers), dtype=np.bool_)
        in_unit(hi, lo, up, down, x, is_sure)
        for number, got, sure in zip(numbers, x.tolist(), is_sure.tolist(), strict=True):
            assert not sure or got == float(Fraction(number) * int(up) / int(down))
            assert sure or number >= 2**53


@given(steps=st.lists(st.sampled_from([0, 0, 0, 0, 1, 1, 9, 10, 35]), min_size=1, max_size=3 * BLOCK))
@quick
def test_buckets_end_where_each_trade_says(steps):
    """Times may fall, but not behind their bucket."""
    times = np.cumsum(steps) // 10 * 10 + np.arange(len(steps)) * 7 % 10
    stops = np.empty(len(times), dtype=np.int64)
    count = bucket_stops(times, 10, 10, stops)
    buckets = times // 10
    assert stops[:count].tolist() == np.flatnonzero(np.diff(buckets, prepend=0)).tolist()
