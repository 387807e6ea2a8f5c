"""Exact integers to columns: floats rounded once, decimals not at all.

An integer comes as two arrays, `hi * 2^31 + lo`; arrays of dtype object hold Python ints of any size.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from etl.bars.kernels import BITS, LIMB, MASK
from etl.bars.schema import EXACT
from etl.compiled import kernel
from shared.errors import InputUnreadable

Ints: TypeAlias = npt.NDArray[Any]
Limbs: TypeAlias = tuple[Ints, Ints]

FLOAT_TENS = 22  # 10^22 is the largest power of ten that float64 holds exactly
PLACES = EXACT.scale or 0
DIGITS = EXACT.precision or 38


def limbs(values: Ints) -> Limbs:
    """The two limbs of each value."""
    return values >> BITS, values & MASK


def minus(total: Limbs, *parts: Limbs) -> Limbs:
    """`total` less every part."""
    hi, lo = total
    for part_hi, part_lo in parts:
        hi, lo = hi - part_hi, lo - part_lo
    return hi + (lo >> BITS), lo & MASK


def ratio(numbers: Limbs, denominators: Ints, *, tens: int) -> npt.NDArray[np.float64]:
    """The float64 nearest to `number / (denominator * 10^tens)`, row by row; ties to even.

    A quotient in doubled precision decides all but about one row in 10^10; Python's exact division those.
    """
    hi, lo = numbers
    if hi.dtype == object or lo.dtype == object or denominators.dtype == object or tens > FLOAT_TENS:
        unsure = np.arange(len(hi))
        out = np.empty(len(hi))
    else:
        out = np.empty(len(hi))
        sure = np.empty(len(hi), dtype=np.bool_)
        _quotients(hi, lo, denominators, 10.0**tens, out, sure)
        unsure = np.flatnonzero(~sure)
    for row in unsure.tolist():
        out[row] = (int(hi[row]) * LIMB + int(lo[row])) / (int(denominators[row]) * 10**tens)
    return out


def decimals(numbers: Limbs, *, scale: int, name: str, first_ids: pl.Series) -> pl.Series:
    """`number / 10^scale` as an exact decimal column.

    Raises: InputUnreadable where a number has more digits than the column.
    """
    hi, lo = numbers
    shift = PLACES - scale
    buffer: bytes | npt.NDArray[np.uint32]
    if hi.dtype != object and shift >= 0 and (float(hi.max()) + 1) * LIMB * 10.0**shift < 10.0**37:
        buffer = np.zeros((len(hi), 4), dtype=np.uint32)
        _times(hi, lo, 10 ** min(shift, 9), 10 ** max(shift - 9, 0), buffer)
    else:
        whole = (int(high) * LIMB + int(low) for high, low in zip(hi.tolist(), lo.tolist(), strict=True))
        buffer = b"".join(
            _unscaled(value, shift, f"{name} of the bar from trade {first_id}").to_bytes(16, "little")
            for value, first_id in zip(whole, first_ids, strict=True)
        )
    column = pa.Array.from_buffers(pa.decimal128(DIGITS, PLACES), len(hi), [None, pa.py_buffer(buffer)])
    return pl.Series(name, column, dtype=EXACT)


def _unscaled(value: int, shift: int, what: str) -> int:
    quotient, rest = divmod(value * int(10 ** max(shift, 0)), int(10 ** max(-shift, 0)))
    if rest or quotient >= 10**DIGITS:
        raise InputUnreadable(
            f"the {what} is {value}E{shift - PLACES}: more digits than a decimal({DIGITS}, {PLACES}) holds",
            hint="Round prices and amounts to the exchange's tick and lot size",
        )
    return quotient


@kernel()
def _quotients(hi, lo, denominators, power, out, sure):  # type: ignore[no-untyped-def]
    """Divide in doubled precision (Dekker 1971); `sure` where no error of 2^-90 could change the rounding."""
    for i in range(len(hi)):
        high = float(hi[i])
        wide, narrow = high * LIMB, float((hi[i] - np.int64(high)) * LIMB + lo[i])
        x = wide + narrow
        x_rest = narrow - (x - wide)
        high = float(denominators[i])
        y, y_rest = exact_product(high, power)
        y_rest += float(denominators[i] - np.int64(high)) * power
        quotient = x / y
        product, product_rest = exact_product(quotient, y)
        rest = (((x - product) - product_rest) + x_rest - quotient * y_rest) / y
        margin = abs(quotient) * 2.0**-90
        out[i] = quotient + rest
        sure[i] = quotient + (rest - margin) == quotient + (rest + margin)


@kernel()
def exact_product(a, b):  # type: ignore[no-untyped-def]
    """(a * b rounded, what the rounding lost); exact (Veltkamp's split)."""
    product = a * b
    split = 134217729.0 * a
    a_hi = split - (split - a)
    a_lo = a - a_hi
    split = 134217729.0 * b
    b_hi = split - (split - b)
    b_lo = b - b_hi
    return product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


@kernel()
def _times(hi, lo, first, second, out):  # type: ignore[no-untyped-def]
    """Set `out` to the four 32-bit words, lowest first, of `(hi * 2^31 + lo) * first * second`; factors below 2^31."""
    for i in range(len(hi)):
        out[i, 0] = np.uint32((lo[i] | (hi[i] << BITS)) & 0xFFFFFFFF)
        out[i, 1] = np.uint32((hi[i] >> 1) & 0xFFFFFFFF)
        out[i, 2] = np.uint32((hi[i] >> 33) & 0xFFFFFFFF)
        for factor in (first, second):
            carry = 0
            for word in range(4):
                carry += np.int64(out[i, word]) * factor
                out[i, word] = np.uint32(carry & 0xFFFFFFFF)
                carry >>= 32
