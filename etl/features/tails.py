"""The last rows of a stream in an array that grows at its end and goes at its start, at a cost that does not grow."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from etl.features.saved import Arrays

Array: TypeAlias = npt.NDArray[Any]
_SPARE = 64  # rows


class Tail:
    """An array of `state` that rows are added to: each is written once or twice, however many are kept.

    What stands in `state` is a view of the rows that are kept; the room behind it is no part of what is saved.
    """

    def __init__(self, state: Arrays, name: str, empty: Array) -> None:
        self._state, self._name = state, name
        self._room = self._view = state[name] = empty
        self._stop = 0

    def with_rows(self, new: Array) -> Array:
        """The rows that are kept, and these."""
        held, n = self._state[self._name], len(new)
        if held is not self._view or self._stop + n > len(self._room):
            self._room = np.empty((2 * len(held) + n + _SPARE, *held.shape[1:]), held.dtype)
            self._room[: len(held)] = held
            self._stop = len(held)
        self._room[self._stop : self._stop + n] = new
        self._stop += n
        self._keep(self._room[self._stop - n - len(held) : self._stop])
        return self._view

    def drop(self, rows: int) -> None:
        """Let go of the first rows; where most of the room is empty it is let go too."""
        held = self._view[rows:]
        if len(self._room) > 8 * (len(held) + _SPARE):
            self._room = held = held.copy()
            self._stop = len(held)
        self._keep(held)

    def _keep(self, view: Array) -> None:
        self._view = self._state[self._name] = view
