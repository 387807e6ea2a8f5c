"""Bronze once more, in the order of trades: what a rebuild reads, by slices of a bounded size.

Late rows come to their place whatever journal they arrived in. Each slice holds, in order of arrival, all rows whose
order lies between two values; only they are in memory, and the one journal that is being read.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.core.bronze import read_journal, require
from shared.partitioning import Lake
from storage.published import Published

_SAMPLES = 16  # per slice and journal: how finely slices are measured


@dataclass(frozen=True)
class Slice:
    """Bronze rows that stand next to each other in the order of trades."""

    rows: pl.DataFrame
    before: int | None  # order with which the next slice begins


@dataclass(frozen=True)
class _Span:
    """Which values of the order a journal holds, and the holes that had ended when it began."""

    journal: list[Published]
    low: int
    high: int
    holes_before: int


class Replay:
    """The trades of some journals, to be read in the order of `order`."""

    def __init__(
        self, lake: Lake, journals: list[list[Published]], *, order: str, holes_before: int, filled: Collection[str]
    ) -> None:
        require(lake, (entry for journal in journals for entry in journal))
        self._lake, self._journals, self._order = lake, journals, order
        self._holes_before, self._filled = holes_before, filled

    def slices(self, columns: tuple[str, ...], *, rows_max: int) -> Iterator[Slice]:
        """The rows by slices of about `rows_max`, lowest first. Rows without an order are in the first."""
        spans, cuts = self._measure(rows_max)
        for low, high in zip([None, *cuts], [*cuts, None], strict=True):
            parts = [
                self._read(span, columns, low, high)
                for span in spans
                if low is None or (span.high >= low and (high is None or span.low < high))
            ]
            parts = [rows for rows in parts if rows.height]
            if parts:
                yield Slice(pl.concat(parts), high)

    def _read(self, span: _Span, columns: tuple[str, ...], low: int | None, high: int | None) -> pl.DataFrame:
        rows = read_journal(self._lake, span.journal, columns, filled=self._filled)
        counted = rows.with_columns(holes_seen=span.holes_before + pl.col("after_gap").cum_sum().cast(pl.Int64))
        place = pl.col(self._order).to_physical()
        wanted = pl.lit(value=True) if high is None else place < high
        wanted &= place >= low if low is not None else pl.lit(value=True)
        if low is None:
            wanted |= place.is_null()
        return counted.filter(wanted).drop("after_gap")

    def _measure(self, rows_max: int) -> tuple[list[_Span], list[int]]:
        """What each journal holds, and where slices are cut so that each has about `rows_max` rows."""
        spans: list[_Span] = []
        places: list[npt.NDArray[np.int64]] = []
        weights: list[npt.NDArray[np.int64]] = []
        holes, step = self._holes_before, max(1, rows_max // _SAMPLES)
        for journal in self._journals:
            rows = read_journal(self._lake, journal, tuple({"capture_ts", "seq", self._order}), filled=self._filled)
            if not rows.height:
                continue
            order = rows[self._order].to_physical().drop_nulls().sort().to_numpy()
            low, high = (int(order[0]), int(order[-1])) if len(order) else (-(2**63), -(2**63))
            spans.append(_Span(journal, low, high, holes))
            holes += int(rows["after_gap"].sum())
            places.append(order[::step])
            weights.append(np.diff(np.append(np.arange(0, len(order), step), len(order))))
        return spans, _cuts(places, weights, rows_max)


def _cuts(places: list[npt.NDArray[np.int64]], weights: list[npt.NDArray[np.int64]], rows_max: int) -> list[int]:
    """Values that part weighted ones into portions of at most `rows_max`, as near as equal values allow."""
    if not places:
        return []
    where = np.concatenate(places)
    by_place = np.argsort(where, kind="stable")
    cuts: list[int] = []
    rows = 0
    for place, weight in zip(where[by_place].tolist(), np.concatenate(weights)[by_place].tolist(), strict=True):
        if rows and rows + weight > rows_max and (not cuts or place > cuts[-1]):
            cuts.append(place)
            rows = 0
        rows += weight
    return cuts
