"""Arrays by name as bytes and back: the form in which everything that features remember is saved."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


class SavedArray(msgspec.Struct, frozen=True):
    """One array: little-endian, C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def saved(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, SavedArray]:
    """Arrays as a checkpoint keeps them.

    >>> restored(saved({"sums": np.array([1.5, 2.0])}))
    {'sums': array([1.5, 2. ])}
    """
    return {
        name: SavedArray(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())
        for name, array in arrays.items()
    }


def restored(saved_arrays: Mapping[str, SavedArray]) -> Arrays:
    """The arrays again, each with memory of its own."""
    return {
        name: np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape).copy()
        for name, array in saved_arrays.items()
    }
