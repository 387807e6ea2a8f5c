"""A tape through a builder of bars."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeAlias

import polars as pl

from etl.bars import Bars
from etl.tapes.files import Portion
from shared.errors import InputUnreadable

Ending: TypeAlias = Literal["drop", "keep", "flush"]  # what becomes of the bar that is open at the end


class Built(NamedTuple):
    """What came of a tape."""

    trades: int  # in bars, those of the open bar included
    bars: int
    duplicates: int
    late: int
    skipped: int  # in no bar: no threshold was known yet, or their bucket was left out
    open_trades: int  # in the bar that was open at the end


def build(
    portions: Iterable[Portion],
    bars: Bars,
    put: Callable[[pl.DataFrame], None],
    *,
    ending: Ending = "drop",
    watch: Callable[[float, int], None] = lambda share, trades: None,
) -> Built:
    """Give a tape to a builder and its bars to `put`; `watch` is told the share of the tape and the trades so far.

    Raises: InputUnreadable with the place of the trades that the builder refuses.
    """
    count = 0

    def give(closed: pl.DataFrame) -> int:
        if len(closed):
            put(closed)
        return len(closed)

    for portion in portions:
        try:
            count += give(bars.update(portion.trades))
        except InputUnreadable as error:
            place = f"{portion.place}: " if portion.place else ""
            raise InputUnreadable(f"{place}{error}", hint=error.hint) from error
        watch(portion.share, bars.counters.n_trades)
    last = bars.peek()
    if ending != "drop":
        count += give(bars.flush() if ending == "flush" else last)
    counters = bars.counters
    open_trades = int(last["tick_count"].sum())
    return Built(counters.n_trades, count, counters.n_dup, counters.n_late, counters.n_skipped, open_trades)
