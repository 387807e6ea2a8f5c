"""A batch in steps that the kernels can take whole: sums that fit, or Python ints."""

from typing import NamedTuple

import numpy as np

from etl.bars.kernels import SUM_LIMIT
from etl.bars.open_bar import OpenBar
from etl.bars.scaling import Ints, NumberRefused, Prices, Sizes, refuse_values, scaled_prices, scaled_sizes
from etl.bars.trades import Int64s, Trades

ROWS_PER_STEP = 1 << 17  # bounds the sums of one kernel call, and keeps its arrays near the processor


class Step(NamedTuple):
    """Some rows of a batch; the numbers are arrays, or lists of Python ints where one is too large for a kernel."""

    first_row: int
    price: Ints
    size_hi: Ints
    size_lo: Ints
    side: Ints
    ts: Int64s
    known: Int64s
    gap_rows: Int64s  # counted from the step's first row
    price_scale: int
    size_scale: int


def step_of(trades: Trades, *, first_row: int, bar: OpenBar) -> Step:
    """The step that begins at `first_row` and goes on from `bar`, at the bar's scales or larger ones.

    Raises: InputUnreadable for a price or an amount that is not a positive finite number.
    """
    rows = slice(first_row, min(first_row + ROWS_PER_STEP, len(trades.ts)))
    try:
        prices = scaled_prices(trades.price[rows], texts=_within(trades.price_texts, rows), scale=bar.price_scale)
        sizes = scaled_sizes(trades.amount[rows], texts=_within(trades.amount_texts, rows), scale=bar.size_scale)
        refuse_values(prices, sizes)
    except NumberRefused as refused:
        trades.refuse(first_row + refused.row, f"{refused.what} of {{where}} {refused.reason}")
    gaps = trades.gap_rows[(trades.gap_rows >= rows.start) & (trades.gap_rows < rows.stop)] - rows.start
    numbers: list[Ints] = [prices.values, sizes.hi, sizes.lo, trades.side[rows]]
    if not _fits(prices, sizes, bar.rescaled(prices.scale, sizes.scale)):
        numbers = [column if isinstance(column, list) else column.tolist() for column in numbers]
    price, hi, lo, side = numbers
    return Step(first_row, price, hi, lo, side, trades.ts[rows], trades.known[rows], gaps, prices.scale, sizes.scale)


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
