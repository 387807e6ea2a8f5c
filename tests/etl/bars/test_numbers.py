"""Rounding and scaling against exact fractions."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.bars import rounding
from etl.bars.kernels import BITS, LIMB, MASK
from etl.bars.rounding import decimals, minus, ratio
from etl.bars.scaling import NumberRefused, Sizes, refuse_values, scaled_prices, scaled_sizes
from shared.errors import InputUnreadable

quick = settings(max_examples=200, deadline=None)
SHORTEST = st.floats(1e-9, 1e15).map(lambda x: Decimal(repr(x)))
WIDE = st.integers(0, 2**92 - 1) | st.integers(0, 2**40)


def two(values: list[int], dtype: type = np.int64) -> tuple[np.ndarray, np.ndarray]:
    return np.array([v >> BITS for v in values], dtype=dtype), np.array([v & MASK for v in values], dtype=dtype)


@given(values=st.lists(WIDE, min_size=1, max_size=20), by=st.integers(1, 2**62 - 1), tens=st.integers(0, 25))
@example(
    values=[2**53 + 1, 2**54 + 2, 2**54 + 6, 3 * 2**60 + 3], by=1, tens=0
)  # ties, which the doubled quotient leaves
@example(values=[LIMB - 1, LIMB, LIMB + 1], by=3, tens=8)
@quick
def test_a_ratio_is_the_nearest_float(values, by, tens):
    got = ratio(two(values), np.full(len(values), by), tens=tens)
    assert got.tolist() == [v / (by * 10**tens) for v in values]
    slow = ratio(two(values, object), np.full(len(values), by, dtype=object), tens=tens)
    assert slow.tolist() == got.tolist()


def test_the_doubled_quotient_leaves_ties_to_exact_division():
    out, sure = np.empty(3), np.empty(3, dtype=np.bool_)
    rounding._quotients(*two([2**53 + 1, 2**53 + 2, 10**17 + 1]), np.ones(3, dtype=np.int64), 1.0, out, sure)
    assert sure.tolist() == [False, True, True]


@given(values=st.lists(st.integers(0, 10**20 - 1), min_size=1, max_size=20), scale=st.integers(0, 18))
@quick
def test_decimals_are_exact_both_ways(values, scale):
    ids = pl.Series(["x"] * len(values))
    expected = [Fraction(v, 10**scale) for v in values]
    for dtype in (np.int64, object):
        column = decimals(two(values, dtype), scale=scale, name="volume", first_ids=ids)
        assert column.dtype == pl.Decimal(38, 18)
        assert [Fraction(d) for d in column.to_list()] == expected


def test_decimals_at_their_limits():
    ids = pl.Series(["x"])
    assert decimals(two([10**20 - 1]), scale=0, name="v", first_ids=ids).to_list() == [Decimal(10**20 - 1)]
    assert decimals(two([50]), scale=19, name="v", first_ids=ids).to_list() == [Decimal("5e-18")]
    for value, scale in ((10**20, 0), (5, 19)):
        with pytest.raises(InputUnreadable, match="v of the bar from trade x"):
            decimals(two([value]), scale=scale, name="v", first_ids=ids)


@given(total=st.lists(st.integers(0, 2**90), min_size=3, max_size=3))
def test_limbs_are_subtracted_with_borrow(total):
    hi, lo = minus(two([sum(total)]), two([total[0]]), two([total[1]]))
    assert (int(hi[0]) * LIMB + int(lo[0]), 0 <= lo[0] < LIMB) == (total[2], True)


@given(
    numbers=st.lists(
        st.decimals("1e-9", "1e16", places=9) | st.decimals("1e-12", "1e16", allow_nan=False) | SHORTEST,
        min_size=1, max_size=12,
    ),
    scale=st.integers(0, 10),
    with_texts=st.booleans(),
)  # fmt: skip
@quick
def test_scaling_is_exact(numbers, scale, with_texts):
    """A float is its shortest text; a text overrides it."""
    floats = np.array([float(n) for n in numbers])
    floats.flags.writeable = False
    texts = {row: str(n) for row, n in enumerate(numbers) if with_texts and row % 2}
    exact = [n if row in texts else Decimal(repr(float(n))) for row, n in enumerate(numbers)]
    expected = [Fraction(n) for n in exact]
    if too_fine := [row for row, n in enumerate(expected) if 10**18 % n.denominator]:
        for scaled, name in ((scaled_prices, "price"), (scaled_sizes, "amount")):
            with pytest.raises(NumberRefused) as caught:
                scaled(floats, texts=texts, scale=scale)
            assert (caught.value.what, caught.value.row in too_fine) == (name, True)
        return
    prices = scaled_prices(floats, texts=texts, scale=scale)
    sizes = scaled_sizes(floats, texts=texts, scale=scale)
    assert [Fraction(int(n), 10**prices.scale) for n in prices.values] == expected
    both = zip(sizes.hi, sizes.lo, strict=True)
    assert [Fraction(int(hi) * LIMB + int(lo), 10**sizes.scale) for hi, lo in both] == expected
    assert min(prices.scale, sizes.scale) >= scale
    assert prices.bound >= max(int(n) for n in prices.values)
    assert sizes.bound >= max(n * 10**sizes.scale for n in expected)


@pytest.mark.parametrize(
    ("value", "is_fast"),
    [
        ("60000.01", True),
        ("2147483647", True),
        ("2147483648", False),
        ("21474836.47", True),
        ("0.30000000000000004", False),
    ],
)
def test_which_prices_are_machine_integers(value, is_fast):
    prices = scaled_prices(np.array([float(value)]), texts={}, scale=0)
    assert isinstance(prices.values, np.ndarray) == is_fast
    assert Decimal(int(prices.values[0])).scaleb(-prices.scale) == Decimal(value)


@given(
    price=st.lists(st.decimals("1e-12", "1e12", places=12), min_size=1, max_size=6),
    amount=st.decimals("1e-12", "1e12", places=9),
)
@example(price=[Decimal("2e-10"), Decimal("1e-10")], amount=Decimal("5e-9"))
@example(price=[Decimal("1e10"), Decimal("1e10")], amount=Decimal("1e10"))
@example(price=[Decimal("99999999999.9")], amount=Decimal("999999999.999"))
@quick
def test_a_value_is_refused_if_the_exact_columns_cannot_hold_it(price, amount):
    """The same rows as arrays and as Python ints."""
    ones, amounts = np.full(len(price), 1.5), dict.fromkeys(range(len(price)), str(amount))
    prices = scaled_prices(ones, texts={row: str(number) for row, number in enumerate(price)}, scale=0)
    sizes = scaled_sizes(ones, texts=amounts, scale=0)
    values = [Fraction(number) * Fraction(amount) for number in price]
    beyond = [row for row, value in enumerate(values) if value >= 10**20 or 10**18 % value.denominator]
    slow = prices._replace(values=[int(n) for n in prices.values])
    for form in (prices, slow):
        if not beyond:
            refuse_values(form, sizes)
            continue
        with pytest.raises(NumberRefused) as caught:
            refuse_values(form, Sizes(*(list(map(int, part)) for part in sizes[:2]), *sizes[2:]))
        assert caught.value.row == beyond[0]
