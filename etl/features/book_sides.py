"""One side of books as frames have it, a list of levels each, as the arrays that the kernels read."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from etl.features.rows import Floats, Int64s
from shared.errors import InputUnreadable

_LEVEL = pl.Struct({"price": pl.Float64, "size": pl.Float64})


class Side(NamedTuple):
    """One side of some snapshots: levels `start:stop` are a snapshot's."""

    starts: Int64s
    stops: Int64s
    prices: Floats
    sizes: Floats


def own(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as the kernels are compiled for: side by side, writable (frames give theirs read-only)."""
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()


def side_of(lists: pl.Series) -> Side:
    """The levels of a column of lists of structs, or of lists of (price, size).

    Raises: InputUnreadable for a column of another type.
    """
    dtype = lists.dtype
    inner = dtype.inner if isinstance(dtype, (pl.List, pl.Array)) else None
    if dtype in (pl.Null, pl.List(pl.Null)):
        lists = lists.cast(pl.List(_LEVEL))
    elif isinstance(inner, pl.Struct) and {"price", "size"} <= _names_of_numbers(inner):
        if dtype != pl.List(_LEVEL):
            lists = lists.cast(pl.List(inner)).list.eval(
                pl.struct(pl.element().struct.field(name).cast(pl.Float64) for name in ("price", "size"))
            )
    elif isinstance(inner, (pl.List, pl.Array)) and _is_number(inner.inner):
        pair = pl.element().cast(pl.List(pl.Float64))
        lists = lists.cast(pl.List(pl.List(pl.Float64))).list.eval(
            pl.struct(
                pair.list.get(0, null_on_oob=True).alias("price"), pair.list.get(1, null_on_oob=True).alias("size")
            )
        )
    else:
        raise InputUnreadable(
            f"column {lists.name!r} of books is {dtype}",
            hint="A side of a book is a list of structs (price, size), or of pairs, of numbers",
        )
    arrow = lists.to_arrow()
    offsets = arrow.offsets.to_numpy().astype(np.int64)
    first, levels = offsets[0], offsets[-1] - offsets[0]  # part of a larger frame: its levels alone
    starts, stops = offsets[:-1] - first, offsets[1:] - first
    if lists.null_count():
        stops = np.where(lists.is_null().to_numpy(), starts, stops)
    prices, sizes = arrow.values.slice(first, levels).flatten()
    return Side(starts, stops, _floats(prices), _floats(sizes))


def _names_of_numbers(level: pl.Struct) -> set[str]:
    return {field.name for field in level.fields if _is_number(field.dtype)}


def _is_number(dtype: Any) -> bool:
    return bool(dtype.is_numeric() or dtype == pl.Null)


def _floats(values: pa.Array) -> Floats:
    """NaN where there is none."""
    return own(values.to_numpy(zero_copy_only=False))
