"""What one venue knows at this moment: books, the trades so far, the day's figures."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingestion.simulator.events import Book, Instrument, Moment, Print

# Trades kept per symbol for snapshots and REST; the oldest half goes when it is full.
HISTORY_MAX = 200_000


@dataclass
class Day:
    """Figures since the market began, standing in for a venue's 24 hours."""

    first: int = 0
    last: int = 0
    low: int = 0
    high: int = 0
    size: int = 0
    value: int = 0  # price steps x size steps

    def add(self, item: Print) -> None:
        """Count one print."""
        if not self.first:
            self.first = self.low = self.high = item.price
        self.last = item.price
        self.low, self.high = min(self.low, item.price), max(self.high, item.price)
        self.size += item.size
        self.value += item.price * item.size


@dataclass
class Pair:
    """One symbol at one venue."""

    instrument: Instrument
    book: Book = field(default_factory=Book)
    prints: list[Print] = field(default_factory=list)  # oldest first
    day: Day = field(default_factory=Day)

    def newest(self, count: int) -> list[Print]:
        """The last `count` trades, newest first."""
        return self.prints[-count:][::-1]

    def between(self, first_ns: int, last_ns: int) -> list[Print]:
        """Trades with first_ns <= time <= last_ns, oldest first."""
        start = bisect_left(self.prints, first_ns, key=_time)
        return self.prints[start : bisect_right(self.prints, last_ns, key=_time)]


def _time(item: Print) -> int:
    return item.ts_ns


class VenueState:
    """Every pair of one venue, moved forward by moments."""

    def __init__(self, instruments: Iterable[Instrument], *, has_book: bool) -> None:
        self.pairs = {item.symbol: Pair(item) for item in instruments}
        self.has_book = has_book
        self.last_ns = 0
        self.begun = False
        self.ended = False  # the recording is over; nothing moves any more

    def apply(self, moment: Moment) -> None:
        """Let the moment happen."""
        self.begun = True
        self.last_ns = max(self.last_ns, moment.ts_ns)
        if not moment.symbol:  # a recorded frame that concerns no pair
            return
        pair = self.pairs[moment.symbol]
        if moment.resets_book:
            pair.book.clear()
        for level in moment.levels:
            pair.book.apply(level)
        if not moment.prints:
            return
        pair.prints.extend(moment.prints)
        for item in moment.prints:
            pair.day.add(item)
        if len(pair.prints) > HISTORY_MAX:
            del pair.prints[: HISTORY_MAX // 2]
