"""Books from what a feed sends: cleaning, classification and the replay of changes. Specification 0.1."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.etl.features.reference.numbers import exact
from tests.etl.features.reference.options import Options

Levels = Sequence[tuple[float, float]]
Side = tuple[tuple[Fraction, Fraction], ...]


@dataclass(frozen=True)
class Snapshot:
    """A whole book."""

    t_ns: int
    bids: Levels
    asks: Levels
    gap_before: bool = False
    capture_ns: int | None = None


@dataclass(frozen=True)
class Message:
    """One whole message of changes; a size of 0 removes the level."""

    t_ns: int
    is_snapshot: bool
    levels: Sequence[tuple[str, float, float]]  # ("bid" | "ask", price, size)
    gap_before: bool = False
    capture_ns: int | None = None


@dataclass(frozen=True)
class Book:
    """A clean book: distinct prices, best first, at most `max_levels` a side."""

    t_ns: int
    bids: Side
    asks: Side
    gap_before: bool = False
    known_ns: int = 0

    @property
    def is_one_sided(self) -> bool:
        return not (self.bids and self.asks)

    @property
    def is_crossed(self) -> bool:
        return not self.is_one_sided and self.bids[0][0] > self.asks[0][0]

    @property
    def is_locked(self) -> bool:
        return not self.is_one_sided and self.bids[0][0] == self.asks[0][0]

    @property
    def is_valid(self) -> bool:
        return not (self.is_one_sided or self.is_crossed)

    @property
    def mid(self) -> Fraction:
        return (self.bids[0][0] + self.asks[0][0]) / 2

    @property
    def spread(self) -> Fraction:
        return self.asks[0][0] - self.bids[0][0]


def is_usable(price: float, size: float) -> bool:
    return math.isfinite(price) and math.isfinite(size) and price > 0 and size > 0


def cleaned(levels: Levels, *, is_bid: bool, max_levels: int) -> Side:
    """Drop what is no level, keep the last of equal prices, sort, cut: in this order."""
    last = {exact(price): exact(size) for price, size in levels if is_usable(price, size)}
    return tuple(sorted(last.items(), reverse=is_bid)[:max_levels])


def states(events: Sequence[Snapshot | Message]) -> Iterator[tuple[Snapshot | Message, Levels, Levels]]:
    """Each event with the whole book after it; changes of a book that is not whole have none."""
    sides: dict[str, dict[float, float]] | None = None
    for event in events:
        if isinstance(event, Snapshot):
            yield event, event.bids, event.asks
            continue
        if event.is_snapshot:
            sides = {"bid": {}, "ask": {}}
        elif event.gap_before:
            sides = None
        for side, price, size in event.levels:
            if sides is None:
                break
            if is_usable(price, size):
                sides[side][price] = size
            elif size == 0 and not event.is_snapshot:
                sides[side].pop(price, None)
        if sides is None:
            yield event, (), ()
        else:
            yield event, list(sides["bid"].items()), list(sides["ask"].items())


def kept_books(events: Sequence[Snapshot | Message], options: Options) -> tuple[list[Book], Counter[str]]:
    """The books in order, and what was dropped.

    The gap mark of a dropped event passes to the next one that is kept: what was lost was lost.
    """
    books: list[Book] = []
    dropped: Counter[str] = Counter()
    is_marked = False
    has_whole_book = False
    for event, bids, asks in states(events):
        is_marked |= event.gap_before
        has_whole_book = isinstance(event, Snapshot) or event.is_snapshot or (has_whole_book and not event.gap_before)
        if not has_whole_book:
            dropped["n_before_snapshot"] += 1
            continue
        book = Book(
            event.t_ns,
            cleaned(bids, is_bid=True, max_levels=options.max_levels),
            cleaned(asks, is_bid=False, max_levels=options.max_levels),
            is_marked,
            event.t_ns if event.capture_ns is None else event.capture_ns,
        )
        if books and book.t_ns < books[-1].t_ns:
            if isinstance(event, Snapshot):
                dropped["n_out_of_order"] += 1
                continue
            book = replace(book, t_ns=books[-1].t_ns)
        if is_same(book, books):
            dropped["n_same"] += 1
            continue
        books.append(book)
        is_marked = False
    return books, dropped


def is_same(book: Book, before: Sequence[Book]) -> bool:
    """Whether the book was there at its time. What is not valid may lie between: it changes no other row (F9).

    After a gap a valid book is the first of what follows, the same or not.
    """
    last = before[-1] if before else None
    if book.is_valid:
        since = next((place for place in range(len(before), 0, -1) if before[place - 1].is_valid), 0)
        last = before[since - 1] if since else None
        if book.gap_before or any(other.gap_before for other in before[since:]):
            return False
    return last is not None and (book.t_ns, book.bids, book.asks) == (last.t_ns, last.bids, last.asks)
