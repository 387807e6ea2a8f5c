"""The columns of anybody's trades, as builders of bars read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, TypeAlias

import polars as pl

from etl.bars.given import ROW, likely
from etl.tapes.moments import TimeUnit, moments, unit_of
from shared.errors import InputUnreadable

SideNames: TypeAlias = Literal["taker", "maker"]

REQUIRED = ("timestamp", "price", "amount")
OPTIONAL = (
    "trade_id", "trade_seq", "side", "is_buyer_maker", "price_text", "amount_text", "known_at", "gap_before",
    "exchange", "symbol",
)  # fmt: skip
_MEANINGS = {  # of the words that say whose the trade was
    "side": {"buy": "buy", "b": "buy", "1": "buy", "sell": "sell", "s": "sell", "-1": "sell"},
    "is_buyer_maker": {"true": "sell", "1": "sell", "false": "buy", "0": "buy"},
}
_UNSAID = {"": "", "unknown": "", "any": ""}  # gocryptotrader writes ANY
_TURNED = {"buy": "sell", "sell": "buy"}
_SIDE = pl.col("side").replace("", None)
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # a number that would be an earlier time is likely one of day
_LEAST, _LIMIT = 1e-18, 1e20  # what bars hold exactly, with 18 decimal places
_TOO_FINE = r"\.\d{19,}$"
_SHOWN_MAX = 20  # names of columns in a message
_CHARS_SAFE = 15  # a number of so few characters is what its float64 stands for


@dataclass(frozen=True)
class Layout:
    """How the columns of a file are called, and what stands in them."""

    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> the file's, where they differ
    names: tuple[str, ...] = ()  # of all columns, where a CSV file has no header
    time_unit: TimeUnit | None = None  # of times that are numbers; None: by their size
    side_names: SideNames = "taker"  # whose side the words in `side` name
    skip_bad: bool = False  # leave out rows without a valid time, price, amount or side, and count them

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
                raise InputUnreadable(f"{file}: no column {source!r} for {name}; {_there_are(there)}")
        wanted = {name: self.columns.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
        for name in REQUIRED:
            if wanted[name] not in there:
                raise InputUnreadable(f"{file}: no column {name!r}; {_there_are(there)}", hint=_advice(name, there))
        return {name: source for name, source in wanted.items() if source in there}


class Shaped(NamedTuple):
    """Trades with columns of ours; `row_given` is where each stands in its file, from 1."""

    trades: pl.DataFrame
    rejected: int


def shaped(raw: pl.DataFrame, layout: Layout, *, file: str, first_row: int, unit: TimeUnit | None) -> Shaped:
    """Rows under our names as trades: exact numbers, times in us UTC, the taker's side.

    Raises: InputUnreadable for a row that is no trade, unless the layout skips such rows.
    """
    parts = {
        "timestamp": _times(raw["timestamp"], layout, file=file, unit=unit),
        ROW: pl.int_range(first_row, first_row + len(raw), eager=True),
        **_numbers(raw),
    }
    for name in ("exchange", "symbol"):
        if name in raw.columns:
            parts[name] = raw[name].cast(pl.String)
    if (told := next((name for name in _MEANINGS if name in raw.columns), None)) is not None:
        parts["side"] = _sides(raw[told], layout.side_names)
    if "trade_id" in raw.columns:
        ids = raw["trade_id"].cast(pl.String)
        if ids.null_count() or (ids == "").any():
            ids = ids.zip_with(ids.fill_null("") != "", parts[ROW].cast(pl.String))
        parts["trade_id"] = ids
    if "trade_seq" in raw.columns:
        parts["trade_seq"] = raw["trade_seq"].cast(pl.Int64, strict=False)
    if "known_at" in raw.columns and isinstance(raw["known_at"].dtype, pl.Datetime):
        parts["known_at"] = moments(raw["known_at"], None)
    if "gap_before" in raw.columns and raw["gap_before"].dtype == pl.Boolean:
        parts["gap_before"] = raw["gap_before"]
    trades = pl.DataFrame([series.rename(name) for name, series in parts.items()])
    valid = _valid(trades).rename({"side": told} if told else {})
    good = valid.select(pl.all_horizontal(pl.all())).to_series()
    if good.all():
        return Shaped(trades.with_columns(_SIDE) if told else trades, 0)
    if not layout.skip_bad:
        row = int((~good).arg_true()[0])
        name = next(name for name in valid.columns if not valid[name][row])
        _refuse(raw[name][row], name, unit, where=f"{file}: row {first_row + row}")
    good_ones = trades.filter(good)
    return Shaped(good_ones.with_columns(_SIDE) if told else good_ones, int((~good).sum()))


def first_unit(raw: pl.DataFrame) -> TimeUnit | None:
    """The unit of the first time that is a number; None where times are not numbers."""
    return unit_of(raw["timestamp"])


def _times(column: pl.Series, layout: Layout, *, file: str, unit: TimeUnit | None) -> pl.Series:
    """The times, null where one cannot be read, or is too early for a unit that was not said but guessed."""
    if not (column.dtype in (pl.Datetime, pl.Date, pl.String, pl.Null) or column.dtype.is_numeric()):
        name = layout.columns.get("timestamp", "timestamp")
        hint = "A time of day needs its date: write times as 2026-06-09T04:00:00Z or 1780977600"
        raise InputUnreadable(f"{file}: column {name!r} is {column.dtype}, expected times or numbers", hint=hint)
    times = moments(column, unit)
    return times if unit is None or layout.time_unit else times.set(times < _EARLIEST, None)


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


def _sides(words: pl.Series, names: SideNames) -> pl.Series:
    """The taker's side: buy or sell, "" where it is not said, null where the word is unknown."""
    meaning = _MEANINGS[words.name]
    if words.name == "side" and names == "maker":
        meaning = {word: _TURNED[side] for word, side in meaning.items()}
    elif words.dtype == pl.String and words.is_in(["buy", "sell"]).all():
        return words
    text = words.cast(pl.String).fill_null("").str.strip_chars().str.to_lowercase()
    return text.replace_strict({**meaning, **_UNSAID}, default=None, return_dtype=pl.String)


def _valid(trades: pl.DataFrame) -> pl.DataFrame:
    """By column, in which rows it holds what a trade needs."""
    checks = []
    for name in ("price", "amount"):
        check = pl.col(name).is_between(_LEAST, _LIMIT, closed="left")
        if f"{name}_text" in trades.columns:
            check &= ~pl.col(f"{name}_text").str.contains(_TOO_FINE).fill_null(value=False)
        checks.append(check)
    checks += [pl.col(name).is_not_null().alias(name) for name in ("timestamp", "side") if name in trades.columns]
    return trades.select(checks).fill_null(value=False)


def _refuse(said: Any, name: str, unit: TimeUnit | None, *, where: str) -> None:
    """Say what is wrong with a value that a trade cannot have."""
    wanted, hint = "a number above 0 and below 10^20, of at most 18 decimal places", ""
    if name in _MEANINGS:
        wanted = f"{', '.join(filter(None, (*_MEANINGS[name], *_UNSAID)))} or nothing"
    if name == "timestamp":
        wanted = "a time, as 2026-06-09T04:00:00Z or 1780977600"
        read = moments(pl.Series([said]), unit)[0] if unit else None
        if read is not None:
            wanted = f"a time after 1989; read in {unit} it would be {read:%Y-%m-%dT%H:%M:%S}"
            hint = "A time of day needs its date; if it is what it seems, or in another unit, say --time-unit. "
    found = "is missing" if said is None or said == "" else f"is {said!r}"
    raise InputUnreadable(
        f"{where}: {name} {found}, expected {wanted}",
        hint=f"{hint}Correct it, or leave such rows out and count them with --skip-bad",
    )


def _there_are(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_MAX} more" if len(names) > _SHOWN_MAX else ""
    return f"there are {', '.join(names[:_SHOWN_MAX])}{more}"


def _advice(name: str, there: Sequence[str]) -> str:
    if any(_is_number(each) for each in there):
        return "Its first line holds numbers: name the columns with --names timestamp,price,amount"
    found = likely(name, there)
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
