"""The inner loops. Each is written once and runs on two kinds of numbers.

Compiled by numba on machine integers it is the fast path; the same source, interpreted on Python ints, is the path for
numbers of any size (see `on`). A size and a value (price x size) are two limbs of base 2^31, `hi * 2^31 + lo` with
0 <= lo < 2^31, so that sums are exact. Machine integers need price < 2^31, size < 2^50 and every sum below 2^62, which
the caller has checked.

Bars are two matrices with one column per bar: `sums`, of either kind of numbers, and `times`, always int64; their rows
are the cells below. `stops[j]` is the row after bar j's last trade.
"""

from collections.abc import Callable
from typing import Any

from etl.bars.prefetch import AHEAD, CHUNK, prefetch
from etl.compiled import kernel

SUM_CELLS = (
    "count", "buy_count", "sell_count", "open", "high", "low", "close", "volume", "buy_volume", "sell_volume",
    "value_hi", "value_lo", "buy_value_hi", "buy_value_lo", "sell_value_hi", "sell_value_lo",
)  # fmt: skip
COUNT, BUY_COUNT, SELL_COUNT, OPEN, HIGH, LOW, CLOSE, VOLUME, BUY_VOLUME, SELL_VOLUME = range(10)
VALUE_HI, VALUE_LO, BUY_VALUE_HI, BUY_VALUE_LO, SELL_VALUE_HI, SELL_VALUE_LO = range(10, 16)
TIME_CELLS = (
    "first_us", "last_us", "known_us", "told_us", "gap", "tick_rule", "carried", "regressed", "first_row", "last_row",
)  # fmt: skip
FIRST_US, LAST_US, KNOWN_US, TOLD_US, GAP, TICK_RULE, CARRIED_SIGN, REGRESSED, FIRST_ROW, LAST_ROW = range(10)

PRICE_CELLS = (OPEN, HIGH, LOW, CLOSE)
SIZE_CELLS = (VOLUME, BUY_VOLUME, SELL_VOLUME)
VALUE_CELLS = ((VALUE_HI, VALUE_LO), (BUY_VALUE_HI, BUY_VALUE_LO), (SELL_VALUE_HI, SELL_VALUE_LO))

BITS = 31
LIMB = 1 << BITS
MASK = LIMB - 1
PRICE_LIMIT = 1 << 31
SUM_LIMIT = 1 << 62
BLOCK = 64


def on(numbers: object, kernel: Any) -> Callable[..., Any]:
    """The form of `kernel` for these numbers: compiled for an array, interpreted for a list of Python ints."""
    chosen: Callable[..., Any] = getattr(kernel, "py_func", kernel) if isinstance(numbers, list) else kernel
    return chosen


@kernel()
def accumulate(price, size_hi, size_lo, sign, stops, sums):  # type: ignore[no-untyped-def]
    """Add the trades to `sums`, whose first column holds the open bar; the last column is the open bar afterwards."""
    start = 0
    for bar in range(sums.shape[1]):
        stop = stops[bar] if bar < len(stops) else len(price)
        if start == stop:
            continue
        # Slices counted from 0: numba guards rows counted from `start` against being negative, at five times the time.
        p, v_hi, v_lo, s = price[start:stop], size_hi[start:stop], size_lo[start:stop], sign[start:stop]
        if sums[COUNT, bar] == 0:
            sums[OPEN, bar] = sums[HIGH, bar] = sums[LOW, bar] = p[0]
        high = low = p[0]
        for i in range(len(p)):
            high, low = max(high, p[i]), min(low, p[i])
        sums[HIGH, bar] = max(sums[HIGH, bar], high)
        sums[LOW, bar] = min(sums[LOW, bar], low)
        sums[CLOSE, bar] = p[len(p) - 1]
        volume = buys = buy_volume = sells = sell_volume = 0
        hi = lo = buy_hi = buy_lo = sell_hi = sell_lo = 0
        for i in range(len(p)):  # masks, not branches: sides are a coin's toss
            size = v_hi[i] * LIMB + v_lo[i]
            low_part = p[i] * v_lo[i]
            value_hi, value_lo = p[i] * v_hi[i] + (low_part >> BITS), low_part & MASK
            buy, sell = -(s[i] > 0), -(s[i] < 0)
            volume, buy_volume, sell_volume = volume + size, buy_volume + (size & buy), sell_volume + (size & sell)
            hi, buy_hi, sell_hi = hi + value_hi, buy_hi + (value_hi & buy), sell_hi + (value_hi & sell)
            lo, buy_lo, sell_lo = lo + value_lo, buy_lo + (value_lo & buy), sell_lo + (value_lo & sell)
            buys, sells = buys - buy, sells - sell
        lo += sums[VALUE_LO, bar]
        buy_lo += sums[BUY_VALUE_LO, bar]
        sell_lo += sums[SELL_VALUE_LO, bar]
        sums[COUNT, bar] += stop - start
        sums[BUY_COUNT, bar] += buys
        sums[SELL_COUNT, bar] += sells
        sums[VOLUME, bar] += volume
        sums[BUY_VOLUME, bar] += buy_volume
        sums[SELL_VOLUME, bar] += sell_volume
        sums[VALUE_HI, bar] += hi + (lo >> BITS)
        sums[VALUE_LO, bar] = lo & MASK
        sums[BUY_VALUE_HI, bar] += buy_hi + (buy_lo >> BITS)
        sums[BUY_VALUE_LO, bar] = buy_lo & MASK
        sums[SELL_VALUE_HI, bar] += sell_hi + (sell_lo >> BITS)
        sums[SELL_VALUE_LO, bar] = sell_lo & MASK
        start = stop


@kernel()
def stamp(ts, ts_rises, known, known_rises, offset, is_open, stops, times):  # type: ignore[no-untyped-def]
    """Add the trades' times and rows to `times`, laid out like `sums`.

    `ts_rises`, `known_rises`: no value is below the one before it. `offset` is the number of the first row; `is_open`:
    the first column holds trades already.
    """
    start = 0
    for bar in range(times.shape[1]):
        stop = stops[bar] if bar < len(stops) else len(ts)
        if start == stop:
            continue
        last_us, known_us = ts[stop - 1], known[stop - 1]
        if not ts_rises:
            for moment in ts[start:stop]:
                last_us = max(last_us, moment)
        if not known_rises:
            for moment in known[start:stop]:
                known_us = max(known_us, moment)
        if bar > 0 or not is_open:
            times[FIRST_US, bar], times[FIRST_ROW, bar] = ts[start], offset + start
            times[LAST_US, bar], times[KNOWN_US, bar] = last_us, known_us
        times[LAST_US, bar] = max(times[LAST_US, bar], last_us)
        times[KNOWN_US, bar] = max(times[KNOWN_US, bar], known_us)
        times[LAST_ROW, bar] = offset + stop - 1
        start = stop


@kernel()
def volume_stops(size_hi, size_lo, have, threshold, carries, stops):  # type: ignore[no-untyped-def]
    """(how many bars reach `threshold`, counted from `have`; the count after the last trade); fills `stops`.

    `carries`: what exceeds the threshold counts for the next bar.
    """
    count = 0
    for i in range(len(size_hi)):
        have += size_hi[i] * LIMB + size_lo[i]
        if have >= threshold:
            stops[count] = i + 1
            count += 1
            have = have % threshold if carries else 0
    return count, have


@kernel()
def value_stops(price, size_hi, size_lo, hi, lo, threshold_hi, threshold_lo, carries, stops):  # type: ignore[no-untyped-def]
    """(how many bars reach the threshold, counted from `hi, lo`; the count after the last trade); fills `stops`.

    A block of rows that cannot reach it is added as a whole. `carries`: as of `volume_stops`.
    """
    count = 0
    for start in range(0, len(price), BLOCK):
        p, v_hi, v_lo = price[start : start + BLOCK], size_hi[start : start + BLOCK], size_lo[start : start + BLOCK]
        all_hi, all_lo = hi, lo
        for i in range(len(p)):
            low_part = p[i] * v_lo[i]
            all_hi += p[i] * v_hi[i] + (low_part >> BITS)
            all_lo += low_part & MASK
        all_hi, all_lo = all_hi + (all_lo >> BITS), all_lo & MASK
        if all_hi < threshold_hi or (all_hi == threshold_hi and all_lo < threshold_lo):
            hi, lo = all_hi, all_lo
            continue
        for i in range(len(p)):
            low_part = p[i] * v_lo[i] + lo
            hi += p[i] * v_hi[i] + (low_part >> BITS)
            lo = low_part & MASK
            if hi > threshold_hi or (hi == threshold_hi and lo >= threshold_lo):
                stops[count] = start + i + 1
                count += 1
                while carries and (hi > threshold_hi or (hi == threshold_hi and lo >= threshold_lo)):
                    part_hi, part_lo = threshold_hi, threshold_lo  # the largest threshold x 2^n below the count
                    while 2 * part_hi + (part_lo >> (BITS - 1)) < hi:
                        part_hi, part_lo = 2 * part_hi + (part_lo >> (BITS - 1)), (2 * part_lo) & MASK
                    lo -= part_lo
                    hi, lo = hi - part_hi + (lo >> BITS), lo & MASK
                if not carries:
                    hi = lo = 0
    return count, hi, lo


@kernel()
def bucket_stops(ts, end_us, step_us, stops):  # type: ignore[no-untyped-def]
    """How many buckets end; fills `stops`.

    `end_us` is the exclusive end of the newest bucket so far. No trade may lie before the newest bucket it comes after,
    so that a block whose last trade opens none holds none that does.
    """
    count = 0
    for start in range(0, len(ts), CHUNK):
        prefetch(ts, start + AHEAD)
        block = ts[start : start + CHUNK]
        if block[len(block) - 1] < end_us:
            continue
        for i in range(len(block)):
            if block[i] >= end_us:
                stops[count] = start + i
                count += 1
                end_us += ((block[i] - end_us) // step_us + 1) * step_us
    return count


@kernel()
def punctual(ts, end_us, step_us, keep):  # type: ignore[no-untyped-def]
    """Set `keep[i]` to whether trade i lies in the newest bucket opened before it, or opens a newer one."""
    for i in range(len(ts)):
        keep[i] = ts[i] >= end_us - step_us
        if ts[i] >= end_us:
            end_us += ((ts[i] - end_us) // step_us + 1) * step_us


@kernel()
def disorder(keys, last):  # type: ignore[no-untyped-def]
    """(keys below the one before, keys not above it, keys more than one above it); of one key or more."""
    falls, stalls, jumps = int(keys[0] < last), int(keys[0] <= last), int(keys[0] - 1 > last)
    for start in range(1, len(keys), CHUNK):
        prefetch(keys, start + AHEAD)
        after = keys[start : start + CHUNK]
        before = keys[start - 1 : start - 1 + len(after)]
        for i in range(len(after)):
            falls += after[i] < before[i]
            stalls += after[i] <= before[i]
            jumps += after[i] - 1 > before[i]
    return falls, stalls, jumps
