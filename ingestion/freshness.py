"""Whether data still comes in: what a watchdog is fed by, decided without a clock.

The listener's own timeout says how long a pause may be. Here is said only what ends one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.rows import Stream

# What we write of ourselves, what could not be decoded, raw frames (heartbeats among them), and a daily REST document.
_NOT_DATA = frozenset({"gaps", "rejects", "frames", "instruments"})


@dataclass(frozen=True)
class Progress:
    """How far capture has come, at one look."""

    rows_synced: int  # of the market, on the disk
    feeds: int  # collectors that should be at work
    is_paused: bool  # for want of room on the disk; it goes on by itself


def is_fresh(before: Progress, now: Progress) -> bool:
    """Whether data was stored since the look before, or none is to be expected.

    A heartbeat, a connection or a gap is no data: all of them come from a collector that has gone deaf.

    >>> before = Progress(11, 1, False)
    >>> is_fresh(before, Progress(12, 1, False)), is_fresh(before, Progress(11, 1, False))
    (True, False)
    >>> is_fresh(before, Progress(11, 1, True)), is_fresh(before, Progress(11, 0, False))
    (True, True)
    """
    return now.rows_synced != before.rows_synced or now.is_paused or now.feeds == 0


def market_rows(acknowledged: Mapping[Stream, int]) -> int:
    """How many of the rows acknowledged so far tell of a market."""
    return sum(count for stream, count in acknowledged.items() if stream.table not in _NOT_DATA)
