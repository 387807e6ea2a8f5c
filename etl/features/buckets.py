"""A clock that ticks with volume: buckets of exactly their size, trades split at the edges, exact to 10^-18.

A bucket's size is fixed when it opens. Sums over the last buckets are whole numbers and do not drift.
"""

from typing import Any, NamedTuple

import numpy as np

from etl.compiled import kernel
from etl.features.decimals import is_less, minus, number, plus
from etl.features.saved import Arrays

LIMIT = 2**62  # of all buckets together: their sums are 64 bits

# columns of `Buckets.amounts`: (whole, parts) of each
SIZE, FILLED, NET, APART, SIZES = range(5)
# places in `Buckets.counts`
IS_OPEN, COMPLETED, SINCE_RESET, IS_SIZE_KNOWN = range(4)


class Buckets(NamedTuple):
    """The open bucket and the last n completed ones."""

    amounts: Any  # int64 (5, 2): of the open bucket SIZE, FILLED, NET (bought less sold); over the ring APART, SIZES
    counts: Any  # int64 (4,); SINCE_RESET: buckets completed since state began anew, -1: it never did
    ring: Any  # int64 (n, 2, 2): |bought - sold| and size of each


def empty(window_buckets: int) -> Arrays:
    """What is remembered before the first trade."""
    counts = np.zeros(4, np.int64)
    counts[SINCE_RESET] = -1
    return {
        "amounts": np.zeros((5, 2), np.int64),
        "counts": counts,
        "ring": np.zeros((window_buckets, 2, 2), np.int64),
    }


def buckets(state: Arrays) -> Buckets:
    """The buckets in these arrays, as kernels take them."""
    return Buckets(state["amounts"], state["counts"], state["ring"])


@kernel()
def take(held, sign, amount, size):  # type: ignore[no-untyped-def]
    """Put a trade into the buckets; `size` is that of buckets that open now, (0, 0): not known.

    A trade of unknown sign counts half bought, half sold. What no bucket can take is gone.
    """
    amounts, counts = held.amounts, held.counts
    counts[IS_SIZE_KNOWN] = size[0] > 0 or size[1] > 0
    if counts[IS_OPEN]:
        room = minus(_at(amounts, SIZE), _at(amounts, FILLED))
        if is_less(amount, room):
            _fill(amounts, sign, amount)
            return
        _fill(amounts, sign, room)
        net = _at(amounts, NET)
        _complete(held, net if net[0] >= 0 else minus((0, 0), net), _at(amounts, SIZE), 1)
        counts[IS_OPEN] = 0
        amount = minus(amount, room)
    if not counts[IS_SIZE_KNOWN] or amount == (0, 0):
        return
    whole_buckets, rest = _divided(amount, size)
    _complete(held, size if sign != 0 else (0, 0), size, whole_buckets)
    if rest[0] > 0 or rest[1] > 0:
        counts[IS_OPEN] = 1
        _set(amounts, SIZE, size)
        _set(amounts, FILLED, (0, 0))
        _set(amounts, NET, (0, 0))
        _fill(amounts, sign, rest)


@kernel()
def reset(held):  # type: ignore[no-untyped-def]
    """Discard the open bucket: its two parts are not one period."""
    held.counts[IS_OPEN] = held.counts[SINCE_RESET] = 0


@kernel()
def toxicity(held):  # type: ignore[no-untyped-def]
    """VPIN over the ring, NaN before it is full."""
    if held.counts[COMPLETED] < len(held.ring):
        return np.nan
    return number(_at(held.amounts, APART)) / number(_at(held.amounts, SIZES))


@kernel()
def fill(held):  # type: ignore[no-untyped-def]
    """How full the open bucket is; 0 where none is open, NaN where its size is not known."""
    if held.counts[IS_OPEN]:
        return number(_at(held.amounts, FILLED)) / number(_at(held.amounts, SIZE))
    return 0.0 if held.counts[IS_SIZE_KNOWN] else np.nan


@kernel()
def is_mixed(held):  # type: ignore[no-untyped-def]
    """Whether the ring has buckets of before a reset, or would if it were full."""
    return 0 <= held.counts[SINCE_RESET] < len(held.ring)


@kernel()
def _at(amounts, row):  # type: ignore[no-untyped-def]
    return amounts[row, 0], amounts[row, 1]


@kernel()
def _set(amounts, row, value):  # type: ignore[no-untyped-def]
    amounts[row, 0], amounts[row, 1] = value


@kernel()
def _fill(amounts, sign, amount):  # type: ignore[no-untyped-def]
    _set(amounts, FILLED, plus(_at(amounts, FILLED), amount))
    if sign > 0:
        _set(amounts, NET, plus(_at(amounts, NET), amount))
    elif sign < 0:
        _set(amounts, NET, minus(_at(amounts, NET), amount))


@kernel()
def _complete(held, apart, size, times):  # type: ignore[no-untyped-def]
    """Put so many equal buckets into the ring; of more than it holds only the last ones matter."""
    amounts, counts, ring = held.amounts, held.counts, held.ring
    for _ in range(min(times, len(ring))):
        oldest = ring[counts[COMPLETED] % len(ring)]
        _set(amounts, APART, minus(plus(_at(amounts, APART), apart), (oldest[0, 0], oldest[0, 1])))
        _set(amounts, SIZES, minus(plus(_at(amounts, SIZES), size), (oldest[1, 0], oldest[1, 1])))
        oldest[0, 0], oldest[0, 1] = apart
        oldest[1, 0], oldest[1, 1] = size
        counts[COMPLETED] += 1
    if counts[SINCE_RESET] >= 0:
        counts[SINCE_RESET] = min(counts[SINCE_RESET] + times, len(ring))


@kernel()
def _divided(amount, size):  # type: ignore[no-untyped-def]
    """How often a size goes into an amount, at most 2^61, and the rest: long division in base 2."""
    step, digits = size, 0
    while not is_less(amount, plus(step, step)):
        step = plus(step, step)
        digits += 1
    times = 0
    for _ in range(digits + 1):
        times = 2 * min(times, 1 << 60)
        if not is_less(amount, step):
            amount = minus(amount, step)
            times += 1
        step = _half(step)
    return times, amount


@kernel()
def _half(step):  # type: ignore[no-untyped-def]
    odd = step[0] % 2
    return step[0] // 2, (step[1] + odd * 1_000_000_000_000_000_000) // 2
