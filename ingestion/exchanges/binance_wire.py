"""Binance's stream messages as they stand on the wire; spot, Binance US and USD-M futures write the same.

Fields keep the exchange's letters. Times are in milliseconds, or in microseconds where the address asks for them.

Source: github.com/binance/binance-spot-api-docs (web-socket-streams.md), developers.binance.com (USD-M futures, market
streams); recorded frames of 2021-07-22, 2021-10-12 and 2024-08-08.
"""

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec

from shared.errors import FrameMalformed

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Levels: TypeAlias = list[tuple[float, float]]  # texts on the wire; read by a decoder that is not strict, and exact
_T = TypeVar("_T")


class TradeEvent(msgspec.Struct, gc=False):
    """One fill."""

    s: str
    t: Int64  # trade id
    p: str
    q: str
    T: Int64
    m: bool  # the buyer was the maker: the taker sold
    X: str | None = None  # futures: MARKET | INSURANCE_FUND | ADL | NA


class DepthEvent(msgspec.Struct, gc=False):
    """The levels that changed from version `U` of the book to `u`."""

    s: str
    U: Int64
    u: Int64
    b: Levels
    a: Levels
    E: Int64
    T: Int64 | None = None  # futures: when the matching engine had it
    pu: Int64 | None = None  # futures: `u` of the message before


class TickerEvent(msgspec.Struct, gc=False, rename={"low": "l"}):
    """The last 24 hours, each second; on spot with the best bid and ask."""

    s: str
    E: Int64
    c: str | None = None  # last
    b: str | None = None
    B: str | None = None
    a: str | None = None
    A: str | None = None
    o: str | None = None
    h: str | None = None
    low: str | None = None
    w: str | None = None  # average, weighted by volume
    v: str | None = None
    q: str | None = None
    p: str | None = None  # change
    P: str | None = None  # the same in percent


class BestEvent(msgspec.Struct, gc=False):
    """The best bid and ask at each change."""

    s: str
    b: str
    B: str
    a: str
    A: str
    T: Int64 | None = None  # futures


class Kline(msgspec.Struct, gc=False, rename={"low": "l"}):
    """A bar."""

    t: Int64  # its begin
    i: str
    o: str
    h: str
    low: str
    c: str
    v: str
    q: str
    n: Int64
    x: bool  # it has ended


class CandleEvent(msgspec.Struct, gc=False):
    """The bar that runs now, or has just ended."""

    s: str
    k: Kline


class FundingEvent(msgspec.Struct, gc=False):
    """Mark price and funding rate, each second."""

    s: str
    E: Int64
    p: str  # mark price
    i: str | None = None  # index price
    r: str | None = None  # empty where there is no funding
    T: Int64 | None = None  # next settlement


class ForceOrder(msgspec.Struct, gc=False):
    """An order that closes a position by force."""

    s: str
    S: str
    q: str
    p: str
    T: Int64
    ap: str | None = None  # average price
    z: str | None = None  # filled so far


class LiquidationEvent(msgspec.Struct, gc=False):
    """The newest forced order of this second; the others are not sent."""

    o: ForceOrder

    @property
    def s(self) -> str:
        """The exchange's name of the market."""
        return self.o.s


class Shutdown(msgspec.Struct, gc=False):
    """The server will close this connection soon."""


class _Error(msgspec.Struct, gc=False):
    code: int | None = None
    msg: str | None = None


class Reply(msgspec.Struct, gc=False):
    """The answer to a request."""

    id: int | str | None = None
    result: Any = None
    error: _Error | None = None
    code: int | None = None  # an error as older servers write it
    msg: str | None = None

    @property
    def refusal(self) -> str | None:
        """Why not, where the answer is no."""
        if self.error is not None:
            return f"{self.error.msg or 'error'} ({self.error.code})"
        return None if self.code is None else f"{self.msg or 'error'} ({self.code})"


MarketEvent: TypeAlias = TradeEvent | TickerEvent | BestEvent | CandleEvent | FundingEvent | LiquidationEvent
Event: TypeAlias = MarketEvent | DepthEvent | Shutdown | Reply | None


class Combined(msgspec.Struct, Generic[_T], gc=False):
    """What the address `/stream` sends of each stream."""

    data: _T


class _Any(msgspec.Struct, gc=False):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")
    e: str | None = None


class _Named(msgspec.Struct, gc=False):
    e: str | None = None


_TYPES: dict[bytes, Any] = {
    b"trade": TradeEvent,
    b"ticker": TickerEvent,
    b"bookTicker": BestEvent,
    b"kline_1m": CandleEvent,
    b"markPrice": FundingEvent,
    b"markPrice@1s": FundingEvent,
    b"forceOrder": LiquidationEvent,
    b"depth": DepthEvent,
    b"depth@0ms": DepthEvent,
    b"depth@100ms": DepthEvent,
    b"depth@500ms": DepthEvent,
}
_combined: Any = Combined  # made for each type at run time
_DECODERS: dict[bytes, Any] = {
    kind: msgspec.json.Decoder(_combined[event], strict=event is not DepthEvent) for kind, event in _TYPES.items()
}
_any = msgspec.json.Decoder(_Any)
_named = msgspec.json.Decoder(_Named)
_reply = msgspec.json.Decoder(Reply)
_raw = msgspec.json.Decoder(Combined[msgspec.Raw])


def read(exchange: str, frame: bytes) -> Event:
    """What one frame says; None where it is of a stream that we never ask for.

    Raises:
        FrameMalformed: the frame is not JSON, or lacks what the protocol promises.
    """
    place = frame.find(b"@", 0, 80)
    decoder = _DECODERS.get(frame[place + 1 : frame.find(b'"', place)]) if place > 0 else None
    try:
        if decoder is not None and frame.startswith(b'{"stream":"'):
            return decoder.decode(frame).data  # type: ignore[no-any-return]
        return _read_other(exchange, frame)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(exchange, str(error)) from error


def _read_other(exchange: str, frame: bytes) -> Event:
    message = _any.decode(frame)
    if message.stream is not None:
        kind = message.stream.partition("@")[2].encode()
        if kind in _DECODERS:  # written with spaces, or `data` first
            return _DECODERS[kind].decode(frame).data  # type: ignore[no-any-return]
        return Shutdown() if _named.decode(message.data).e == "serverShutdown" else None
    if message.e is not None:
        return Shutdown() if message.e == "serverShutdown" else None
    reply = _reply.decode(frame)
    if reply.id is None and reply.refusal is None:
        raise FrameMalformed(exchange, "neither a stream's message nor an answer")
    return reply


def info_text(frame: bytes) -> str:
    """The exchange's own record in a frame that could be read, as it stands there."""
    return bytes(_raw.decode(frame).data).decode(errors="backslashreplace")  # unread parts are unchecked
