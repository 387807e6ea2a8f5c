"""Kraken v2's frames: what they hold, as rows. Numbers are JSON numbers whose every digit counts, so they stay text.

Source: docs.kraken.com, WebSocket API v2 (trade, ticker, ohlc, book, status).
"""

from collections.abc import Mapping, Set
from typing import Annotated, TypeAlias

import msgspec

from ingestion.exchanges.wire_values import (
    EXACT_TEXT_MAX,
    UNKNOWN_SYMBOL,
    inexact_text,
    not_negative,
    optional_number,
    positive,
    utc_us,
)
from shared.errors import FrameMalformed
from shared.exchange_facts import taker_sides
from shared.rows import Candle, Reject, Row, Ticker, Trade

EXCHANGE_NAME = "kraken"
_ABSENT = msgspec.Raw(b"null")
_Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Trade(msgspec.Struct, gc=False):
    symbol: str
    side: str
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: _Int64
    timestamp: str
    ord_type: str | None = None


class _Trades(msgspec.Struct, tag_field="channel", tag="trade", gc=False):
    type: str
    data: list[_Trade]


class _TickerOf(msgspec.Struct, gc=False):
    symbol: str
    bid: msgspec.Raw = _ABSENT
    bid_qty: msgspec.Raw = _ABSENT
    ask: msgspec.Raw = _ABSENT
    ask_qty: msgspec.Raw = _ABSENT
    last: msgspec.Raw = _ABSENT
    volume: msgspec.Raw = _ABSENT
    vwap: msgspec.Raw = _ABSENT
    low: msgspec.Raw = _ABSENT
    high: msgspec.Raw = _ABSENT
    change: msgspec.Raw = _ABSENT
    change_pct: msgspec.Raw = _ABSENT
    timestamp: str | None = None


class _Ticker(msgspec.Struct, tag_field="channel", tag="ticker", gc=False):
    data: list[_TickerOf]


class _Candle(msgspec.Struct, gc=False):
    symbol: str
    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    volume: msgspec.Raw
    interval_begin: str
    interval: Annotated[int, msgspec.Meta(ge=1, le=100_000)]  # minutes
    trades: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class _Candles(msgspec.Struct, tag_field="channel", tag="ohlc", gc=False):
    data: list[_Candle]


class BookLevel(msgspec.Struct, gc=False):
    """A level; `qty` 0 removes it."""

    price: msgspec.Raw
    qty: msgspec.Raw


class Book(msgspec.Struct, gc=False):
    """One symbol's levels, all of the snapshot or those that changed, in the order in which they apply."""

    symbol: str
    bids: list[BookLevel]
    asks: list[BookLevel]
    checksum: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    timestamp: str | None = None


class Books(msgspec.Struct, tag_field="channel", tag="book", gc=False):
    """A frame of the channel `book`."""

    type: str
    data: list[Book]


class _Result(msgspec.Struct, gc=False):
    channel: str = ""
    symbol: str = ""
    depth: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] | None = None  # of a book


class Answer(msgspec.Struct, gc=False):
    """What Kraken says of a request of ours; there is one per symbol."""

    channel: str = ""
    method: str = ""
    success: bool | None = None
    error: str = ""
    symbol: str = ""
    result: _Result | None = None
    req_id: int | None = None
    Error: str = ""  # of a connection that asked too much


Message: TypeAlias = _Trades | Books | _Ticker | _Candles | Answer
_known = msgspec.json.Decoder(_Trades | Books | _Ticker | _Candles)
_answer = msgspec.json.Decoder(Answer)
_OWN_CHANNELS = frozenset({"trade", "book", "ticker", "ohlc"})
_TAKER_SIDE = taker_sides(EXCHANGE_NAME)


def decode(frame: bytes) -> Message:
    """What one frame says.

    Raises:
        FrameMalformed: the frame is not JSON, or lacks what the protocol promises.
    """
    try:
        message: Message = _known.decode(frame)
    except msgspec.ValidationError as error:
        try:
            answer = _answer.decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError) as deeper:
            raise FrameMalformed(EXCHANGE_NAME, str(deeper)) from deeper
        if answer.channel in _OWN_CHANNELS or not (answer.channel or answer.method or answer.Error or answer.error):
            raise FrameMalformed(EXCHANGE_NAME, str(error)) from error
        return answer
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE_NAME, f"not JSON: {error}") from error
    return message


def number_text(raw: msgspec.Raw) -> str:
    """The digits of a JSON number, or of a text that holds one."""
    return bytes(raw).decode().strip('"')


def rows_of(message: Message, names: Mapping[str, str], *, former: Set[str], keep_info: bool) -> list[Row]:
    """The rows of trades, tickers or candles, oldest first; what cannot be one is a reject.

    `names` are the wanted symbols: Kraken's -> ours. Of symbols in `former` (Kraken's), nothing is wanted any more.
    """
    if isinstance(message, _Trades):
        # A snapshot's order is not documented; trade ids count up.
        trades = sorted(message.data, key=_trade_id) if message.type == "snapshot" else message.data
        return [_trade(each, names, keep_info) for each in trades if each.symbol not in former]
    if isinstance(message, _Ticker):
        return [_ticker(each, names) for each in message.data if each.symbol not in former]
    if isinstance(message, _Candles):
        return [_candle(each, names) for each in message.data if each.symbol not in former]
    return []


def reject(symbol: str | None, table: str, reason: str, record: msgspec.Struct, row_id: str | None = None) -> Reject:
    """What Kraken sent and cannot be a row."""
    payload = msgspec.json.encode(record).decode(errors="backslashreplace")
    return Reject(symbol or UNKNOWN_SYMBOL, None, table, reason[:300], payload, row_id=row_id)


def unwanted(symbol: str, table: str, record: msgspec.Struct) -> Reject:
    """What says of itself that it belongs to a symbol that was not asked for."""
    return reject(None, table, f"symbol {symbol[:80]!r} is not subscribed", record)


def _trade_id(trade: _Trade) -> int:
    return trade.trade_id


def _trade(trade: _Trade, names: Mapping[str, str], keep_info: bool) -> Row:
    symbol = names.get(trade.symbol)
    if symbol is None:
        return unwanted(trade.symbol, "trades", trade)
    try:
        price_text, size_text = number_text(trade.price), number_text(trade.qty)
        price, amount = positive(price_text), positive(size_text)
        return Trade(
            symbol,
            utc_us(trade.timestamp),
            str(trade.trade_id),
            trade.trade_id,
            _TAKER_SIDE.get(trade.side),
            trade.side,
            price,
            amount,
            inexact_text(price_text, price) if len(price_text) > EXACT_TEXT_MAX else None,
            inexact_text(size_text, amount) if len(size_text) > EXACT_TEXT_MAX else None,
            None,
            msgspec.json.encode(trade).decode() if keep_info else None,
        )
    except ValueError as error:
        return reject(symbol, "trades", str(error), trade, str(trade.trade_id))


def _ticker(ticker: _TickerOf, names: Mapping[str, str]) -> Row:
    symbol = names.get(ticker.symbol)
    if symbol is None:
        return unwanted(ticker.symbol, "ticker", ticker)
    last = optional_number(number_text(ticker.last))
    try:
        moment = utc_us(ticker.timestamp) if ticker.timestamp else None
    except ValueError:
        moment = None
    return Ticker(
        symbol,
        moment,
        bid=optional_number(number_text(ticker.bid)),
        ask=optional_number(number_text(ticker.ask)),
        bid_volume=optional_number(number_text(ticker.bid_qty)),
        ask_volume=optional_number(number_text(ticker.ask_qty)),
        last=last,
        high=optional_number(number_text(ticker.high)),
        low=optional_number(number_text(ticker.low)),
        close=last,
        vwap=optional_number(number_text(ticker.vwap)),
        base_volume=optional_number(number_text(ticker.volume)),
        change=optional_number(number_text(ticker.change)),
        percentage=optional_number(number_text(ticker.change_pct)),
    )


def _candle(candle: _Candle, names: Mapping[str, str]) -> Row:
    symbol = names.get(candle.symbol)
    if symbol is None:
        return unwanted(candle.symbol, "candles", candle)
    try:
        begin_us = utc_us(candle.interval_begin)
        open_, high, low, close = (
            positive(number_text(each)) for each in (candle.open, candle.high, candle.low, candle.close)
        )
        volume = not_negative(number_text(candle.volume))
    except ValueError as error:
        return reject(symbol, "candles", str(error), candle)
    seconds = candle.interval * 60
    return Candle(symbol, begin_us, seconds, open_, high, low, close, volume, trade_count=candle.trades)
