"""Kraken v2's book: levels as columns, and the checksum over the digits of its best ten levels.

The hash is taken over fixed decimals of the pair. The wire shows them (trailing zeros are sent), except where a small
number comes as `1e-08`: what the other numbers of the pair show is filled up.

Source: docs.kraken.com, guide to the book checksum (v2).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from zlib import crc32

import msgspec

from ingestion.exchanges.book import BookKeeper, BookSide
from ingestion.exchanges.kraken_wire import Book, BookLevel, number_text, reject, unwanted
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL, not_negative, positive, utc_us
from shared.rows import L2Message, Row

CHECKSUM_LEVELS = 10
_FRACTION_MAX = 40  # digits; no market has so many, and a text of them would only cost


@dataclass
class Decimals:
    """How many digits behind the point a pair's prices and sizes have; they are only ever found to be more."""

    price: int = 0
    size: int = 0


@dataclass
class Decoded:
    """A book message: its sound levels, and what of it cannot be."""

    message: L2Message | None
    labels: list[str] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    has_more_decimals: bool = False  # than the levels that are there were labelled with


def decode_book(book: Book, symbol: str, decimals: Decimals, *, msg_seq: int, is_snapshot: bool) -> Decoded:
    """The levels as columns, bids first, in the order in which they apply; impossible ones are rejects."""
    decoded = Decoded(None)
    sides: list[str] = []
    texts: list[tuple[str, str]] = []
    prices: list[float] = []
    sizes: list[float] = []
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for level in levels:
            try:
                price_text, size_text = _plain(level.price), _plain(level.qty)
                price, size = positive(price_text), not_negative(size_text)
            except ValueError as error:
                decoded.rejects.append(_impossible(book, symbol, side, level, str(error)))
                continue
            sides.append(side)
            texts.append((price_text, size_text))
            prices.append(price)
            sizes.append(size)
    try:
        moment = utc_us(book.timestamp) if book.timestamp else None
    except ValueError as error:
        moment = None
        decoded.rejects.append(reject(symbol, "l2", str(error), _Head(book.symbol, book.timestamp)))
    decoded.has_more_decimals = _widen(decimals, texts)
    decoded.labels = [
        _digits(price_text, decimals.price) + _digits(size_text, decimals.size) for price_text, size_text in texts
    ]
    if prices:
        decoded.message = L2Message(symbol, moment, msg_seq, is_snapshot, sides, prices, sizes, checksum=book.checksum)
    return decoded


def unknown_book(book: Book) -> Row:
    """A book of a symbol that was not asked for."""
    return unwanted(book.symbol, "l2", _Head(book.symbol, book.timestamp))


def cut_to_depth(keeper: BookKeeper, message: L2Message, depth: int) -> None:
    """Let go what lies behind the subscribed depth: Kraken sends no removal for it, so the message is given one, and a
    reader of the rows need not know the depth.
    """
    for name, side in (("bid", keeper.bids), ("ask", keeper.asks)):
        if len(side) > depth:
            gone = side.best(len(side))[depth:]
            message.side.extend([name] * len(gone))
            message.price.extend(gone)
            message.size.extend([0.0] * len(gone))
            side.truncate(depth)


def checksum_of(bids: BookSide, asks: BookSide) -> int:
    """The CRC32 of a book whose labels are digits."""
    labels = [*asks.labels(CHECKSUM_LEVELS), *bids.labels(CHECKSUM_LEVELS)]
    return crc32("".join(labels).encode())


class _Head(msgspec.Struct):
    symbol: str
    timestamp: str | None


class _Level(msgspec.Struct):
    symbol: str
    side: str
    price: msgspec.Raw
    qty: msgspec.Raw


def _impossible(book: Book, symbol: str, side: str, level: BookLevel, reason: str) -> Row:
    return reject(symbol or UNKNOWN_SYMBOL, "l2", reason, _Level(book.symbol, side, level.price, level.qty))


def _plain(raw: msgspec.Raw) -> str:
    """A number's text without an exponent.

    >>> _plain(msgspec.Raw(b"1e-08")), _plain(msgspec.Raw(b"0.00100000")), _plain(msgspec.Raw(b"0e-8"))
    ('0.00000001', '0.00100000', '0')
    """
    text = number_text(raw)
    if "e" not in text and "E" not in text:
        return text
    value = float(text)  # refuses what is no number, before any long text is made of it
    if value == 0 and not set(text.lower().partition("e")[0]) & set("123456789"):
        return "0"
    if not 1e-30 < abs(value) < 1e30:
        raise ValueError(f"{text[:40]!r} is no number of a market")
    return format(Decimal(text), "f")


def _widen(decimals: Decimals, texts: Iterable[tuple[str, str]]) -> bool:
    """Learn from a message how many digits behind the point there are; whether that is news."""
    price, size = decimals.price, decimals.size
    for price_text, size_text in texts:
        decimals.price = max(decimals.price, len(price_text.partition(".")[2]))
        decimals.size = max(decimals.size, len(size_text.partition(".")[2]))
    decimals.price, decimals.size = min(decimals.price, _FRACTION_MAX), min(decimals.size, _FRACTION_MAX)
    return (price, size) != (decimals.price, decimals.size)


def _digits(text: str, decimals: int) -> str:
    """What the checksum sees of a number.

    >>> _digits("0.00100000", 8), _digits("45283.5", 1), _digits("0.0000001", 8)
    ('100000', '452835', '10')
    """
    whole, _, fraction = text.partition(".")
    return (whole + fraction.ljust(decimals, "0")).lstrip("0")
