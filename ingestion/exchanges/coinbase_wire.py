"""Coinbase Advanced Trade's frames: what they hold, as rows.

`side` of `market_trades` is the maker's (see `shared.exchange_facts`); trades stand newest first.

Source: docs.cdp.coinbase.com, Advanced Trade WebSocket channels; recorded frames of 2026-08-09.
"""

from typing import TypeAlias

import msgspec

from ingestion.exchanges.coinbase_l2 import EXCHANGE, L2Data, SequenceNum, add_book, level_by_level, nameless
from ingestion.exchanges.wire_values import (
    EXACT_TEXT_MAX,
    inexact_text,
    is_plain_symbol,
    not_negative,
    optional_number,
    positive,
    seconds_us,
    trade_number,
    utc_us,
)
from shared.errors import FrameMalformed
from shared.exchange_facts import taker_sides
from shared.rows import Candle, Reject, Row, Ticker, Trade

CANDLE_S = 300  # the one interval of the channel `candles`


class _Trade(msgspec.Struct, gc=False):
    trade_id: str
    product_id: str
    price: str
    size: str
    time: str
    side: str


class _TradesEvent(msgspec.Struct, gc=False):
    trades: list[_Trade]


class _Trades(msgspec.Struct, tag_field="channel", tag="market_trades", gc=False):
    sequence_num: SequenceNum
    timestamp: str
    events: list[_TradesEvent]


class _TickerOf(msgspec.Struct, gc=False):
    product_id: str
    price: str | None = None
    volume_24_h: str | None = None
    low_24_h: str | None = None
    high_24_h: str | None = None
    price_percent_chg_24_h: str | None = None
    best_bid: str | None = None
    best_bid_quantity: str | None = None
    best_ask: str | None = None
    best_ask_quantity: str | None = None


class _TickerEvent(msgspec.Struct, gc=False):
    tickers: list[_TickerOf]


class _Ticker(msgspec.Struct, tag_field="channel", tag="ticker", gc=False):
    sequence_num: SequenceNum
    timestamp: str
    events: list[_TickerEvent]


class _Candle(msgspec.Struct, gc=False):
    start: str
    product_id: str
    open: str
    high: str
    low: str
    close: str
    volume: str


class _CandlesEvent(msgspec.Struct, gc=False):
    candles: list[_Candle]


class _Candles(msgspec.Struct, tag_field="channel", tag="candles", gc=False):
    sequence_num: SequenceNum
    timestamp: str
    events: list[_CandlesEvent]


class _SubscriptionsEvent(msgspec.Struct, gc=False):
    subscriptions: dict[str, list[str]]


class _Subscriptions(msgspec.Struct, tag_field="channel", tag="subscriptions", gc=False):
    sequence_num: SequenceNum
    events: list[_SubscriptionsEvent]


class _Other(msgspec.Struct, gc=False):
    """Heartbeats, status, and the error frame, which has neither channel nor number."""

    channel: str = ""
    sequence_num: SequenceNum | None = None
    type: str = ""
    message: str = ""


_TAKER_SIDE = taker_sides(EXCHANGE)
_KNOWN: TypeAlias = _Trades | L2Data | _Ticker | _Candles | _Subscriptions
_known = msgspec.json.Decoder(_KNOWN, strict=False)
_other = msgspec.json.Decoder(_Other)
_OWN_CHANNELS = frozenset({"market_trades", "l2_data", "ticker", "candles", "subscriptions", ""})


class Message(msgspec.Struct, gc=False):
    """What one frame says: its place on the connection, its rows, what is subscribed, or the exchange's refusal."""

    sequence_num: int | None
    rows: list[Row]
    refusal: str | None = None
    subscribed: dict[str, list[str]] | None = None  # channel -> products, all of them


def decode(frame: bytes | str, *, keep_info: bool = False) -> Message:
    """The rows of one frame, oldest first; with `keep_info` each trade carries the exchange's own record.

    Raises:
        FrameMalformed: the frame is not JSON, or lacks what the protocol promises.
    """
    try:
        message = _known.decode(frame)
    except msgspec.ValidationError as error:
        return _decode_other(frame, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE, f"not JSON: {error}") from error
    if isinstance(message, _Trades):
        rows: list[Row] = [_trade(each, keep_info) for event in message.events for each in event.trades[::-1]]
    elif isinstance(message, L2Data):
        rows = []
        for event in message.events:
            if not add_book(rows, event, message.sequence_num):
                return Message(*level_by_level(frame))
    elif isinstance(message, _Subscriptions):
        return Message(message.sequence_num, [], None, _merged(message))
    elif isinstance(message, _Candles):
        rows = [_candle(c) for event in message.events for c in reversed(event.candles)]
    else:
        moment = _frame_us(message.timestamp)
        rows = [_ticker(t, moment) for event in message.events for t in event.tickers if t.product_id]
    return Message(message.sequence_num, rows)


def _decode_other(frame: bytes | str, error: msgspec.ValidationError) -> Message:
    try:
        other = _other.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError) as deeper:
        raise FrameMalformed(EXCHANGE, str(deeper)) from deeper
    if other.type == "error":
        return Message(other.sequence_num, [], other.message or "error without a message")
    if other.channel == "l2_data":
        return Message(*level_by_level(frame))
    if other.channel in _OWN_CHANNELS:
        raise FrameMalformed(EXCHANGE, str(error)) from error
    return Message(other.sequence_num, [])


def _merged(message: _Subscriptions) -> dict[str, list[str]]:
    return {channel: ids for event in message.events for channel, ids in event.subscriptions.items()}


def _frame_us(text: str) -> int:
    try:
        return utc_us(text)
    except ValueError as error:
        raise FrameMalformed(EXCHANGE, f"timestamp {text!r}") from error


def _trade(trade: _Trade, keep_info: bool) -> Row:
    price_text, size_text, side = trade.price, trade.size, trade.side
    if not is_plain_symbol(trade.product_id):
        return nameless("trades", trade.product_id, trade)
    try:
        price, amount = positive(price_text), positive(size_text)
        return Trade(
            trade.product_id,
            utc_us(trade.time),
            trade.trade_id,
            trade_number(trade.trade_id),
            _TAKER_SIDE.get(side),
            side,
            price,
            amount,
            inexact_text(price_text, price) if len(price_text) > EXACT_TEXT_MAX else None,
            inexact_text(size_text, amount) if len(size_text) > EXACT_TEXT_MAX else None,
            None,
            msgspec.json.encode(trade).decode() if keep_info else None,
        )
    except ValueError as error:
        payload = msgspec.json.encode(trade).decode()
        return Reject(trade.product_id, None, "trades", str(error), payload, row_id=trade.trade_id)


def _candle(candle: _Candle) -> Row:
    if not is_plain_symbol(candle.product_id):
        return nameless("candles", candle.product_id, candle)
    try:
        start_us = seconds_us(candle.start)
        prices = positive(candle.open), positive(candle.high), positive(candle.low), positive(candle.close)
        return Candle(candle.product_id, start_us, CANDLE_S, *prices, not_negative(candle.volume))
    except ValueError as error:
        return Reject(candle.product_id, None, "candles", str(error), msgspec.json.encode(candle).decode())


def _ticker(ticker: _TickerOf, moment: int) -> Row:
    if not is_plain_symbol(ticker.product_id):
        return nameless("ticker", ticker.product_id, ticker)
    last = optional_number(ticker.price)
    return Ticker(
        ticker.product_id,
        moment,
        bid=optional_number(ticker.best_bid),
        ask=optional_number(ticker.best_ask),
        bid_volume=optional_number(ticker.best_bid_quantity),
        ask_volume=optional_number(ticker.best_ask_quantity),
        last=last,
        high=optional_number(ticker.high_24_h),
        low=optional_number(ticker.low_24_h),
        close=last,
        base_volume=optional_number(ticker.volume_24_h),
        percentage=optional_number(ticker.price_percent_chg_24_h),
    )
