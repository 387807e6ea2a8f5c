"""OKX v5: addresses, limits, names and REST documents, pure.

Trades come from `trades-all`, one fill a message, whose ids count up by one per instrument. The channel `trades` joins
the fills of one order at one price under the last id, so its ids have holes that mean nothing. `trades-all` and candles
live on the endpoint `business`, the rest on `public`; neither asks for a login.

Source: okx.com/docs-v5 as of August 2026; recorded frames of 2022-05-13. That `trades-all` is served without login was
reported of live connections in August 2026 and stands nowhere in the documentation.
"""

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from ingestion.exchanges.okx_session import CHANNEL_OF, OkxSession, instrument_type
from ingestion.exchanges.okx_wire import EXCHANGE_NAME, ms_us
from ingestion.exchanges.protocol import Channel, Exchange, Limits, Newest, Profile, Request, Subscription
from ingestion.exchanges.wire_values import WIRE_NUMBER_MAX, optional_number, trade_number
from shared.errors import FrameMalformed
from shared.rows import Instrument

_SPOT = re.compile(r"([A-Za-z0-9]+)/([A-Za-z0-9]+)", re.ASCII)
_DERIVATIVE = re.compile(r"([A-Za-z0-9]+)/([A-Za-z0-9]+):([A-Za-z0-9]+)((?:-\d{6}(?:-[0-9.]+-[CP])?)?)", re.ASCII)
_KINDS = {"SPOT": "spot", "SWAP": "perpetual", "FUTURES": "future", "OPTION": "option"}
_BUSINESS = frozenset({"trades-all", "candle1m"})
_BOOKS_PER_CONNECTION = 30

PROFILE = Profile(
    name=EXCHANGE_NAME,
    title="OKX",
    ws_url="wss://ws.okx.com:8443/ws/v5",
    rest_url="https://www.okx.com/api/v5",
    source="okx.com/docs-v5 as of August 2026; recorded frames of 2022-05-13",
    channels={
        "trades": Channel(
            "trades-all", ("contiguous ids",), "every fill by itself; endpoint business; nothing is sent at the start"
        ),
        "ticker": Channel("tickers", ("none",), "at most each 100 ms"),
        "l2": Channel(
            "books",
            ("symbol sequence",),
            "changes are joined over 100 ms; the best 400 levels at the start; each message names the one before it. "
            "The checksum is 0 since 2026-06-23 and then not looked at; where one is given it must fit",
        ),
        "orderbook": Channel("books", ("derived from l2",)),
        "candles": Channel(
            "candle1m", ("none",), "1 minute; endpoint business; volume in the base currency, also of derivatives"
        ),
        "funding": Channel("funding-rate", ("none",), "each 30 to 90 s"),
        "liquidations": Channel(
            "liquidation-orders",
            ("none",),
            "OKX says that these are not all; not in the order of time; subscribed for a whole kind of instruments",
        ),
        "open_interest": Channel("open-interest", ("none",), "at most each 3 s; `value` is in USD"),
    },
    limits=Limits(
        streams_per_connection=200,  # ours: none is documented
        streams_of_table={"l2": _BOOKS_PER_CONNECTION, "orderbook": _BOOKS_PER_CONNECTION},  # recommended
        symbols_per_message=100,  # ours: about 6 KB of the 64 KB that a request may have
        messages_per_s=3.0,  # ours; 480 requests an hour are allowed
        connections_per_minute=180.0,  # 3 a second
        rest_weight_per_minute=300.0,  # the tightest of the documents used here: 20 in 2 s, and half of it
    ),
    silence_timeout_s=30.0,
    ping=b"ping",
    ping_every_s=20.0,  # OKX closes what was silent for 30 s
    notes="Sizes of derivatives (trades, books, liquidations, tickers' bid and ask) are in contracts: the instruments "
    "table says what one is worth (`contract_size`; of inverse ones in the quote currency). Before a service upgrade "
    "OKX announces the end of a connection 60 s ahead, on `public` at least.",
)


class Okx(Exchange):
    """OKX."""

    profile = PROFILE

    def raw_symbol(self, symbol: str) -> str:
        """BTC/USDT is BTC-USDT, BTC/USDT:USDT is BTC-USDT-SWAP, BTC/USD:BTC-220527 is BTC-USD-220527."""
        spot, derivative = _SPOT.fullmatch(symbol), _DERIVATIVE.fullmatch(symbol)
        if spot is not None:
            return f"{spot[1]}-{spot[2]}"
        if derivative is None or derivative[3] not in (derivative[1], derivative[2]):
            raise ValueError(f"{symbol!r} is no symbol of OKX; they look like BTC/USDT or BTC/USDT:USDT")
        return f"{derivative[1]}-{derivative[2]}{derivative[4] or '-SWAP'}"

    def endpoint(self, subscription: Subscription) -> str:
        """`business` for fills and candles, else `public`."""
        return f"{self.ws_url}/{'business' if CHANNEL_OF[subscription.table] in _BUSINESS else 'public'}"

    def session(self, wanted: Iterable[Subscription]) -> OkxSession:
        """The protocol of one connection."""
        return OkxSession(self, wanted)

    def look(self, subscription: Subscription) -> Request | None:
        """The newest of what a stream should tell; of liquidations there is no such document."""
        raw = subscription.raw_symbol
        match subscription.table:
            case "liquidations":
                return None
            case "funding":
                path = f"public/funding-rate?instId={raw}"
            case "open_interest":
                path = f"public/open-interest?instType={instrument_type(raw)}&instId={raw}"
            case _:
                path = f"market/trades?instId={raw}&limit=1"
        return Request(f"{self.rest_url}/{path}", 1, "look", subscription.table, subscription.symbol)

    def newest(self, subscription: Subscription, body: bytes) -> Newest:
        """The newest record's time, and id where it is a trade."""
        records = _decoded(body, _NewestAnswer).data
        if not records:
            return Newest(None, None)
        try:
            times = [ms_us(each.ts) for each in records]
            ids = [trade_number(each.trade_id) for each in records if each.trade_id is not None]
        except ValueError as error:
            raise FrameMalformed(EXCHANGE_NAME, f"REST: {error}") from error
        return Newest(max(ids, default=None), max(times))

    def instruments_requests(self, wanted: Iterable[Subscription]) -> list[Request]:
        """One document of each kind of instruments, of options one per family."""
        kinds = {(instrument_type(each.raw_symbol), "-".join(each.raw_symbol.split("-")[:2])) for each in wanted}
        queries = {
            f"instType={kind}&instFamily={family}" if kind == "OPTION" else f"instType={kind}" for kind, family in kinds
        }
        return [Request(f"{self.rest_url}/public/instruments?{each}", 1, "instruments") for each in sorted(queries)]

    def instruments(self, body: bytes, wanted: Iterable[Subscription]) -> list[Instrument]:
        """The wanted instruments."""
        names = {each.raw_symbol: each.symbol for each in wanted}
        return [
            _row(names[each.inst_id], each) for each in _decoded(body, _InstrumentsAnswer).data if each.inst_id in names
        ]


class _Newest(msgspec.Struct, rename="camel"):
    ts: str
    trade_id: str | None = None


class _Instrument(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_type: str
    base_ccy: str = ""
    quote_ccy: str = ""
    settle_ccy: str = ""
    uly: str = ""
    state: str | None = None
    tick_sz: str | None = None
    lot_sz: str | None = None
    min_sz: str | None = None
    ct_val: str | None = None
    ct_mult: str | None = None
    ct_type: str = ""


class _NewestAnswer(msgspec.Struct):
    code: str
    msg: str = ""
    data: list[_Newest] = []


class _InstrumentsAnswer(msgspec.Struct):
    code: str
    msg: str = ""
    data: list[_Instrument] = []


_Answer = TypeVar("_Answer", _NewestAnswer, _InstrumentsAnswer)


def _decoded(body: bytes, kind: type[_Answer]) -> _Answer:
    try:
        answer = msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE_NAME, f"REST: {error}") from error
    if answer.code != "0":
        raise FrameMalformed(EXCHANGE_NAME, f"REST: {answer.code[:20]} {answer.msg[:200]}")
    return answer


def _row(symbol: str, instrument: _Instrument) -> Instrument:
    base, _, quote = instrument.uly.partition("-")
    return Instrument(
        symbol,
        None,
        raw_symbol=instrument.inst_id,
        kind=_KINDS.get(instrument.inst_type, instrument.inst_type.lower()),
        base=instrument.base_ccy or base or None,
        quote=instrument.quote_ccy or quote or None,
        settle=instrument.settle_ccy or None,
        status=instrument.state,
        tick_size=optional_number(instrument.tick_sz),
        lot_size=optional_number(instrument.lot_sz),
        amount_min=optional_number(instrument.min_sz),
        contract_size=_product(instrument.ct_val, instrument.ct_mult),
        is_inverse={"inverse": True, "linear": False}.get(instrument.ct_type),
    )


def _product(value: str | None, multiplier: str | None) -> float | None:
    """What a contract is worth, exactly.

    >>> _product("0.1", "3"), _product("100", ""), _product("", "1")
    (0.3, 100.0, None)
    """
    if optional_number(value) is None or not value:
        return None
    try:
        product = float(Decimal(value) * Decimal(multiplier or "1"))
    except (InvalidOperation, OverflowError):
        return None
    return product if 0 < product < WIRE_NUMBER_MAX else None


EXCHANGE = Okx
