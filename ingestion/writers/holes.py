"""Holes in the running counts of a journal's streams: rows that were written and cannot be read any more."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL, is_plain_symbol
from shared.rows import Gap, Stream

_Seqs: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


def _by_stream(table: str, rows: pa.RecordBatch | pa.Table) -> Iterator[tuple[Stream, _Seqs]]:
    names = ("source", "exchange", "symbol")
    codes = np.zeros(rows.num_rows, np.int64)
    columns = [_encoded(rows.column(name)) for name in names]
    for column in columns:
        codes = codes * len(column.dictionary) + np.asarray(column.indices)
    order = np.argsort(codes, kind="stable")
    seqs = np.asarray(rows.column("seq"))[order]
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(seqs)], strict=True):
        source, exchange, symbol = (column[int(order[start])].as_py() for column in columns)
        yield Stream(source, exchange, table, symbol), seqs[start:end]


def _encoded(column: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.dictionary_encode()


def gap_id(epoch: str, stream: Stream, before: int) -> str:
    """The name of the hole behind row `before` of a stream."""
    return ":".join((epoch, *stream, str(before)))


class HoleFinder:
    """Follows each stream's `seq` through one epoch's journals, in their order, and names what is missing."""

    def __init__(self) -> None:
        self._next: dict[Stream, int] = {}
        self._before: dict[Stream, int] = {}  # `_next` as it was before the journal being read
        self._holes: list[tuple[Stream, int, int]] = []
        self._gap_seqs: dict[Stream, list[_Seqs]] = {}  # gap rows of a block are not in the order of their numbers
        self._given_up: dict[Stream, list[tuple[int, int]]] = {}  # rows that were dropped in good order, and told
        self._epoch = ""
        self._told = False  # whether a header of this epoch was read: a stream it does not name began after it

    def begin(self, epoch: str) -> None:
        """Start with the next journal; counts begin anew with every epoch."""
        if epoch != self._epoch:
            self._epoch, self._next, self._told = epoch, {}, False
        self._before = dict(self._next)
        self._holes, self._gap_seqs, self._given_up = [], {}, {}

    def begin_again(self) -> None:
        """Forget what the journal that was being read has said."""
        self._next = dict(self._before)
        self._holes, self._gap_seqs, self._given_up = [], {}, {}

    def expect(self, counts_at_open: dict[Stream, int]) -> None:
        """Take each stream's count at the journal's opening: more than was read means that the journal before lost it.

        A stream whose earlier journals were not read stands where the header says.
        """
        self._told = True
        for stream, count in counts_at_open.items():
            known = self._next.get(stream)
            if known is not None and known < count:
                self._holes.append((stream, known - 1, count))
            self._next[stream] = max(known or 0, count)

    def see(self, table: str, rows: pa.RecordBatch | pa.Table) -> None:
        """Take the next rows of one table."""
        if table == "gaps":
            self._see_given_up(rows)
        for stream, seqs in _by_stream(table, rows):
            if table == "gaps":
                self._gap_seqs.setdefault(stream, []).append(seqs)
            else:
                self._follow(stream, seqs)

    def _follow(self, stream: Stream, seqs: _Seqs) -> None:
        start = self._next.get(stream, 0 if self._told else int(seqs[0]))
        before = np.concatenate([[start - 1], seqs[:-1]])
        for at in np.flatnonzero(seqs - before > 1):
            self._holes.append((stream, int(before[at]), int(seqs[at])))
        self._next[stream] = int(seqs[-1]) + 1

    def _see_given_up(self, rows: pa.RecordBatch | pa.Table) -> None:
        is_told = pc.and_kleene(pc.equal(rows.column("cause"), "overflow"), pc.is_valid(rows.column("next_seq")))
        for row in rows.filter(is_told).to_pylist():
            stream = Stream(row["source"], row["exchange"], row["channel"], row["symbol"])
            self._given_up.setdefault(stream, []).append((row["prev_seq"], row["next_seq"]))

    def _excuse(self, stream: Stream, before: int, after: int) -> None:
        """Rows between these two were given up: no damage, and the stream has come as far."""
        start = self._next.get(stream, 0 if self._told else before + 1)
        if start < after:
            if start <= before:
                self._holes.append((stream, start - 1, before + 1))
            self._next[stream] = after
        left: list[tuple[Stream, int, int]] = []
        for hole in self._holes:
            _, low, high = hole
            if hole[0] != stream or high <= before + 1 or after - 1 <= low:
                left.append(hole)
                continue
            if low < before:
                left.append((stream, low, before + 1))
            if after < high:
                left.append((stream, after - 1, high))
        self._holes = left

    def gaps(self, journal: str) -> list[tuple[Stream, Gap]]:
        """One gap per hole of the journal just read; its id is the same however often it is found."""
        for stream, parts in self._gap_seqs.items():
            self._follow(stream, np.sort(np.concatenate(parts)))
        self._gap_seqs = {}
        for stream, ranges in self._given_up.items():
            for before, after in sorted(ranges):
                self._excuse(stream, before, after)
        self._given_up = {}
        return [
            (
                stream,
                Gap(
                    symbol=stream.symbol,
                    timestamp=None,
                    gap_id=gap_id(self._epoch, stream, before),
                    revision=0,
                    channel=stream.table,
                    cause="journal_damage",
                    status="unrecoverable",
                    prev_seq=before,
                    next_seq=after,
                    rows_lost=after - before - 1,
                    evidence=f"{self._epoch} seq {before + 1}..{after - 1} not to be read at or before {journal}",
                ),
            )
            for stream, before, after in self._holes
        ]


class StreamRanges:
    """The rows of a journal that can be read and cannot be made into files: one gap for those of each stream."""

    def __init__(self) -> None:
        self._ranges: dict[Stream, tuple[int, int, int]] = {}  # first, last, rows

    def see(self, table: str, batch: pa.RecordBatch) -> None:
        """Take the rows of one batch."""
        for stream, seqs in _by_stream(table, batch):
            first, last, rows = self._ranges.get(stream, (int(seqs[0]), -1, 0))
            self._ranges[stream] = min(first, int(seqs.min())), max(last, int(seqs.max())), rows + len(seqs)

    def gaps(self, epoch: str, reason: str) -> list[tuple[Stream, Gap]]:
        """One gap per stream, of a symbol that a partition can have."""
        return [
            (
                stream,
                Gap(
                    symbol=stream.symbol if is_plain_symbol(stream.symbol) else UNKNOWN_SYMBOL,
                    timestamp=None,
                    gap_id=gap_id(epoch, stream, first - 1),
                    revision=0,
                    channel=stream.table,
                    cause="journal_damage",
                    status="unrecoverable",
                    prev_seq=first - 1,
                    next_seq=last + 1,
                    rows_lost=rows,
                    evidence=f"{epoch} {stream.symbol[:80]!r}: journal kept in quarantine, {reason[:300]}",
                ),
            )
            for stream, (first, last, rows) in self._ranges.items()
        ]
