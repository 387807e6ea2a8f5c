"""Rows to Arrow and back to bytes: what one journal frame holds."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import zstandard

from ingestion.capture import Capture
from shared.rows import TABLE_OF, Gap, Row
from shared.tables import Table, table

_COMPRESSOR = zstandard.ZstdCompressor(level=1)  # used by the one thread that writes
_Key = tuple[int, str, str, str, str]  # place in the block, table, source, exchange, origin
_OPENED, _ROWS, _REVISIONS = range(3)


class _Columns:
    """The rows of one frame in the making, and what was stamped on them, once per capture."""

    __slots__ = ("captured_us", "counts", "mono_ns", "rows", "seqs")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.seqs: list[int] = []
        self.counts: list[int] = []  # rows of each capture
        self.captured_us: list[int] = []
        self.mono_ns: list[int] = []

    def add(self, capture: Capture, rows: Sequence[Row], seqs: Sequence[int]) -> None:
        self.rows.extend(rows)
        self.seqs.extend(seqs)
        self.counts.append(len(rows))
        self.captured_us.append(capture.wall_ns // 1000)
        self.mono_ns.append(capture.mono_ns)


def batches(captures: Iterable[Capture]) -> list[tuple[str, pa.RecordBatch]]:
    """One record batch per (table, source, exchange, origin), of gaps two; order within a stream is kept.

    Gaps that open come first, so that a torn block leaves no row behind a hole without the gap that declares it;
    revisions come last, so that it leaves no gap narrowed by a row that was torn off.
    """
    groups: dict[_Key, _Columns] = {}
    for capture in captures:
        for place, kind, rows, seqs in _parts(capture):
            key = (place, TABLE_OF[kind], capture.source, capture.exchange, capture.origin)
            columns = groups.get(key)
            if columns is None:
                columns = groups[key] = _Columns()
            columns.add(capture, rows, seqs)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])
    return [(key[1], _batch(key, columns)) for key, columns in ordered]


def _parts(capture: Capture) -> list[tuple[int, type[Row], Sequence[Row], Sequence[int]]]:
    """The capture's rows by their place in the block and their type; nearly always there is one part."""
    kinds = set(map(type, capture.rows))
    if len(kinds) == 1 and Gap not in kinds:
        return [(_ROWS, kinds.pop(), capture.rows, capture.seqs)]
    parts: dict[tuple[int, type[Row]], tuple[list[Row], list[int]]] = {}
    for row, seq in zip(capture.rows, capture.seqs, strict=True):
        rows, seqs = parts.setdefault((_place(row), type(row)), ([], []))
        rows.append(row)
        seqs.append(seq)
    return [(place, kind, rows, seqs) for (place, kind), (rows, seqs) in parts.items()]


def _place(row: Row) -> int:
    if not isinstance(row, Gap):
        return _ROWS
    return _REVISIONS if row.revision else _OPENED


def _batch(key: _Key, columns: _Columns) -> pa.RecordBatch:
    _, name, source, exchange, origin = key
    schema = table(name).journal_schema
    constant = {"source": source, "exchange": exchange, "origin": origin}
    values: dict[str, Any] = {
        "capture_ts": np.repeat(np.array(columns.captured_us, np.int64), columns.counts),
        "capture_mono_ns": np.repeat(np.array(columns.mono_ns, np.int64), columns.counts),
        "seq": columns.seqs,
    }
    values |= zip(_own_names(name), zip(*map(msgspec.structs.astuple, columns.rows), strict=True), strict=True)
    arrays = [
        pa.repeat(pa.scalar(constant[field.name], field.type), len(columns.rows))
        if field.name in constant
        else pa.array(values[field.name], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@cache
def _own_names(name: str) -> tuple[str, ...]:
    return table(name).row_type.__struct_fields__


def to_payload(batch: pa.RecordBatch) -> bytes:
    """The batch as one Arrow IPC message, without the schema, compressed whole.

    Arrow's own compression works buffer by buffer: 40 small ones a batch cost ten times as much and save less.
    """
    return _COMPRESSOR.compress(batch.serialize())


def from_payload(schema: pa.Schema, payload: memoryview) -> pa.RecordBatch:
    """The batch of a frame's payload."""
    return pa.ipc.read_record_batch(pa.py_buffer(zstandard.decompress(payload)), schema)


def upgrade(batch: pa.RecordBatch, wanted: Table) -> pa.RecordBatch:
    """The batch with today's journal schema: columns that an older version did not write are null."""
    if batch.schema.equals(wanted.journal_schema):
        return batch
    names = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type) if field.name in names else pa.nulls(batch.num_rows, field.type)
        for field in wanted.journal_schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted.journal_schema)
