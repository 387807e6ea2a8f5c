"""Arrays by name as bytes and back: the form in which everything that features remember is saved."""

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

    def arrays_for(self, *, version: int, options: str) -> Arrays:
        """The arrays again, for a maker of this version and these options.

        Raises: StateMismatch where they are others.
        """
        if (self.version, self.options) != (version, options):
            raise other_state((self.version, self.options), (version, options))
        return restored(self.arrays)


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


def restored(saved_arrays: Mapping[str, SavedArray]) -> Arrays:
    """The arrays again, each with memory of its own."""
    return {
        name: np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape).copy()
        for name, array in saved_arrays.items()
    }
