"""From books to rows: which books count, what they add to order flow, and when a row is complete.

Kernels go event by event in one order of operations, and everything that they remember is in `Memory`: how events are
cut into updates changes no bit.
"""

from typing import Any, NamedTuple

import numpy as np

from etl.compiled import kernel
from etl.features.order_flow import ASK_PRICE, BID_PRICE, add_flow

NEVER = -(2**63)
COUNTS = (
    "events", "duplicates", "out_of_order", "invalid_levels", "joined_levels", "crossed", "locked", "one_sided",
    "empty", "resets", "gaps", "sequence_breaks", "checksum_breaks", "checked_messages", "untrusted_messages",
    "repeated_messages", "cut_messages", "dropped_deep_levels", "trades", "unsigned_trades", "late_trades", "rows",
)  # fmt: skip
(
    EVENTS, DUPLICATES, OUT_OF_ORDER, INVALID_LEVELS, JOINED_LEVELS, CROSSED, LOCKED, ONE_SIDED,
    EMPTY, RESETS, GAPS, SEQUENCE_BREAKS, CHECKSUM_BREAKS, CHECKED, UNTRUSTED,
    REPEATED, CUT, DROPPED_DEEP, TRADES, UNSIGNED, LATE, ROWS,
) = range(len(COUNTS))  # fmt: skip

# places in `Memory.clock`
(
    LAST_NS,  # time reached by the last event
    VALID_NS,  # of the last valid book
    VALID_BIDS,
    VALID_ASKS,
    OTHER_NS,  # of the last event, where it was not valid; else NEVER
    OTHER_BIDS,
    OTHER_ASKS,
    IS_CROSSED,  # what that event was
    HAS_BREAK,  # the next valid book begins anew
    CELL_NS,  # end of the open cell; NEVER: none is open
    CELL_VALID,  # valid events in it
    CELL_CROSSED,
    CELL_RESET,
    KNOWN_NS_MAX,  # when all that rows so far depend on had arrived
    IS_MISSING,  # something, before the next event
    HAS_GAP,  # since the last valid row
    FIRST_TRADE_NS,
    LAST_SIGN,
    MET,  # pending trades that have met their book
    IS_TRUSTED,  # of l2: the book is known
    VERSION,  # of l2: of the message applied last; NEVER: unknown
    PRICE_DECIMALS,  # of l2, where its checksums can be told; else -1
    SIZE_DECIMALS,
    SOURCE,  # 0 unknown, 1 snapshots, 2 l2
    PLACES,
) = range(25)

# rows of `Filled.times`, `Filled.counts` and `Filled.flags`
ROW_NS, BOOK_NS, KNOWN_NS = range(3)
ROW_BIDS, ROW_ASKS, ROW_UPDATES, ROW_CROSSED = range(4)
VALID, RESET, ROW_LOCKED, ROW_IS_CROSSED, ROW_ONE_SIDED, ROW_GAP, ROW_TRADED = range(7)
FILLED_ROWS, FILLED_VALID, FILLED_TRADES = range(3)


class Memory(NamedTuple):
    """Everything that is remembered between events, and the rules."""

    clock: Any  # int64 (PLACES,)
    valid: Any  # float64 (4, max_levels): the last valid book
    other: Any  # the last one-sided or crossed one
    flow: Any  # float64 (ofi_levels + 1,): order flow in the open cell
    event: Any  # (4, max_levels): the book at hand; nothing of it is remembered
    tally: Any  # int64: counts of this update
    interval_ns: int  # 0: a row per event
    stale_ns: int


class Trades(NamedTuple):
    """Trades that no row has taken yet, in order of time."""

    t_ns: Any
    known_ns: Any
    sign: Any
    has_gap: Any
    price: Any
    amount: Any
    bid: Any  # best prices before the trade
    ask: Any


class Filled(NamedTuple):
    """The rows that are complete, in arrays with room for all that can come."""

    times: Any  # int64 (3, rows)
    counts: Any  # int64 (4, rows)
    flags: Any  # bool (7, rows)
    books: Any  # float64 (4, rows, max_levels)
    ofi: Any  # float64 (rows, ofi_levels)
    log_gofi: Any
    trade_row: Any  # int64 (trades,)
    trade_dropped: Any  # bool (trades,)
    filled: Any  # int64 (3,): rows, valid ones, trades taken


@kernel(allocates=False)
def take(memory, trades, out, moment, sides):  # type: ignore[no-untyped-def]
    """Go on with the book in `memory.event`.

    `moment` is when it was so and when that was known, ns, and whether something is missing before it; `sides` is how
    many levels its bid and its ask have.
    """
    clock, event, tally = memory.clock, memory.event, memory.tally
    t, known, has_gap = moment
    bids, asks = sides
    if has_gap:
        clock[HAS_BREAK] = clock[IS_MISSING] = 1
        tally[GAPS] += 1
    is_two_sided = bids > 0 and asks > 0
    is_crossed = is_two_sided and event[BID_PRICE, 0] > event[ASK_PRICE, 0]
    is_valid = is_two_sided and not is_crossed
    if _is_repeated(memory, t, sides, is_valid):
        tally[DUPLICATES] += 1
        return
    meet(memory, trades, t)
    if clock[CELL_NS] != NEVER and t > clock[CELL_NS]:
        emit(memory, trades, out)
    tally[EVENTS] += 1
    clock[HAS_GAP] |= clock[IS_MISSING]
    clock[IS_MISSING] = 0
    if is_valid:
        _follow(memory, t)
        _keep(event, memory.valid)
        clock[VALID_NS], clock[VALID_BIDS], clock[VALID_ASKS], clock[OTHER_NS] = t, bids, asks, NEVER
        clock[CELL_VALID] += 1
        tally[LOCKED] += event[BID_PRICE, 0] == event[ASK_PRICE, 0]
    else:
        _keep(event, memory.other)
        clock[OTHER_NS], clock[OTHER_BIDS], clock[OTHER_ASKS], clock[IS_CROSSED] = t, bids, asks, is_crossed
        clock[CELL_CROSSED] += is_crossed
        tally[CROSSED] += is_crossed
        tally[EMPTY] += bids + asks == 0
        tally[ONE_SIDED] += (bids > 0) != (asks > 0)
    clock[LAST_NS] = t
    clock[CELL_NS] = t if memory.interval_ns == 0 else -(-t // memory.interval_ns) * memory.interval_ns
    clock[KNOWN_NS_MAX] = max(clock[KNOWN_NS_MAX], known)
    if memory.interval_ns == 0:
        emit(memory, trades, out)


@kernel(allocates=False)
def _is_repeated(memory, t, sides, is_valid):  # type: ignore[no-untyped-def]
    """Whether the same book was there at the same time; a crossed one in between does not count."""
    clock = memory.clock
    if is_valid:
        if clock[HAS_BREAK] or clock[VALID_NS] != t or (clock[VALID_BIDS], clock[VALID_ASKS]) != sides:
            return False
        return _are_equal(memory.valid, memory.event, sides)
    if clock[OTHER_NS] != t or (clock[OTHER_BIDS], clock[OTHER_ASKS]) != sides:
        return False
    return _are_equal(memory.other, memory.event, sides)


@kernel(allocates=False)
def _are_equal(one, other, sides):  # type: ignore[no-untyped-def]
    for row in range(4):
        for i in range(sides[row // 2]):
            if one[row, i] != other[row, i]:
                return False
    return True


@kernel(allocates=False)
def _follow(memory, t):  # type: ignore[no-untyped-def]
    """Add the flow from the last valid book to this one, or begin anew."""
    clock = memory.clock
    is_first = clock[VALID_NS] == NEVER
    if is_first or clock[HAS_BREAK] or t - clock[VALID_NS] > memory.stale_ns:
        clock[CELL_RESET], clock[HAS_BREAK] = 1, 0
        memory.tally[RESETS] += not is_first
    else:
        add_flow(memory.flow, memory.valid, memory.event)


@kernel(allocates=False)
def meet(memory, trades, t):  # type: ignore[no-untyped-def]
    """Tell the trades up to `t` the last valid book strictly before each of them."""
    clock, best_bid, best_ask = memory.clock, memory.valid[BID_PRICE, 0], memory.valid[ASK_PRICE, 0]
    while clock[MET] < len(trades.t_ns) and trades.t_ns[clock[MET]] <= t:
        i = clock[MET]
        if clock[VALID_NS] != NEVER and clock[VALID_NS] < trades.t_ns[i]:
            trades.bid[i], trades.ask[i] = best_bid, best_ask
        clock[MET] += 1


@kernel(allocates=False)
def emit(memory, trades, out):  # type: ignore[no-untyped-def]
    """Complete the row of the open cell, and close the cell."""
    clock, row = memory.clock, out.filled[FILLED_ROWS]
    out.filled[FILLED_ROWS] += 1
    memory.tally[ROWS] += 1
    out.times[ROW_NS, row] = clock[CELL_NS]
    out.counts[ROW_UPDATES, row], out.counts[ROW_CROSSED, row] = clock[CELL_VALID], clock[CELL_CROSSED]
    out.flags[ROW_TRADED, row] = clock[FIRST_TRADE_NS] != NEVER and clock[FIRST_TRADE_NS] <= clock[CELL_NS]
    if clock[CELL_VALID]:
        _fill_valid(memory, out, row)
        _take_trades(memory, trades, out)
    else:
        _fill_other(memory, out, row)
    out.flags[ROW_GAP, row] = clock[HAS_GAP]
    out.times[KNOWN_NS, row] = clock[KNOWN_NS_MAX]
    if clock[CELL_VALID]:
        clock[HAS_GAP] = 0
    clock[CELL_NS] = NEVER
    clock[CELL_VALID] = clock[CELL_CROSSED] = clock[CELL_RESET] = 0
    memory.flow[:] = 0.0


@kernel(allocates=False)
def _fill_valid(memory, out, row):  # type: ignore[no-untyped-def]
    clock, valid = memory.clock, memory.valid
    out.times[BOOK_NS, row] = clock[VALID_NS]
    out.counts[ROW_BIDS, row], out.counts[ROW_ASKS, row] = clock[VALID_BIDS], clock[VALID_ASKS]
    out.flags[VALID, row], out.flags[RESET, row] = True, clock[CELL_RESET]
    out.flags[ROW_LOCKED, row] = valid[BID_PRICE, 0] == valid[ASK_PRICE, 0]
    _keep(valid, out.books[:, row])
    if not clock[CELL_RESET]:
        levels = out.ofi.shape[1]
        for level in range(levels):
            out.ofi[row, level] = memory.flow[level]
        out.log_gofi[row] = memory.flow[levels]


@kernel(allocates=False)
def _fill_other(memory, out, row):  # type: ignore[no-untyped-def]
    clock = memory.clock
    out.times[BOOK_NS, row] = clock[OTHER_NS]
    out.counts[ROW_BIDS, row], out.counts[ROW_ASKS, row] = clock[OTHER_BIDS], clock[OTHER_ASKS]
    out.flags[ROW_IS_CROSSED, row], out.flags[ROW_ONE_SIDED, row] = clock[IS_CROSSED], not clock[IS_CROSSED]
    if not clock[IS_CROSSED]:
        _keep(memory.other, out.books[:, row])


@kernel(allocates=False)
def _keep(book, place):  # type: ignore[no-untyped-def]
    for row in range(len(book)):
        for level in range(book.shape[1]):
            place[row, level] = book[row, level]


@kernel(allocates=False)
def _take_trades(memory, trades, out):  # type: ignore[no-untyped-def]
    """Give the pending trades up to the end of the cell to its row."""
    clock, filled = memory.clock, out.filled
    while filled[FILLED_TRADES] < clock[MET] and trades.t_ns[filled[FILLED_TRADES]] <= clock[CELL_NS]:
        i = filled[FILLED_TRADES]
        out.trade_row[i], out.trade_dropped[i] = filled[FILLED_VALID], clock[CELL_RESET]
        clock[KNOWN_NS_MAX] = max(clock[KNOWN_NS_MAX], trades.known_ns[i])
        if trades.has_gap[i]:
            clock[HAS_GAP] = 1
        filled[FILLED_TRADES] += 1
    filled[FILLED_VALID] += 1


def filled(rows: int, trades: int, *, levels: int, ofi_levels: int) -> Filled:
    """Room for so many rows and trades: nothing is known, nothing is so."""
    return Filled(
        times=np.zeros((3, rows), np.int64),
        counts=np.zeros((4, rows), np.int64),
        flags=np.zeros((7, rows), np.bool_),
        books=np.full((4, rows, levels), np.nan),
        ofi=np.full((rows, ofi_levels), np.nan),
        log_gofi=np.full(rows, np.nan),
        trade_row=np.zeros(trades, np.int64),
        trade_dropped=np.zeros(trades, np.bool_),
        filled=np.zeros(3, np.int64),
    )
