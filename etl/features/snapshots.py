"""Snapshots of a book, cleaned: impossible levels dropped, equal prices joined, best first, cut to what is used."""

import numpy as np

from etl.compiled import kernel
from etl.features.decimals import LIMIT
from etl.features.emission import (
    FILLED_ROWS,
    GAPS,
    HAS_BREAK,
    INVALID_LEVELS,
    IS_MISSING,
    JOINED_LEVELS,
    LAST_NS,
    OUT_OF_ORDER,
    ROW_ASKS,
    ROW_BIDS,
    ROW_IS_CROSSED,
    ROW_LOCKED,
    ROW_ONE_SIDED,
    VALID,
    take,
)
from etl.features.order_flow import ASK_PRICE, BID_PRICE


@kernel()
def take_snapshots(memory, trades, out, moments, sides):  # type: ignore[no-untyped-def]
    """Go on with each snapshot in turn; one from before the last one is left out.

    `moments` are (times, when known, whether something is missing before), each (snapshots,); `sides` are (starts,
    stops, prices, sizes) of the bids and the same of the asks, where levels `start:stop` are a snapshot's.
    """
    t_ns, known_ns, has_gap = moments
    bids, asks = sides
    clock = memory.clock
    room = _room(bids, asks)
    for i in range(len(t_ns)):
        if t_ns[i] < clock[LAST_NS]:
            memory.tally[OUT_OF_ORDER] += 1
            if has_gap[i]:
                clock[HAS_BREAK] = clock[IS_MISSING] = 1
                memory.tally[GAPS] += 1
            continue
        levels = (
            clean(memory, _levels(bids, i), 1.0, room),
            clean(memory, _levels(asks, i), -1.0, room),
        )
        take(memory, trades, out, (t_ns[i], known_ns[i], has_gap[i]), levels)


@kernel()
def show_each(memory, out, sides):  # type: ignore[no-untyped-def]
    """Make a row of each snapshot, whatever it is and whenever it was; nothing is compared or remembered."""
    bids, asks = sides
    room = _room(bids, asks)
    event, rows = memory.event, len(bids[0])
    for i in range(rows):
        n_bids = out.counts[ROW_BIDS, i] = clean(memory, _levels(bids, i), 1.0, room)
        n_asks = out.counts[ROW_ASKS, i] = clean(memory, _levels(asks, i), -1.0, room)
        is_two_sided = n_bids > 0 and n_asks > 0
        is_crossed = is_two_sided and event[BID_PRICE, 0] > event[ASK_PRICE, 0]
        out.flags[VALID, i] = is_two_sided and not is_crossed
        out.flags[ROW_LOCKED, i] = is_two_sided and event[BID_PRICE, 0] == event[ASK_PRICE, 0]
        out.flags[ROW_IS_CROSSED, i], out.flags[ROW_ONE_SIDED, i] = is_crossed, not is_two_sided
        if not is_crossed:
            out.books[:, i] = event
    out.filled[FILLED_ROWS] = rows


@kernel()
def _room(bids, asks):  # type: ignore[no-untyped-def]
    most = max((bids[1] - bids[0]).max(), (asks[1] - asks[0]).max()) if len(bids[0]) else 0
    return np.empty((2, most))


@kernel()
def _levels(side, i):  # type: ignore[no-untyped-def]
    start, stop = side[0][i], side[1][i]
    return side[2][start:stop], side[3][start:stop]


@kernel()
def clean(memory, levels, direction, room):  # type: ignore[no-untyped-def]
    """How many levels the side has in `memory.event`, where they are set, best first, NaN behind them.

    `levels` are prices and sizes as they came, `direction` is +1 for bids and -1 for asks, and `room`, (2, at least as
    many levels), is overwritten.
    """
    prices, sizes = levels
    keys, kept = room[0], room[1]
    n = joined = 0
    is_sorted = True  # strictly, best first
    for i in range(len(prices)):
        price, size = prices[i], sizes[i]
        if 0.0 < price < LIMIT and 0.0 < size < LIMIT:
            keys[n], kept[n] = price * direction, size
            is_sorted &= n == 0 or keys[n] < keys[n - 1]
            n += 1
    memory.tally[INVALID_LEVELS] += len(prices) - n
    first = 0 if direction > 0 else 2
    price_row, size_row = memory.event[first], memory.event[first + 1]
    used = 0
    if is_sorted:
        used = min(n, len(price_row))
        for i in range(used):
            price_row[i], size_row[i] = keys[i] * direction, kept[i]
    else:
        order = np.argsort(keys[:n], kind="mergesort")  # stable: of equal prices the last stays the last
        for place in range(n - 1, -1, -1):
            i = order[place]
            if place < n - 1 and keys[i] == keys[order[place + 1]]:
                joined += 1
            elif used < len(price_row):
                price_row[used], size_row[used] = keys[i] * direction, kept[i]
                used += 1
        memory.tally[JOINED_LEVELS] += joined
    price_row[used:], size_row[used:] = np.nan, np.nan
    return used
