"""A batch in steps that the kernels can take whole: sums that fit, or Python ints."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from etl.bars.frame import Facts, Table
from etl.bars.kernels import (
    CARRIED_SIGN,
    GAP,
    KNOWN_US,
    REGRESSED,
    SUM_LIMIT,
    TICK_RULE,
    TOLD_US,
    accumulate,
    disorder,
    on,
    stamp,
)
from etl.bars.open_bar import OpenBar
from etl.bars.scaling import Ints, NumberRefused, Prices, Sizes, refuse_values, scaled_prices, scaled_sizes
from etl.bars.signs import BY_CARRY, BY_TICK, Int8s
from etl.bars.trades import Int64s, Trades

_MIN = -(2**63)
ROWS_PER_STEP = 1 << 17  # bounds the sums of one kernel call, and keeps its arrays near the processor


class Step(NamedTuple):
    """Some rows of a batch; the numbers are arrays, or lists of Python ints where one is too large for a kernel."""

    first_row: int
    price: Ints
    size_hi: Ints
    size_lo: Ints
    side: Int8s
    sign: Ints
    ts: Int64s
    known: Int64s
    gap_rows: Int64s  # counted from the step's first row
    price_scale: int
    size_scale: int

    @property
    def is_fast(self) -> bool:
        """Whether the numbers are arrays."""
        return not isinstance(self.price, list)

    def slow(self) -> "Step":
        """The same rows as lists of Python ints."""
        price, hi, lo, sign = (
            column if isinstance(column, list) else column.tolist()
            for column in (self.price, self.size_hi, self.size_lo, self.sign)
        )
        return self._replace(price=price, size_hi=hi, size_lo=lo, sign=sign)


class Cut(NamedTuple):
    """What a kind says of a step: where bars end, what it says of them, and what it remembers."""

    stops: Int64s  # the row after each bar's last trade
    facts: Facts
    progress: Any
    is_told: bool = False  # the row at each stop tells that the bar has ended, not the row before it
    is_skipped: bool = False  # the step's trades belong to no bar


def step_of(trades: Trades, *, first_row: int, stop_row: int, bar: OpenBar) -> Step:
    """The step that begins at `first_row` and ends before `stop_row`, at the bar's scales or larger ones.

    Its signs are the sides as yet. Raises: InputUnreadable for a price or an amount that is not a positive number.
    """
    rows = slice(first_row, min(first_row + ROWS_PER_STEP, stop_row))
    try:
        prices = scaled_prices(trades.price[rows], texts=_within(trades.price_texts, rows), scale=bar.price_scale)
        sizes = scaled_sizes(trades.amount[rows], texts=_within(trades.amount_texts, rows), scale=bar.size_scale)
        refuse_values(prices, sizes)
    except NumberRefused as refused:
        trades.refuse(first_row + refused.row, f"{refused.what} of {{where}} {refused.reason}")
    gaps = trades.gap_rows[(trades.gap_rows >= rows.start) & (trades.gap_rows < rows.stop)] - rows.start
    side = trades.side[rows]
    step = Step(
        first_row, prices.values, sizes.hi, sizes.lo, side, side, trades.ts[rows], trades.known[rows], gaps,
        prices.scale, sizes.scale,
    )  # fmt: skip
    return step if _fits(prices, sizes, bar.rescaled(prices.scale, sizes.scale)) else step.slow()


def accumulated(
    step: Step, bar: OpenBar, cut: Cut, *, source: Int8s | None, last_us: int, reach_back: bool
) -> tuple[Table, int]:
    """(a step's bars, the last one left open; how many of its trades are stamped before the trade before them)."""
    stops = cut.stops
    sums = np.zeros((len(bar.sums), len(stops) + 1), dtype=np.int64 if step.is_fast else object)
    times = np.zeros((len(bar.times), len(stops) + 1), dtype=np.int64)
    sums[:, 0], times[:, 0] = bar.sums, bar.times
    ts_falls, _, _ = disorder(step.ts, last_us)
    known_falls, _, _ = disorder(step.known, _MIN)
    stamp(step.ts, not ts_falls, step.known, not known_falls, step.first_row, bar.is_open, stops, times)
    with_gap, told_by = marked(step.gap_rows, stops, reach_back=reach_back)
    times[GAP, with_gap] = 1
    np.maximum.at(times[KNOWN_US], with_gap, step.known[told_by])
    if cut.is_told:
        times[TOLD_US, :-1] = step.ts[stops]
        times[KNOWN_US, :-1] = np.maximum(times[KNOWN_US, :-1], step.known[stops])
    if ts_falls:
        _tally(times, REGRESSED, step.ts < np.concatenate(([last_us], step.ts[:-1])), stops)
    if source is not None:
        _tally(times, TICK_RULE, source == BY_TICK, stops)
        _tally(times, CARRIED_SIGN, source == BY_CARRY, stops)
    add = on(step.price, accumulate)
    add(step.price, step.size_hi, step.size_lo, step.sign, stops if step.is_fast else stops.tolist(), sums)
    return Table(sums, times, step.price_scale, step.size_scale), ts_falls


def _tally(times: Int64s, cell: int, rows: npt.NDArray[np.bool_], stops: Int64s) -> None:
    """Count these rows in the bars that hold them."""
    np.add.at(times[cell], np.searchsorted(stops, np.flatnonzero(rows), side="right"), 1)


def _within(texts: dict[int, str], rows: slice) -> dict[int, str]:
    if not texts:
        return texts
    return {row - rows.start: texts[row] for row in range(rows.start, rows.stop) if row in texts}


def _fits(prices: Prices, sizes: Sizes, bar: OpenBar) -> bool:
    """Whether no sum of the step can reach the limit of the compiled kernels."""
    if isinstance(prices.values, list) or isinstance(sizes.hi, list):
        return False
    # Of volume; and no less than of the value's high limb, as prices are < 2^31. The other cells only have to fit.
    return max(bar.sums) + len(prices.values) * sizes.bound < SUM_LIMIT


def marked(gap_rows: Int64s, stops: Int64s, *, reach_back: bool) -> tuple[Int64s, Int64s]:
    """The numbers of the bars that a gap lies in (`reach_back`: or just behind), and the row that tells of it."""
    bars = np.searchsorted(stops, gap_rows, side="right")
    if not reach_back or not len(stops):
        return bars, gap_rows
    closes = (bars > 0) & (stops[bars - 1] == gap_rows)
    return np.concatenate((bars, (bars - 1)[closes])), np.concatenate((gap_rows, gap_rows[closes]))


def no_stops() -> Int64s:
    """No bar ends."""
    return np.empty(0, dtype=np.int64)
