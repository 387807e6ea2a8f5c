"""How a journal is read so that neither memory nor open files grow with the number of streams.

A journal that fits the memory is read once. Of a larger one the first reading only counts; then it is read again, each
time for as many files as fit, and tables that are not wanted are not even decompressed. Decompressing is cheap beside
writing Parquet, and costs the disk nothing, which a spill would. One ready file is open at a time.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from shared.rows import Stream
from shared.tables import Table

US_PER_HOUR = 3_600_000_000
_CHUNKS_PER_BUDGET = 8
_Int64s: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


class FileKey(NamedTuple):
    """What makes a ready file: a stream, and an hour since 1970."""

    stream: Stream
    hour: int


@dataclass(frozen=True)
class Split:
    """To which file each row of a table belongs, as an index into `keys`."""

    keys: list[FileKey]
    places: _Int64s
    counts: _Int64s  # rows of each key


def split(kind: Table, rows: pa.Table) -> Split:
    """The files that rows of one table belong to."""
    codes = np.zeros(rows.num_rows, np.int64)
    columns = [rows.column(name).combine_chunks().dictionary_encode() for name in ("source", "exchange", "symbol")]
    for column in columns:
        codes = codes * len(column.dictionary) + np.asarray(column.indices)
    hours, hour_places = np.unique(_hours(rows), return_inverse=True)
    codes = codes * len(hours) + hour_places
    _, first, places, counts = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    keys = [
        FileKey(Stream(columns[0][at].as_py(), columns[1][at].as_py(), kind.name, columns[2][at].as_py()), int(hour))
        for at, hour in zip(first.tolist(), hours[hour_places[first]], strict=True)
    ]
    return Split(keys, places, counts)


def _hours(rows: pa.Table) -> _Int64s:
    """The hour of receipt for what was received, of the exchange's time for what was asked for or imported."""
    captured = np.asarray(rows.column("capture_ts").cast(pa.int64()))
    if rows.column("origin").unique().to_pylist() == ["ws"]:
        return captured // US_PER_HOUR
    told = rows.column("timestamp").cast(pa.int64()).combine_chunks()
    told_us = np.where(np.asarray(told.is_null()), captured, np.asarray(told.fill_null(0)))
    is_ws = np.asarray(rows.column("origin").combine_chunks().dictionary_encode().cast(pa.string()) == "ws")
    moments: _Int64s = np.where(is_ws, captured, told_us)
    return moments // US_PER_HOUR


@dataclass
class Pass:
    """The ready files that one reading of the journal makes."""

    wanted: frozenset[FileKey] = field(default_factory=frozenset)
    is_giant: bool = False  # one file that does not fit the memory by itself: its rows are written as they come

    @property
    def tables(self) -> Collection[str]:
        """The tables of the files."""
        return {key.stream.table for key in self.wanted}

    def of(self, kind: Table, rows: pa.Table) -> pa.Table:
        """The rows of those files, in their order."""
        found = split(kind, rows)
        is_wanted = np.fromiter((key in self.wanted for key in found.keys), np.bool_, len(found.keys))
        return rows if is_wanted.all() else rows.filter(pa.array(is_wanted[found.places]))


class Tally:
    """How much a journal holds of each ready file to be."""

    def __init__(self) -> None:
        self._rows: dict[FileKey, int] = {}
        self._table_rows: dict[str, int] = {}
        self._table_bytes: dict[str, int] = {}

    @property
    def bytes_total(self) -> int:
        """What all rows need in memory."""
        return sum(self._table_bytes.values())

    def count(self, kind: Table, rows: pa.Table) -> None:
        """Add rows."""
        found = split(kind, rows)
        for key, count in zip(found.keys, found.counts.tolist(), strict=True):
            self._rows[key] = self._rows.get(key, 0) + count
        self._table_rows[kind.name] = self._table_rows.get(kind.name, 0) + rows.num_rows
        self._table_bytes[kind.name] = self._table_bytes.get(kind.name, 0) + rows.nbytes

    def passes(self, budget_bytes: int) -> Iterator[Pass]:
        """The readings, table by table, each of files that need about this much memory together, or of a single one."""
        per_row = {name: self._table_bytes[name] / rows for name, rows in self._table_rows.items()}
        return _packed({key: rows * per_row[key.stream.table] for key, rows in self._rows.items()}, budget_bytes)


def _packed(sizes_bytes: Mapping[FileKey, float], budget_bytes: int) -> Iterator[Pass]:
    wanted: list[FileKey] = []
    wanted_bytes = 0.0
    for key in sorted(sizes_bytes, key=lambda key: (key.stream.table, key)):
        if sizes_bytes[key] > budget_bytes:
            yield Pass(frozenset([key]), is_giant=True)
            continue
        if wanted and wanted_bytes + sizes_bytes[key] > budget_bytes:
            yield Pass(frozenset(wanted))
            wanted, wanted_bytes = [], 0.0
        wanted.append(key)
        wanted_bytes += sizes_bytes[key]
    if wanted:
        yield Pass(frozenset(wanted))


def chunks(batches: Iterable[tuple[Table, pa.RecordBatch]], budget_bytes: int) -> Iterator[tuple[Table, pa.Table]]:
    """The rows of each table in their order, many batches at a time: what is done per stream is done less often."""
    waiting: dict[str, tuple[Table, list[pa.RecordBatch]]] = {}
    sizes_bytes: dict[str, int] = {}
    chunk_bytes = budget_bytes // _CHUNKS_PER_BUDGET
    total_bytes = 0
    for kind, batch in batches:
        waiting.setdefault(kind.name, (kind, []))[1].append(batch)
        size_bytes = batch.nbytes
        sizes_bytes[kind.name] = sizes_bytes.get(kind.name, 0) + size_bytes
        total_bytes += size_bytes
        if total_bytes > chunk_bytes:
            largest = max(sizes_bytes, key=sizes_bytes.__getitem__)
            total_bytes -= sizes_bytes.pop(largest)
            yield _joined(*waiting.pop(largest))
    while waiting:
        yield _joined(*waiting.popitem()[1])


def _joined(kind: Table, batches: list[pa.RecordBatch]) -> tuple[Table, pa.Table]:
    return kind, pa.Table.from_batches(batches, schema=kind.journal_schema).combine_chunks()
