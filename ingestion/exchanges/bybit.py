"""Bybit v5, spot and linear perpetuals: addresses, limits and what its protocol permits to prove.

Books count their messages (`u`, by one per symbol and depth). Trades have ids that prove nothing: UUIDs on linear,
numbers shared by all symbols on spot; their `seq` is the matching engine's, grows, and skips.

Source: bybit-exchange.github.io/docs/v5; recorded frames of 2025-06-13 (`orderbook.1` of linear and spot).
"""

import re
from collections.abc import Iterable

import msgspec

from ingestion.exchanges.bybit_session import ARGS_PER_REQUEST, BybitSession, category
from ingestion.exchanges.bybit_wire import EXCHANGE as EXCHANGE_NAME
from ingestion.exchanges.protocol import Channel, Exchange, Limits, Newest, Profile, Request, Subscription
from ingestion.exchanges.wire_values import optional_number, trade_number, unix_us
from shared.errors import FrameMalformed
from shared.rows import Instrument

PROFILE = Profile(
    name=EXCHANGE_NAME,
    title="Bybit v5 (spot, linear perpetuals)",
    ws_url="wss://stream.bybit.com/v5/public",
    rest_url="https://api.bybit.com/v5/market",
    source="bybit-exchange.github.io/docs/v5; recorded frames of 2025-06-13 (orderbook.1)",
    channels={
        "trades": Channel(
            "publicTrade", ("none",), "every fill; ids are not contiguous, so a loss cannot be seen in them"
        ),
        "ticker": Channel(
            "tickers", ("none",), "linear: changes merged into the whole; spot: with orderbook.1's best prices"
        ),
        "l2": Channel(
            "orderbook.200", ("symbol sequence",), "200 levels; 1000 each 200 ms where a deeper orderbook is set"
        ),
        "orderbook": Channel("orderbook.200", ("derived from l2",)),
        "candles": Channel("kline.1", ("none",), "1 minute"),
        "funding": Channel("tickers", ("none",), "linear; a row where the rate, its time, mark or index price changed"),
        "liquidations": Channel("allLiquidation", ("none",), "linear; every one, each 500 ms, at the bankruptcy price"),
        "open_interest": Channel("tickers", ("none",), "linear; streamed, a row at each change"),
    },
    limits=Limits(
        streams_per_connection=500,  # the names of all topics may be 21,000 characters long together
        symbols_per_message=ARGS_PER_REQUEST,
        messages_per_s=5,
        connections_per_minute=60,  # 500 in 5 minutes
        rest_weight_per_minute=600,  # 600 in 5 s
    ),
    silence_timeout_s=60.0,  # our ping is answered
    ping=b'{"op":"ping"}',
    ping_every_s=20.0,
    notes="Spot and linear are two addresses; inverse contracts, options and dated futures are not supported.",
)
_SYMBOL = re.compile(r"([A-Z0-9]+)/([A-Z0-9]+)(?::(?=USDT|USDC)(\2))?")


class _PastTrade(msgspec.Struct):
    time: str


class _Increments(msgspec.Struct, frozen=True, rename="camel"):
    tick_size: str | None = None
    qty_step: str | None = None  # linear
    base_precision: str | None = None  # spot
    min_order_qty: str | None = None
    min_order_amt: str | None = None  # spot
    min_notional_value: str | None = None  # linear


class _Market(msgspec.Struct, rename="camel"):
    symbol: str
    status: str | None = None
    base_coin: str | None = None
    quote_coin: str | None = None
    settle_coin: str | None = None
    contract_type: str | None = None
    price_filter: _Increments = _Increments()
    lot_size_filter: _Increments = _Increments()


class _Trades(msgspec.Struct):
    list: list[_PastTrade]


class _Markets(msgspec.Struct):
    category: str
    list: list[_Market]


class _TradesDocument(msgspec.Struct):
    result: _Trades


class _MarketsDocument(msgspec.Struct):
    result: _Markets


class Bybit(Exchange):
    """Bybit v5."""

    profile = PROFILE

    def raw_symbol(self, symbol: str) -> str:
        """BTC/USDT and BTC/USDT:USDT are BTCUSDT, BTC/USDC:USDC is BTCPERP."""
        match = _SYMBOL.fullmatch(symbol)
        if not match:
            raise ValueError(f"{symbol!r} is neither spot nor linear; write it as BTC/USDT or BTC/USDT:USDT")
        return f"{match[1]}PERP" if match[3] == "USDC" else f"{match[1]}{match[2]}"

    def endpoint(self, subscription: Subscription) -> str:
        """`/spot` or `/linear`."""
        return f"{self.ws_url}/{category(subscription)}"

    def session(self, wanted: Iterable[Subscription]) -> BybitSession:
        """The protocol of one connection, whose streams are of one category."""
        return BybitSession(self, wanted)

    def look(self, subscription: Subscription) -> Request | None:
        """The last trade: whatever the stream, a market that trades also quotes. A forced close proves nothing so."""
        if subscription.table == "liquidations":
            return None
        query = f"category={category(subscription)}&symbol={subscription.raw_symbol}&limit=1"
        return Request(f"{self.rest_url}/recent-trade?{query}", 1, "look", subscription.table, subscription.symbol)

    def newest(self, subscription: Subscription, body: bytes) -> Newest:
        """The last trade's time."""
        try:
            trades = msgspec.json.decode(body, type=_TradesDocument).result.list
            return Newest(None, unix_us(trade_number(trades[0].time)) if trades else None)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise FrameMalformed(EXCHANGE_NAME, f"trades by REST: {error}") from error

    def instruments_requests(self, wanted: Iterable[Subscription]) -> list[Request]:
        """One document per market: the lists of all come in pages."""
        queries = sorted({f"category={category(each)}&symbol={each.raw_symbol}" for each in wanted})
        return [Request(f"{self.rest_url}/instruments-info?{query}", 1, "instruments") for query in queries]

    def instruments(self, body: bytes, wanted: Iterable[Subscription]) -> list[Instrument]:
        """The wanted markets of one category."""
        try:
            result = msgspec.json.decode(body, type=_MarketsDocument).result
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FrameMalformed(EXCHANGE_NAME, f"markets by REST: {error}") from error
        names = {each.raw_symbol: each.symbol for each in wanted if category(each) == result.category}
        return [_instrument(names[each.symbol], each) for each in result.list if each.symbol in names]


def _instrument(symbol: str, market: _Market) -> Instrument:
    lot = market.lot_size_filter
    kind = "spot" if market.contract_type is None else "perpetual"
    return Instrument(
        symbol,
        None,
        raw_symbol=market.symbol,
        kind=kind,
        base=market.base_coin,
        quote=market.quote_coin,
        settle=market.settle_coin,
        status=market.status,
        tick_size=optional_number(market.price_filter.tick_size),
        lot_size=optional_number(lot.qty_step or lot.base_precision),
        amount_min=optional_number(lot.min_order_qty),
        cost_min=optional_number(lot.min_notional_value or lot.min_order_amt),
        contract_size=None if kind == "spot" else 1.0,
        is_inverse=None if kind == "spot" else False,
    )


EXCHANGE = Bybit
