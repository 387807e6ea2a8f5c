"""A book that follows its changes: each side sorted with the best level at the end, where nearly all changes are.

Levels go by a key that is larger the better they are: the price of a bid, the negated price of an ask.
"""

from typing import Any, NamedTuple

import numpy as np

from etl.compiled import kernel

BID, ASK = range(2)
MOST_LEVELS = 20_000  # of a side; deeper ones are let go


class Levels(NamedTuple):
    """Both sides; behind `counts` levels an array holds nothing."""

    keys: Any  # float64 (2, most levels), ascending
    sizes: Any
    counts: Any  # int64 (2,)


@kernel()
def set_level(levels, side, key, size):  # type: ignore[no-untyped-def]
    """How many levels were let go (0 or 1), when this one has got its new size; size 0 removes it if it is there."""
    keys, sizes, n = levels.keys[side], levels.sizes[side], levels.counts[side]
    place = _place(keys, n, key)
    is_there = place < n and keys[place] == key
    if size == 0.0:
        if is_there:
            for i in range(place, n - 1):
                keys[i], sizes[i] = keys[i + 1], sizes[i + 1]
            levels.counts[side] = n - 1
        return 0
    if is_there:
        sizes[place] = size
        return 0
    if n == len(keys):
        if place > 0:  # else it is the deepest itself
            for i in range(place - 1):
                keys[i], sizes[i] = keys[i + 1], sizes[i + 1]
            keys[place - 1], sizes[place - 1] = key, size
        return 1
    for i in range(n, place, -1):
        keys[i], sizes[i] = keys[i - 1], sizes[i - 1]
    keys[place], sizes[place] = key, size
    levels.counts[side] = n + 1
    return 0


@kernel()
def _place(keys, n, key):  # type: ignore[no-untyped-def]
    """The first place whose key is not below, sought in strides that grow from the best level."""
    low, high, stride = 0, n, 1
    while high > 0:
        probe = max(n - stride, 0)
        if keys[probe] < key:
            low = probe + 1
            break
        high, stride = probe, 2 * stride
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel()
def load(levels, side, keys, sizes):  # type: ignore[no-untyped-def]
    """(equal prices joined, levels let go), when a side has been replaced by these; of equal ones the last counts."""
    order = np.argsort(keys, kind="mergesort")  # stable
    n = joined = 0
    for place in range(len(order)):
        if place + 1 < len(order) and keys[order[place + 1]] == keys[order[place]]:
            joined += 1
        else:
            order[n] = order[place]
            n += 1
    gone = max(n - levels.keys.shape[1], 0)
    for i in range(gone, n):
        levels.keys[side, i - gone], levels.sizes[side, i - gone] = keys[order[i]], sizes[order[i]]
    levels.counts[side] = n - gone
    return joined, gone


@kernel()
def show(levels, side, prices, sizes):  # type: ignore[no-untyped-def]
    """How many of the best levels are set in `prices` and `sizes`, best first, NaN behind them."""
    keys, n = levels.keys[side], levels.counts[side]
    shown = min(n, len(prices))
    for i in range(shown):
        prices[i], sizes[i] = abs(keys[n - 1 - i]), levels.sizes[side, n - 1 - i]
    prices[shown:], sizes[shown:] = np.nan, np.nan
    return shown


def levels_of(bids: Any, asks: Any) -> Levels:
    """The sides, each (2, levels) of keys and sizes, with room to grow."""
    levels = Levels(np.empty((2, MOST_LEVELS)), np.empty((2, MOST_LEVELS)), np.zeros(2, np.int64))
    for side, kept in ((BID, bids), (ASK, asks)):
        n = levels.counts[side] = kept.shape[1]
        levels.keys[side, :n], levels.sizes[side, :n] = kept
    return levels


def kept(levels: Levels, side: int) -> Any:
    """What `levels_of` takes of a side."""
    n = levels.counts[side]
    return np.stack([levels.keys[side, :n], levels.sizes[side, :n]])
