"""OKX v5's channel `books`: levels as columns, and the checksum that OKX gave until June 2026.

Source: okx.com/docs-v5, order book channel, as of July 2026 (`checksum` is 0 since 2026-06-23 and says nothing);
recorded frames of 2022-05-13, whose checksums all fit.
"""

from itertools import zip_longest
from typing import Annotated
from zlib import crc32

import msgspec

from ingestion.exchanges.book import BookSide
from ingestion.exchanges.okx_wire import EXCHANGE_NAME, ms_us, reject, text_of
from ingestion.exchanges.wire_values import not_negative, positive, possible_levels
from shared.errors import FrameMalformed
from shared.rows import L2Message, Row

CHECKSUM_LEVELS = 25
_SeqId = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]


class _Level(msgspec.Struct, array_like=True, gc=False):
    price: float  # a text on the wire; read by a decoder that is not strict, and exact
    size: float


class _LevelText(msgspec.Struct, array_like=True, gc=False):
    price: msgspec.Raw
    size: msgspec.Raw


class Book(msgspec.Struct, rename="camel", gc=False):
    """A book message without its levels' texts."""

    asks: list[_Level]
    bids: list[_Level]
    ts: str
    checksum: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] = 0
    prev_seq_id: _SeqId | None = None
    seq_id: _SeqId | None = None


class _BookText(msgspec.Struct, rename="camel", gc=False):
    asks: list[msgspec.Raw]
    bids: list[msgspec.Raw]
    ts: str
    checksum: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] = 0
    prev_seq_id: _SeqId | None = None
    seq_id: _SeqId | None = None


class Decoded(msgspec.Struct):
    """A book message: its sound levels with their texts where a checksum needs them, and what of it cannot be."""

    message: L2Message | None
    seq_id: int | None
    prev_seq_id: int | None
    checksum: int  # 0: not given
    labels: list[str] | None = None
    rejects: list[Row] = []


_books = msgspec.json.Decoder(list[Book], strict=False)
_book_texts = msgspec.json.Decoder(list[_BookText])
_level_text = msgspec.json.Decoder(_LevelText)


def decode_books(data: msgspec.Raw, symbol: str, *, msg_seq: int, is_snapshot: bool, labelled: bool) -> list[Decoded]:
    """The messages of one frame. Labels are made where there is a checksum and (`labelled`) the book has them.

    Raises:
        FrameMalformed: the data is not what the channel promises.
    """
    try:
        books = _books.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _level_by_level(data, symbol, msg_seq, is_snapshot)
    decoded = []
    for book in books:
        levels = book.bids + book.asks
        prices, sizes = [each.price for each in levels], [each.size for each in levels]
        if (levels and not possible_levels(prices, sizes)) or labelled or (is_snapshot and book.checksum):
            return _level_by_level(data, symbol, msg_seq, is_snapshot)
        sides = ["bid"] * len(book.bids) + ["ask"] * len(book.asks)
        try:
            decoded.append(_decoded(book, (sides, prices, sizes), symbol, msg_seq, is_snapshot))
        except ValueError:
            return _level_by_level(data, symbol, msg_seq, is_snapshot)
    return decoded


def checksum_of(bids: BookSide, asks: BookSide) -> int:
    """The signed CRC32 of a book whose labels are `price:size`: bid and ask in turn, from the best outwards."""
    pairs = zip_longest(bids.labels(CHECKSUM_LEVELS), asks.labels(CHECKSUM_LEVELS))
    unsigned = crc32(":".join(label for pair in pairs for label in pair if label is not None).encode())
    return unsigned - 2**32 if unsigned >= 2**31 else unsigned


_Columns = tuple[list[str], list[float], list[float]]


def _decoded(book: Book | _BookText, columns: _Columns, symbol: str, msg_seq: int, is_snapshot: bool) -> Decoded:
    sides, prices, sizes = columns
    message = None
    moment = ms_us(book.ts)
    if prices:
        previous = None if is_snapshot else book.prev_seq_id
        stored_checksum = book.checksum % 2**32 if book.checksum else None
        numbers = book.seq_id, previous, stored_checksum
        message = L2Message(symbol, moment, msg_seq, is_snapshot, sides, prices, sizes, *numbers)
    return Decoded(message, book.seq_id, book.prev_seq_id, book.checksum)


def _level_by_level(data: msgspec.Raw, symbol: str, msg_seq: int, is_snapshot: bool) -> list[Decoded]:
    """The same with every level's text looked at; impossible ones are rejects, the others are kept."""
    try:
        books = _book_texts.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE_NAME, f"books: {error}") from error
    found = []
    for book in books:
        columns: _Columns = ([], [], [])
        labels: list[str] = []
        rejects: list[Row] = []
        for side, levels in (("bid", book.bids), ("ask", book.asks)):
            for raw in levels:
                try:
                    level = _level_text.decode(raw)
                    price_text, size_text = text_of(level.price), text_of(level.size)
                    price, size = positive(price_text), not_negative(size_text)
                except (msgspec.MsgspecError, ValueError) as error:
                    rejects.append(reject(symbol, "l2", str(error), {"side": side, "level": raw}))
                    continue
                columns[0].append(side)
                columns[1].append(price)
                columns[2].append(size)
                labels.append(f"{price_text}:{size_text}")
        try:
            decoded = _decoded(book, columns, symbol, msg_seq, is_snapshot)
        except ValueError as error:
            raise FrameMalformed(EXCHANGE_NAME, f"books: {error}") from error
        decoded.labels, decoded.rejects = labels, rejects
        found.append(decoded)
    return found
