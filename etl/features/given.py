"""Frames of books and trades, as people and the lake give them, as the arrays that the kernels read."""

from typing import NamedTuple

import numpy as np
import polars as pl

from etl.features.book_sides import Side, own, side_of
from etl.features.decimals import LIMIT
from etl.features.rows import Bools, Floats, Int8s, Int64s
from shared.errors import InputUnreadable

NO_ID = -(2**63)
_LAST_NS = 2**63 - 2**42  # room for the end of a row's cell
_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000}


class Snapshots(NamedTuple):
    """Snapshots in the order in which they came."""

    t_ns: Int64s
    known_ns: Int64s
    has_gap: Bools
    bids: Side
    asks: Side


class Changes(NamedTuple):
    """Rows of table `l2` in the order in which they came."""

    t_ns: Int64s
    known_ns: Int64s
    has_gap: Bools
    message: Int64s
    is_snapshot: Bools
    is_last: Bools
    is_ask: Bools
    update_id: Int64s  # NO_ID: none
    prev_update_id: Int64s
    checksum: Int64s  # of the book that the message makes
    price: Floats
    size: Floats


class GivenTrades(NamedTuple):
    """Trades in order of time."""

    t_ns: Int64s
    known_ns: Int64s
    has_gap: Bools
    side: Int8s  # +1 buy, -1 sell, 0 unknown
    price: Floats
    amount: Floats


def refuse_other_frames(frame: object, what: str, *kinds: type) -> None:
    """Raises: InputUnreadable where it is none of these kinds of frame of polars."""
    if not isinstance(frame, kinds):
        library = type(frame).__module__.partition(".")[0]
        hint = f"Give a {' or '.join(kind.__name__ for kind in kinds)} of polars"
        raise InputUnreadable(f"{what} are a {type(frame).__name__} of {library}", hint=hint)


def is_l2(books: pl.DataFrame) -> bool:
    """Whether the frame is of table `l2`, else of snapshots.

    Raises: InputUnreadable where it is neither.
    """
    refuse_other_frames(books, "books", pl.DataFrame)
    if {"bids", "asks"} <= set(books.columns):
        return False
    if {"side", "price", "size", "is_snapshot"} <= set(books.columns):
        return True
    raise InputUnreadable(
        f"books have the columns {', '.join(books.columns) or 'of nothing'}",
        hint="Give snapshots (timestamp, bids, asks) or rows of table l2",
    )


def snapshots(books: pl.DataFrame) -> Snapshots:
    """The snapshots of a frame.

    Raises: InputUnreadable for a column that is missing or of a wrong type.
    """
    t_ns, known_ns = times(books, "books", known="capture_ts", fallback="capture_ts")
    bids, asks = (side_of(_column(books, "books", name)) for name in ("bids", "asks"))
    return Snapshots(t_ns, known_ns, flags(books, "books", "gap_before"), bids, asks)


def changes(books: pl.DataFrame) -> Changes:
    """The rows of a frame of table `l2`.

    Raises: InputUnreadable for a column that is missing or of a wrong type, or a side that is none.
    """
    t_ns, known_ns = times(books, "l2", known="capture_ts", fallback="capture_ts")
    side = _sides(books, "l2", "bid", "ask")
    return Changes(
        t_ns,
        known_ns,
        flags(books, "l2", "gap_before"),
        _ids(books, "msg_seq"),
        flags(books, "l2", "is_snapshot"),
        flags(books, "l2", "is_last", needed=True),
        (side == "ask").to_numpy(),
        _ids(books, "update_id"),
        _ids(books, "prev_update_id"),
        _ids(books, "checksum"),
        numbers(books, "l2", "price"),
        numbers(books, "l2", "size"),
    )


def trades(frame: pl.DataFrame | None) -> GivenTrades:
    """The trades of a frame; none without one.

    Raises: InputUnreadable for a column that is missing or of a wrong type, for trades out of order and for a price,
        amount or side that cannot be.
    """
    if frame is None:
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_)
        return GivenTrades(*none, np.empty(0, np.int8), np.empty(0), np.empty(0))
    refuse_other_frames(frame, "trades", pl.DataFrame)
    t_ns, known_ns = times(frame, "trades", known="known_at" if "known_at" in frame.columns else "capture_ts")
    if (t_ns[1:] < t_ns[:-1]).any():
        raise InputUnreadable("trades are not in order of time", hint="Sort them by timestamp and trade_seq")
    price, amount = _usable(frame, "price"), _usable(frame, "amount")
    side = _sides(frame, "trades", "buy", "sell", None)
    is_buy, is_sell = (_filled(side == word, False).to_numpy() for word in ("buy", "sell"))
    signs = is_buy.astype(np.int8) - is_sell.astype(np.int8)
    return GivenTrades(t_ns, known_ns, flags(frame, "trades", "gap_before"), signs, price, amount)


def _usable(trades: pl.DataFrame, name: str) -> Floats:
    """Prices or amounts, each of which can be one.

    Raises: InputUnreadable that names the first that cannot.
    """
    values = numbers(trades, "trades", name)
    bad = np.flatnonzero(~((values > 0) & (values < LIMIT)))
    if len(bad):
        told = trades[name][int(bad[0])]
        raise InputUnreadable(f"{name} of trade {bad[0]} is {told}", hint="It must be above 0 and below 2^60")
    return values


def _sides(frame: pl.DataFrame, what: str, *words: str | None) -> pl.Series:
    side = _column(frame, what, "side")
    if odd := set(side.unique()) - set(words):
        raise InputUnreadable(
            f"side of {what} is {odd.pop()!r}", hint=f"It must be {', '.join(word or 'null' for word in words)}"
        )
    return side


def _column(frame: pl.DataFrame, what: str, name: str) -> pl.Series:
    if name not in frame.columns:
        there = ", ".join(frame.columns[:20]) + (f" and {frame.width - 20} more" if frame.width > 20 else "")
        raise InputUnreadable(f"{what} have no column {name!r}", hint=f"There are {there}")
    return frame[name]


def times(frame: pl.DataFrame, what: str, *, known: str, fallback: str | None = None) -> tuple[Int64s, Int64s]:
    """(when each row was, when that was known), in ns.

    Args:
        frame: with a column `timestamp`.
        what: the frame in words.
        known: a column; where there is none, or null in it, rows were known when they were.
        fallback: a column that stands in for a `timestamp` that is null.

    Raises: InputUnreadable for a column that is missing or of a wrong type, or a row without a time.
    """
    moments = _column(frame, what, "timestamp")
    t_ns = nanoseconds(moments, what)
    unknown = nanoseconds(frame[known], what) if known in frame.columns else None
    is_null = moments.is_null().to_numpy() if moments.null_count() else None
    if is_null is not None:
        if unknown is None or fallback is None or frame[fallback].is_null().to_numpy()[is_null].any():
            hint = f"Give {fallback or 'the time of every trade'}"
            raise InputUnreadable(f"timestamp of {what} is null where nothing stands in for it", hint=hint)
        t_ns = np.where(is_null, unknown, t_ns)
    if unknown is None:
        return t_ns, t_ns
    if frame[known].null_count():
        unknown = np.where(frame[known].is_null().to_numpy(), t_ns, unknown)
    return t_ns, unknown


def nanoseconds(moments: pl.Series, what: str) -> Int64s:
    """Times in ns since 1970, of nulls 0.

    Raises: InputUnreadable for what are no times in UTC, or none that 64 bits can tell in ns.
    """
    if not isinstance(moments.dtype, pl.Datetime) or moments.dtype.time_zone is None:
        raise InputUnreadable(
            f"column {moments.name!r} of {what} is {moments.dtype}", hint="Times are Datetime with time zone UTC"
        )
    whole, unit_ns = moments.to_physical().fill_null(0).to_numpy(), _NS[moments.dtype.time_unit]
    beyond = np.flatnonzero((whole > _LAST_NS // unit_ns) | (whole < -_LAST_NS // unit_ns))
    if len(beyond):
        raise InputUnreadable(
            f"{moments.name} of {what} is {moments[int(beyond[0])]}",
            hint="Times are from 1678 to 2262: is the unit right?",
        )
    return np.ascontiguousarray(whole * unit_ns)


def numbers(frame: pl.DataFrame, what: str, name: str) -> Floats:
    """A column of numbers, NaN where it is null.

    Raises: InputUnreadable where it is missing or of a wrong type.
    """
    column = _column(frame, what, name)
    if not column.dtype.is_numeric() and column.dtype != pl.Null:
        raise InputUnreadable(f"column {name!r} of {what} is {column.dtype}", hint="It must be numbers")
    return own(_filled(column.cast(pl.Float64), float("nan")).to_numpy())


def flags(frame: pl.DataFrame, what: str, name: str, *, needed: bool = False) -> Bools:
    """A column of true and false; null, and a column that is not there, are false.

    Raises: InputUnreadable for another type, and where it is `needed` and missing.
    """
    if name not in frame.columns and not needed:
        return np.zeros(len(frame), np.bool_)
    column = _column(frame, what, name)
    if column.dtype != pl.Boolean:
        raise InputUnreadable(f"column {name!r} of {what} is {column.dtype}", hint="It must be true or false")
    return own(_filled(column, False).to_numpy())


def _ids(frame: pl.DataFrame, name: str) -> Int64s:
    if name not in frame.columns or frame[name].null_count() == len(frame):
        return np.full(len(frame), NO_ID)
    if not frame[name].dtype.is_integer():
        raise InputUnreadable(f"column {name!r} of l2 is {frame[name].dtype}", hint="It must be whole numbers")
    return own(_filled(frame[name].cast(pl.Int64), NO_ID).to_numpy())


def _filled(column: pl.Series, value: float) -> pl.Series:
    """The column with a value for null: asked for only where there is one, which of a few rows costs most."""
    return column.fill_null(value) if column.null_count() else column
