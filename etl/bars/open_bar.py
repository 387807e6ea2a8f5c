"""The bar that has not ended yet, between two batches."""

from typing import NamedTuple

import numpy as np
import polars as pl

from etl.bars import kernels
from etl.bars.frame import Table
from etl.bars.state import SavedBar, State
from etl.bars.trades import Int64s

CARRIED = -1  # a row number: the trade lies in an earlier batch


class OpenBar(NamedTuple):
    """Sums as whole numbers at the scales given, times in us, and the ids of the first and the last trade."""

    sums: list[int]
    times: list[int]
    price_scale: int
    size_scale: int
    first_id: str = ""
    last_id: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it holds a trade."""
        return self.sums[kernels.COUNT] > 0

    def emptied(self) -> "OpenBar":
        """No trades, the same scales."""
        return empty_bar(self.price_scale, self.size_scale)

    def rescaled(self, price_scale: int, size_scale: int) -> "OpenBar":
        """The same numbers at scales that are not smaller."""
        if (price_scale, size_scale) == (self.price_scale, self.size_scale):
            return self
        sums = self.table().rescaled(price_scale, size_scale).sums[:, 0].tolist()
        return self._replace(sums=sums, price_scale=price_scale, size_scale=size_scale)

    def named(self, ids: pl.Series) -> "OpenBar":
        """The bar with the ids of the rows it holds, which from now on lie in an earlier batch."""
        if not self.is_open:
            return self.emptied()
        first, last = self.times[kernels.FIRST_ROW], self.times[kernels.LAST_ROW]
        return self._replace(
            times=[*self.times[: kernels.FIRST_ROW], CARRIED, CARRIED],
            first_id=self.first_id if first == CARRIED else str(ids[first]),
            last_id=self.last_id if last == CARRIED else str(ids[last]),
        )

    def table(self) -> Table:
        """The bar as a table of one."""
        return Table(
            sums=np.array([[number] for number in self.sums], dtype=object),
            times=np.array([[number] for number in self.times], dtype=np.int64),
            price_scale=self.price_scale,
            size_scale=self.size_scale,
        )

    def saved(self) -> SavedBar | None:
        """The form a checkpoint keeps."""
        if not self.is_open:
            return None
        return SavedBar(
            sums=dict(zip(kernels.SUM_CELLS, map(str, self.sums), strict=True)),
            times=dict(zip(kernels.TIME_CELLS, self.times, strict=True)),
            first_trade_id=self.first_id,
            last_trade_id=self.last_id,
        )


def empty_bar(price_scale: int, size_scale: int) -> OpenBar:
    """A bar without trades."""
    return OpenBar([0] * len(kernels.SUM_CELLS), [0] * len(kernels.TIME_CELLS), price_scale, size_scale)


def bar_of(state: State) -> OpenBar:
    """The open bar that a state was saved with."""
    saved = state.open_bar
    if saved is None:
        return empty_bar(state.price_scale, state.size_scale)
    return OpenBar(
        [int(saved.sums[cell]) for cell in kernels.SUM_CELLS],
        [saved.times[cell] for cell in kernels.TIME_CELLS],
        state.price_scale,
        state.size_scale,
        saved.first_trade_id,
        saved.last_trade_id,
    )


def ids_of(ids: pl.Series, times: Int64s, carried: OpenBar) -> tuple[pl.Series, pl.Series]:
    """The ids of the bars' first and last trades; those of the bar carried in may lie in an earlier batch."""
    both = []
    for cell, carried_id in ((kernels.FIRST_ROW, carried.first_id), (kernels.LAST_ROW, carried.last_id)):
        rows = times[cell]
        found = ids[np.maximum(rows, 0)].cast(pl.String)
        if rows[0] == CARRIED:
            found = pl.concat([pl.Series(found.name, [carried_id]), found[1:]])
        both.append(found)
    return both[0], both[1]
