"""Recorded trades without frames: each venue prints them in its own words, times and numbers as recorded.

Two formats: CSV with the columns symbol, side, price, amount, timestamp (the taker's side, no ids: numbered
1..N per symbol in file order), and gzipped Binance frames as hftbacktest records them (`<local_ns> {json}`).
"""

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from ingestion.simulator.events import Instrument, Moment, Print, Source, decimals_of, steps
from ingestion.simulator.recording import RecordedFrames
from shared.clock import us_from_utc
from shared.errors import InputUnreadable

_SIZE_DECIMALS = 8
_COLUMNS = ("symbol", "side", "price", "amount", "timestamp")
_QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC")
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


class _Row(NamedTuple):
    symbol: str
    trade_id: int
    price: str
    size: str
    ts_us: int
    taker_buys: bool


class _Fill(msgspec.Struct):
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _Stream(msgspec.Struct):
    data: _Fill


class TradeTape:
    """A tape of trades for either venue; there is no book, so no level2, book or ticker updates.

    Trades of one symbol, time and side are one moment: the prints of a sweep share a frame.

    Raises:
        InputUnreadable: a line is not a trade, or there is none.
    """

    has_book = False
    is_live = False

    def __init__(self, path: Path) -> None:
        read = _csv_rows if _first_bytes(path)[:2] != _GZIP else _frame_rows
        rows = list(read(path))
        if not rows:
            raise InputUnreadable(f"{path}: holds no trades")
        self._instruments = {}
        try:
            for symbol in dict.fromkeys(row.symbol for row in rows):
                own = [row for row in rows if row.symbol == symbol]
                price = max(decimals_of(row.price) for row in own)
                size = max(_SIZE_DECIMALS, max(decimals_of(row.size) for row in own))
                first = steps(own[0].price, price)
                self._instruments[symbol] = Instrument(symbol, price, size, first)
            self._moments = list(_moments(rows, self._instruments))
        except ValueError as error:
            raise InputUnreadable(f"{path}: {error}") from error

    def traded_on(self, venue: str) -> tuple[Instrument, ...]:
        """The tape's symbols, at any venue."""
        return tuple(self._instruments.values())

    def moments(self, venue: str, *, start_ns: int) -> Iterator[Moment]:
        """The tape from its beginning."""
        return iter(self._moments)


def open_recording(path: Path) -> Source:
    """Recorded frames (zstd) or a trade tape (gzip, CSV), told apart by their first bytes.

    Raises:
        InputUnreadable: missing, or none of these.
    """
    return RecordedFrames(path) if _first_bytes(path) == _ZSTD else TradeTape(path)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise InputUnreadable(f"{path}: {error.strerror}") from error


def _csv_rows(path: Path) -> Iterator[_Row]:
    number = 1
    counts: Counter[str] = Counter()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if set(_COLUMNS) - set(reader.fieldnames or ()):
                raise ValueError(f"columns must be {', '.join(_COLUMNS)}")
            for number, row in enumerate(reader, 2):  # noqa: B007  named in errors
                symbol = row["symbol"]
                if row["side"] not in ("buy", "sell"):
                    raise ValueError(f"side must be buy or sell, was {row['side']!r}")
                if not symbol or "-" not in symbol or row["timestamp"] is None:
                    raise ValueError("a field is missing")
                moment = datetime.fromisoformat(row["timestamp"])
                if moment.tzinfo is None:
                    raise ValueError(f"timestamp {row['timestamp']!r} has no time zone")
                counts[symbol] += 1
                yield _checked(
                    _Row(
                        symbol,
                        counts[symbol],
                        row["price"],
                        row["amount"],
                        us_from_utc(moment),
                        row["side"] == "buy",
                    )
                )
    except (ValueError, csv.Error) as error:
        raise InputUnreadable(f"{path}:{number}: {error}") from error


def _frame_rows(path: Path) -> Iterator[_Row]:
    number = 0
    decode = msgspec.json.Decoder(_Stream).decode
    try:
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(file, 1):  # noqa: B007  named in errors
                if b'@trade"' not in line:
                    continue
                fill = decode(line.partition(b" ")[2]).data
                # m: the buyer was the maker, so the taker sold.
                yield _checked(_Row(_dashed(fill.s), fill.t, fill.p, fill.q, fill.T * 1000, not fill.m))
    except (OSError, EOFError, ValueError) as error:
        raise InputUnreadable(f"{path}:{number}: {error}") from error


def _checked(row: _Row) -> _Row:
    for text in (row.price, row.size):
        decimals_of(text)
    if not (float(row.price) > 0 and float(row.size) > 0):
        raise ValueError(f"price and size must be above 0, were {row.price} and {row.size}")
    return row


def _dashed(name: str) -> str:
    """`ETHUSDT` and `ETHUSD_PERP` with the dash the simulator's symbols have."""
    bare = name.partition("_")[0]
    for quote in _QUOTES:
        if bare.endswith(quote) and bare != quote:
            return f"{bare.removesuffix(quote)}-{quote}"
    raise ValueError(f"{name} has no known quote currency")


def _moments(rows: Iterable[_Row], instruments: dict[str, Instrument]) -> Iterator[Moment]:
    for (symbol, ts_us, taker_buys), sweep in groupby(rows, key=lambda row: (row.symbol, row.ts_us, row.taker_buys)):
        item = instruments[symbol]
        yield Moment(
            ts_us * 1000,
            symbol,
            tuple(
                Print(
                    row.trade_id,
                    steps(row.price, item.price_decimals),
                    steps(row.size, item.size_decimals),
                    ts_us * 1000,
                    taker_buys,
                )
                for row in sweep
            ),
        )
