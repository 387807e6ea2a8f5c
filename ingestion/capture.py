"""What travels from a collector to the journal: the rows of one message, stamped with their arrival."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.rows import TABLE_OF, Row, Stream

_ROW_BYTES = 240  # a decoded row's weight in memory, measured on trades; queue bounds need no more precision


@dataclass(slots=True)
class Capture:
    """Rows that arrived together and reach the journal together, in this order."""

    source: str
    exchange: str
    wall_ns: int  # receipt, before parsing
    mono_ns: int
    rows: Sequence[Row]
    frame_bytes: int = 0  # size of the message the rows came in
    origin: str = "ws"
    seqs: list[int] = field(default_factory=list)  # one per row, given by `Sequencer`

    @property
    def weight_bytes(self) -> int:
        """What the capture counts for in the queue's bound."""
        return self.frame_bytes + _ROW_BYTES * len(self.rows)


class Sequencer:
    """Gives each row its `seq`: the running count of its stream in this epoch.

    Counting happens before anything can be dropped, so every hole in the stored `seq` is a loss to be explained.

    >>> from shared.rows import Gap
    >>> gap = Gap("BTC-USD", None, "g", 0, "trades", "restart", "open")
    >>> capture, sequencer = Capture("native", "kraken", 0, 0, [gap, gap]), Sequencer()
    >>> sequencer.number(capture); capture.seqs
    [0, 1]
    """

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], dict[tuple[type[Row], str], int]] = {}

    def number(self, capture: Capture) -> None:
        """Fill in the capture's `seqs`."""
        counts = self._next.setdefault((capture.source, capture.exchange), {})
        for row in capture.rows:
            key = (type(row), row.symbol)
            seq = counts.get(key, 0)
            counts[key] = seq + 1
            capture.seqs.append(seq)

    def counts(self) -> dict[Stream, int]:
        """Rows decoded so far, per stream."""
        return {
            Stream(source, exchange, TABLE_OF[row_type], symbol): count
            for (source, exchange), counts in self._next.items()
            for (row_type, symbol), count in counts.items()
        }
