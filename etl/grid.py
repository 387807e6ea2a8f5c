"""The moments of point-in-time frames: at equal distances, from the first row to the last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Self, TypedDict

import polars as pl

from etl.as_of import AT, Rows, Unit
from etl.bars.calendar import Steps, calendar_of
from etl.bars.threshold import Number
from shared.filters import FilterSpec

TIME = "timestamp"

_FIRST, _LAST = "_first", "_last"
_PER_US: dict[Unit, int] = {"us": 1, "ns": 1000}


class GridOptions(TypedDict, total=False):
    """What all frames on a grid take."""

    clock: str  # the column that says when a row was known: "timestamp" (default), "known_at", "capture_ts"
    since: datetime | None  # the grid begins here, else with the first row
    until: datetime | None  # the grid ends before, else with the last row


@dataclass(frozen=True)
class Grid:
    """Moments at equal distances, and which rows are known at them."""

    step_us: int
    origin_us: int
    clock: str
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, interval: Number, options: GridOptions) -> Self:
        """The grid that is asked for. Raises: ValueError."""
        if unknown := sorted(set(options) - set(GridOptions.__annotations__)):
            raise ValueError(f"no option {unknown[0]!r}; there are {', '.join(GridOptions.__annotations__)}")
        calendar = calendar_of(interval)
        if not isinstance(calendar, Steps):
            message = f"interval must have one length, at most weeks, was {interval!r}"
            raise ValueError(message)  # noqa: TRY004 - one kind of error for a bad argument
        since, until = options.get("since"), options.get("until")
        FilterSpec(since=since, until=until)  # refuses times without a zone
        return cls(calendar.step_us, calendar.start_us(0), options.get("clock", TIME), since, until)

    def moments(self, bounds: pl.LazyFrame, by: Sequence[str], unit: Unit) -> pl.LazyFrame:
        """Column `timestamp`, behind those of `by`: from the first row to the last.

        The last moment lies at the last row or before it: of a later one not everything is known yet.
        """
        first, last = self._up(_number(pl.col(_FIRST), unit), unit), self._down(_number(pl.col(_LAST), unit), unit)
        if self.since is not None:
            first = self._up(_number(pl.lit(self.since), unit), unit)
        if self.until is not None:
            last = self._down(_number(pl.lit(self.until), unit) - 1, unit)
        step = self.step_us * _PER_US[unit]
        moments = bounds.select(*by, pl.int_ranges(first, last + step, step).alias(TIME)).explode(TIME)
        return moments.drop_nulls(TIME).with_columns(_moment(pl.col(TIME), unit))

    def cell(self, unit: Unit) -> pl.Expr:
        """The moment that ends the interval in which a row came to be known."""
        return _moment(self._up(_number(pl.col(AT), unit), unit), unit)

    def _up(self, number: pl.Expr, unit: Unit) -> pl.Expr:
        return self._down(number + (self.step_us * _PER_US[unit] - 1), unit)

    def _down(self, number: pl.Expr, unit: Unit) -> pl.Expr:
        step, origin = self.step_us * _PER_US[unit], self.origin_us * _PER_US[unit]
        return (number - origin) // step * step + origin


def bounds_of(rows: Rows) -> pl.LazyFrame:
    """When the first and the last row of each stream were known."""
    ends = (pl.col(AT).min().alias(_FIRST), pl.col(AT).max().alias(_LAST))
    return rows.frame.group_by(rows.by).agg(*ends).sort(rows.by) if rows.by else rows.frame.select(*ends)


def shared_bounds(assets: Mapping[str, Rows], unit: Unit) -> pl.LazyFrame:
    """Of all assets together. Raises, when collected: ValueError: one has rows of two streams."""

    def of_one_stream(bounds: pl.DataFrame, *, asset: str) -> pl.DataFrame:
        if len(bounds) > 1:
            streams = " and ".join(" ".join(map(str, row[:-2])) for row in bounds.rows()[:2])
            raise ValueError(f"the frame of {asset!r} has rows of {streams}: give one stream to each name")
        return bounds

    ends = pl.col(_FIRST, _LAST).dt.cast_time_unit(unit)
    checked = [bounds_of(rows).map_batches(partial(of_one_stream, asset=name)) for name, rows in assets.items()]
    return pl.concat(bounds.select(ends) for bounds in checked).select(pl.col(_FIRST).min(), pl.col(_LAST).max())


def _number(time: pl.Expr, unit: Unit) -> pl.Expr:
    return time.dt.timestamp(unit)


def _moment(number: pl.Expr, unit: Unit) -> pl.Expr:
    return number.cast(pl.Datetime(unit, "UTC"))
