"""Floats as the exact decimals that they stand for: whole units and 10^-18 parts of one, so that equal is equal.

A float stands for the decimal of its shortest text (the exchange's own number); what is finer than 10^-18 is rounded.
"""

from decimal import Context, Decimal
from typing import TypeAlias

import numpy as np

from etl.compiled import kernel
from etl.features.rows import Floats, Int64s
from shared.errors import InputUnreadable

Decimals: TypeAlias = tuple[Int64s, Int64s]  # whole units (negative ones too), parts in 0 <= parts < ONE

PLACES = 18
ONE: int = 10**PLACES
LIMIT = 2**60  # whole units; sums of them are 64 bits
_DIGITS = Context(prec=100)


def decimals(values: Floats, *, what: str) -> Decimals:
    """The decimals of numbers that are not negative; those that are not known count as 0.

    Raises: InputUnreadable for a number of 2^60 or more.

    >>> decimals(np.array([0.3, 1e-8, 60000.01]), what="price")
    (array([    0,     0, 60000]), array([300000000000000000,        10000000000,  10000000000000000]))
    """
    whole, parts = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    is_sure = np.empty(len(values), np.bool_)
    _split(values, whole, parts, is_sure)
    for i in np.flatnonzero(~is_sure).tolist():
        whole[i], parts[i] = decimal(float(values[i]), what=what)
    return whole, parts


def decimal(value: float | Decimal, *, what: str) -> tuple[int, int]:
    """One number that is not negative, as `decimals` has it.

    Raises: InputUnreadable for a number of 2^60 or more.
    """
    number = Decimal(str(value))
    if not number < LIMIT:
        raise InputUnreadable(f"{what} {number} is too large", hint="Numbers must be below 2^60")
    whole, parts = divmod(int(number.scaleb(PLACES, _DIGITS).to_integral_value(context=_DIGITS)), ONE)
    return whole, parts


def difference(one: Decimals, other: Decimals) -> Floats:
    """`one` less `other` as floats; equal differences are equal floats."""
    is_negative = (one[0] < other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))
    return np.where(is_negative, -_excess(other, one), _excess(one, other))


def _excess(one: Decimals, other: Decimals) -> Floats:
    """`one` less `other`, rounded well where that is not negative."""
    whole, parts = one[0] - other[0], one[1] - other[1]
    excess: Floats = whole + parts // ONE + parts % ONE / ONE
    return excess


@kernel()
def _split(values, whole, parts, is_sure):  # type: ignore[no-untyped-def]
    """A number of up to 53 bits with up to 18 decimal places is found by trying; the others are not sure."""
    for i in range(len(values)):
        value, tens = values[i], 1.0
        is_sure[i] = not (value > 0 and value < np.inf)
        if is_sure[i]:
            continue
        for _ in range(PLACES + 1):
            scaled = np.rint(value * tens)
            if scaled > 2.0**53:
                break
            if scaled / tens == value:
                number, one = np.int64(scaled), np.int64(tens)
                whole[i], parts[i], is_sure[i] = number // one, number % one * (ONE // one), True
                break
            tens *= 10.0


@kernel()
def plus(a, b):  # type: ignore[no-untyped-def]
    """The sum of two (whole, parts)."""
    parts = a[1] + b[1]
    carry = np.int64(parts >= ONE)
    return a[0] + b[0] + carry, parts - carry * ONE


@kernel()
def minus(a, b):  # type: ignore[no-untyped-def]
    """What is left of one (whole, parts) without another."""
    parts = a[1] - b[1]
    borrow = np.int64(parts < 0)
    return a[0] - b[0] - borrow, parts + borrow * ONE


@kernel()
def is_less(a, b):  # type: ignore[no-untyped-def]
    """Whether one (whole, parts) is below another."""
    return a[0] < b[0] or (a[0] == b[0] and a[1] < b[1])


@kernel()
def number(a):  # type: ignore[no-untyped-def]
    """A (whole, parts) as a float; never larger than that of a larger one."""
    return a[0] + a[1] / 1e18
