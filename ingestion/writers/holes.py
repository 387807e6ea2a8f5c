"""Holes in the running counts of a journal's streams: rows that were written and cannot be read any more."""

import numpy as np
import pyarrow as pa

from shared.rows import Gap, Stream


class HoleFinder:
    """Follows each stream's `seq` through one epoch's journals, in their order, and names what is missing."""

    def __init__(self) -> None:
        self._next: dict[Stream, int] = {}
        self._holes: list[tuple[Stream, int, int]] = []
        self._epoch = ""

    def begin(self, epoch: str) -> None:
        """Start with the next journal; counts begin anew with every epoch."""
        if epoch != self._epoch:
            self._epoch, self._next = epoch, {}
        self._holes = []

    def expect(self, counts_at_open: dict[Stream, int]) -> None:
        """Take each stream's count at the journal's opening, unless the journal before it has told."""
        for stream, count in counts_at_open.items():
            self._next.setdefault(stream, count)

    def see(self, table: str, batch: pa.RecordBatch) -> None:
        """Take the rows of one batch, which is of one source and exchange."""
        source, exchange = batch.column("source")[0].as_py(), batch.column("exchange")[0].as_py()
        symbols = np.asarray(batch.column("symbol").dictionary_encode().indices)
        names = batch.column("symbol").dictionary_encode().dictionary.to_pylist()
        seqs = np.asarray(batch.column("seq"))
        for index, symbol in enumerate(names):
            self._follow(Stream(source, exchange, table, symbol), seqs[symbols == index])

    def _follow(self, stream: Stream, seqs: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
        before = np.concatenate([[self._next.get(stream, 0) - 1], seqs[:-1]])
        for at in np.flatnonzero(seqs - before > 1):
            self._holes.append((stream, int(before[at]), int(seqs[at])))
        self._next[stream] = int(seqs[-1]) + 1

    def gaps(self, journal: str) -> list[tuple[Stream, Gap]]:
        """One gap per hole of the journal just read; its id is the same however often it is found."""
        return [
            (
                stream,
                Gap(
                    symbol=stream.symbol,
                    timestamp=None,
                    gap_id=f"{self._epoch}:{stream.source}:{stream.table}:{before}",
                    revision=0,
                    channel=stream.table,
                    cause="journal_damage",
                    status="unrecoverable",
                    prev_seq=before,
                    next_seq=after,
                    rows_lost=after - before - 1,
                    evidence=f"{self._epoch} seq {before + 1}..{after - 1} unreadable in {journal}",
                ),
            )
            for stream, before, after in self._holes
        ]
