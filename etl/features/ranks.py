"""Where a value stands among those of a window of time before it: mid-ranks."""

import numpy as np

from etl.compiled import kernel
from etl.features.rows import Floats, Int64s
from etl.features.saved import Arrays
from etl.features.tails import Tail


class TimeRanks:
    """The mid-rank of each value among those of (t - window, t] before it: (#less + #equal / 2) / n.

    The window is kept as its different values in order and how often each is there, so that a step costs as much as
    there are different values: spreads have few. Its memory is in `state`, under names that begin with `ranks.`.
    """

    def __init__(self, window_s: float, *, at_least: int, state: Arrays) -> None:
        self._window_ns, self._at_least, self._state = round(window_s * 1e9), at_least, state
        self._t, self._x = Tail(state, "ranks.t", np.empty(0, np.int64)), Tail(state, "ranks.x", np.empty(0))
        state["ranks.values"], state["ranks.counts"] = np.empty(0), np.empty(0, np.int64)

    def update(self, t_ns: Int64s, x: Floats) -> Floats:
        """The mid-rank of each value, NaN where fewer than `at_least` are before it. Times ascend; no x is NaN."""
        state = self._state
        t, own = self._t.with_rows(t_ns), self._x.with_rows(x)
        values = np.concatenate([state["ranks.values"], np.zeros(len(x))])
        counts = np.concatenate([state["ranks.counts"], np.zeros(len(x), np.int64)])
        out = np.full(len(x), np.nan)
        window = values, counts, len(state["ranks.values"])
        head, n = _rank(t, own, len(t) - len(x), window, self._window_ns, self._at_least, out)
        self._t.drop(head)
        self._x.drop(head)
        state["ranks.values"], state["ranks.counts"] = values[:n].copy(), counts[:n].copy()
        return out


@kernel()
def _rank(t, x, first, window, window_ns, at_least, out):  # type: ignore[no-untyped-def]
    values, counts, n = window
    head = 0
    for i in range(first, len(t)):
        while head < i and t[head] <= t[i] - window_ns:
            n = _remove(values, counts, n, x[head])
            head += 1
        place = np.searchsorted(values[:n], x[i])
        is_there = place < n and values[place] == x[i]
        if i - head >= at_least:
            less = counts[:place].sum()
            equal = counts[place] if is_there else 0
            out[i - first] = (less + equal / 2) / (i - head)
        if is_there:
            counts[place] += 1
            continue
        for j in range(n, place, -1):
            values[j], counts[j] = values[j - 1], counts[j - 1]
        values[place], counts[place] = x[i], 1
        n += 1
    return head, n


@kernel()
def _remove(values, counts, n, x):  # type: ignore[no-untyped-def]
    """How many different values are left without one that is there."""
    place = np.searchsorted(values[:n], x)
    counts[place] -= 1
    if counts[place]:
        return n
    for j in range(place, n - 1):
        values[j], counts[j] = values[j + 1], counts[j + 1]
    return n - 1
