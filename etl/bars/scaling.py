"""Floats and texts to scaled integers, exactly.

A float stands for the decimal of its shortest text (the exchange's own number). `scale` is the number of decimal
places; it starts at 0, rises when a number needs it and never falls.
"""

from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from etl.bars.columns import scale_prices, scale_sizes
from etl.bars.kernels import BITS, MASK, PRICE_LIMIT
from etl.bars.schema import EXACT

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[Any] | list[int]
Convert: TypeAlias = Callable[[Floats, float], tuple[int, int]]
Texts: TypeAlias = Mapping[int, str]  # row -> the exact number, where the float is not it

SIZE_LIMIT = 10**15  # up to 15 digits a float stands for one decimal only
PLACES = EXACT.scale or 0
WHOLE_DIGITS = (EXACT.precision or 38) - PLACES
_EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation])


class NumberRefused(Exception):
    """The number in this row cannot be used; `what` names it and `reason` says why."""

    def __init__(self, what: str, row: int, reason: str) -> None:
        super().__init__(what, row, reason)
        self.what, self.row, self.reason = what, row, reason


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

    Raises: NumberRefused for a price that is not positive and finite, or that no exact column could hold.
    """
    out = np.empty(len(values), dtype=np.int32)
    column = _Column("price", PRICE_LIMIT, lambda floats, factor: scale_prices(floats, factor, out))
    exact = {row: _usable(text, "price", row) for row, text in texts.items()}
    fit = _fitted(values, exact, scale, column)
    if fit is None:
        numbers, scale = _python_ints(values, exact, scale, "price")
        return Prices(numbers, scale, max(numbers))
    for row, number in fit.exact.items():
        out[row] = number
    return Prices(out, fit.scale, fit.bound)


def scaled_sizes(values: Floats, *, texts: Texts, scale: int) -> Sizes:
    """The sizes as integers of the smallest scale, at least `scale`, that holds them all.

    Raises: NumberRefused for a size that is not positive and finite, or that no exact column could hold.
    """
    hi, lo = np.empty(len(values), dtype=np.int32), np.empty(len(values), dtype=np.int32)
    column = _Column("amount", SIZE_LIMIT, lambda floats, factor: scale_sizes(floats, factor, hi, lo))
    exact = {row: _usable(text, "amount", row) for row, text in texts.items()}
    fit = _fitted(values, exact, scale, column)
    if fit is None:
        numbers, scale = _python_ints(values, exact, scale, "amount")
        return Sizes([n >> BITS for n in numbers], [n & MASK for n in numbers], scale, max(numbers))
    for row, number in fit.exact.items():
        hi[row], lo[row] = number >> BITS, number & MASK
    return Sizes(hi, lo, fit.scale, fit.bound)


def refuse_values(prices: Prices, sizes: Sizes) -> None:
    """Nothing, if the exact columns can hold the value of each trade.

    Raises: NumberRefused.
    """
    scale = prices.scale + sizes.scale
    limit, finest = 10 ** (WHOLE_DIGITS + scale), 10 ** max(scale - PLACES, 0)
    if finest == 1 and prices.bound * sizes.bound < limit:
        return
    if isinstance(prices.values, np.ndarray) and isinstance(sizes.hi, np.ndarray) and finest < 1 << BITS:
        size = sizes.hi * np.int64(1 << BITS) + sizes.lo
        rests = (prices.values % np.int64(finest)) * (size % finest) % finest
        if prices.bound * sizes.bound < limit and not rests.any():
            return
    for row, (price, hi, lo) in enumerate(zip(prices.values, sizes.hi, sizes.lo, strict=True)):
        value = int(price) * ((int(hi) << BITS) + int(lo))
        if value >= limit or value % finest:
            raise NumberRefused("price x amount", row, _beyond(Decimal(value).scaleb(-scale, _EXACT)))


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


class _Column(NamedTuple):
    name: str
    limit: int
    convert: Convert


class _Fit(NamedTuple):
    scale: int
    bound: int
    exact: dict[int, int]


def _fitted(values: Floats, exact: Mapping[int, Decimal], scale: int, column: _Column) -> _Fit | None:
    """How all numbers fit below the column's limit at one scale, the floats converted; None if they do not."""
    scale = max(scale, *(places(number) for number in exact.values()), 0)
    while True:
        whole = {row: whole_number(number, scale) for row, number in exact.items()}
        if any(number >= column.limit for number in whole.values()):
            return None
        floats = _with_stand_ins(values, list(whole), 10.0**-scale)
        bad, bound = column.convert(floats, 10.0**scale)
        if not bad:
            return _Fit(scale, max(bound, *whole.values(), 0), whole)
        row = _first_misfit(floats, 10.0**scale, column.limit)
        needed = places(_usable(float(floats[row]), column.name, row))
        if needed <= scale:  # too many digits, not too few places
            return None
        scale = needed


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


def _python_ints(values: Floats, exact: Mapping[int, Decimal], scale: int, name: str) -> tuple[list[int], int]:
    numbers = [exact[row] if row in exact else _usable(value, name, row) for row, value in enumerate(values.tolist())]
    scale = max(scale, max(places(number) for number in numbers))
    return [whole_number(number, scale) for number in numbers], scale


def _usable(value: float | str, name: str, row: int) -> Decimal:
    """The exact number, which must be positive and fit the exact columns of a bar of this trade alone."""
    try:
        number = decimal_of(value)
    except InvalidOperation:
        raise NumberRefused(name, row, f"is not a number: {value!r}") from None
    if not (number.is_finite() and number > 0):
        raise NumberRefused(name, row, f"is not positive and finite: {value}")
    is_long = len(number.as_tuple().digits) > _EXACT.prec
    if is_long or not -PLACES <= number.adjusted() < WHOLE_DIGITS or places(number) > PLACES:
        raise NumberRefused(name, row, _beyond(number))
    return number


def _beyond(number: Decimal) -> str:
    return f"is {number}: bars hold less than 10^{WHOLE_DIGITS}, with at most {PLACES} decimal places"
