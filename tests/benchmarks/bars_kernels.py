"""The compiled part of a builder alone: floats in ready arrays to exact sums of bars."""

from typing import Any

import numpy as np

from etl.bars import new_bars
from etl.bars.kernels import accumulate
from etl.bars.steps import step_of
from etl.bars.trades import Trades


def exact_sums(trades: Trades, kind: str, params: dict[str, Any]) -> int:
    """How many bars these trades end; scales the floats, finds where bars end, adds up what they hold.

    The steps of `Bars.update` without the check of order, signs for want of a side, times, and columns of the result.
    """
    builder = new_bars(kind, **params)
    bar, progress, done, count = builder._bar, builder._progress, 0, 0
    while done < len(trades.ts):
        step = step_of(trades, first_row=done, stop_row=len(trades.ts), bar=bar)
        bar = bar.rescaled(step.price_scale, step.size_scale)
        cut = builder._cut(step, bar, progress)
        sums = np.zeros((len(bar.sums), len(cut.stops) + 1), dtype=np.int64)
        sums[:, 0] = bar.sums
        accumulate(step.price, step.size_hi, step.size_lo, step.sign, cut.stops, sums)
        if len(cut.stops):  # where the open bar began
            first_us = int(step.ts[min(cut.stops[-1], len(step.ts) - 1)])
            bar = bar._replace(times=[first_us, *bar.times[1:]])
        bar, progress = bar._replace(sums=sums[:, -1].tolist()), cut.progress
        done, count = done + len(step.ts), count + len(cut.stops)
    return count
