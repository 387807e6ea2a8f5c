"""What travels from a collector to the journal: the rows of one message, stamped with their arrival."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.rows import L2Message, OrderBook, Row

_ROW_BYTES = 240  # a decoded row's weight in memory, measured on trades; queue bounds need no more precision
_SNAPSHOT_LEVEL_BYTES = 130  # a level as a pair of its own
_MESSAGE_LEVEL_BYTES = 72  # a level in three columns
_KINDS_WITH_LEVELS = frozenset({L2Message, OrderBook})


@dataclass(slots=True)
class Capture:
    """Rows that arrived together and reach the journal together, in this order."""

    source: str
    exchange: str
    wall_ns: int  # receipt, before parsing
    mono_ns: int
    rows: Sequence[Row]
    seqs: Sequence[int]  # one per row, of a book message its first: the running count of its stream in this epoch
    frame_bytes: int = 0  # size of the message the rows came in
    origin: str = "ws"
    count: int = field(init=False)  # table rows: more than `rows` where there are book messages
    weight_bytes: int = field(init=False)  # about what it holds in memory, for the queue's bound

    def __post_init__(self) -> None:
        """Count once what the queue asks for several times."""
        self.count = len(self.rows)
        self.weight_bytes = self.frame_bytes + _ROW_BYTES * self.count
        if set(map(type, self.rows)).isdisjoint(_KINDS_WITH_LEVELS):
            return
        for row in self.rows:
            kind = type(row)
            if kind is L2Message:
                levels = len(row)  # type: ignore[arg-type]
                self.count += levels - 1
                self.weight_bytes += _MESSAGE_LEVEL_BYTES * levels
            elif kind is OrderBook:
                self.weight_bytes += _SNAPSHOT_LEVEL_BYTES * (len(row.bids) + len(row.asks))  # type: ignore[attr-defined]
