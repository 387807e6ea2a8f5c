"""What bars over the rows of a book are computed by: sums while a bar is open, statistics of returns when it closes.

Kernels go row by row in one order of operations, so that how rows are cut into updates changes no bit.
"""

from typing import NamedTuple

import numpy as np

from etl.compiled import kernel
from etl.features.rows import Bools, Floats, Int64s
from etl.features.saved import Arrays
from etl.features.windows import add

COLUMNS = (
    "spread", "relative_spread", "imbalance_L1", "total_imbalance", "ofi", "mlofi", "tfi", "mid_price", "log_return",
)  # fmt: skip
WEIGHTED, SUMMED = 4, 7  # the first of these have time-weighted means too; the first of these are summed
MID, RETURN = 7, 8
START_NS, SEEN_NS, LAST_NS, KNOWN_NS, HAS_GAP, COUNT, RESETS, RETURNS = range(8)  # places in the clock
OPEN, HIGH, LOW, CLOSE, SPREAD_MIN, SPREAD_MAX, CLOSE_BEFORE = range(7)  # places in the prices
SQUARES, PRODUCTS, MEDIANS, LEAST, PLUS, MINUS, SIGNED, CUBES, QUADS = range(9)  # sums over the returns
OVERNIGHT, DRIFT, SATCHELL = range(3)  # columns of the days
NEVER = -(2**62)
HELD_NS_MAX = 300 * 10**9  # a value is in force no longer


class Memory(NamedTuple):
    """What is remembered, all changed in place, and what bars are told."""

    clock: Int64s
    prices: Floats
    held: Floats  # (WEIGHTED,): the values in force
    sums: Floats  # (SUMMED, 2): Neumaier sums
    counts: Int64s  # (SUMMED,): values that are not null
    weighted: Floats  # (WEIGHTED, 2): Neumaier sums of value x ns
    weights: Int64s  # (WEIGHTED,): ns
    returns: Floats  # of the open bar, with room for more
    days: Floats  # (bars, 3): what Yang and Zhang need of the last bars, oldest first
    length_ns: int
    lags: Int64s
    zhang_bars: Int64s


class Told(NamedTuple):
    """Rows of the book."""

    t_ns: Int64s
    known_ns: Int64s
    is_reset: Bools
    has_gap: Bools
    values: Floats  # (rows, COLUMNS), NaN where null


class Made(NamedTuple):
    """Room for closed bars."""

    facts: Int64s  # (5, bars): start, known, has_gap, rows, resets
    values: Floats  # (features, bars), NaN where null


def nothing_yet(days: int) -> Arrays:
    """The arrays of `Memory` before the first row."""
    clock = np.zeros(8, np.int64)
    clock[[START_NS, SEEN_NS, LAST_NS, KNOWN_NS]] = NEVER
    return {
        "clock": clock,
        "prices": np.full(7, np.nan),
        "held": np.full(WEIGHTED, np.nan),
        "sums": np.zeros((SUMMED, 2)),
        "counts": np.zeros(SUMMED, np.int64),
        "weighted": np.zeros((WEIGHTED, 2)),
        "weights": np.zeros(WEIGHTED, np.int64),
        "returns": np.empty(0),
        "days": np.full((days, 3), np.nan),
    }


def with_room(values: Floats, used: int, more: int) -> Floats:
    """The first `used` values with room for `more`; it doubles, so that rows one by one cost no more than together."""
    if used + more <= len(values):
        return values
    return np.concatenate([values[:used], np.zeros(max(used, more))])


def made_of(bars: int, features: int) -> Made:
    """Room for so many bars."""
    return Made(np.zeros((5, bars), np.int64), np.full((features, bars), np.nan))


@kernel()
def take(memory, told, made):  # type: ignore[no-untyped-def]
    """How many bars these rows close; they are in `made`."""
    clock, bars = memory.clock, 0
    for k in range(len(told.t_ns)):
        t_ns, values = told.t_ns[k], told.values[k]
        start_ns = t_ns // memory.length_ns * memory.length_ns
        clock[SEEN_NS] = t_ns
        if np.isnan(values[MID]):  # a gap before it is told by the next valid row too
            continue
        if start_ns != clock[START_NS]:
            bars = close(memory, made, bars)
            _open(memory, start_ns, values[MID])
        _hold(memory, t_ns)
        memory.held[:] = values[:WEIGHTED]
        clock[LAST_NS], clock[KNOWN_NS] = t_ns, max(clock[KNOWN_NS], told.known_ns[k])
        clock[HAS_GAP] |= told.has_gap[k]
        clock[COUNT] += 1
        clock[RESETS] += told.is_reset[k]
        _add(memory, values)
    return bars


@kernel()
def close(memory, made, bars):  # type: ignore[no-untyped-def]
    """How many bars there are in `made` with the one that was open, if one was."""
    clock, prices = memory.clock, memory.prices
    if clock[START_NS] == NEVER:
        return bars
    _hold(memory, clock[START_NS] + memory.length_ns)
    facts, values = made.facts[:, bars], made.values[:, bars]
    facts[0], facts[1], facts[2], facts[3], facts[4] = (
        clock[START_NS],
        clock[KNOWN_NS],
        clock[HAS_GAP],
        clock[COUNT],
        clock[RESETS],
    )
    values[:6] = prices[:6]
    for c in range(SUMMED):
        total = memory.sums[c, 0] + memory.sums[c, 1]
        if memory.counts[c] and c < WEIGHTED:
            values[6 + c] = total / memory.counts[c]
        elif memory.counts[c]:
            values[6 + WEIGHTED + c] = total
    for c in range(WEIGHTED):
        if memory.weights[c]:
            values[6 + WEIGHTED + c] = (memory.weighted[c, 0] + memory.weighted[c, 1]) / memory.weights[c]
    first = 6 + WEIGHTED + SUMMED
    _variation(memory.returns[: clock[RETURNS]], memory.length_ns / 1e9, memory.lags, values[first:])
    first += 13 + len(memory.lags)
    _ranges(prices, clock[COUNT], memory.days, memory.zhang_bars, values[first:])
    prices[CLOSE_BEFORE], clock[START_NS] = prices[CLOSE], NEVER
    return bars + 1


@kernel()
def _open(memory, start_ns, mid):  # type: ignore[no-untyped-def]
    clock = memory.clock
    clock[START_NS] = start_ns
    clock[HAS_GAP], clock[COUNT], clock[RESETS], clock[RETURNS] = 0, 0, 0, 0
    memory.prices[:CLOSE_BEFORE] = np.nan
    memory.prices[OPEN] = mid
    memory.sums[:], memory.weighted[:] = 0.0, 0.0
    memory.counts[:], memory.weights[:] = 0, 0


@kernel()
def _hold(memory, until_ns):  # type: ignore[no-untyped-def]
    """Count the time within the open bar in which the values of the last row are in force."""
    last_ns = memory.clock[LAST_NS]
    weight = min(until_ns, last_ns + HELD_NS_MAX) - max(last_ns, memory.clock[START_NS])
    if weight <= 0:
        return
    for c in range(WEIGHTED):
        if memory.held[c] == memory.held[c]:
            _plus(memory.weighted, c, memory.held[c] * weight)
            memory.weights[c] += weight


@kernel()
def _add(memory, values):  # type: ignore[no-untyped-def]
    prices, mid, spread = memory.prices, values[MID], values[0]
    prices[HIGH], prices[LOW], prices[CLOSE] = np.fmax(prices[HIGH], mid), np.fmin(prices[LOW], mid), mid
    prices[SPREAD_MIN] = np.fmin(prices[SPREAD_MIN], spread)
    prices[SPREAD_MAX] = np.fmax(prices[SPREAD_MAX], spread)
    for c in range(SUMMED):
        if values[c] == values[c]:
            _plus(memory.sums, c, values[c])
            memory.counts[c] += 1
    if values[RETURN] == values[RETURN]:
        memory.returns[memory.clock[RETURNS]] = values[RETURN]
        memory.clock[RETURNS] += 1


@kernel()
def _variation(r, length_s, lags, out):  # type: ignore[no-untyped-def]
    """Fill the 13 features of returns and, after the second, a variance ratio per lag, in the order declared."""
    n = len(r)
    if n == 0:
        return
    powers = np.zeros((9, 2))
    zeros = 0
    for i in range(n):
        size = abs(r[i])
        _plus(powers, SQUARES, size * size)
        _plus(powers, PLUS if r[i] > 0 else MINUS, size * size)
        _plus(powers, SIGNED, r[i] * size)
        _plus(powers, CUBES, r[i] ** 3)
        _plus(powers, QUADS, r[i] ** 4)
        zeros += r[i] == 0
        if i >= 1:
            before = abs(r[i - 1])
            _plus(powers, PRODUCTS, before * size)
            _plus(powers, LEAST, min(before, size) ** 2)
        if i >= 2:
            first = abs(r[i - 2])
            middle = max(min(first, before), min(max(first, before), size))
            _plus(powers, MEDIANS, middle**2)
    sums = powers[:, 0] + powers[:, 1]
    rv = sums[SQUARES]
    out[0], out[1] = rv, np.sqrt(rv * (86400 / length_s) * 365)
    for j in range(len(lags)):
        out[2 + j] = _variance_ratio(r, lags[j])
    rest = out[2 + len(lags) :]
    if n >= 2:
        rest[0] = np.pi / 2 * n / (n - 1) * sums[PRODUCTS]
        rest[1] = max(0.0, 1 - rest[0] / rv) if rv else np.nan
        rest[4] = np.pi / (np.pi - 2) * n / (n - 1) * sums[LEAST]
    rest[2] = zeros / n
    if n >= 3:
        rest[3] = np.pi / (6 - 4 * np.sqrt(3) + np.pi) * n / (n - 2) * sums[MEDIANS]
    rest[5], rest[6], rest[7] = sums[PLUS], sums[MINUS], sums[SIGNED]
    if rv:
        rest[8], rest[9] = np.sqrt(n) * sums[CUBES] / rv**1.5, n * sums[QUADS] / rv**2
    rest[10] = n / 3 * sums[QUADS]


@kernel()
def _plus(sums, at, value):  # type: ignore[no-untyped-def]
    sums[at, 0], sums[at, 1] = add(sums[at, 0], sums[at, 1], value)


@kernel()
def _variance_ratio(r, q):  # type: ignore[no-untyped-def]
    """NaN without more than q returns, and where they do not vary."""
    n = len(r)
    if n <= q or (r == r[0]).all():
        return np.nan
    centre = r.sum() / n
    variance = ((r - centre) ** 2).sum() / n
    long = 0.0
    for i in range(n - q + 1):
        long += (r[i : i + q].sum() - q * centre) ** 2
    return long / (n - q + 1) / (q * variance)


@kernel()
def _ranges(prices, rows, days, zhang_bars, out):  # type: ignore[no-untyped-def]
    """Fill the estimators from the range of the mid price, and add the bar to the `days`."""
    first, last = prices[OPEN], prices[CLOSE]
    up, down, drift = np.log(prices[HIGH] / first), np.log(prices[LOW] / first), np.log(last / first)
    if rows >= 2:
        span = np.log(prices[HIGH] / prices[LOW])
        out[0] = span**2 / (4 * np.log(2))
        out[1] = span**2 / 2 - (2 * np.log(2) - 1) * drift**2
        out[2] = up * (up - drift) + down * (down - drift)
    for i in range(1, len(days)):
        days[i - 1] = days[i]
    if len(days):
        days[-1, OVERNIGHT], days[-1, DRIFT] = np.log(first / prices[CLOSE_BEFORE]), drift
        days[-1, SATCHELL] = out[2]
    for j in range(len(zhang_bars)):
        n = zhang_bars[j]
        bars, k = days[-n:], 0.34 / (1.34 + (n + 1) / (n - 1))
        satchell = bars[:, SATCHELL].sum() / n
        out[3 + j] = _variance(bars[:, OVERNIGHT]) + k * _variance(bars[:, DRIFT]) + (1 - k) * satchell


@kernel()
def _variance(x):  # type: ignore[no-untyped-def]
    centre = x.sum() / len(x)
    return ((x - centre) ** 2).sum() / (len(x) - 1)
