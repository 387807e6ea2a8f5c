"""Bars that end when one side has traded several times in a row. Not run bars: those count a side's ticks in all."""

from typing import ClassVar, Unpack

import numpy as np
import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from etl.bars import state as states
from etl.bars.builder import Bars, BuilderOptions
from etl.bars.frame import Facts
from etl.bars.kernels import on
from etl.bars.open_bar import OpenBar
from etl.bars.steps import Cut, Step
from etl.bars.threshold import Number, plain, positive
from etl.bars.ticks import Pending, TickUnit, checked_unit, ticks_of
from etl.compiled import kernel


class Streak(Struct, frozen=True, kw_only=True):
    """The ticks of one sign at the end of the open bar."""

    sign: int = 0
    ticks: int = 0
    pending: Pending | None = None


class StreakState(states.State, frozen=True, kw_only=True):
    """And the streak of the open bar."""

    progress: Streak = Streak()


class StreakBars(Bars):
    """Bars that end at the `threshold`-th tick in a row of one sign; a bar holds all trades since the one before it.

    A streak begins anew with each bar. A tick without a sign ends a streak.

    Args:
        threshold: ticks in a row.
        tick_unit: "print", or "order": all prints in a row of one moment and sign are one tick.
        options: see `etl.bars.builder.BuilderOptions`.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(5)]
    >>> trades = pl.DataFrame({"trade_id": list("abcde"), "timestamp": times, "price": 10.0, "amount": 2.0})
    >>> StreakBars(threshold=2).update(trades.with_columns(side=pl.Series(["buy", "sell", "sell", "buy", "buy"])))[
    ...     "tick_count"].to_list()
    [3, 2]
    """

    kind: ClassVar[str] = "streak"
    State: ClassVar[type[states.State]] = StreakState

    def __init__(self, *, threshold: Number, tick_unit: TickUnit = "print", **options: Unpack[BuilderOptions]) -> None:
        number = positive(threshold, "threshold")
        if number != int(number):
            raise ValueError(f"threshold of streak bars must be a whole number of ticks, was {threshold!r}")
        self._ticks, self._unit = int(number), checked_unit(tick_unit)
        own = {} if tick_unit == "print" else {"tick_unit": tick_unit}
        super().__init__({"threshold": plain(number), **own}, **options)

    def _cut(self, step: Step, bar: OpenBar, progress: Streak) -> Cut:
        ticks, pending = ticks_of(step, "tick", unit=self._unit, pending=progress.pending)
        ends = np.empty(len(ticks.x), dtype=np.int64)
        streak = on(ticks.sign, streak_ends)
        count, sign, length = streak(ticks.sign, progress.sign, progress.ticks, self._ticks, ends)
        facts: Facts = {
            "close_reason": pl.Series(["threshold"]).new_from_index(0, count),
            "threshold": np.full(count, float(self._ticks)),
        }
        after = Streak(sign=int(sign), ticks=int(length), pending=pending)
        return Cut(ticks.rows(ends[:count]), facts, after, is_told=ticks.stops is not None)

    def _open_facts(self, progress: Streak, bar: OpenBar) -> Facts:
        return {"threshold": np.array([float(self._ticks)])}

    def _interrupted(self, progress: Streak, bar: OpenBar) -> Streak:
        return replace(progress, sign=0, ticks=0, pending=None)


@kernel()
def streak_ends(sign, last, length, threshold, ends):  # type: ignore[no-untyped-def]
    """(how many bars end, the sign and the length of the streak after the last tick); fills `ends`."""
    count = 0
    for i in range(len(sign)):
        length = (length + 1 if sign[i] == last else 1) if sign[i] != 0 else 0
        last = sign[i]
        if length >= threshold:
            ends[count] = i + 1
            count += 1
            length, last = 0, 0
    return count, last, length
