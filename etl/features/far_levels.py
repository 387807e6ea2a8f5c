"""Levels of a side that are far from the best, in no order: a table of hashed keys, found in a step or two.

A table is two arrays as long as a power of two, keys and sizes, at most half full; key 0 is an empty place. A level
sits at the place of its hash or at the next free one after it.
"""

import numpy as np

from etl.compiled import kernel

_GOLDEN = -7046029254386353131  # 2^64 over the golden ratio, as a signed number
_SHIFT = 40


def length_for(levels: int) -> int:
    """How long a table must be for so many levels."""
    return 1 << max(4, (2 * levels).bit_length())


@kernel(allocates=False)
def put(keys, sizes, key, size):  # type: ignore[no-untyped-def]
    """1 if the level is new, else 0, when it has got this size."""
    place = _place(keys, key)
    is_new = keys[place] == 0.0
    keys[place], sizes[place] = key, size
    return np.int64(is_new)


@kernel(allocates=False)
def holds(keys, key):  # type: ignore[no-untyped-def]
    """Whether the level is there."""
    return keys[_place(keys, key)] != 0.0


@kernel(allocates=False)
def take_out(keys, sizes, key):  # type: ignore[no-untyped-def]
    """1 if the level was there, else 0, when it is not any more."""
    hole = _place(keys, key)
    if keys[hole] == 0.0:
        return 0
    mask = len(keys) - 1
    place = hole
    while True:
        place = (place + 1) & mask
        if keys[place] == 0.0:
            break
        if ((place - _home(keys, keys[place])) & mask) >= ((place - hole) & mask):  # it would be found at the hole too
            keys[hole], sizes[hole] = keys[place], sizes[place]
            hole = place
    keys[hole] = 0.0
    return 1


@kernel(allocates=False)
def deepest(keys):  # type: ignore[no-untyped-def]
    """The least key of a table that is not empty."""
    least = np.inf
    for key in keys:
        if key != 0.0 and key < least:
            least = key
    return least


@kernel()
def emptied(keys, sizes, best):  # type: ignore[no-untyped-def]
    """The so many best levels, ascending, when they are taken out: (keys, sizes)."""
    all_keys, all_sizes = levels_in(keys, sizes)
    order = np.argsort(all_keys)
    rest = len(order) - best
    keys[:] = 0.0
    for i in order[:rest]:
        put(keys, sizes, all_keys[i], all_sizes[i])
    return all_keys[order[rest:]], all_sizes[order[rest:]]


@kernel()
def levels_in(keys, sizes):  # type: ignore[no-untyped-def]
    """All levels of a table, in no order: (keys, sizes)."""
    places = np.flatnonzero(keys)
    return keys[places], sizes[places]


@kernel(allocates=False)
def _place(keys, key):  # type: ignore[no-untyped-def]
    mask = len(keys) - 1
    place = _home(keys, key)
    while keys[place] != 0.0 and keys[place] != key:
        place = (place + 1) & mask
    return place


@kernel(allocates=False)
def _home(keys, key):  # type: ignore[no-untyped-def]
    return (np.float64(key).view(np.int64) * _GOLDEN >> _SHIFT) & (len(keys) - 1)
