"""Bybit v5's public messages as they stand on the wire.

Source: bybit-exchange.github.io/docs/v5 (websocket/public: trade, orderbook, ticker, kline, all-liquidation;
ws/connect); recorded frames of 2025-06-13 (`orderbook.1` of linear and spot).
"""

from typing import Annotated, Any, TypeAlias

import msgspec

from shared.errors import FrameMalformed

EXCHANGE = "bybit"
Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Levels: TypeAlias = list[tuple[float, float]]  # texts on the wire; read by a decoder that is not strict, and exact


class BybitTrade(msgspec.Struct, gc=False):
    """One fill."""

    T: Int64
    s: str
    S: str  # the taker's side: Buy | Sell
    v: str
    p: str
    i: str  # id: a UUID on linear, a number on spot


class Trades(msgspec.Struct, gc=False):
    """`publicTrade`: fills of one symbol, oldest first."""

    data: list[BybitTrade]


class Book(msgspec.Struct, gc=False):
    """The levels of a snapshot, or those that changed."""

    s: str
    b: Levels
    a: Levels
    u: Int64  # counts the messages of this book by one; 1: the exchange began it anew


class BookMessage(msgspec.Struct, gc=False):
    """`orderbook`."""

    topic: str
    type: str
    ts: Int64
    data: Book
    cts: Int64 | None = None  # when the matching engine had it


def _camel(name: str) -> str:
    """`prev_price24h` is prevPrice24h, where msgspec's own rule writes prevPrice24H."""
    first, *others = name.split("_")
    return first + "".join(each[0].upper() + each[1:] for each in others)


class TickerFields(msgspec.Struct, gc=False, rename=_camel):
    """What is said of a market; a delta says what changed and leaves the rest away."""

    symbol: str
    last_price: str | None = None
    price24h_pcnt: str | None = None
    prev_price24h: str | None = None
    high_price24h: str | None = None
    low_price24h: str | None = None
    volume24h: str | None = None
    turnover24h: str | None = None
    bid1_price: str | None = None  # linear alone, as all below
    bid1_size: str | None = None
    ask1_price: str | None = None
    ask1_size: str | None = None
    mark_price: str | None = None
    index_price: str | None = None
    open_interest: str | None = None
    open_interest_value: str | None = None
    funding_rate: str | None = None
    next_funding_time: str | None = None
    funding_interval_hour: str | None = None


class TickerMessage(msgspec.Struct, gc=False):
    """`tickers`."""

    type: str
    ts: Int64
    data: TickerFields


class BybitLiquidation(msgspec.Struct, gc=False):
    """A position that was closed by force."""

    T: Int64
    s: str
    S: str  # the position's side: Buy is a long one
    v: str
    p: str  # bankruptcy price


class Liquidations(msgspec.Struct, gc=False):
    """`allLiquidation`: those of half a second."""

    data: list[BybitLiquidation]


class BybitKline(msgspec.Struct, gc=False):
    """A bar."""

    start: Int64
    interval: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    confirm: bool  # it has ended


class Klines(msgspec.Struct, gc=False):
    """`kline`."""

    topic: str
    data: list[BybitKline]


class Reply(msgspec.Struct, gc=False):
    """The answer to a request."""

    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""


class _Any(msgspec.Struct, gc=False):
    topic: str | None = None


Event: TypeAlias = Trades | BookMessage | TickerMessage | Liquidations | Klines | Reply | None
_TYPES: dict[str, Any] = {
    "publicTrade": Trades,
    "orderbook": BookMessage,
    "tickers": TickerMessage,
    "allLiquidation": Liquidations,
    "kline": Klines,
}
_DECODERS: dict[str, Any] = {
    kind: msgspec.json.Decoder(each, strict=each is not BookMessage) for kind, each in _TYPES.items()
}
_BY_START: dict[bytes, Any] = {f'{{"topic":"{kind}'.encode(): each for kind, each in _DECODERS.items()}
_any = msgspec.json.Decoder(_Any)
_reply = msgspec.json.Decoder(Reply)


def read(frame: bytes) -> Event:
    """What one frame says; None where it is of a topic that we never ask for.

    Raises:
        FrameMalformed: the frame is not JSON, or lacks what the protocol promises.
    """
    try:
        decoder = _BY_START.get(frame[: frame.find(b".", 0, 40)])
        if decoder is not None:
            return decoder.decode(frame)  # type: ignore[no-any-return]
        topic = _any.decode(frame).topic
        if topic is None:
            return _reply.decode(frame)
        decoder = _DECODERS.get(topic.partition(".")[0])
        return None if decoder is None else decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE, str(error)) from error


class _RawList(msgspec.Struct, gc=False):
    data: list[msgspec.Raw]


class _RawOne(msgspec.Struct, gc=False):
    data: msgspec.Raw


_raw_list = msgspec.json.Decoder(_RawList)
_raw_one = msgspec.json.Decoder(_RawOne)


def info_texts(frame: bytes) -> list[str]:
    """The exchange's own records in a frame that could be read, as they stand there."""
    one = bytes(_raw_one.decode(frame).data)
    return [_text(each) for each in _raw_list.decode(frame).data] if one.startswith(b"[") else [_text(one)]


def _text(record: bytes | msgspec.Raw) -> str:
    return bytes(record).decode(errors="backslashreplace")  # what is not read is not checked either
