"""Sums over windows of time (t - h, t]: one accumulator for every rolling feature, exact to the last bits for ever.

Each sum is Neumaier-compensated and made anew from its window every 2**16 rows, so that it does not drift; products
keep both halves of their digits, so that a variance survives a mean a million times as large. Where rows are cut into
updates changes no bit: the kernel goes row by row, and everything it remembers is carried over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from etl.compiled import kernel
from etl.features.rows import Bools, Floats, Int64s
from etl.features.saved import Arrays
from etl.features.tails import Tail

REBUILT_EVERY = 1 << 16  # rows
LARGEST = 1e100  # of values: the square of a larger one could not be taken back from a sum


@dataclass(frozen=True)
class Windowed:
    """What windows hold after each row; the arrays are (rows,), (rows, horizons, columns) or as said."""

    sums: Floats  # of the columns, then of the products
    centred: Floats  # (rows, horizons, products): sum of (x - mean x) (y - mean y); 0 where one of them is constant
    counts: Int64s  # values that are not NaN
    reach_ns: Int64s  # time since the first row after the last reset

    def known(self, horizon: int, *, length_ns: int, partial: bool) -> Bools:
        """(rows,): whether a window is full, or may be used although it is not."""
        return self.reach_ns >= (0 if partial else length_ns)


class TimeSums:
    """Sums and counts of some columns over (t - h, t], for several horizons. NaN adds nothing and is not counted.

    Its memory is in `state`, under names that begin with `prefix`; put that dict into a family's `state`.

    Args:
        products: pairs of columns whose products are summed too; both must be NaN in the same rows.
    """

    def __init__(
        self,
        columns: int,
        horizons_s: Sequence[float],
        *,
        state: Arrays,
        prefix: str = "window",
        products: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.rebuilt_every = REBUILT_EVERY
        self.lengths_ns = np.array([round(h * 1e9) for h in horizons_s], dtype=np.int64)
        self._pairs = np.array(products, dtype=np.int64).reshape(-1, 2)
        self._state, self._prefix = state, prefix
        n, terms = len(self.lengths_ns), columns + len(products)
        self._t = Tail(state, f"{prefix}.t", np.empty(0, np.int64))
        self._x = Tail(state, f"{prefix}.x", np.empty((0, columns)))
        self._put(
            heads=np.zeros(n, np.int64),  # first row of each window, in `t`
            sums=np.zeros((n, terms)),
            rests=np.zeros((n, terms)),  # what compensation has kept aside
            counts=np.zeros((n, columns), np.int64),
            last=np.full(columns, np.nan),
            runs=np.zeros(columns, np.int64),  # values up to the last that are equal to it
            clock=np.zeros(2, np.int64),  # rows since sums were made anew, time of the first row after a reset
        )

    def update(self, t_ns: Int64s, is_reset: Bools, x: Floats) -> Windowed:
        """What the windows hold at each of these rows.

        Args:
            t_ns: (rows,), ascending.
            is_reset: (rows,), whether windows begin anew with the row.
            x: (rows, columns).
        """
        t, values = self._t.with_rows(t_ns), self._x.with_rows(x)
        n, horizons, products = len(t_ns), len(self.lengths_ns), len(self._pairs)
        out = Windowed(
            sums=np.empty((n, horizons, x.shape[1] + products)),
            centred=np.empty((n, horizons, products)),
            counts=np.empty((n, horizons, x.shape[1]), np.int64),
            reach_ns=np.empty(n, np.int64),
        )
        heads = self._get("heads")
        memory = tuple(self._get(name) for name in ("sums", "rests", "counts", "last", "runs", "clock"))
        _advance(
            (t, values, is_reset, len(t) - n),
            (self.lengths_ns, self._pairs, self.rebuilt_every),
            heads,
            memory,
            (out.sums, out.centred, out.counts, out.reach_ns),
        )
        keep = int(heads.min())
        heads -= keep
        self._t.drop(keep)
        self._x.drop(keep)
        return out

    def _get(self, name: str):  # type: ignore[no-untyped-def]
        return self._state[f"{self._prefix}.{name}"]

    def _put(self, **arrays) -> None:  # type: ignore[no-untyped-def]
        self._state.update({f"{self._prefix}.{name}": array for name, array in arrays.items()})


@kernel(allocates=False)
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


@kernel(allocates=False)
def multiplied(a, b):  # type: ignore[no-untyped-def]
    """The product as a float, and what that lacks of the exact one.

    Source: Dekker, A floating-point technique for extending the available precision, Numer. Math. 18 (1971).
    """
    high = a * b
    a_high = a * 134217729.0
    a_high -= a_high - a
    b_high = b * 134217729.0
    b_high -= b_high - b
    a_low, b_low = a - a_high, b - b_high
    return high, ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low


@kernel(allocates=False)
def _advance(given, rules, heads, memory, out):  # type: ignore[no-untyped-def]
    t, x, is_reset, first = given
    lengths, pairs, rebuilt_every = rules
    sums, rests, counts, last, runs, clock = memory
    out_sums, out_centred, out_counts, reach = out
    for i in range(first, len(t)):
        k = i - first
        if is_reset[k]:
            heads[:], clock[1] = i, t[i]
            sums[:], rests[:], counts[:], runs[:] = 0.0, 0.0, 0, 0
        clock[0] += 1
        for c in range(x.shape[1]):
            if x[i, c] == x[i, c]:
                runs[c] = runs[c] + 1 if x[i, c] == last[c] else 1
                last[c] = x[i, c]
        for h in range(len(lengths)):
            _count(memory, pairs, x, h, i, 1.0)
            while t[heads[h]] <= t[i] - lengths[h]:
                _count(memory, pairs, x, h, heads[h], -1.0)
                heads[h] += 1
            if clock[0] == rebuilt_every:
                sums[h], rests[h], counts[h] = 0.0, 0.0, 0
                for j in range(heads[h], i + 1):
                    _count(memory, pairs, x, h, j, 1.0)
            _tell(memory, pairs, h, out_sums, out_centred, k)
            for c in range(x.shape[1]):
                out_counts[k, h, c] = counts[h, c]
        if clock[0] == rebuilt_every:
            clock[0] = 0
        reach[k] = t[i] - clock[1]


@kernel(allocates=False)
def _count(memory, pairs, x, h, i, sign):  # type: ignore[no-untyped-def]
    """Let a row come into a window, or go from it."""
    sums, rests, counts = memory[:3]
    columns = x.shape[1]
    for c in range(columns):
        if x[i, c] == x[i, c]:
            sums[h, c], rests[h, c] = add(sums[h, c], rests[h, c], sign * x[i, c])
            counts[h, c] += int(sign)
    for p in range(len(pairs)):
        high, low = multiplied(x[i, pairs[p, 0]], x[i, pairs[p, 1]])
        if high == high:
            at = columns + p
            sums[h, at], rests[h, at] = add(sums[h, at], rests[h, at], sign * high)
            sums[h, at], rests[h, at] = add(sums[h, at], rests[h, at], sign * low)


@kernel(allocates=False)
def _tell(memory, pairs, h, out_sums, out_centred, k):  # type: ignore[no-untyped-def]
    """Write what a window holds; where all its values are equal no trace of those that left it stays."""
    sums, rests, counts, last, runs, _ = memory
    columns = len(last)
    for c in range(columns):
        if counts[h, c] <= runs[c]:
            sums[h, c], rests[h, c] = multiplied(float(counts[h, c]), last[c]) if counts[h, c] else (0.0, 0.0)
        out_sums[k, h, c] = sums[h, c] + rests[h, c]
    for p in range(len(pairs)):
        a, b, at = pairs[p, 0], pairs[p, 1], columns + p
        n, a_is_constant, b_is_constant = counts[h, a], counts[h, a] <= runs[a], counts[h, b] <= runs[b]
        if a_is_constant and b_is_constant:
            high, low = multiplied(last[a], last[b])
            sums[h, at], rests[h, at] = multiplied(float(n), high) if n else (0.0, 0.0)
            rests[h, at] += n * low if n else 0.0
        out_sums[k, h, at] = sums[h, at] + rests[h, at]
        if a_is_constant or b_is_constant:
            out_centred[k, h, p] = 0.0
            continue
        high, rest = add(sums[h, at], 0.0, rests[h, at])
        a_high, a_rest = add(sums[h, a], 0.0, rests[h, a])
        b_high, b_rest = add(sums[h, b], 0.0, rests[h, b])
        total, total_rest = multiplied(float(n), high)
        less, less_rest = multiplied(a_high, b_high)
        moment, moment_rest = add(total, total_rest + n * rest, -less)
        moment_rest -= less_rest + (a_high * b_rest + a_rest * b_high)
        out_centred[k, h, p] = (moment + moment_rest) / n
        if a == b and out_centred[k, h, p] < 0:
            out_centred[k, h, p] = 0.0
