"""The ticks that imbalances and runs are counted in, and their weights as whole numbers and as floats.

A tick is a print or, with `tick_unit="order"`, all prints in a row of one moment and sign: what one taker's order did.
Such a tick is complete when a print comes that is not part of it.

A weight's float is the nearest to the exact number in a unit that never changes (1 tick, 1e-8 of volume, 1e-16 of
value), so that what is estimated from it does not depend on the decimal places that happened to be in use.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from etl.bars.kernels import BITS, LIMB, MASK, SUM_LIMIT
from etl.bars.rounding import exact_product
from etl.bars.scaling import Ints
from etl.bars.steps import Step
from etl.bars.trades import Int64s
from etl.compiled import kernel

Weight: TypeAlias = Literal["tick", "volume", "value"]
TickUnit: TypeAlias = Literal["print", "order"]
TICK_UNITS = ("print", "order")
UNIT_PLACES: dict[Weight, int] = {"tick": 0, "volume": 8, "value": 16}  # decimal places of the float's unit
_SINGLE = 1 << 22  # a number whose high limb is below it is below 2^53: a float holds it


class Pending(Struct, frozen=True, kw_only=True):
    """A tick that may get more prints."""

    sign: int
    us: int
    weight: str  # exact, at `scale` of what holds this
    count: int = 1


class Ticks(NamedTuple):
    """Complete ticks in a row. Numbers are arrays, or lists of Python ints."""

    sign: Ints
    hi: Ints  # two limbs of the weight, at `scale`
    lo: Ints
    x: Any  # the weight in its unit: float64 array, or a list of floats
    stops: Int64s | None  # the row after each tick's last print; None: each print is a tick
    scale: int
    begun: int  # ticks whose first print is in these rows

    def rows(self, ticks: Int64s) -> Int64s:
        """The rows behind the ticks before these numbers."""
        return ticks if self.stops is None else self.stops[ticks - 1]


def checked_unit(unit: TickUnit) -> TickUnit:
    """The unit. Raises: ValueError for another word."""
    if unit not in TICK_UNITS:
        raise ValueError(f"tick_unit must be 'print' or 'order', was {unit!r}")
    return unit


def total_value(step: Step) -> int:
    """The value of a step's trades, at the sum of its scales."""
    hi, lo = _weights(step, "value")
    return total(hi) * LIMB + total(lo)


def total(numbers: Ints) -> int:
    """The sum."""
    return sum(numbers) if isinstance(numbers, list) else int(numbers.sum(dtype=np.int64))


def scale_of(step: Step, weight: Weight) -> int:
    """The decimal places of a step's weights."""
    return {"tick": 0, "volume": step.size_scale, "value": step.price_scale + step.size_scale}[weight]


def ticks_of(step: Step, weight: Weight, *, unit: TickUnit, pending: Pending | None) -> tuple[Ticks, Pending | None]:
    """(the ticks that are complete with this step, what is left); the weight of `pending` has the step's scale."""
    scale = scale_of(step, weight)
    if unit == "print" and weight == "tick":
        return Ticks(np.asarray(step.sign, np.int8), *_ones(len(step.ts)), None, scale, len(step.ts)), None
    hi, lo = _weights(step, weight)
    if unit == "print":
        return Ticks(step.sign, hi, lo, _in_unit(hi, lo, UNIT_PLACES[weight] - scale), None, scale, len(step.ts)), None
    sign, whole, stops, rest = _orders(step, hi, lo, pending, is_one=weight == "tick")
    begun = len(whole) + 1 - (pending is not None)
    limbs: list[Ints] = [[number >> BITS for number in whole], [number & MASK for number in whole], sign]
    if weight == "tick" or (step.is_fast and max(limbs[0], default=0) < SUM_LIMIT):
        limbs = [np.array(column, dtype=np.int64) for column in limbs]
    hi, lo, signs = limbs
    return Ticks(signs, hi, lo, _in_unit(hi, lo, UNIT_PLACES[weight] - scale), stops, scale, begun), rest


@lru_cache(maxsize=4)
def _ones(n: int) -> tuple[Ints, Ints, Any]:
    """Weights of 1 in two limbs and as floats, which nobody may change."""
    return np.zeros(n, np.int32), np.ones(n, np.int32), np.ones(n)


def _orders(
    step: Step, hi: Ints, lo: Ints, pending: Pending | None, *, is_one: bool
) -> tuple[list[int], list[int], Int64s, Pending]:
    """(signs, weights and stop rows of the orders that are complete, the last one)."""
    sign = np.asarray(step.sign, dtype=np.int64)
    first = np.flatnonzero(np.diff(step.ts, prepend=step.ts[0] - 1) | np.diff(sign, prepend=sign[0] - 1))
    sums = [high * LIMB + low for high, low in zip(_sums(hi, first), _sums(lo, first), strict=True)]
    weights = [1] * len(first) if is_one else sums
    signs, stops = sign[first].tolist(), [*first[1:].tolist(), len(sign)]
    if pending is not None:
        if (pending.us, pending.sign) == (int(step.ts[0]), signs[0]):
            weights[0] += 0 if is_one else int(pending.weight)
        else:
            weights.insert(0, int(pending.weight))
            signs.insert(0, pending.sign)
            stops.insert(0, 0)
    rest = Pending(sign=signs[-1], us=int(step.ts[-1]), weight=str(weights[-1]))
    return signs[:-1], weights[:-1], np.array(stops[:-1], dtype=np.int64), rest


def _sums(numbers: Ints, first: Int64s) -> list[int]:
    wide: npt.NDArray[Any] = np.array(numbers, dtype=object if isinstance(numbers, list) else np.int64)
    sums: list[int] = np.add.reduceat(wide, first).tolist()
    return sums


def _weights(step: Step, weight: Weight) -> tuple[Ints, Ints]:
    if weight == "volume":
        return step.size_hi, step.size_lo
    n = len(step.ts)
    if weight == "tick":
        return _ones(n)[:2]
    if not step.is_fast:
        sizes = zip(step.size_hi, step.size_lo, strict=True)
        values = [price * (hi * LIMB + lo) for price, (hi, lo) in zip(step.price, sizes, strict=True)]
        return [value >> BITS for value in values], [value & MASK for value in values]
    hi, lo = np.empty(n, np.int64), np.empty(n, np.int64)
    value_limbs(step.price, step.size_hi, step.size_lo, hi, lo)
    return hi, lo


def _in_unit(hi: Ints, lo: Ints, tens: int) -> Any:
    """The float64 nearest to each number x 10^tens."""
    if isinstance(hi, list):
        return [nearest(high * LIMB + low, tens) for high, low in zip(hi, lo, strict=True)]
    x, is_sure = np.empty(len(hi)), np.empty(len(hi), np.bool_)
    up, down = powers(tens)
    in_unit(hi, lo, up, down, x, is_sure)
    for row in np.flatnonzero(~is_sure).tolist():
        x[row] = nearest(int(hi[row]) * LIMB + int(lo[row]), tens)
    return x


def nearest(number: int, tens: int) -> float:
    """The float64 nearest to number x 10^tens.

    >>> nearest(3, -1), nearest(2**53 + 1, 1)
    (0.3, 9.007199254740994e+16)
    """
    return float(number * 10**tens) if tens >= 0 else number / 10**-tens


def powers(tens: int) -> tuple[float, float]:
    """(what to multiply with, what to divide by) for a factor of 10^tens; one of the two is 1."""
    return 10.0 ** max(tens, 0), 10.0 ** max(-tens, 0)


@kernel()
def value_limbs(price, size_hi, size_lo, hi, lo):  # type: ignore[no-untyped-def]
    """Fill `hi, lo` with price x size."""
    for i in range(len(price)):
        low = np.int64(price[i]) * size_lo[i]
        hi[i], lo[i] = np.int64(price[i]) * size_hi[i] + (low >> BITS), low & MASK


@kernel()
def in_unit(hi, lo, up, down, x, is_sure):  # type: ignore[no-untyped-def]
    """Fill `x` with number x up / down, rounded once; `is_sure` where that is proven.

    A number below 2^53 is a float, and so are `up` and `down` up to 10^22: one operation rounds. Above, two floats
    hold the number and three products of it with `up`; what is lost is below 2^-100 of it, and a sum so near to the
    middle between two floats that this could matter is left to the caller.
    """
    widest = 0
    for i in range(len(hi)):
        x[i], is_sure[i] = (float(hi[i]) * LIMB + float(lo[i])) * up / down, True
        widest |= hi[i]
    if widest < _SINGLE:
        return
    for i in range(len(hi)):
        if hi[i] < _SINGLE:
            continue
        wide = float(hi[i])  # rounded from 2^53 on; `narrow` gets what that took off, and is exact
        wide, narrow = wide * LIMB, float((hi[i] - np.int64(wide)) * LIMB + lo[i])
        high = wide + narrow
        rest = narrow - (high - wide)
        top, top_rest = exact_product(high, up)
        low = top_rest + rest * up
        margin = top * 2.0**-96
        x[i] = top + low
        is_sure[i] = down == 1.0 and top + (low - margin) == top + (low + margin)
