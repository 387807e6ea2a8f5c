"""Whether a rebuilt book is the exchange's: Kraken's checksum over the digits of the best ten levels of each side.

The digits depend on how many decimals prices and sizes of the pair have, which table l2 does not say. A snapshot's own
checksum tells: it fits for one pair of numbers. Where it fits for none (OKX hashes texts, over 25 levels) checksums say
nothing here; the collector has verified each of them when it came, and told a mismatch as a gap.

Source: docs.kraken.com, guide to the book checksum (v2).
"""

import numpy as np

from etl.compiled import kernel
from etl.features.book_levels import ASK, BID, bring_near
from etl.features.rows import Int64s

LEVELS = 10
UNKNOWN = -1
_DECIMALS_MAX = 12
_POLYNOMIAL = 0xEDB88320
_ALL_ONES = 0xFFFFFFFF


def _table() -> Int64s:
    """The CRC32 of every byte."""
    values = np.arange(256, dtype=np.int64)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ _POLYNOMIAL, values >> 1)
    return values


_CRC = _table()


@kernel(allocates=False)
def decimals_that_fit(levels, checksum):  # type: ignore[no-untyped-def]
    """With how many decimals of prices and of sizes a book has this checksum; (UNKNOWN, UNKNOWN) where with none."""
    for price in range(_DECIMALS_MAX + 1):
        for size in range(_DECIMALS_MAX + 1):
            if checksum_of(levels, price, size) == checksum:
                return price, size
    return UNKNOWN, UNKNOWN


@kernel(allocates=False)
def checksum_of(levels, price_decimals, size_decimals):  # type: ignore[no-untyped-def]
    """The checksum of a book; UNKNOWN where its numbers have more decimals."""
    crc = np.int64(_ALL_ONES)
    for side in (ASK, BID):
        n = bring_near(levels, side, LEVELS)
        for i in range(n - 1, max(n - 1 - LEVELS, -1), -1):
            crc = _with_digits(crc, abs(levels.keys[side, i]), price_decimals)
            if crc != UNKNOWN:
                crc = _with_digits(crc, levels.sizes[side, i], size_decimals)
            if crc == UNKNOWN:
                return np.int64(UNKNOWN)
    return crc ^ _ALL_ONES


@kernel(allocates=False)
def _with_digits(crc, value, decimals):  # type: ignore[no-untyped-def]
    """The running CRC after a number's digits without point and leading zeros."""
    tens = 10.0**decimals
    units = np.rint(value * tens)
    if units >= 2.0**53 or units / tens != value:
        return np.int64(UNKNOWN)
    whole, place = np.int64(units), np.int64(1)
    while place * 10 <= whole:
        place *= 10
    while place > 0:
        crc = _CRC[(crc ^ (48 + whole // place % 10)) & 0xFF] ^ (crc >> 8)
        place //= 10
    return crc
