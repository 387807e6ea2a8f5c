"""Messages of table `l2`: the book rebuilt change by change, and trusted only while no message is missing.

A message names the version of the book that it makes (`update_id`) and the one that it applies to (`prev_update_id`).
Exchanges number with and without holes, so that a message fits if it applies to the version that the book has; the
first one after a fetched snapshot may begin before it (Binance). Sizes are absolute: such an overlap does no harm.
Where a message has a checksum of the book that it makes, that book must fit it.
"""

import numpy as np

from etl.compiled import kernel
from etl.features.book_levels import ASK, BID, Levels, load, set_level, show, with_room
from etl.features.checksums import UNKNOWN, checksum_of, decimals_that_fit
from etl.features.decimals import LIMIT
from etl.features.emission import (
    CHECKED,
    CHECKSUM_BREAKS,
    CUT,
    DROPPED_DEEP,
    GAPS,
    HAS_BREAK,
    INVALID_LEVELS,
    IS_MISSING,
    IS_TRUSTED,
    JOINED_LEVELS,
    LAST_NS,
    NEVER,
    OUT_OF_ORDER,
    PRICE_DECIMALS,
    REPEATED,
    SEQUENCE_BREAKS,
    SIZE_DECIMALS,
    UNTRUSTED,
    VERSION,
    Filled,
    Memory,
    Trades,
    take,
)
from etl.features.given import Changes

_FITS, _REPEATED, _BROKEN = range(3)
_NO_ID = NEVER
_ROWS_AT_ONCE = 4096


def take_changes(memory: Memory, trades: Trades, out: Filled, levels: Levels, changes: Changes) -> tuple[Levels, int]:
    """The book, and the place of the first row of a message whose end has not come.

    The book has room for a portion of rows, and is given more when they need it.
    """
    start, stop = 0, min(_ROWS_AT_ONCE, len(changes.t_ns))
    while True:
        portion = Changes._make(values[start:stop] for values in changes)
        levels = with_room(levels, stop - start)
        rest = take_messages(memory, trades, out, levels, portion)
        start += int(rest)
        if stop == len(changes.t_ns):
            return levels, start
        longer = _ROWS_AT_ONCE if rest else 2 * (stop - start)  # a message longer than a portion
        stop = min(start + longer, len(changes.t_ns))


@kernel(allocates=False)
def take_messages(memory, trades, out, levels, changes):  # type: ignore[no-untyped-def]
    """The place of the first row of a message whose end has not come, when all before it were gone through."""
    start = 0
    for i in range(len(changes.t_ns)):
        if changes.message[i] != changes.message[start]:  # its end is missing
            memory.tally[CUT] += 1
            _distrust(memory)
            start = i
        if changes.is_last[i]:
            _take_message(memory, trades, out, levels, (changes, start, i + 1))
            start = i + 1
    return start


@kernel(allocates=False)
def _take_message(memory, trades, out, levels, rows):  # type: ignore[no-untyped-def]
    changes, start, stop = rows
    clock, tally = memory.clock, memory.tally
    t, known, has_gap = NEVER, NEVER, False
    for i in range(start, stop):
        t, known = max(t, changes.t_ns[i]), max(known, changes.known_ns[i])
        has_gap |= changes.has_gap[i]
    if has_gap:
        tally[GAPS] += 1
        _distrust(memory)
    if changes.is_snapshot[start]:
        _load(memory, levels, rows)
        clock[IS_TRUSTED] = 1
        _learn_decimals(clock, levels, changes.checksum[start])
    else:
        fit = _fit(clock, changes.update_id[start], changes.prev_update_id[start])
        if fit == _BROKEN:
            tally[SEQUENCE_BREAKS] += 1
            _distrust(memory)
        if not clock[IS_TRUSTED]:
            tally[UNTRUSTED] += 1
            return
        if fit == _REPEATED:
            tally[REPEATED] += 1
            return
        _apply(memory, levels, rows)
        if not _has_checksum(memory, levels, changes.checksum[start]):
            tally[CHECKSUM_BREAKS] += 1
            _distrust(memory)
            return
    clock[VERSION] = changes.update_id[start]
    if t < clock[LAST_NS]:
        tally[OUT_OF_ORDER] += 1
        t = clock[LAST_NS]
    event = memory.event
    sides = (show(levels, BID, event[0], event[1]), show(levels, ASK, event[2], event[3]))
    take(memory, trades, out, (t, known, False), sides)


@kernel(allocates=False)
def _distrust(memory):  # type: ignore[no-untyped-def]
    """The book may be wrong until the next snapshot, which begins anew."""
    memory.clock[IS_TRUSTED] = 0
    memory.clock[HAS_BREAK] = memory.clock[IS_MISSING] = 1


@kernel(allocates=False)
def _learn_decimals(clock, levels, checksum):  # type: ignore[no-untyped-def]
    clock[PRICE_DECIMALS], clock[SIZE_DECIMALS] = UNKNOWN, UNKNOWN
    if checksum != _NO_ID:
        clock[PRICE_DECIMALS], clock[SIZE_DECIMALS] = decimals_that_fit(levels, checksum)


@kernel(allocates=False)
def _has_checksum(memory, levels, checksum):  # type: ignore[no-untyped-def]
    """Whether the book has this checksum, or none can be told."""
    clock = memory.clock
    if checksum == _NO_ID or clock[PRICE_DECIMALS] == UNKNOWN:
        return True
    memory.tally[CHECKED] += 1
    return checksum_of(levels, clock[PRICE_DECIMALS], clock[SIZE_DECIMALS]) == checksum


@kernel(allocates=False)
def _fit(clock, update_id, prev_update_id):  # type: ignore[no-untyped-def]
    version = clock[VERSION]
    if not clock[IS_TRUSTED] or _NO_ID in (version, prev_update_id) or prev_update_id == version:
        return _FITS
    if prev_update_id > version or update_id == _NO_ID:
        return _BROKEN
    return _FITS if update_id > version else _REPEATED


@kernel(allocates=False)
def _is_possible(price, size):  # type: ignore[no-untyped-def]
    return 0.0 < price < LIMIT and 0.0 <= size < LIMIT


@kernel(allocates=False)
def _apply(memory, levels, rows):  # type: ignore[no-untyped-def]
    changes, start, stop = rows
    for i in range(start, stop):
        price, size = changes.price[i], changes.size[i]
        if not _is_possible(price, size):
            memory.tally[INVALID_LEVELS] += 1
        elif changes.is_ask[i]:
            memory.tally[DROPPED_DEEP] += set_level(levels, ASK, -price, size)
        else:
            memory.tally[DROPPED_DEEP] += set_level(levels, BID, price, size)


@kernel()
def _load(memory, levels, rows):  # type: ignore[no-untyped-def]
    changes, start, stop = rows
    keys, sizes = np.empty(stop - start), np.empty(stop - start)
    for side in (BID, ASK):
        n = 0
        for i in range(start, stop):
            price, size = changes.price[i], changes.size[i]
            if changes.is_ask[i] != (side == ASK):
                continue
            if size == 0.0 or not _is_possible(price, size):
                memory.tally[INVALID_LEVELS] += 1
                continue
            keys[n], sizes[n] = (price if side == BID else -price), size
            n += 1
        joined, gone = load(levels, side, keys[:n], sizes[:n])
        memory.tally[JOINED_LEVELS] += joined
        memory.tally[DROPPED_DEEP] += gone
