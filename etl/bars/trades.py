"""A frame of trades as the arrays that the kernels read."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.bars.kernels import side_codes
from etl.bars.schema import TRADE_COLUMNS
from shared.errors import InputUnreadable

Int64s: TypeAlias = npt.NDArray[np.int64]

_COLUMNS = (
    "trade_id", "trade_seq", "timestamp", "known_at", "side", "price", "amount", "price_text", "amount_text",
    "epoch", "seq", "gap_before",
)  # fmt: skip
_BUY, _SELL = (
    int.from_bytes(len(word).to_bytes(4, "little") + word.ljust(4, b"\0"), "little") for word in (b"buy", b"sell")
)


class Trades(NamedTuple):
    """Columns of one batch, of equal length. Times are us since 1970 UTC; what a frame lacks is None or empty."""

    frame: pl.DataFrame
    ids: pl.Series
    ts: Int64s
    known: Int64s
    side: npt.NDArray[np.int8]  # of the taker: +1 buy, -1 sell, 0 unknown
    price: npt.NDArray[np.float64]
    amount: npt.NDArray[np.float64]
    price_texts: dict[int, str]
    amount_texts: dict[int, str]
    gap_rows: Int64s  # the trades with a declared hole before them
    seq: Int64s | None  # None: no trade has one
    seq_known: npt.NDArray[np.bool_] | None  # None: every trade has one
    epoch: pl.Series | None
    arrival: Int64s | None  # None: the order of rows

    def rows(self, keep: npt.NDArray[np.bool_]) -> "Trades":
        """The trades where `keep` is true."""
        return read(self.frame.filter(pl.Series(keep)))


def read(frame: pl.DataFrame) -> Trades:
    """The arrays of a frame of trades.

    Raises: InputUnreadable for a missing column, a wrong type, or a null where a value must be.
    """
    frame = pl.DataFrame([frame[name].rechunk() for name in _COLUMNS if name in frame.columns])
    for name in TRADE_COLUMNS:
        if name not in frame.columns:
            raise InputUnreadable(f"trades have no column {name!r}", hint=f"They need {', '.join(TRADE_COLUMNS)}")
        if frame[name].null_count():
            raise InputUnreadable(f"column {name!r} of trades holds nulls")
    ts = _times(frame["timestamp"])
    seq, seq_known = _nullable(frame["trade_seq"]) if "trade_seq" in frame.columns else (None, None)
    has_arrival = "seq" in frame.columns
    return Trades(
        frame=frame,
        ids=frame["trade_id"].cast(pl.String),
        ts=ts,
        known=_known(frame, ts),
        side=_sides(frame["side"]) if "side" in frame.columns else np.zeros(len(frame), dtype=np.int8),
        price=_floats(frame["price"]),
        amount=_floats(frame["amount"]),
        price_texts=_texts(frame, "price_text"),
        amount_texts=_texts(frame, "amount_text"),
        gap_rows=_gap_rows(frame),
        seq=seq,
        seq_known=seq_known,
        epoch=frame["epoch"].fill_null("") if has_arrival and "epoch" in frame.columns else None,
        arrival=frozen(frame["seq"].cast(pl.Int64).to_numpy()) if has_arrival else None,
    )


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, read-only as those of frames are: kernels are compiled for one kind."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _times(column: pl.Series) -> Int64s:
    if not isinstance(column.dtype, pl.Datetime):
        raise InputUnreadable(f"column {column.name!r} of trades is {column.dtype}, not a datetime")
    if column.dtype.time_unit != "us":
        column = column.dt.cast_time_unit("us")
    return frozen(column.to_physical().to_numpy())


def _known(frame: pl.DataFrame, ts: Int64s) -> Int64s:
    if "known_at" not in frame.columns:
        return ts
    column = frame["known_at"]
    return _times(column.fill_null(frame["timestamp"]) if column.null_count() else column)


def _gap_rows(frame: pl.DataFrame) -> Int64s:
    if "gap_before" not in frame.columns or not frame["gap_before"].any():
        return np.empty(0, dtype=np.int64)
    return frame["gap_before"].fill_null(False).arg_true().to_numpy().astype(np.int64)


def _floats(column: pl.Series) -> npt.NDArray[np.float64]:
    if column.dtype != pl.Float64 and not column.dtype.is_integer():
        raise InputUnreadable(f"column {column.name!r} of trades is {column.dtype}, not float64")
    return frozen(column.cast(pl.Float64).to_numpy())


def _nullable(column: pl.Series) -> tuple[Int64s | None, npt.NDArray[np.bool_] | None]:
    if column.null_count() == len(column):
        return None, None
    if not column.null_count():
        return frozen(column.cast(pl.Int64).to_numpy()), None
    return frozen(column.fill_null(0).cast(pl.Int64).to_numpy()), column.is_not_null().to_numpy()


def _texts(frame: pl.DataFrame, name: str) -> dict[int, str]:
    if name not in frame.columns or frame[name].null_count() == len(frame):
        return {}
    return {row: text for row, text in enumerate(frame[name].to_list()) if text is not None}


def _sides(column: pl.Series) -> npt.NDArray[np.int8]:
    """+1, -1 and 0 for buy, sell and any other.

    Source: Arrow columnar format, "Variable-size Binary View Layout": 16 bytes a value, the length in four, then up to
    twelve bytes of a short text. So the first eight bytes tell the two words from all others.
    """
    if column.dtype != pl.String or column.null_count():
        words = column.cast(pl.String)
        signs = (words == "buy").fill_null(False).cast(pl.Int8) - (words == "sell").fill_null(False).cast(pl.Int8)
        return frozen(signs.to_numpy())
    views = column.to_arrow(compat_level=pl.CompatLevel.newest())
    words_2d = np.frombuffer(views.buffers()[1], dtype=np.int64).reshape(-1, 2)[views.offset :][: len(column)]
    codes = np.empty(len(column), dtype=np.int8)
    side_codes(words_2d, _BUY, _SELL, codes)
    return frozen(codes)
