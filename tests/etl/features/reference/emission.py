"""Rows from books: the grid, what a row shows, and where state begins anew. Specification 0.2, 0.3."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from tests.etl.features.reference.books import Book
from tests.etl.features.reference.numbers import seconds_ns
from tests.etl.features.reference.options import Options


@dataclass(frozen=True)
class Step:
    """A valid book, and the valid one before it that it may be compared with (none: state begins here)."""

    book: Book
    before: Book | None
    silence_ns: int | None  # since the valid book before, whether comparable or not


@dataclass(eq=False)
class Row:
    """One emission."""

    t_ns: int
    books: tuple[Book, ...]  # of the cell
    steps: tuple[Step, ...]  # its valid books
    previous: "Row | None" = field(repr=False)  # the last valid row before it, whatever lies between
    start: "Row | None" = field(
        repr=False
    )  # the valid row where the state it may look back on begins; itself if that is here
    skipped: tuple[Book, ...] = ()  # between `previous` and this one

    @property
    def is_valid(self) -> bool:
        return bool(self.steps)

    @property
    def is_reset(self) -> bool:
        return any(step.before is None for step in self.steps)

    @property
    def book(self) -> Book:
        """What the row shows: the last valid book of the cell, else the last."""
        return self.steps[-1].book if self.steps else self.books[-1]


def steps_of(books: Sequence[Book], options: Options) -> dict[int, Step]:
    """The valid books by their place."""
    steps: dict[int, Step] = {}
    last: Book | None = None
    is_marked = False
    for place, book in enumerate(books):
        is_marked |= book.gap_before
        if not book.is_valid:
            continue
        silence_ns = None if last is None else book.t_ns - last.t_ns
        is_stale = silence_ns is None or silence_ns > seconds_ns(options.max_state_staleness_seconds)
        steps[place] = Step(book, None if is_stale or is_marked else last, silence_ns)
        last, is_marked = book, False
    return steps


def rows_of(books: Sequence[Book], options: Options) -> list[Row]:
    """One row a book, or one a cell (g - interval, g] that has books, stamped g."""
    interval_ns = seconds_ns(options.hf_emit_interval)
    steps = steps_of(books, options)

    def cell(place: int) -> tuple[int, int]:
        t_ns = books[place].t_ns
        return (-(-t_ns // interval_ns) * interval_ns, 0) if interval_ns else (t_ns, place)

    rows: list[Row] = []
    previous: Row | None = None
    skipped: tuple[Book, ...] = ()
    for (t_ns, _), places in groupby(range(len(books)), key=cell):
        cell_places = list(places)
        row = Row(
            t_ns,
            tuple(books[place] for place in cell_places),
            tuple(steps[place] for place in cell_places if place in steps),
            previous,
            previous.start if previous else None,
            skipped,
        )
        if row.is_reset:
            row.start = row
        rows.append(row)
        previous, skipped = (row, ()) if row.is_valid else (previous, skipped + row.books)
    return rows


def valid_past(row: Row) -> list[Row]:
    """The valid rows up to and with this one, oldest first, back to where the state begins."""
    past = [row]
    while past[-1] is not row.start and past[-1].previous is not None:
        past.append(past[-1].previous)
    return past[::-1]


def all_past(row: Row) -> list[Row]:
    """The valid rows up to and with this one, oldest first, from the very beginning."""
    past = [row]
    while past[-1].previous is not None:
        past.append(past[-1].previous)
    return past[::-1]


def since_valid(row: Row) -> list[Book]:
    """The books since the valid row before this one, its own included."""
    return [*row.skipped, *row.books]
