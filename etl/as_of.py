"""The last row known at a moment: what every point-in-time frame is made of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Self, TypeAlias

import polars as pl

from etl.bars.threshold import Number, interval_us

AGE = "age"
AT = "_at"  # when a row was known
STREAM_COLUMNS = ("exchange", "symbol", "bar_set", "interval", "bar_duration_sec")  # whose a row is
_TOLD = "_told"  # the moment that a row tells of
_ASKED, _NUMBER = "_asked", "_number"
_EVENT_COLUMNS = ("timestamp", "available_at")  # before which a row was not known: of ticks and features, of bars

Unit: TypeAlias = Literal["us", "ns"]


class Rows(NamedTuple):
    """Rows, in no order, with the moment `AT` from which on each was known."""

    frame: pl.LazyFrame
    by: list[str]  # the columns that say whose a row is
    columns: list[str]  # those that are wanted
    unit: Unit  # of `AT`
    may_be_late: bool  # whether a row can be known after one that tells of a later moment

    def in_order(self) -> pl.LazyFrame:
        """By `AT`; of one moment the row that tells of the latest comes last, of those the one furthest down."""
        return self.frame.sort([AT, _TOLD] if self.may_be_late else [AT], maintain_order=True)

    def renamed(self, names: Mapping[str, str]) -> Self:
        """With other names for the columns that are wanted."""
        kept = [name for name in self.by if name not in names]
        own = (pl.col(old).alias(new) for old, new in names.items())
        frame = self.frame.select(*kept, *own, AT, _TOLD)
        return self._replace(frame=frame, columns=list(names.values()))


def known_rows(frame: pl.LazyFrame, clock: str, columns: Sequence[str] | None) -> Rows:
    """The rows of a frame and when each was known: at its `clock`, and never before its own time.

    Its own time is `timestamp`, of bars `available_at`. A row without a `clock` was never known, and is left out.

    Raises: ValueError: a column is missing, or is no time of UTC.
    """
    schema = frame.collect_schema()
    by = [name for name in STREAM_COLUMNS if name in schema]
    event = next((name for name in _EVENT_COLUMNS if name in schema), clock)
    told = "book_ts" if "book_ts" in schema else event  # a row of features stands at the end of its cell
    unit = unit_of(schema, clock, event, told)
    if columns is None:
        columns = [name for name in schema if name not in by and name != event]
    require(schema, *columns)
    at, moment = (pl.col(name).dt.cast_time_unit(unit) for name in (clock, told))
    rows = frame.filter(pl.col(clock).is_not_null()).select(
        *dict.fromkeys([*by, *columns]),
        pl.max_horizontal(at, pl.col(event).dt.cast_time_unit(unit)).alias(AT),
        pl.coalesce(moment, at).alias(_TOLD),
    )
    return Rows(rows, by, list(columns), unit, may_be_late=clock != told)


def as_of(
    left: pl.LazyFrame, on: str, rows: Rows, *, by: Sequence[str], max_staleness: Number | None = None
) -> pl.LazyFrame:
    """`left`, each of its rows with the last of `rows` known at its time `on` or before, and with `age`.

    `age` is the time from what the row tells of until `on`; null where none was known. Where it exceeds
    `max_staleness`, all columns but `age` are null. A row that came to be known late and tells of an earlier time than
    one known before is never taken: it would put the clock back.

    Args:
        left: in any order within equal `by`; its order and number of rows stay.
        on: a time of UTC among its columns.
        rows: none of their columns is in `left`.
        by: columns of both that say whose a row is; those of `rows` that are not named here are left out.
        max_staleness: seconds, or text such as "5s".
    """
    current = rows.in_order()
    if rows.may_be_late:
        newest = pl.col(_TOLD).cum_max()
        current = current.filter(pl.col(_TOLD) >= (newest.over(by) if by else newest))
    unit: Unit = unit_of(left.collect_schema(), on) if rows.unit == "us" else "ns"
    current = current.select(*by, *rows.columns, pl.col(AT, _TOLD).dt.cast_time_unit(unit))
    asked = left.with_row_index(_NUMBER).with_columns(pl.col(on).dt.cast_time_unit(unit).alias(_ASKED))
    joined = asked.sort(_ASKED, maintain_order=True).join_asof(
        current, left_on=_ASKED, right_on=AT, by=list(by) or None, check_sortedness=False
    )
    joined = joined.with_columns((pl.col(_ASKED) - pl.col(_TOLD)).alias(AGE))
    if max_staleness is not None:
        fresh = pl.col(AGE) <= pl.duration(microseconds=length_us(max_staleness, "max_staleness"))
        joined = joined.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in rows.columns)
    return joined.sort(_NUMBER).select(*left.collect_schema(), *rows.columns, AGE)


def length_us(length: Number, name: str) -> int:
    """The microseconds of a length of time, as `interval_us`. Raises: ValueError, by the name of the argument."""
    try:
        return interval_us(length)
    except ValueError as error:
        raise ValueError(str(error).replace("interval", name, 1)) from None


def require(schema: pl.Schema, *names: str) -> None:
    """Make sure that columns are there. Raises: ValueError."""
    for name in names:
        if name not in schema:
            raise ValueError(f"there is no column {name!r}; there are {', '.join(schema) or 'none'}")


def unit_of(schema: pl.Schema, *times: str) -> Unit:
    """The finest unit of these columns. Raises: ValueError: one is missing, or is no time of UTC."""
    require(schema, *times)
    for name in times:
        dtype = schema[name]
        if not isinstance(dtype, pl.Datetime):
            message = f"column {name!r} must hold datetimes of UTC, is {dtype}"
            raise ValueError(message)  # noqa: TRY004 - one kind of error for a bad argument
        if dtype.time_zone is None:
            raise ValueError(f"column {name!r} has no time zone: if it is UTC, say .dt.replace_time_zone('UTC')")
        if dtype.time_zone != "UTC":
            raise ValueError(f"column {name!r} is of {dtype.time_zone}: .dt.convert_time_zone('UTC') makes it UTC")
    return "ns" if any(getattr(schema[name], "time_unit", "us") == "ns" for name in times) else "us"


def reserved(names: Iterable[str], taken: Iterable[str]) -> None:
    """Make sure that no name is given twice. Raises: ValueError."""
    if twice := sorted(set(names) & set(taken)):
        raise ValueError(
            f"the result has a column {twice[0]!r} already: leave it out of `columns`, or rename it before"
        )
