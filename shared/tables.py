"""Bronze tables: Arrow schemas and Parquet encodings, derived from the row types of `shared.rows`."""

import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa

from shared.rows import ROW_TYPES, Level, Row

SCHEMA_VERSION = 1
TIMESTAMP = pa.timestamp("us", tz="UTC")  # Iceberg refuses nanoseconds, and they cost bytes
LEVELS = pa.list_(pa.struct([pa.field("price", pa.float64()), pa.field("size", pa.float64())]))

# What is stamped around every row; `symbol` and `timestamp` are the row's own first two fields.
CAPTURE: tuple[tuple[str, pa.DataType], ...] = (
    ("capture_ts", TIMESTAMP),
    ("capture_mono_ns", pa.int64()),
    ("seq", pa.int64()),
    ("origin", pa.string()),
    ("exchange", pa.string()),
)
PARTITION: tuple[str, ...] = ("year", "month", "day", "hour")
COMMON: tuple[str, ...] = (
    "capture_ts",
    "capture_mono_ns",
    "collected_at",
    "epoch",
    "seq",
    "origin",
    "exchange",
    "symbol",
    "timestamp",
    *PARTITION,
)
_IDS = frozenset({"trade_id", "gap_id", "prev_id", "next_id"})
_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    list[Level]: LEVELS,
}
_NAMED = {"timestamp": TIMESTAMP, "int32": pa.int32(), "int64": pa.int64()}


@dataclass(frozen=True)
class Table:
    """One bronze table: its rows, its schema in the journal and its schema in `ready`."""

    name: str
    row_type: type[Row]
    journal_schema: pa.Schema
    ready_schema: pa.Schema

    def parquet_options(self) -> dict[str, Any]:
        """Encodings for `ParquetWriter`, as measured: books stay PLAIN, a dictionary doubles them."""
        dictionary, encodings = [], {}
        for field in self.ready_schema:
            if field.name in _IDS:
                encodings[field.name] = "DELTA_BYTE_ARRAY"
            elif pa.types.is_int64(field.type) or pa.types.is_timestamp(field.type):
                encodings[field.name] = "DELTA_BINARY_PACKED"
            elif not pa.types.is_list(field.type) and not pa.types.is_boolean(field.type) and field.type != pa.binary():
                dictionary.append(field.name)
        return {"use_dictionary": dictionary, "column_encoding": encodings, "write_statistics": True}


def _arrow_type(hint: Any) -> tuple[pa.DataType, bool, dict[str, str]]:
    """The Arrow type, nullability and field metadata of one annotation."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (inner,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        arrow, _, metadata = _arrow_type(inner)
        return arrow, True, metadata
    if typing.get_origin(hint) is typing.Annotated:
        base, *annotations = typing.get_args(hint)
        extra: dict[str, str] = {}
        for annotation in annotations:
            extra |= getattr(annotation, "extra", None) or {}
        named = extra.pop("arrow", None)
        return (_NAMED[named] if named else _SCALARS[base]), False, extra
    return _SCALARS[hint], False, {}


def _row_fields(row_type: type[Row]) -> list[pa.Field]:
    fields = []
    for name, hint in typing.get_type_hints(row_type, include_extras=True).items():
        arrow, nullable, metadata = _arrow_type(hint)
        fields.append(pa.field(name, arrow, nullable=nullable, metadata=metadata or None))
    return fields


@cache
def table(name: str) -> Table:
    """The bronze table called `name`; `KeyError` for a name that is none.

    >>> table("trades").ready_schema.names[:6]
    ['capture_ts', 'capture_mono_ns', 'collected_at', 'epoch', 'seq', 'origin']
    """
    row_type = ROW_TYPES[name]
    own = _row_fields(row_type)
    capture = [pa.field(column, arrow, nullable=False) for column, arrow in CAPTURE]
    journal = pa.schema([pa.field("source", pa.string(), nullable=False), *capture, *own])
    fields = {field.name: field for field in [*capture, *own]}
    fields["collected_at"] = pa.field("collected_at", pa.int64(), nullable=False, metadata={"unit": "ms"})
    fields["epoch"] = pa.field("epoch", pa.string(), nullable=False)
    for unit in PARTITION:
        fields[unit] = pa.field(unit, pa.int32(), nullable=False)
    rest = [column for column in fields if column not in COMMON]
    ready = pa.schema([fields[column] for column in (*COMMON, *rest)])
    return Table(name, row_type, journal, ready)


def tables() -> list[Table]:
    """Every bronze table."""
    return [table(name) for name in ROW_TYPES]
