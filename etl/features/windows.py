"""Sums over windows of time (t - h, t]: one accumulator for every rolling feature, exact to the last bits for ever.

Each sum is Neumaier-compensated and made anew from its window every 2**16 rows, so that it does not drift. Where rows
are cut into updates changes no bit: the kernel goes row by row, and everything it remembers is carried over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from etl.features.rows import Bools, Floats, Int64s
from etl.features.saved import Arrays

REBUILT_EVERY = 1 << 16  # rows


@dataclass(frozen=True)
class Windowed:
    """What windows hold after each row; the arrays are (rows, horizons) or (rows, horizons, columns)."""

    sums: Floats
    counts: Int64s  # values that are not NaN
    reach_ns: Int64s  # (rows,): time since the first row after the last reset

    def known(self, horizon: int, *, length_ns: int, partial: bool) -> Bools:
        """(rows,): whether a window is full, or may be used although it is not."""
        return self.reach_ns >= (0 if partial else length_ns)


class TimeSums:
    """Sums and counts of some columns over (t - h, t], for several horizons. NaN adds nothing and is not counted.

    Its memory is in `state`, under names that begin with `prefix`; put that dict into a family's `state`.
    """

    def __init__(self, columns: int, horizons_s: Sequence[float], *, state: Arrays, prefix: str = "window") -> None:
        self.rebuilt_every = REBUILT_EVERY
        self.lengths_ns = np.array([round(h * 1e9) for h in horizons_s], dtype=np.int64)
        self._state, self._prefix = state, prefix
        n = len(self.lengths_ns)
        self._put(
            t=np.empty(0, np.int64),
            x=np.empty((0, columns)),
            heads=np.zeros(n, np.int64),  # first row of each window, in `t`
            sums=np.zeros((n, columns)),
            rests=np.zeros((n, columns)),  # what compensation has kept aside
            counts=np.zeros((n, columns), np.int64),
            clock=np.zeros(2, np.int64),  # rows since sums were made anew, time of the first row after a reset
        )

    def update(self, t_ns: Int64s, is_reset: Bools, x: Floats) -> Windowed:
        """What the windows hold at each of these rows.

        Args:
            t_ns: (rows,), ascending.
            is_reset: (rows,), whether windows begin anew with the row.
            x: (rows, columns).
        """
        held = self._get("t")
        t, values = np.concatenate([held, t_ns]), np.concatenate([self._get("x"), x])
        n, horizons = len(t_ns), len(self.lengths_ns)
        out = Windowed(
            np.empty((n, horizons, x.shape[1])), np.empty((n, horizons, x.shape[1]), np.int64), np.empty(n, np.int64)
        )
        heads, sums, rests = self._get("heads"), self._get("sums"), self._get("rests")
        counts, clock = self._get("counts"), self._get("clock")
        memory = (heads, sums, rests, counts, clock)
        _advance(
            t,
            values,
            len(held),
            is_reset,
            self.lengths_ns,
            memory,
            out.sums,
            out.counts,
            out.reach_ns,
            self.rebuilt_every,
        )
        keep = int(heads.min())
        heads -= keep
        self._put(t=t[keep:].copy(), x=values[keep:].copy())
        return out

    def _get(self, name: str):  # type: ignore[no-untyped-def]
        return self._state[f"{self._prefix}.{name}"]

    def _put(self, **arrays) -> None:  # type: ignore[no-untyped-def]
        self._state.update({f"{self._prefix}.{name}": array for name, array in arrays.items()})


@njit(cache=True)
def add(total, rest, value):  # type: ignore[no-untyped-def]
    """A Neumaier sum and what it kept aside, after one more value; their sum is the sum.

    Source: Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, ZAMM 54 (1974).
    """
    after = total + value
    if abs(total) >= abs(value):
        rest += (total - after) + value
    else:
        rest += (value - after) + total
    return after, rest


@njit(cache=True)
def _advance(t, x, first, is_reset, lengths, memory, out, out_counts, reach, rebuilt_every):  # type: ignore[no-untyped-def]
    heads, sums, rests, counts, clock = memory
    columns = x.shape[1]
    for i in range(first, len(t)):
        k = i - first
        if is_reset[k]:
            heads[:], clock[1] = i, t[i]
            sums[:], rests[:], counts[:] = 0.0, 0.0, 0
        clock[0] += 1
        for h in range(len(lengths)):
            for c in range(columns):
                if x[i, c] == x[i, c]:
                    sums[h, c], rests[h, c] = add(sums[h, c], rests[h, c], x[i, c])
                    counts[h, c] += 1
            while t[heads[h]] <= t[i] - lengths[h]:
                for c in range(columns):
                    if x[heads[h], c] == x[heads[h], c]:
                        sums[h, c], rests[h, c] = add(sums[h, c], rests[h, c], -x[heads[h], c])
                        counts[h, c] -= 1
                heads[h] += 1
            if clock[0] == rebuilt_every:
                sums[h], rests[h] = 0.0, 0.0
                for j in range(heads[h], i + 1):
                    for c in range(columns):
                        if x[j, c] == x[j, c]:
                            sums[h, c], rests[h, c] = add(sums[h, c], rests[h, c], x[j, c])
            for c in range(columns):
                out[k, h, c] = sums[h, c] + rests[h, c] if counts[h, c] else 0.0
                out_counts[k, h, c] = counts[h, c]
        if clock[0] == rebuilt_every:
            clock[0] = 0
        reach[k] = t[i] - clock[1]
