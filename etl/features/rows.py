"""Rows on their way through the families: books as matrices, the trades between them, and columns as they are made."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Int64s: TypeAlias = npt.NDArray[np.int64]
Int8s: TypeAlias = npt.NDArray[np.int8]
Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowTrades:
    """The trades up to the last row, in the order of silver; each belongs to the first valid row at or after it."""

    t_ns: Int64s
    sign: Int8s  # the taker's: +1 buy, -1 sell, 0 unknown
    price: Floats
    amount: Floats
    bid_before: Floats  # best prices of the last valid book strictly before the trade; NaN: none
    ask_before: Floats
    row: Int64s  # place of its row among the valid rows of the same `Rows`
    is_dropped: Bools  # before the first row after a reset: no part of that row's flow, but of VPIN's volume


@dataclass(frozen=True)
class Rows:
    """Rows of one stream in order of time. Matrices are (rows, max_levels), best level first, NaN where there is none.

    A crossed book has no levels here, so that every feature of it is null. `is_valid`: two-sided and not crossed.
    """

    t_ns: Int64s  # of the row
    book_ns: Int64s  # of the last update that it shows
    known_ns: Int64s  # when the last input of it had arrived
    bid_price: Floats
    bid_size: Floats
    ask_price: Floats
    ask_size: Floats
    levels_bid: Int64s  # that the book had, at most max_levels; of a crossed book too
    levels_ask: Int64s
    is_valid: Bools
    is_reset: Bools
    is_locked: Bools
    is_crossed: Bools
    is_one_sided: Bools
    has_gap: Bools  # something is missing between this row and the one before: of the book or of the trades
    n_updates: Int64s  # valid updates of the book since the row before
    n_crossed: Int64s
    event_ofi: Floats  # (rows, ofi_levels): sum of each level's flow over those updates; NaN after a reset
    event_log_gofi: Floats  # the same of the first level, with ln(1 + size) for sizes
    has_trades: Bools  # a trade of the stream was seen at or before the row
    trades: RowTrades
    columns: dict[str, Floats] = field(default_factory=dict)  # features made so far

    def __len__(self) -> int:
        """How many rows."""
        return len(self.t_ns)

    def valid(self) -> "Rows":
        """The valid rows alone, with all columns made so far."""
        if self.is_valid.all():
            return self
        keep = self.is_valid
        arrays = {name: value[keep] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return Rows(**arrays, trades=self.trades, columns={name: values[keep] for name, values in self.columns.items()})
