"""Floats and texts to scaled integers, exactly.

A float stands for the decimal of its shortest text (the exchange's own number). `scale` is the number of decimal
places; it starts at 0, rises when a number needs it and never falls.
"""

from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from etl.bars.kernels import BITS, MASK, PRICE_LIMIT, scale_prices, scale_sizes
from shared.errors import InputUnreadable

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[Any] | list[int]
Convert: TypeAlias = Callable[[Floats, float], tuple[int, int]]
Texts: TypeAlias = Mapping[int, str]  # row -> the exact number, where the float is not it

FAST_SCALE = 22  # 10^22 is the bound power of ten that float64 holds exactly
SIZE_LIMIT = 10**15  # up to 15 digits a float stands for one decimal only
_EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation])


class Prices(NamedTuple):
    """Prices x 10^scale: an int32 array, or Python ints where one does not fit."""

    values: Ints
    scale: int
    bound: int  # none is larger


class Sizes(NamedTuple):
    """Sizes x 10^scale in two limbs: int32 arrays, or Python ints where one does not fit."""

    hi: Ints
    lo: Ints
    scale: int
    bound: int


def scaled_prices(values: Floats, *, texts: Texts, scale: int) -> Prices:
    """The prices as integers of the smallest scale, at least `scale`, that holds them all.

    Raises: InputUnreadable for a price that is not a positive finite number.
    """
    out = np.empty(len(values), dtype=np.int32)
    exact = {row: _positive(text) for row, text in texts.items()}
    fit = _fitted(values, exact, scale, PRICE_LIMIT, lambda floats, factor: scale_prices(floats, factor, out))
    if fit is None:
        numbers, scale = _python_ints(values, exact, scale)
        return Prices(numbers, scale, max(numbers))
    for row, number in fit.exact.items():
        out[row] = number
    return Prices(out, fit.scale, fit.bound)


def scaled_sizes(values: Floats, *, texts: Texts, scale: int) -> Sizes:
    """The sizes as integers of the smallest scale, at least `scale`, that holds them all.

    Raises: InputUnreadable for a size that is not a positive finite number.
    """
    hi, lo = np.empty(len(values), dtype=np.int32), np.empty(len(values), dtype=np.int32)
    exact = {row: _positive(text) for row, text in texts.items()}
    fit = _fitted(values, exact, scale, SIZE_LIMIT, lambda floats, factor: scale_sizes(floats, factor, hi, lo))
    if fit is None:
        numbers, scale = _python_ints(values, exact, scale)
        return Sizes([n >> BITS for n in numbers], [n & MASK for n in numbers], scale, max(numbers))
    for row, number in fit.exact.items():
        hi[row], lo[row] = number >> BITS, number & MASK
    return Sizes(hi, lo, fit.scale, fit.bound)


def decimal_of(value: float | str) -> Decimal:
    """The decimal that a float's shortest text, or a text, stands for.

    >>> decimal_of(0.1), decimal_of("1e-8")
    (Decimal('0.1'), Decimal('1E-8'))
    """
    return Decimal(value.strip() if isinstance(value, str) else repr(float(value)))


def places(number: Decimal) -> int:
    """How many decimal places a number needs.

    >>> places(Decimal("1.50")), places(Decimal("1e3")), places(Decimal("1e-8"))
    (1, 0, 8)
    """
    return max(0, -int(number.normalize(_EXACT).as_tuple().exponent))


def whole_number(number: Decimal, scale: int) -> int:
    """`number` x 10^scale, which must be whole."""
    return int(number.scaleb(scale, _EXACT).to_integral_exact(context=_EXACT))


class _Fit(NamedTuple):
    scale: int
    bound: int
    exact: dict[int, int]


def _fitted(values: Floats, exact: Mapping[int, Decimal], scale: int, limit: int, convert: Convert) -> _Fit | None:
    """How all numbers fit below `limit` at one scale, the floats converted by `convert`; None if they do not."""
    scale = max(scale, *(places(number) for number in exact.values()), 0)
    while scale <= FAST_SCALE:
        whole = {row: whole_number(number, scale) for row, number in exact.items()}
        if any(number >= limit for number in whole.values()):
            return None
        floats = _with_stand_ins(values, list(whole), 10.0**-scale)
        bad, bound = convert(floats, 10.0**scale)
        if not bad:
            return _Fit(scale, max(bound, *whole.values(), 0), whole)
        needed = places(_positive(float(floats[_first_misfit(floats, 10.0**scale, limit)])))
        if needed <= scale:  # too many digits, not too few places
            return None
        scale = needed
    return None


def _with_stand_ins(values: Floats, rows: list[int], stand_in: float) -> Floats:
    if not rows:
        return values
    values = values.copy()
    values[rows] = stand_in
    values.flags.writeable = False  # as the arrays of a frame are: one compiled kernel serves both
    return values


def _first_misfit(values: Floats, factor: float, limit: int) -> int:
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * factor)
        fits = (whole / factor == values) & (whole < limit) & (whole > 0)
    return int(np.argmin(fits))


def _python_ints(values: Floats, exact: Mapping[int, Decimal], scale: int) -> tuple[list[int], int]:
    numbers = [_positive(value) for value in values.tolist()]
    for row, number in exact.items():
        numbers[row] = number
    scale = max(scale, max(places(number) for number in numbers))
    return [whole_number(number, scale) for number in numbers], scale


def _positive(value: float | str) -> Decimal:
    try:
        number = decimal_of(value)
    except InvalidOperation:
        raise InputUnreadable(f"a price or amount is not a number: {value!r}") from None
    if not (number.is_finite() and number > 0):
        raise InputUnreadable(f"a price or amount is not positive and finite: {value}")
    return number
