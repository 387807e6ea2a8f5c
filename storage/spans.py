"""`Spans`: a set of whole numbers as ranges, so that a run of any length costs two numbers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]


class Spans:
    """Numbers as disjoint ranges in order; adding and asking cost the logarithm of the ranges, not of the numbers.

    >>> spans = Spans([(0, 10), (10, 20), (30, 40)])
    >>> list(spans), list(spans.holes()), len(spans)
    ([(0, 20), (30, 40)], [(20, 30)], 30)
    """

    __slots__ = ("_begins", "_ends")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []  # each one past the last
        for begin, end in ranges:
            self.add(begin, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges, each from its first number to one past its last."""
        return iter(zip(self._begins, self._ends, strict=True))

    def __len__(self) -> int:
        """How many numbers there are."""
        return sum(self._ends) - sum(self._begins)

    def add(self, begin: int, end: int) -> int:
        """Take the numbers from `begin` up to `end`, excluding it; how many of them were there already."""
        if begin >= end:
            return 0
        low = bisect_left(self._ends, begin)  # the first range that touches
        high = bisect_right(self._begins, end)  # the first that lies wholly behind
        known = sum(max(0, min(end, self._ends[at]) - max(begin, self._begins[at])) for at in range(low, high))
        if low < high:
            begin, end = min(begin, self._begins[low]), max(end, self._ends[high - 1])
        self._begins[low:high], self._ends[low:high] = [begin], [end]
        return known

    def add_all(self, numbers: Numbers) -> int:
        """Take numbers in any order; how many came again, or stand twice among them."""
        return sum(self.add(begin, end) for begin, end in runs(numbers)) + len(numbers) - len(np.unique(numbers))

    def holes(self) -> Iterator[tuple[int, int]]:
        """The ranges between the first number and the last that are not here."""
        return zip(self._ends[:-1], self._begins[1:], strict=True)

    def without(self, other: "Spans") -> "Spans":
        """The numbers that are here and not in `other`."""
        left = Spans()
        for begin, end in self:
            at = bisect_right(other._ends, begin)
            while at < len(other._begins) and other._begins[at] < end:
                left.add(begin, other._begins[at])
                begin = max(begin, other._ends[at])
                at += 1
            left.add(begin, end)
        return left


def runs(numbers: Numbers) -> Iterator[tuple[int, int]]:
    """The ranges that some numbers form, in order.

    >>> list(runs(np.array([3, 1, 2, 7])))
    [(1, 4), (7, 8)]
    """
    if not len(numbers):
        return
    ordered = np.unique(numbers)
    breaks = np.flatnonzero(np.diff(ordered) > 1)
    begins = ordered[np.concatenate(([0], breaks + 1))]
    ends = ordered[np.concatenate((breaks, [len(ordered) - 1]))] + 1
    yield from zip(begins.tolist(), ends.tolist(), strict=True)
