"""The columns of anybody's trades, as builders of bars read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, NamedTuple, TypeAlias

import polars as pl

from etl.tapes.moments import TimeUnit, moments, unit_of
from shared.errors import InputUnreadable

SideNames: TypeAlias = Literal["taker", "maker"]

REQUIRED = ("timestamp", "price", "amount")
OPTIONAL = (
    "trade_id", "trade_seq", "side", "is_buyer_maker", "price_text", "amount_text", "known_at", "gap_before",
    "exchange", "symbol",
)  # fmt: skip
_LIKELY = {  # what others call them
    "timestamp": ("time", "ts", "datetime", "date", "date_time", "transact_time", "trade_time", "unix", "t"),
    "price": ("px", "rate", "trade_price", "last_price", "p"),
    "amount": ("qty", "quantity", "size", "volume", "vol", "base_qty", "last_size", "q", "v"),
}
_SIGNS = {"buy": "buy", "b": "buy", "1": "buy", "sell": "sell", "s": "sell", "-1": "sell"}
_TURNED = {"buy": "sell", "sell": "buy"}
_TRUTHS = {"true": "sell", "1": "sell", "false": "buy", "0": "buy"}  # of "the buyer was the maker"
_CHARS_SAFE = 15  # a number of so few characters is what its float64 stands for


@dataclass(frozen=True)
class Layout:
    """How the columns of a file are called, and what stands in them."""

    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> the file's, where they differ
    names: tuple[str, ...] = ()  # of all columns, where a CSV file has no header
    time_unit: TimeUnit | None = None  # of times that are numbers; None: by their size
    side_names: SideNames = "taker"  # whose side the words in `side` name
    skip_bad: bool = False  # leave out rows without a valid time, price and amount, and count them

    def __post_init__(self) -> None:
        """Refuse names that are none of ours."""
        for name in self.columns:
            if name not in (*REQUIRED, *OPTIONAL):
                close = get_close_matches(name, (*REQUIRED, *OPTIONAL), n=1)
                instead = f"did you mean {close[0]}?" if close else f"there are {', '.join((*REQUIRED, *OPTIONAL))}"
                raise InputUnreadable(f"--column {name}: trades have no such column; {instead}")

    def sources(self, there: Sequence[str], *, file: str) -> dict[str, str]:
        """Our names of the columns to read, each with the file's name of it.

        Raises: InputUnreadable for one that is not there, with what it is likely called.
        """
        for name, source in self.columns.items():
            if source not in there:
                raise InputUnreadable(f"{file}: no column {source!r} for {name}; there are {', '.join(there)}")
        wanted = {name: self.columns.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
        for name in REQUIRED:
            if wanted[name] not in there:
                raise InputUnreadable(
                    f"{file}: no column {name!r}; there are {', '.join(there)}", hint=_advice(name, there)
                )
        return {name: source for name, source in wanted.items() if source in there}


class Shaped(NamedTuple):
    """Trades with columns of ours; `row` is where each stands in its file, from 1."""

    trades: pl.DataFrame
    rejected: int


def shaped(raw: pl.DataFrame, layout: Layout, *, file: str, first_row: int, unit: TimeUnit | None) -> Shaped:
    """Rows under our names as trades: exact numbers, times in us UTC, the taker's side.

    Raises: InputUnreadable for a row that is no trade, unless the layout skips such rows.
    """
    time = raw["timestamp"]
    parts = {
        "timestamp": moments(time, unit),
        "row": pl.int_range(first_row, first_row + len(raw), eager=True),
        **_numbers(raw),
    }
    for name in ("exchange", "symbol"):
        if name in raw.columns:
            parts[name] = raw[name].cast(pl.String)
    if (side := _sides(raw, layout.side_names)) is not None:
        parts["side"] = side
    if "trade_id" in raw.columns:
        ids = raw["trade_id"].cast(pl.String)
        if ids.null_count() or (ids == "").any():
            ids = ids.zip_with(ids.fill_null("") != "", parts["row"].cast(pl.String))
        parts["trade_id"] = ids
    if "trade_seq" in raw.columns:
        parts["trade_seq"] = raw["trade_seq"].cast(pl.Int64, strict=False)
    if "known_at" in raw.columns and isinstance(raw["known_at"].dtype, pl.Datetime):
        parts["known_at"] = moments(raw["known_at"], None)
    if "gap_before" in raw.columns and raw["gap_before"].dtype == pl.Boolean:
        parts["gap_before"] = raw["gap_before"]
    trades = pl.DataFrame([series.rename(name) for name, series in parts.items()])
    good = _good(trades)
    if good.all():
        return Shaped(trades, 0)
    if not layout.skip_bad:
        _refuse(raw, trades, row=int((~good).arg_true()[0]), file=file)
    return Shaped(trades.filter(good), int((~good).sum()))


def first_unit(raw: pl.DataFrame) -> TimeUnit | None:
    """The unit of the first time that is a number; None where times are not numbers."""
    return unit_of(raw["timestamp"])


def _numbers(raw: pl.DataFrame) -> dict[str, pl.Series]:
    """Prices and amounts as float64, and the exact text of those that float64 does not hold."""
    parts = {}
    for name in ("price", "amount"):
        column = raw[name]
        if column.dtype == pl.Float64:
            parts[name] = column
            if f"{name}_text" in raw.columns:
                parts[f"{name}_text"] = raw[f"{name}_text"].cast(pl.String)
            continue
        text = column.cast(pl.String).str.strip_chars()
        parts[name] = text.cast(pl.Float64, strict=False)
        if (text.str.len_bytes() > _CHARS_SAFE).any():
            plain = text.str.contains(".", literal=True) & ~text.str.contains("[eE]")
            text = text.str.strip_chars_end("0").zip_with(plain, text)
            parts[f"{name}_text"] = text.set(text.str.len_bytes() <= _CHARS_SAFE, None)
    return parts


def _sides(raw: pl.DataFrame, names: SideNames) -> pl.Series | None:
    """The taker's side: buy, sell, or null where it is not said."""
    if "side" in raw.columns:
        words, meaning = raw["side"], _SIGNS
        if names == "taker" and words.dtype == pl.String and words.is_in(["buy", "sell"]).all():
            return words
        if names == "maker":
            meaning = {word: _TURNED[side] for word, side in _SIGNS.items()}
    elif "is_buyer_maker" in raw.columns:
        words, meaning = raw["is_buyer_maker"], _TRUTHS
    else:
        return None
    text = words.cast(pl.String).str.strip_chars().str.to_lowercase()
    return text.replace_strict(meaning, default=None, return_dtype=pl.String)


def _good(trades: pl.DataFrame) -> pl.Series:
    numbers = [pl.col(name).is_finite() & (pl.col(name) > 0) for name in ("price", "amount")]
    valid = pl.all_horizontal(*numbers, pl.col("timestamp").is_not_null())
    return trades.select(valid.fill_null(False)).to_series()


def _refuse(raw: pl.DataFrame, trades: pl.DataFrame, *, row: int, file: str) -> None:
    """Say what is wrong with the first row that is no trade."""
    price, amount = (trades[name][row] for name in ("price", "amount"))
    for name, value in (("price", price), ("amount", amount), ("timestamp", trades["timestamp"][row])):
        is_number = isinstance(value, float)
        if value is None or (is_number and not 0 < value < float("inf")):
            said = raw[name][row]
            wanted = "a number above 0" if name != "timestamp" else "a time, as 2026-06-09T04:00:00Z or 1780977600"
            found = "is missing" if said is None or said == "" else f"is {said!r}"
            raise InputUnreadable(
                f"{file}: row {trades['row'][row]}: {name} {found}, expected {wanted}",
                hint="Correct it, or leave such rows out and count them with --skip-bad",
            )


def _advice(name: str, there: Sequence[str]) -> str:
    if any(_is_number(each) for each in there):
        return "Its first line holds numbers: name the columns with --names timestamp,price,amount"
    by_lower = {each.lower(): each for each in there}
    found = next((by_lower[word] for word in (name, *_LIKELY[name]) if word in by_lower), None)
    close = [found] if found else get_close_matches(name, there, n=1, cutoff=0.5)
    return (
        f"If {close[0]!r} is it, add --column {name}={close[0]}" if close else f"Say which it is: --column {name}=..."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
