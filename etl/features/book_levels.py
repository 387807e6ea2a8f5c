"""A book that follows its changes: of each side the best levels are sorted, the best at the end; the others are not.

Levels go by a key that is larger the better they are: the price of a bid, the negated price of an ask. Most changes are
near the best, where little has to move; what is far is hashed, and is looked through when too few levels are near.
"""

from typing import Any, NamedTuple

import numpy as np

from etl.compiled import kernel
from etl.features.far_levels import deepest, emptied, holds, length_for, levels_in, put, take_out
from etl.features.rows import Floats

BID, ASK = range(2)
MOST_LEVELS = 50_000  # of a side; deeper ones are let go
NEAR_LEVELS = 64


class Levels(NamedTuple):
    """Both sides; behind `counts` levels the near arrays hold nothing."""

    keys: Any  # float64 (2, near levels), ascending
    sizes: Any
    counts: Any  # int64 (2,)
    bounds: Any  # float64 (2,): the least key that belongs to the near ones
    far_keys: Any  # float64 (2, power of two)
    far_sizes: Any
    far_counts: Any


@kernel(allocates=False)
def set_level(levels, side, key, size):  # type: ignore[no-untyped-def]
    """How many levels were let go (0 or 1), when this one has got its new size; size 0 removes it if it is there."""
    if key < levels.bounds[side]:
        return _set_far(levels, side, key, size)
    keys, sizes, n = levels.keys[side], levels.sizes[side], levels.counts[side]
    place = _place(keys, n, key)
    if place < n and keys[place] == key:
        if size != 0.0:
            sizes[place] = size
            return 0
        for i in range(place, n - 1):
            keys[i], sizes[i] = keys[i + 1], sizes[i + 1]
        levels.counts[side] = n - 1
        return 0
    if size == 0.0:
        return 0
    if n == len(keys):
        _spill(levels, side)
        if key < levels.bounds[side]:
            return _set_far(levels, side, key, size)
        n, place = levels.counts[side], place - n // 2
    gone = 0
    if n + levels.far_counts[side] == MOST_LEVELS:
        _drop_deepest(levels, side)
        gone = 1
    for i in range(n, place, -1):
        keys[i], sizes[i] = keys[i - 1], sizes[i - 1]
    keys[place], sizes[place] = key, size
    levels.counts[side] = n + 1
    return gone


@kernel(allocates=False)
def _set_far(levels, side, key, size):  # type: ignore[no-untyped-def]
    keys, sizes, counts = levels.far_keys[side], levels.far_sizes[side], levels.far_counts
    if size == 0.0:
        counts[side] -= take_out(keys, sizes, key)
        return 0
    gone = 0
    if levels.counts[side] + counts[side] == MOST_LEVELS and not holds(keys, key):
        if key < deepest(keys):
            return 1
        _drop_deepest(levels, side)
        gone = 1
    counts[side] += put(keys, sizes, key, size)
    return gone


@kernel(allocates=False)
def _drop_deepest(levels, side):  # type: ignore[no-untyped-def]
    """Let go of a far level: with so many levels there is one."""
    keys = levels.far_keys[side]
    levels.far_counts[side] -= take_out(keys, levels.far_sizes[side], deepest(keys))


@kernel(allocates=False)
def _spill(levels, side):  # type: ignore[no-untyped-def]
    """The deeper half of the near levels becomes far."""
    keys, sizes, n = levels.keys[side], levels.sizes[side], levels.counts[side]
    half = n // 2
    for i in range(half):
        levels.far_counts[side] += put(levels.far_keys[side], levels.far_sizes[side], keys[i], sizes[i])
    for i in range(half, n):
        keys[i - half], sizes[i - half] = keys[i], sizes[i]
    levels.counts[side] = n - half
    levels.bounds[side] = keys[0]


@kernel(allocates=False)
def bring_near(levels, side, least):  # type: ignore[no-untyped-def]
    """How many levels are near, at least so many (up to half of the room) if there are."""
    if levels.counts[side] < least and levels.far_counts[side] > 0:
        _refill(levels, side)
    return levels.counts[side]


@kernel()
def _refill(levels, side):  # type: ignore[no-untyped-def]
    """The best of the far levels become near, until half of the room is taken."""
    keys, sizes, n, far = levels.keys[side], levels.sizes[side], levels.counts[side], levels.far_counts[side]
    more = min(len(keys) // 2 - n, far)
    new_keys, new_sizes = emptied(levels.far_keys[side], levels.far_sizes[side], more)
    for i in range(n - 1, -1, -1):
        keys[i + more], sizes[i + more] = keys[i], sizes[i]
    keys[:more], sizes[:more] = new_keys, new_sizes
    levels.counts[side], levels.far_counts[side] = n + more, far - more
    levels.bounds[side] = keys[0] if more < far else -np.inf


@kernel(allocates=False)
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
    gone = max(n - MOST_LEVELS, 0)
    first_near = max(n - levels.keys.shape[1] // 2, gone)
    levels.far_keys[side, :] = 0.0
    for i in order[gone:first_near]:
        put(levels.far_keys[side], levels.far_sizes[side], keys[i], sizes[i])
    near = order[first_near:n]
    levels.keys[side, : len(near)], levels.sizes[side, : len(near)] = keys[near], sizes[near]
    levels.counts[side], levels.far_counts[side] = len(near), first_near - gone
    levels.bounds[side] = keys[near[0]] if first_near > gone else -np.inf
    return joined, gone


@kernel(allocates=False)
def show(levels, side, prices, sizes):  # type: ignore[no-untyped-def]
    """How many of the best levels are set in `prices` and `sizes`, best first, NaN behind them."""
    n = bring_near(levels, side, len(prices))
    keys = levels.keys[side]
    shown = min(n, len(prices))
    for i in range(shown):
        prices[i], sizes[i] = abs(keys[n - 1 - i]), levels.sizes[side, n - 1 - i]
    prices[shown:], sizes[shown:] = np.nan, np.nan
    return shown


def levels_of(bids: Floats, asks: Floats, *, room: int, near: int = NEAR_LEVELS) -> Levels:
    """The sides, each (2, levels) of keys and sizes, with room for so many more; `show` can tell half of `near`."""
    longest = _length(max(bids.shape[1], asks.shape[1]), room)
    levels = Levels(
        keys=np.empty((2, near)),
        sizes=np.empty((2, near)),
        counts=np.zeros(2, np.int64),
        bounds=np.full(2, -np.inf),
        far_keys=np.zeros((2, longest)),
        far_sizes=np.empty((2, longest)),
        far_counts=np.zeros(2, np.int64),
    )
    for side, kept_of_side in ((BID, bids), (ASK, asks)):
        load(levels, side, *kept_of_side)
    return levels


def with_room(levels: Levels, room: int) -> Levels:
    """The same book, with room for so many more levels of a side."""
    there = int((levels.counts + levels.far_counts).max())
    if levels.far_keys.shape[1] >= _length(there, room):
        return levels
    return levels_of(kept(levels, BID), kept(levels, ASK), room=room, near=levels.keys.shape[1])


def _length(there: int, room: int) -> int:
    return length_for(min(there + room, MOST_LEVELS))


def kept(levels: Levels, side: int) -> Floats:
    """What `levels_of` takes of a side, in order of keys."""
    keys, sizes = levels_in(levels.far_keys[side], levels.far_sizes[side])
    order, n = np.argsort(keys), levels.counts[side]
    near = levels.keys[side, :n], levels.sizes[side, :n]
    return np.stack([np.concatenate([keys[order], near[0]]), np.concatenate([sizes[order], near[1]])])
