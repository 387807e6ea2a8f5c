"""Rows to Arrow and back to bytes: what one journal frame holds."""

from collections.abc import Iterable
from functools import cache

import msgspec
import pyarrow as pa

from ingestion.capture import Capture
from shared.rows import TABLE_OF, Row
from shared.tables import Table, table

_END_OF_STREAM_BYTES = 8
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")
_Key = tuple[str, str, str, str]  # table, source, exchange, origin


class _Columns:
    """The rows of one frame in the making, column by column for what was stamped on them."""

    __slots__ = ("captured_us", "mono_ns", "rows", "seqs")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.seqs: list[int] = []
        self.captured_us: list[int] = []
        self.mono_ns: list[int] = []


def batches(captures: Iterable[Capture]) -> list[tuple[str, pa.RecordBatch]]:
    """One record batch per (table, source, exchange, origin); order within a stream is kept.

    Gaps come first, so that no crash leaves a row behind a hole without the gap that declares it.
    """
    groups: dict[_Key, _Columns] = {}
    for capture in captures:
        captured_us = capture.wall_ns // 1000
        for row, seq in zip(capture.rows, capture.seqs, strict=True):
            key = (TABLE_OF[type(row)], capture.source, capture.exchange, capture.origin)
            columns = groups.get(key)
            if columns is None:
                columns = groups[key] = _Columns()
            columns.rows.append(row)
            columns.seqs.append(seq)
            columns.captured_us.append(captured_us)
            columns.mono_ns.append(capture.mono_ns)
    ordered = sorted(groups.items(), key=lambda item: item[0][0] != "gaps")
    return [(key[0], _batch(key, columns)) for key, columns in ordered]


def _batch(key: _Key, columns: _Columns) -> pa.RecordBatch:
    name, source, exchange, origin = key
    schema = table(name).journal_schema
    count = len(columns.rows)
    constant = {"source": source, "exchange": exchange, "origin": origin}
    stamped = {"capture_ts": columns.captured_us, "capture_mono_ns": columns.mono_ns, "seq": columns.seqs}
    own = dict(zip(_own_names(name), zip(*map(msgspec.structs.astuple, columns.rows), strict=True), strict=True))
    arrays = []
    for field in schema:
        if field.name in constant:
            arrays.append(pa.repeat(pa.scalar(constant[field.name], field.type), count))
        else:
            values = stamped.get(field.name) or own[field.name]
            arrays.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@cache
def _own_names(name: str) -> tuple[str, ...]:
    return table(name).row_type.__struct_fields__


@cache
def _schema_message(name: str) -> bytes:
    return bytes(table(name).journal_schema.serialize())


def to_payload(name: str, batch: pa.RecordBatch) -> bytes:
    """The batch as one compressed Arrow IPC message, without the schema (`RecordBatch.serialize` cannot compress)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    whole = sink.getvalue()
    start = len(_schema_message(name))
    return bytes(whole[start : len(whole) - _END_OF_STREAM_BYTES])


def from_payload(schema: pa.Schema, payload: memoryview) -> pa.RecordBatch:
    """The batch of a frame's payload."""
    return pa.ipc.read_record_batch(pa.py_buffer(payload), schema)


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
