"""Numbers that are never rounded on the way: `Decimal` in a context that raises where a digit would be lost."""

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction

_EXACT = Context(prec=1000, traps=[Inexact, Overflow, InvalidOperation, DivisionByZero])
ZERO = Decimal(0)


def exact(value: object) -> Decimal:
    """The number that a person wrote: a float stands for its shortest text."""
    return Decimal(repr(value) if isinstance(value, float) else str(value))


def plus(a: Decimal, b: Decimal) -> Decimal:
    return _EXACT.add(a, b)


def minus(a: Decimal, b: Decimal) -> Decimal:
    return _EXACT.subtract(a, b)


def times(a: Decimal, b: Decimal) -> Decimal:
    return _EXACT.multiply(a, b)


def total(numbers: list[Decimal]) -> Decimal:
    out = ZERO
    for number in numbers:
        out = plus(out, number)
    return out


def shifted(number: Decimal, places: int) -> Decimal:
    """number x 10^places"""
    return _EXACT.scaleb(number, places)


def nearest(number: Decimal | Fraction) -> float:
    """The float64 nearest to an exact number: one rounding, ties to even."""
    if isinstance(number, Decimal):
        return float(number)  # by way of its text
    return number.numerator / number.denominator
