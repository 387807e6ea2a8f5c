"""Arrays by name as bytes and back: the form in which everything that features remember is saved."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from shared.errors import StateMismatch

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


class SavedArray(msgspec.Struct, frozen=True):
    """One array: little-endian, C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the maker of one table remembers."""

    version: int
    options: str  # canonical JSON of what its rows depend on
    arrays: dict[str, SavedArray]
    counts: dict[str, int]

    def restore(self, arrays: Arrays, *, version: int, options: str) -> None:
        """Let the arrays of a new maker of this version and these options be those that were saved.

        Raises: StateMismatch where they are others.
        """
        if (self.version, self.options) != (version, options):
            raise other_state((self.version, self.options), (version, options))
        restore(arrays, self.arrays)


def other_state(there: tuple[int, str], here: tuple[int, str]) -> StateMismatch:
    """That a state is of another version or of other options than its maker, and which those are.

    >>> print(other_state((1, '{"max_levels": 10}'), (1, '{"max_levels": 20}')))
    the state was made with max_levels 10, here it is 20
    """
    hint = "Begin without a state, or give the options that it was made with"
    if there[0] != here[0]:
        return StateMismatch(f"the state is of version {there[0]}, this is version {here[0]}", hint=hint)
    was, now = (msgspec.json.decode(options) for _, options in (there, here))
    differ = [name for name in was | now if was.get(name) != now.get(name)]
    told = ", ".join(f"{name} {was.get(name)}, here it is {now.get(name)}" for name in differ)
    return StateMismatch(f"the state was made with {told}", hint=hint)


def saved(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, SavedArray]:
    """Arrays as a checkpoint keeps them.

    >>> restored(saved({"sums": np.array([1.5, 2.0])}))
    {'sums': array([1.5, 2. ])}
    """
    return {
        name: SavedArray(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())
        for name, array in arrays.items()
    }


def restore(arrays: Arrays, saved_arrays: Mapping[str, SavedArray]) -> None:
    """Let a new maker's arrays be those that were saved; a length that is 0 before the first row may be any.

    Raises: StateMismatch where one is missing or not what the kernels are made for: they would read beyond its end.
    """
    if arrays.keys() != saved_arrays.keys():
        differ = ", ".join(sorted(arrays.keys() ^ saved_arrays.keys()))
        raise StateMismatch(f"the state is damaged: {differ} missing or unknown", hint="Begin without a state")
    for name, array in saved_arrays.items():
        new = arrays[name]
        is_alike = array.dtype == new.dtype.str and len(array.shape) == new.ndim
        is_alike = is_alike and all(here in (0, there) for here, there in zip(new.shape, array.shape, strict=True))
        if not is_alike or len(array.data) != math.prod(array.shape) * new.itemsize:
            told = f"{name} is {array.dtype} {array.shape} of {len(array.data)} bytes"
            raise StateMismatch(f"the state is damaged: {told}", hint="Begin without a state")
    arrays.update(restored(saved_arrays))


def restored(saved_arrays: Mapping[str, SavedArray]) -> Arrays:
    """The arrays again, each with memory of its own."""
    return {
        name: np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape).copy()
        for name, array in saved_arrays.items()
    }
