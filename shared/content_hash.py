"""An order-free hash of a table's rows, stable over library versions: two files hold the same rows, or not.

Each row is hashed from its values' bits, and the row hashes are summed modulo 2^64: the order of rows, row groups
and files does not matter, a missing, doubled or altered row does.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_U64 = npt.NDArray[np.uint64]
_NULL = np.uint64(0x9E3779B97F4A7C15)


def content_hash(table: pa.Table | pa.RecordBatch) -> int:
    """The sum of the row hashes modulo 2^64; hashes of parts add up to the hash of the whole."""
    return int(np.sum(row_hashes(table), dtype=np.uint64))


def row_hashes(table: pa.Table | pa.RecordBatch) -> _U64:
    """The hash of each row, for whoever needs the sums of many parts of one table."""
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    for name in table.schema.names:
        column = table.column(name)
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        hashes = _mix(hashes + _column(array) * _seed(name))
    return hashes


def _seed(name: str) -> np.uint64:
    """An odd multiplier of the column's own, so that two columns' values cannot change places unseen."""
    return np.uint64(_digest(name.encode()) | 1)


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _mix(x: _U64) -> _U64:
    """The splitmix64 finaliser: each input bit moves about half the output bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _column(array: Any) -> _U64:
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        values = _lists(array)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        values = _strings(array)
    elif pa.types.is_floating(array.type):
        values = np.asarray(pc.fill_null(array, 0.0)).astype(np.float64).view(np.uint64)
    elif pa.types.is_decimal(array.type):
        values = _strings(pc.cast(array, pa.string()))
    elif pa.types.is_boolean(array.type):
        values = np.asarray(pc.cast(pc.fill_null(array, False), pa.uint8())).astype(np.uint64)
    elif pa.types.is_binary(array.type):
        values = np.array([_digest(data or b"") for data in array.to_pylist()], dtype=np.uint64)
    else:
        ints = pc.fill_null(pc.cast(array, pa.int64()), 0)
        values = np.asarray(ints).astype(np.int64).view(np.uint64)
    if array.null_count:
        values = np.where(np.asarray(array.is_null()), _NULL, values)
    return _mix(values)


def _strings(array: Any) -> _U64:
    encoded = pc.fill_null(array, "").dictionary_encode()
    hashes = np.array([_digest(text.encode()) for text in encoded.dictionary.to_pylist()], dtype=np.uint64)
    if not len(hashes):
        return np.zeros(len(array), dtype=np.uint64)
    values: _U64 = hashes[np.asarray(encoded.indices)]
    return values


def _lists(array: Any) -> _U64:
    """Per list, the sum of its elements' hashes, each mixed with its position."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0)).astype(np.int64)
    flat = array.flatten()
    ends = np.cumsum(lengths)
    position = (np.arange(len(flat)) - np.repeat(ends - lengths, lengths)).astype(np.uint64)
    parts = flat.flatten() if pa.types.is_struct(flat.type) else [flat]
    element = position + np.uint64(1)
    for part in parts:
        element = _mix(element * np.uint64(0x100000001B3) + _column(part))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(element, dtype=np.uint64)])
    values: _U64 = sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64)
    return values
