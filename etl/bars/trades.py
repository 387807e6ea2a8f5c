"""A frame of trades as the arrays that the kernels read."""

from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.bars.columns import side_codes
from etl.bars.given import ROW, refuse, views_of
from shared.errors import InputUnreadable

Int64s: TypeAlias = npt.NDArray[np.int64]

_SIDES = ("buy", "sell", "unknown")
_BUY, _SELL = (
    int.from_bytes(len(word).to_bytes(4, "little") + word.ljust(4, b"\0"), "little") for word in (b"buy", b"sell")
)
_YEAR_10000_US = 253_402_300_800_000_000
_FAR_BIT_US = 1 << 57  # in the year 6536


class Trades(NamedTuple):
    """Columns of one batch, of equal length. Times are us since 1970 UTC; what a frame lacks is None or empty."""

    frame: pl.DataFrame  # of `frame_of_trades`
    ids: pl.Series  # text, or whole numbers that stand for it
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
    first_number: int  # of the rows given, where rows count for ids

    @property
    def has_ids(self) -> bool:
        """Whether a trade given again can be recognised by its id."""
        return "trade_id" in self.frame.columns

    def rows(self, keep: npt.NDArray[np.bool_]) -> "Trades":
        """The trades where `keep` is true."""
        frame = self.frame if ROW in self.frame.columns else self.frame.with_row_index(ROW)
        return read(frame.filter(pl.Series(keep)), first_number=self.first_number)

    def refuse(self, row: int, message: str, *, hint: str = "Mend the numbers, or drop such rows") -> NoReturn:
        """Raise InputUnreadable; {where} in the message stands for the row, as it was given."""
        refuse(self.frame, row, message, hint=hint)

    def refuse_late(self, row: int, count: int) -> NoReturn:
        """Raise InputUnreadable for so many trades, of which the first stands in this row."""
        what = f"{count} trades came behind trades already used, the first in {{where}}"
        self.refuse(
            row, what, hint="Sort the trades, or have such trades left out and counted: late='drop', `--late drop`"
        )


def read(frame: pl.DataFrame, *, first_number: int) -> Trades:
    """The arrays of a frame of `frame_of_trades`, its rows numbered from `first_number` where they have no ids.

    Raises: InputUnreadable for a side that is none, and for times in a wrong unit.
    """
    ts = frozen(frame["timestamp"].to_physical().to_numpy())
    _refuse_far(frame, ts)
    seq, seq_known = _nullable(frame, "trade_seq")
    arrival, _ = _nullable(frame, "seq")
    return Trades(
        frame=frame,
        ids=_ids(frame, first_number),
        ts=ts,
        known=_known(frame, ts),
        side=_sides(frame),
        price=frozen(frame["price"].to_numpy()),
        amount=frozen(frame["amount"].to_numpy()),
        price_texts=_texts(frame, "price_text"),
        amount_texts=_texts(frame, "amount_text"),
        gap_rows=_gap_rows(frame),
        seq=seq,
        seq_known=seq_known,
        epoch=frame["epoch"].cast(pl.String).fill_null("") if {"epoch", "seq"} <= set(frame.columns) else None,
        arrival=arrival,
        first_number=first_number,
    )


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, read-only as those of frames are: kernels are compiled for one kind."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _refuse_far(frame: pl.DataFrame, ts: Int64s) -> None:
    if not len(ts) or 0 <= np.bitwise_or.reduce(ts) < _FAR_BIT_US:  # half the cost of a minimum and a maximum
        return
    far = (ts < 0) | (ts >= _YEAR_10000_US)
    if far.any():
        row = int(far.argmax())
        what = f"timestamp of {{where}} is {ts[row]} us since 1970, before 1970 or beyond the year 9999"
        refuse(frame, row, what, hint="Was it read in the wrong unit?")


def _ids(frame: pl.DataFrame, first_number: int) -> pl.Series:
    if "trade_id" in frame.columns:
        ids = frame["trade_id"]
        return ids if ids.dtype.is_integer() else ids.cast(pl.String)
    if "trade_seq" in frame.columns and not frame["trade_seq"].null_count():
        return frame["trade_seq"]
    numbers = frame[ROW].cast(pl.Int64) if ROW in frame.columns else pl.Series(np.arange(len(frame)))
    return numbers + first_number


def _known(frame: pl.DataFrame, ts: Int64s) -> Int64s:
    if "known_at" not in frame.columns:
        return ts
    column = frame["known_at"]
    column = column.fill_null(frame["timestamp"]) if column.null_count() else column
    return frozen(column.to_physical().to_numpy())


def _gap_rows(frame: pl.DataFrame) -> Int64s:
    if "gap_before" not in frame.columns or not frame["gap_before"].any():
        return np.empty(0, dtype=np.int64)
    return frame["gap_before"].fill_null(False).arg_true().to_numpy().astype(np.int64)


def _nullable(frame: pl.DataFrame, name: str) -> tuple[Int64s | None, npt.NDArray[np.bool_] | None]:
    """(the whole numbers, which of them are known; None: all)."""
    if name not in frame.columns or frame[name].null_count() == len(frame):
        return None, None
    column = frame[name]
    numbers = column.cast(pl.Int64, strict=False)
    if numbers.null_count() > column.null_count():
        raise InputUnreadable(
            f"column {name!r} of trades holds {column.max()!r}, more than 64 bits", hint="Leave it out"
        )
    if not column.null_count():
        return frozen(numbers.to_numpy()), None
    return frozen(numbers.fill_null(0).to_numpy()), column.is_not_null().to_numpy()


def _texts(frame: pl.DataFrame, name: str) -> dict[int, str]:
    if name not in frame.columns or frame[name].null_count() == len(frame):
        return {}
    return {row: text for row, text in enumerate(frame[name].to_list()) if text is not None}


def _sides(frame: pl.DataFrame) -> npt.NDArray[np.int8]:
    """+1, -1 and 0 for buy, sell and neither.

    Source: Arrow columnar format, "Variable-size Binary View Layout": 16 bytes a value, the length in four, then up to
    twelve bytes of a short text. So the first eight bytes tell the two words from all others.
    """
    if "side" not in frame.columns:
        return np.zeros(len(frame), dtype=np.int8)
    words = frame["side"].cast(pl.String)
    n_null = words.null_count()
    words = words.fill_null("unknown") if n_null else words
    codes = np.empty(len(words), dtype=np.int8)
    if side_codes(views_of(words), _BUY, _SELL, codes) != n_null:
        strange = ~words.is_in(_SIDES)
        if strange.any():
            row = int(strange.arg_max() or 0)
            what = f"side of {{where}} is {words[row]!r}, expected 'buy' or 'sell' (the taker's), 'unknown' or null"
            refuse(frame, row, what, hint="Translate the exchange's words first")
    return frozen(codes)
