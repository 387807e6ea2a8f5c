"""Rows to Arrow and back to bytes: what one journal frame holds."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import zstandard

from ingestion.capture import Capture
from shared.rows import TABLE_OF, Gap, L2Message, Row
from shared.tables import Table, table

_COMPRESSOR = zstandard.ZstdCompressor(level=1)  # used by the one thread that writes
_Key = tuple[int, type[Row], str, str, str]  # place in the block, kind of row, source, exchange, origin
_OPENED, _ROWS, _REVISIONS = range(3)
_ONCE_PER_MESSAGE = ("symbol", "timestamp", "msg_seq", "is_snapshot", "update_id", "prev_update_id", "checksum")
_MESSAGE_FIELDS = L2Message.__struct_fields__


class _Columns:
    """The rows of one frame in the making, and what was stamped on them, once per capture."""

    __slots__ = ("_captured_us", "_counts", "_mono_ns", "_rows", "_seqs")

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._seqs: list[int] = []
        self._counts: list[int] = []  # rows of each capture
        self._captured_us: list[int] = []
        self._mono_ns: list[int] = []

    def add(self, capture: Capture, rows: Sequence[Row], seqs: Sequence[int]) -> None:
        self._rows.extend(rows)
        self._seqs.extend(seqs)
        self._counts.append(len(rows))
        self._captured_us.append(capture.wall_ns // 1000)
        self._mono_ns.append(capture.mono_ns)

    def values(self, name: str) -> dict[str, Any]:
        return {
            "capture_ts": np.repeat(np.array(self._captured_us, np.int64), self._counts),
            "capture_mono_ns": np.repeat(np.array(self._mono_ns, np.int64), self._counts),
            "seq": self._numbers(),
        } | self._own(name)

    def _numbers(self) -> Any:
        return self._seqs

    def _own(self, name: str) -> dict[str, Any]:
        return dict(zip(_own_names(name), zip(*map(msgspec.structs.astuple, self._rows), strict=True), strict=True))


class _LevelColumns(_Columns):
    """The levels of book messages: their columns are put behind each other, what a message says once is repeated."""

    __slots__ = ()

    def add(self, capture: Capture, rows: Sequence[Row], seqs: Sequence[int]) -> None:
        """Here a count and a seq are a message's: how many levels it has, and the first one's number."""
        self._rows.extend(rows)
        self._seqs.extend(seqs)
        self._counts.extend([len(each.price) for each in rows])  # type: ignore[attr-defined]
        self._captured_us.extend([capture.wall_ns // 1000] * len(rows))
        self._mono_ns.extend([capture.mono_ns] * len(rows))

    def _numbers(self) -> Any:
        counts = np.array(self._counts, np.int64)
        starts = np.cumsum(counts) - counts
        return np.repeat(np.array(self._seqs, np.int64) - starts, counts) + np.arange(counts.sum())

    def _own(self, name: str) -> dict[str, Any]:
        messages = dict(zip(_MESSAGE_FIELDS, zip(*map(msgspec.structs.astuple, self._rows), strict=True), strict=True))
        ends = np.cumsum(self._counts)
        is_last = np.zeros(ends[-1], np.bool_)
        is_last[ends - 1] = True
        places = pa.array(np.repeat(np.arange(len(ends)), self._counts))
        types = {field.name: field.type for field in table(name).journal_schema}
        columns: dict[str, Any] = {
            field: pa.array(messages[field], types[field]).take(places) for field in _ONCE_PER_MESSAGE
        }
        for field in ("side", "price", "size"):
            columns[field] = list(chain.from_iterable(messages[field]))
        if any(messages["timestamps"]):
            repeated = zip(messages["timestamps"], messages["timestamp"], self._counts, strict=True)
            columns["timestamp"] = list(chain.from_iterable(each or [one] * count for each, one, count in repeated))
        return columns | {"is_last": is_last, "info_json": pa.nulls(len(places), pa.string())}


def batches(captures: Iterable[Capture]) -> list[tuple[str, pa.RecordBatch]]:
    """One record batch per (table, source, exchange, origin), of gaps two; order within a stream is kept.

    Gaps that open come first, so that a torn block leaves no row behind a hole without the gap that declares it;
    revisions come last, so that it leaves no gap narrowed by a row that was torn off.
    """
    groups: dict[_Key, _Columns] = {}
    for capture in captures:
        for place, kind, rows, seqs in _parts(capture):
            key = (place, kind, capture.source, capture.exchange, capture.origin)
            columns = groups.get(key)
            if columns is None:
                columns = groups[key] = _LevelColumns() if kind is L2Message else _Columns()
            columns.add(capture, rows, seqs)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])
    return [(TABLE_OF[key[1]], _batch(key, columns)) for key, columns in ordered]


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
    # What was given up is known exactly, and its end belongs before the rows that follow: it narrows nothing.
    return _REVISIONS if row.revision and row.cause != "overflow" else _OPENED


def _batch(key: _Key, columns: _Columns) -> pa.RecordBatch:
    _, kind, source, exchange, origin = key
    name = TABLE_OF[kind]
    schema = table(name).journal_schema
    constant = {"source": source, "exchange": exchange, "origin": origin}
    values = columns.values(name)
    arrays = [
        pa.repeat(pa.scalar(constant[field.name], field.type), len(values["seq"]))
        if field.name in constant
        else _array(values[field.name], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


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
