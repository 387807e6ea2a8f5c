"""What travels from a collector to the journal: the rows of one message, stamped with their arrival."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.rows import Row

_ROW_BYTES = 240  # a decoded row's weight in memory, measured on trades; queue bounds need no more precision


@dataclass(slots=True)
class Capture:
    """Rows that arrived together and reach the journal together, in this order."""

    source: str
    exchange: str
    wall_ns: int  # receipt, before parsing
    mono_ns: int
    rows: Sequence[Row]
    seqs: Sequence[int]  # one per row: the running count of its stream in this epoch
    frame_bytes: int = 0  # size of the message the rows came in
    origin: str = "ws"

    @property
    def weight_bytes(self) -> int:
        """What the capture counts for in the queue's bound."""
        return self.frame_bytes + _ROW_BYTES * len(self.rows)
