"""What a caller gives, as a Polars frame of the columns that bars are built from; and what is said of a bad row.

Every check looks at whole columns; the row is searched once a check has failed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from etl.bars.columns import are_equal
from etl.bars.schema import TRADE_COLUMNS
from shared.errors import InputUnreadable

Given: TypeAlias = Any  # a frame of Polars, or anything with Arrow's stream interface: pandas, pyarrow

ROW = "row_given"  # numbers the rows of a frame that was sorted or filtered since it was given
_LIKELY = {  # what others call them
    "timestamp": (
        "ts", "time", "datetime", "date", "date_time", "event_time", "trade_time", "transact_time", "unix", "t",
    ),
    "price": ("px", "rate", "trade_price", "last_price", "p"),
    "amount": ("size", "qty", "quantity", "volume", "vol", "base_volume", "base_qty", "last_size", "sz", "q", "v"),
}  # fmt: skip
_DIGITS_SURE = 15  # a decimal of so many digits is the shortest text of the float nearest to it
_WHOLE_MAX = 2**53  # below it a float64 is every whole number
_MS_MAX = 253_402_300_800_000  # the year 10000


def _is_whole(dtype: pl.DataType) -> bool:
    return dtype.is_integer()


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _is_id(dtype: pl.DataType) -> bool:
    return _is_text(dtype) or dtype.is_integer()


def _is_exact(dtype: pl.DataType) -> bool:
    return dtype in (pl.Float64, pl.String, pl.Decimal) or dtype.is_integer()


def _is_moment(dtype: pl.DataType) -> bool:
    return dtype == pl.Datetime


def _is_flag(dtype: pl.DataType) -> bool:
    return dtype == pl.Boolean


_EXPECTED: dict[str, tuple[Callable[[pl.DataType], bool], str]] = {
    "trade_id": (_is_id, "text or whole numbers"),
    "trade_seq": (_is_whole, "whole numbers"),
    "timestamp": (_is_moment, "a datetime"),
    "known_at": (_is_moment, "a datetime"),
    "side": (_is_text, "text"),
    "price": (_is_exact, "float64, decimal, whole numbers or text"),
    "amount": (_is_exact, "float64, decimal, whole numbers or text"),
    "price_text": (_is_text, "text"),
    "amount_text": (_is_text, "text"),
    "epoch": (_is_text, "text"),
    "seq": (_is_whole, "whole numbers"),
    "gap_before": (_is_flag, "true or false"),
    "exchange": (_is_text, "text"),
    "symbol": (_is_text, "text"),
    ROW: (_is_whole, "whole numbers"),
}
_NEVER_NULL = ("trade_id", "timestamp", "price", "amount", "seq")


def frame_of_trades(trades: Given) -> pl.DataFrame:
    """The trades with the columns that bars are built from, those that are there and hold something; or no column.

    Times are then in us of UTC, prices and amounts float64; where one is not the float's shortest text, the exact
    number stands in `price_text` or `amount_text`.

    Raises: InputUnreadable for a missing column, a wrong type, a null where a value must be, or a text that is no
    number; TypeError for what is no frame.
    """
    frame = _polars(trades)
    if frame.is_empty():
        return pl.DataFrame()
    _refuse_missing(frame)
    given = pl.DataFrame([frame[name].rechunk() for name in _EXPECTED if name in frame.columns])
    for name in _NEVER_NULL:
        if name in given.columns and given[name].null_count():
            row = int(given[name].is_null().arg_max() or 0)
            refuse(given, row, f"column {name!r} of trades holds nulls, the first in {{where}}", hint="Drop such rows")
    columns = {name: given[name] for name in given.columns if given[name].dtype != pl.Null}
    for column in columns.values():
        _refuse_type(column)
    for name in ("timestamp", "known_at"):
        if name in columns:
            columns[name] = _moments(columns[name], given)
    for name in ("price", "amount"):
        columns |= _exact(columns[name], columns.get(f"{name}_text"), given)
    return pl.DataFrame(columns)


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame of `frame_of_trades` by `trade_seq` if every trade has one, else by time, arrival and row.

    >>> in_order(pl.DataFrame({"trade_seq": [7, 5]}))["row_given"].to_list()
    [1, 0]
    """
    has_seq = "trade_seq" in frame.columns and not frame["trade_seq"].null_count()
    keys = ["trade_seq"] if has_seq else [name for name in ("timestamp", "epoch", "seq") if name in frame.columns]
    if not keys or (len(keys) == 1 and frame[keys[0]].is_sorted()):
        return frame
    return frame.with_row_index(ROW).sort(keys, maintain_order=True)


def stream_of(frame: pl.DataFrame, before: Mapping[str, str]) -> dict[str, str]:
    """The one `exchange` and `symbol` of the trades, where they say, and of those before them.

    Raises: InputUnreadable for trades of another one.
    """
    stream = dict(before)
    for name in ("exchange", "symbol"):
        if name not in frame.columns:
            continue
        column = frame[name].cast(pl.String)
        expected = stream.setdefault(name, column[0])
        if column[0] != expected or not _is_constant(column):
            row = int(column.ne_missing(expected).arg_max() or 0)
            what = f"{name} of {{where}} is {column[row]!r}, but of the trades before it {expected!r}"
            refuse(frame, row, what, hint=f"Bars are of one stream: build those of each {name} apart")
    return stream


def _is_constant(column: pl.Series) -> bool:
    if column.null_count():
        return False
    return bool(are_equal(views_of(column))) or bool((column == column[0]).all())


def views_of(column: pl.Series) -> npt.NDArray[np.int64]:
    """The string views of a column of texts without nulls, two words each."""
    views = column.to_arrow(compat_level=pl.CompatLevel.newest())
    return np.frombuffer(views.buffers()[1], dtype=np.int64).reshape(-1, 2)[views.offset :][: len(column)]


def refuse(frame: pl.DataFrame, row: int, message: str, *, hint: str) -> NoReturn:
    """Raise the error that says `message`, in which {where} stands for the row.

    Raises: InputUnreadable.
    """
    raise InputUnreadable(message.replace("{where}", where(frame, row)), hint=hint)


def where(frame: pl.DataFrame, row: int) -> str:
    """The row as it was given, counted from 0, and the trade's id.

    >>> where(pl.DataFrame({"trade_id": ["a", "b"]}), 1)
    "row 1 (trade_id 'b')"
    """
    number = int(frame[ROW][row]) if ROW in frame.columns else row
    return f"row {number} (trade_id {frame['trade_id'][row]!r})" if "trade_id" in frame.columns else f"row {number}"


def likely(name: str, columns: Sequence[str]) -> str | None:
    """The column that likely holds what we call `name`, by what others call it.

    >>> likely("amount", ["Time", "Px", "Qty"])
    'Qty'
    """
    return next((column for word in (name, *_LIKELY[name]) for column in columns if column.lower() == word), None)


def _polars(trades: Given) -> pl.DataFrame:
    if isinstance(trades, pl.DataFrame):
        return trades
    if isinstance(trades, pl.LazyFrame):
        return trades.collect()
    name = f"{type(trades).__module__.partition('.')[0]}.{type(trades).__qualname__}"
    if not hasattr(trades, "__arrow_c_stream__"):
        raise TypeError(f"trades must be a frame of Polars or pandas (from 2.2 on) or a table of pyarrow, were {name}")
    try:
        # Not by `pl.DataFrame(trades)`, which leaves out the index of a pandas frame: it is often the time.
        return pl.DataFrame(pa.RecordBatchReader.from_stream(trades).read_all())
    except (ValueError, TypeError, pl.exceptions.PolarsError) as refused:
        what = "; ".join(map(str, refused.args))
        raise InputUnreadable(f"{name} of trades: {what}", hint="Give each column one name and one type") from None


def _refuse_missing(frame: pl.DataFrame) -> None:
    for name in TRADE_COLUMNS:
        if name in frame.columns:
            continue
        like = likely(name, frame.columns)
        there = f"there are {', '.join(map(repr, frame.columns))}" if frame.columns else "there are none"
        there = there if like is None else f"column {like!r} looks like it: rename it"
        raise InputUnreadable(f"trades have no column {name!r}; {there}", hint=f"They need {', '.join(TRADE_COLUMNS)}")


def _refuse_type(column: pl.Series) -> None:
    is_right, expected = _EXPECTED[column.name]
    if is_right(column.dtype):
        return
    hint = "Cast it"
    if column.dtype == pl.Float32 and column.name in ("price", "amount"):
        hint = "A float32 keeps 7 digits: read the numbers again as float64, decimal or text"
    if column.name in ("timestamp", "known_at"):
        hint = 'Cast it, e.g. pl.from_epoch("timestamp", time_unit="ms")'
    raise InputUnreadable(f"column {column.name!r} of trades is {column.dtype}, not {expected}", hint=hint)


def _moments(column: pl.Series, given: pl.DataFrame) -> pl.Series:
    """The times in us of UTC; what is finer is cut off, and a time without a zone is UTC."""
    unit = column.dtype.time_unit  # type: ignore[attr-defined]
    count = column.to_physical()
    if unit == "ms":
        row = int((count.abs() >= _MS_MAX).arg_max() or 0)
        if abs(int(count[row] or 0)) >= _MS_MAX:
            refuse(given, row, f"{column.name} of {{where}} is {count[row]} ms: beyond the year 9999", hint="Mend it")
    count = {"ms": lambda: count * 1_000, "us": lambda: count, "ns": lambda: count // 1_000}[unit]()
    return count.cast(pl.Datetime("us"))


def _exact(column: pl.Series, text: pl.Series | None, given: pl.DataFrame) -> dict[str, pl.Series]:
    """The column as float64, and the texts of the numbers that their floats do not stand for."""
    name, dtype = column.name, column.dtype
    if dtype == pl.Float64:
        return {name: column}
    if dtype.is_integer() and ((floats := column.cast(pl.Float64)).abs() < _WHOLE_MAX).all():
        return {name: floats}
    digits = column.cast(pl.String).str.strip_chars()
    if dtype == pl.Decimal and dtype.scale:  # type: ignore[attr-defined]
        digits = digits.str.strip_chars_end("0").str.strip_chars_end(".")
    floats = digits.cast(pl.Float64, strict=False)
    if floats.null_count():
        row = int(floats.is_null().arg_max() or 0)
        refuse(given, row, f"{name} of {{where}} is not a number: {column[row]!r}", hint="Write it as 0.5 or 5e-1")
    is_long = digits.str.len_bytes() > _DIGITS_SURE
    longer = pl.DataFrame({"digits": digits}).select(pl.when(is_long).then("digits")).to_series()
    return {name: floats, f"{name}_text": longer if text is None else text.cast(pl.String).fill_null(longer)}
