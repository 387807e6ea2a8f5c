"""Floats as exact decimals: equal to those of their texts."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.features.decimals import ONE, decimal, decimals, difference, is_less, minus, number, plus
from shared.errors import InputUnreadable

numbers = st.one_of(
    st.floats(0, 1e17),
    st.tuples(st.integers(0, 10**15), st.integers(0, 18)).map(lambda made: made[0] / 10 ** made[1]),
)


@given(value=numbers)
@example(value=0.021666666666666667)  # more digits than an integer of 53 bits
@example(value=5e-19)
@example(value=9007199254740993.0)
def test_a_float_is_the_decimal_of_its_text(value: float) -> None:
    whole, parts = decimals(np.array([value]), what="price")
    told = (int(whole[0]) * ONE + int(parts[0])) * Decimal("1e-18")
    assert abs(told - Decimal(repr(value))) <= Decimal("0.5e-18")
    assert (int(whole[0]), int(parts[0])) == decimal(value, what="price")


@given(one=numbers, other=numbers)
@example(one=0.0, other=1e-18)  # a difference that is nothing beside one whole unit
@example(one=1.0, other=1.0)
def test_sums_and_differences_are_exact(one: float, other: float) -> None:
    a, b = decimal(one, what="x"), decimal(other, what="x")
    as_int = [whole * ONE + parts for whole, parts in (a, b, plus(a, b), minus(a, b))]
    assert as_int[2:] == [as_int[0] + as_int[1], as_int[0] - as_int[1]]
    assert is_less(a, b) == (as_int[0] < as_int[1])
    assert number(a) == pytest.approx(one, rel=1e-15)
    arrays = [(np.array([whole]), np.array([parts])) for whole, parts in (a, b)]
    assert difference(*arrays)[0] == pytest.approx((as_int[0] - as_int[1]) / ONE, rel=1e-15, abs=0)
    assert difference(*arrays)[0] == -difference(*arrays[::-1])[0]


def test_what_is_not_known_is_nothing_and_what_is_too_large_is_refused() -> None:
    whole, parts = decimals(np.array([math.nan, math.inf, -1.0, 0.0]), what="amount")
    assert not whole.any()
    assert not parts.any()
    with pytest.raises(InputUnreadable, match="amount"):
        decimals(np.array([2e18]), what="amount")
