"""Coinbase Advanced Trade: its WebSocket messages, read and written, pure.

Completeness: `sequence_num` counts every frame of a connection over all channels from 0, so a jump proves a loss on
this connection and says nothing across a reconnect; trade ids are contiguous per product and do.
`side` of `market_trades` is the maker's (see `shared.exchange_facts`).

Source: docs.cdp.coinbase.com, Advanced Trade WebSocket channels; recorded frames of 2026-08-09.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, TypeAlias

import msgspec

from ingestion.exchanges.wire_values import (
    EXACT_TEXT_MAX,
    UNKNOWN_SYMBOL,
    inexact_text,
    is_plain_symbol,
    not_negative,
    optional_number,
    positive,
    trade_number,
    utc_us,
)
from shared.errors import FrameMalformed
from shared.exchange_facts import taker_sides
from shared.rows import L2, Reject, Row, Ticker, Trade

EXCHANGE = "coinbaseadvanced"
CHANNELS = {"trades": "market_trades", "ticker": "ticker", "l2": "level2"}  # table -> channel to subscribe
L2_PRODUCTS_PER_CONNECTION = 16  # more are refused by the exchange
FRAME_BYTES_MAX = 64 << 20  # a BTC-USD book snapshot is over 10 MiB
_SequenceNum: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


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
    sequence_num: _SequenceNum
    timestamp: str
    events: list[_TradesEvent]


class _Update(msgspec.Struct, gc=False):
    side: str
    event_time: str
    price_level: str
    new_quantity: str


class _L2Event(msgspec.Struct, gc=False):
    type: str
    product_id: str
    updates: list[_Update]


class _L2Data(msgspec.Struct, tag_field="channel", tag="l2_data", gc=False):
    sequence_num: _SequenceNum
    timestamp: str
    events: list[_L2Event]


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
    sequence_num: _SequenceNum
    timestamp: str
    events: list[_TickerEvent]


class _Other(msgspec.Struct, gc=False):
    """Heartbeats, subscriptions, candles, status, and the error frame, which has neither channel nor number."""

    channel: str = ""
    sequence_num: _SequenceNum | None = None
    type: str = ""
    message: str = ""


_TAKER_SIDE = taker_sides(EXCHANGE)
_BOOK_SIDE = {"bid": "bid", "offer": "ask"}
_KNOWN: TypeAlias = _Trades | _L2Data | _Ticker
_known = msgspec.json.Decoder(_KNOWN)
_other = msgspec.json.Decoder(_Other)


class Message(msgspec.Struct, gc=False):
    """What one frame says: its place on the connection, its rows, or the exchange's refusal."""

    sequence_num: int | None
    rows: list[Row]
    refusal: str | None = None


def subscribe_messages(products: Mapping[str, Sequence[str]]) -> list[bytes]:
    """The frames to send after connecting: one per table, and heartbeats, which keep quiet channels open."""
    wanted = [
        {"type": "subscribe", "product_ids": list(ids), "channel": CHANNELS[table]} for table, ids in products.items()
    ]
    return [msgspec.json.encode(m) for m in [{"type": "subscribe", "channel": "heartbeats"}, *wanted]]


def resubscribe_l2(products: Iterable[str]) -> list[bytes]:
    """The frames that make the exchange send fresh book snapshots after a break in the sequence."""
    ids = list(products)
    kinds = ("unsubscribe", "subscribe")
    return [msgspec.json.encode({"type": kind, "product_ids": ids, "channel": "level2"}) for kind in kinds]


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
        rows: list[Row] = [_trade(t, keep_info) for event in message.events for t in reversed(event.trades)]
    elif isinstance(message, _L2Data):
        rows = [row for event in message.events for row in _levels(event, message)]
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
    if other.channel in {"market_trades", "l2_data", "ticker", ""}:
        raise FrameMalformed(EXCHANGE, str(error)) from error
    return Message(other.sequence_num, [])


def _frame_us(text: str) -> int:
    try:
        return utc_us(text)
    except ValueError as error:
        raise FrameMalformed(EXCHANGE, f"timestamp {text!r}") from error


def _trade(trade: _Trade, keep_info: bool) -> Row:
    price_text, size_text, side = trade.price, trade.size, trade.side
    if not is_plain_symbol(trade.product_id):
        return _nameless("trades", trade.product_id, trade)
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


def _nameless(table: str, product_id: str, record: msgspec.Struct) -> Reject:
    """What says of itself that it belongs to a product that cannot exist."""
    reason = f"product_id {product_id[:80]!r} cannot name a symbol"
    return Reject(UNKNOWN_SYMBOL, None, table, reason, msgspec.json.encode(record).decode())


def _levels(event: _L2Event, message: _L2Data) -> list[Row]:
    """The rows of one event; the last one that is a level says so, whatever was rejected behind it."""
    if not is_plain_symbol(event.product_id):
        return [_nameless("l2", event.product_id, event)]
    rows: list[Row] = []
    last = None
    for update in event.updates:
        try:
            level = _level(update, event, message.sequence_num)
        except ValueError as error:
            payload = msgspec.json.encode(update).decode()
            rows.append(Reject(event.product_id, None, "l2", str(error), payload))
        else:
            last = len(rows)
            rows.append(level)
    if last is not None:
        rows[last] = msgspec.structs.replace(rows[last], is_last=True)
    return rows


def _level(update: _Update, event: _L2Event, sequence_num: int) -> L2:
    side = _BOOK_SIDE.get(update.side)
    if side is None:
        raise ValueError(f"side {update.side[:40]!r} is neither bid nor offer")
    return L2(
        event.product_id,
        utc_us(update.event_time),
        sequence_num,
        event.type == "snapshot",
        False,
        side,
        positive(update.price_level),
        not_negative(update.new_quantity),
    )


def _ticker(ticker: _TickerOf, moment: int) -> Row:
    if not is_plain_symbol(ticker.product_id):
        return _nameless("ticker", ticker.product_id, ticker)
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
