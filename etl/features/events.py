"""Updates of a book to rows: what `StatefulFeatureProcessor` and the families stand on."""

from typing import Any

import numpy as np
import polars as pl

from etl.bars.signs import tick_rule
from etl.features import book_levels, given
from etl.features import emission as em
from etl.features.messages import take_changes
from etl.features.options import FeatureOptions
from etl.features.rows import Int8s, Rows, RowTrades
from etl.features.saved import Arrays
from etl.features.snapshots import show_each, take_snapshots
from shared.errors import InputUnreadable

OPTIONS = ("max_levels", "ofi_levels", "hf_emit_interval", "max_state_staleness_seconds")  # that it goes by
_SOURCES = ("snapshot", "snapshot", "event")  # by clock[SOURCE]
_NEVER_US = 2**62
_INTS = ("t_ns", "known_ns", "message", "update_id", "prev_update_id", "checksum")
_FLAGS = ("has_gap", "is_snapshot", "is_last", "is_ask")


class BookEvents:
    """The book of one stream, its updates and its trades, as rows.

    Everything that is remembered is in `state`; how the input is cut into updates changes no bit of what comes out.
    """

    def __init__(self, options: FeatureOptions) -> None:
        self.options = options
        self.counts: dict[str, int] = dict.fromkeys(em.COUNTS, 0)
        clock = np.zeros(em.PLACES, np.int64)
        for place in (
            em.LAST_NS,
            em.VALID_NS,
            em.OTHER_NS,
            em.CELL_NS,
            em.KNOWN_NS_MAX,
            em.VERSION,
            em.FIRST_TRADE_NS,
        ):
            clock[place] = em.NEVER
        self.state: Arrays = {
            "clock": clock,
            "valid": np.full((4, options.max_levels), np.nan),
            "other": np.full((4, options.max_levels), np.nan),
            "flow": np.zeros(options.ofi_levels + 1),
            "last_price": np.zeros(1),  # of a trade, for the tick rule; 0: none
            "bids": np.empty((2, 0)),  # of the book that l2 makes: keys and sizes, best last
            "asks": np.empty((2, 0)),
            **{f"trades.{name}": _none(name) for name in em.Trades._fields},  # wait for their row
            **{f"held.{name}": _none(name) for name in given.Changes._fields},  # wait for the end of their message
        }

    @property
    def source(self) -> str:
        """What order flow is made from: "event", every update of table l2, or "snapshot"."""
        return _SOURCES[self.state["clock"][em.SOURCE]]

    def update(self, books: pl.DataFrame, trades: pl.DataFrame | None) -> Rows:
        """The rows that these updates complete.

        Raises: InputUnreadable for a frame that is not as it must be, or of another kind than those before.
        """
        is_l2 = given.is_l2(books)
        clock = self.state["clock"]
        if len(books) and clock[em.SOURCE] not in (0, 1 + is_l2):
            raise InputUnreadable(
                "snapshots and l2 rows cannot be mixed: their order flows are different numbers",
                hint="Make a processor for each",
            )
        read: Any = given.changes(books) if is_l2 else given.snapshots(books)
        pending = self._pending(given.trades(trades))
        if len(books):
            clock[em.SOURCE] = 1 + is_l2
        memory = self._memory()
        if is_l2:
            out = self._rebuilt(memory, pending, read)
        else:
            out = self._room(self._rows_at_most(read.t_ns, len(books)), pending)
            take_snapshots(memory, pending, out, read[:3], read[3:])
        return self._rows(memory, pending, out)

    def each(self, books: pl.DataFrame) -> Rows:
        """A row for every snapshot, as it stands alone: no order flow, no reset, no trades; nothing is remembered.

        Raises: InputUnreadable for a column that is missing or of a wrong type.
        """
        read = given.snapshots(books)
        memory, pending = self._memory(), self._pending(given.trades(None))
        out = self._room(len(books), pending)
        show_each(memory, out, read[3:])
        return self._rows(memory, pending, out)

    def _rebuilt(self, memory: em.Memory, pending: em.Trades, read: given.Changes) -> em.Filled:
        """What messages complete; the rows of one that has not ended wait for the rest of it."""
        state, names = self.state, given.Changes._fields
        if len(state["held.t_ns"]):
            held = given.Changes(*(state[f"held.{name}"] for name in names))
            read = given.Changes(*(np.concatenate([*both]) for both in zip(held, read, strict=True)))
        out = self._room(self._rows_at_most(read.t_ns, int(read.is_last.sum())), pending)
        near = max(book_levels.NEAR_LEVELS, 4 * self.options.max_levels)
        levels = book_levels.levels_of(state["bids"], state["asks"], room=0, near=near)
        levels, rest = take_changes(memory, pending, out, levels, read)
        state["bids"], state["asks"] = book_levels.kept(levels, 0), book_levels.kept(levels, 1)
        for name, values in zip(names, read, strict=True):
            state[f"held.{name}"] = values[rest:].copy()
        return out

    def flush(self, trades: pl.DataFrame | None = None) -> Rows:
        """The row that is still open; `trades` are those that were not given before."""
        memory, pending = self._memory(), self._pending(given.trades(trades))
        out = self._room(1, pending)
        end_ns = memory.clock[em.CELL_NS]
        if end_ns != em.NEVER:
            em.meet(memory, pending, end_ns)
            em.emit(memory, pending, out)
        return self._rows(memory, pending, out)

    def _memory(self) -> em.Memory:
        state, options = self.state, self.options
        return em.Memory(
            clock=state["clock"],
            valid=state["valid"],
            other=state["other"],
            flow=state["flow"],
            event=np.full_like(state["valid"], np.nan),
            tally=np.zeros(len(em.COUNTS), np.int64),
            interval_ns=round(options.hf_emit_interval * 1e9),
            stale_ns=round(options.max_state_staleness_seconds * 1e9),
        )

    def _rows_at_most(self, t_ns: Any, events: int) -> int:
        """How many rows so many events within these times can complete."""
        interval_ns = round(self.options.hf_emit_interval * 1e9)
        if not interval_ns or not len(t_ns):
            return events
        last_ns, cell_ns = (int(self.state["clock"][place]) for place in (em.LAST_NS, em.CELL_NS))
        first = int(t_ns.min()) if cell_ns == em.NEVER else min(int(t_ns.min()), cell_ns)
        return min(events, (max(int(t_ns.max()), last_ns) - first) // interval_ns + 2)

    def _room(self, rows: int, pending: em.Trades) -> em.Filled:
        options = self.options
        return em.filled(rows, len(pending.t_ns), levels=options.max_levels, ofi_levels=options.ofi_levels)

    def _pending(self, new: given.GivenTrades) -> em.Trades:
        """The trades that wait for their row, these too."""
        state, clock = self.state, self.state["clock"]
        held = em.Trades(*(state[f"trades.{name}"] for name in em.Trades._fields))
        n = len(new.t_ns)
        if not n:
            return held
        if len(held.t_ns) and new.t_ns[0] < held.t_ns[-1]:
            raise InputUnreadable("trades begin before the last one seen", hint="Give them in order, each once")
        sign = self._signs(new)
        if clock[em.FIRST_TRADE_NS] == em.NEVER:
            clock[em.FIRST_TRADE_NS] = new.t_ns[0]
        self.counts["trades"] += n
        self.counts["unsigned_trades"] += int((sign == 0).sum())
        self.counts["late_trades"] += int((new.t_ns <= clock[em.LAST_NS]).sum())
        unknown = np.full(n, np.nan)
        fresh = em.Trades(new.t_ns, new.known_ns, sign, new.has_gap, new.price, new.amount, unknown, unknown)
        return em.Trades(*(np.concatenate([*both]) for both in zip(held, fresh, strict=True)))

    def _signs(self, new: given.GivenTrades) -> Int8s:
        """The taker's side, else the tick rule, else the sign before; a silence forgets nothing."""
        clock, last_price = self.state["clock"], self.state["last_price"]
        sign, source = np.empty(len(new.side), np.int8), np.empty(len(new.side), np.int8)
        before = float(last_price[0]), int(clock[em.LAST_SIGN]), 0
        tick_rule(new.side, new.price, new.t_ns, *before, _NEVER_US, sign, source)
        last_price[0], clock[em.LAST_SIGN] = new.price[-1], sign[-1]
        return sign

    def _rows(self, memory: em.Memory, pending: em.Trades, out: em.Filled) -> Rows:
        rows, _, taken = (int(count) for count in out.filled)
        for name, count in zip(em.COUNTS, memory.tally.tolist(), strict=True):
            self.counts[name] += count
        memory.clock[em.MET] -= taken
        for name, values in zip(em.Trades._fields, pending, strict=True):
            self.state[f"trades.{name}"] = values[taken:].copy()
        t_ns, book_ns, known_ns = out.times[:, :rows]
        bid_price, bid_size, ask_price, ask_size = out.books[:, :rows]
        levels_bid, levels_ask, n_updates, n_crossed = out.counts[:, :rows]
        is_valid, is_reset, is_locked, is_crossed, is_one_sided, has_gap, has_trades = out.flags[:, :rows]
        return Rows(
            t_ns=t_ns,
            book_ns=book_ns,
            known_ns=known_ns,
            bid_price=bid_price,
            bid_size=bid_size,
            ask_price=ask_price,
            ask_size=ask_size,
            levels_bid=levels_bid,
            levels_ask=levels_ask,
            is_valid=is_valid,
            is_reset=is_reset,
            is_locked=is_locked,
            is_crossed=is_crossed,
            is_one_sided=is_one_sided,
            has_gap=has_gap,
            n_updates=n_updates,
            n_crossed=n_crossed,
            event_ofi=out.ofi[:rows],
            event_log_gofi=out.log_gofi[:rows],
            has_trades=has_trades,
            trades=RowTrades(
                t_ns=pending.t_ns[:taken],
                sign=pending.sign[:taken],
                price=pending.price[:taken],
                amount=pending.amount[:taken],
                bid_before=pending.bid[:taken],
                ask_before=pending.ask[:taken],
                row=out.trade_row[:taken],
                is_dropped=out.trade_dropped[:taken],
            ),
        )


def _none(name: str) -> Any:
    if name == "sign":
        return np.empty(0, np.int8)
    return np.empty(0, np.int64 if name in _INTS else np.bool_ if name in _FLAGS else np.float64)
