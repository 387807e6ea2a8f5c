"""From one connection to the next without a gap: whose rows are stored while both are open. Pure.

Trades of both are stored, their ids make repetitions harmless. Every other stream changes over at the new connection's
first row, a book at its first snapshot; what the old one still says of it is superseded and only counted. A trade of
the new connection that is ahead of what the old one has brought so far waits for it, so that no gap is declared for
trades that are on their way.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from shared.rows import TABLE_OF, L2Message, Reject, Row, Trade

HELD_MAX = 20_000  # trades that may wait; beyond it they are stored, and ids say what is missing
Key: TypeAlias = tuple[str, str]  # (table, symbol in the lake)


class Held(NamedTuple):
    """A trade that waited."""

    row: Trade
    wall_ns: int
    mono_ns: int


class Handover:
    """Two connections that carry the same streams.

    `next_trade` gives the trade id that would follow on what is stored of a symbol; None where ids prove nothing.
    """

    def __init__(self, next_trade: Callable[[str], int | None]) -> None:
        self._next_trade = next_trade
        self._held: dict[str, deque[Held]] = {}
        self.held_count = 0
        self.switched: set[Key] = set()
        self.superseded = 0  # rows of either that the other one's made needless

    def old(self, rows: Sequence[Row]) -> Sequence[Row]:
        """What to store of the old connection's rows."""
        if not self.switched:
            return rows
        kept = [row for row in rows if type(row) in (Trade, Reject) or _key(row) not in self.switched]
        self.superseded += len(rows) - len(kept)
        return kept

    def new(self, rows: Sequence[Row], wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """What to store of the new connection's rows now."""
        kept: list[Row] = []
        reached: dict[str, int] = {}  # within these rows
        for row in rows:
            if isinstance(row, Trade):
                if not self._holds(row, reached):
                    kept.append(row)
                    continue
                self._held.setdefault(row.symbol, deque()).append(Held(row, wall_ns, mono_ns))
                self.held_count += 1
            elif isinstance(row, Reject) or self._switches(row):
                kept.append(row)
            else:
                self.superseded += 1
        return kept

    def released(self, *, everything: bool = False) -> Iterator[Held]:
        """Trades that need not wait any longer, in order; each must be stored before the next is asked for."""
        everything = everything or self.held_count > HELD_MAX
        for symbol, waiting in list(self._held.items()):
            while waiting:
                wanted = self._next_trade(symbol)
                if not (everything or wanted is None or (waiting[0].row.trade_seq or 0) <= wanted):
                    break
                self.held_count -= 1
                yield waiting.popleft()
            if not waiting:
                del self._held[symbol]

    def _holds(self, trade: Trade, reached: dict[str, int]) -> bool:
        if self._held.get(trade.symbol):
            return True
        number, stored = trade.trade_seq, self._next_trade(trade.symbol)
        if number is None or stored is None:
            return False
        wanted = max(stored, reached.get(trade.symbol, 0))
        if number > wanted:
            return True
        reached[trade.symbol] = max(number + 1, wanted)
        return False

    def _switches(self, row: Row) -> bool:
        """Whether the row's stream is the new connection's from here on."""
        key = _key(row)
        if key not in self.switched:
            if isinstance(row, L2Message) and not row.is_snapshot:
                return False
            self.switched.add(key)
        return True


def _key(row: Row) -> Key:
    return TABLE_OF[type(row)], row.symbol
