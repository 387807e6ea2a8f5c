"""Coinbase Advanced Trade: one connection's rules, addresses and limits, pure.

`sequence_num` counts every frame of a connection over all channels from 0, so a jump proves a loss on this connection
and says nothing across a reconnect; trade ids are contiguous per product and do.

Source: docs.cdp.coinbase.com, Advanced Trade WebSocket channels and REST; recorded frames of 2026-08-09.
"""

from collections.abc import Iterable, Sequence

import msgspec

from ingestion.exchanges import coinbase_wire
from ingestion.exchanges.coinbase_l2 import EXCHANGE as EXCHANGE_NAME
from ingestion.exchanges.protocol import (
    Break,
    Channel,
    Exchange,
    Guarantee,
    Limits,
    Newest,
    Profile,
    Refused,
    Repeated,
    Request,
    Send,
    Session,
    Subscription,
)
from ingestion.exchanges.resync import ResyncPace, untrusted
from ingestion.exchanges.wire_values import optional_number, trade_number, utc_us
from shared.errors import FrameMalformed
from shared.partitioning import stored_symbol
from shared.rows import Instrument, L2Message, Reject, Row, Trade

_SEQUENCE: Guarantee = "connection sequence"
_CHANNEL_OF = {"trades": "market_trades", "ticker": "ticker", "l2": "level2", "orderbook": "level2"}
_CHANNEL_OF |= {"candles": "candles"}
PROFILE = Profile(
    name=EXCHANGE_NAME,
    title="Coinbase Advanced Trade",
    ws_url="wss://advanced-trade-ws.coinbase.com",
    rest_url="https://api.coinbase.com/api/v3/brokerage/market",
    source="docs.cdp.coinbase.com, Advanced Trade WebSocket channels; recorded frames of 2026-08-09",
    channels={
        "trades": Channel("market_trades", (_SEQUENCE, "contiguous ids"), "batched by the venue, about 250 ms"),
        "ticker": Channel("ticker", (_SEQUENCE,)),
        "l2": Channel("level2", (_SEQUENCE,), "data comes as l2_data; the whole book, no depth limit"),
        "orderbook": Channel("level2", ("derived from l2",)),
        "candles": Channel("candles", (_SEQUENCE,), "5 minutes, the only interval"),
    },
    limits=Limits(
        streams_per_connection=400,
        streams_of_table={"l2": 16, "orderbook": 16},  # more are refused by the exchange
        messages_per_s=7.5,  # 8 of an unauthenticated client
        connections_per_minute=240,
        rest_weight_per_minute=540,
    ),
    silence_timeout_s=5.0,  # heartbeats come each second
    notes="`-USDC` products answer as `-USD`, and are stored so.",
)


class CoinbaseSession(Session):
    """One connection. Heartbeats are subscribed first: without them quiet channels are closed after 60 to 90 s."""

    def __init__(self, exchange: Exchange, wanted: Iterable[Subscription]) -> None:
        super().__init__(exchange, wanted)
        self._next_number = 0
        self._spoilt: set[str] = set()  # ours; books that lack a level which could not be read
        self._pace = ResyncPace()

    def opening(self) -> list[bytes]:
        """Heartbeats, then a frame per channel."""
        return [msgspec.json.encode({"type": "subscribe", "channel": "heartbeats"}), *super().opening()]

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """A frame per channel."""
        return self._frames("subscribe", subscriptions)

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """A frame per channel; a book that another table still needs stays."""
        kept = {(_CHANNEL_OF[each.table], each.raw_symbol) for each in self.wanted}
        gone = [each for each in subscriptions if (_CHANNEL_OF[each.table], each.raw_symbol) not in kept]
        return self._frames("unsubscribe", gone)

    def resync(self, symbol: str) -> list[bytes]:
        """Off and on again: the snapshot comes with the subscription."""
        books = [each for each in self.wanted if each.symbol == symbol and _CHANNEL_OF[each.table] == "level2"]
        return [*self._frames("unsubscribe", books), *self._frames("subscribe", books)]

    def receive(self, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """The rows of one frame, oldest first."""
        message = coinbase_wire.decode(frame, keep_info=self.options.keep_info)
        self.frame_count += 1
        number = message.sequence_num
        if number == self._next_number:
            self._next_number += 1
        elif number is not None:
            self._out_of_sequence(number)
        if message.refusal is not None:
            self.events.append(Refused(message.refusal))
        if message.subscribed is not None:
            self._confirm(message.subscribed)
        rows = message.rows
        if self._books and rows and type(rows[0]) is not Trade:
            return self._books_of(rows, mono_ns)
        return rows  # where no book is followed, level 2 is only subscribed to be stored

    def _frames(self, kind: str, subscriptions: Sequence[Subscription]) -> list[bytes]:
        channels: dict[str, list[str]] = {}
        for each in subscriptions:
            products = channels.setdefault(_CHANNEL_OF[each.table], [])
            if each.raw_symbol not in products:
                products.append(each.raw_symbol)
        size = self.exchange.profile.limits.symbols_per_message
        return [
            msgspec.json.encode({"type": kind, "product_ids": ids[first : first + size], "channel": channel})
            for channel, ids in channels.items()
            for first in range(0, len(ids), size)
        ]

    def _out_of_sequence(self, number: int) -> None:
        """Frames are missing, or this one came again or late: then it says nothing new about the rest."""
        if number < self._next_number:
            self.events.append(Repeated())
            return
        evidence = f"sequence_num {self._next_number}..{number - 1} missing"
        self._next_number = number + 1
        self.events.append(Break("sequence_break", evidence))
        books = sorted({each.symbol for each in self.wanted if _CHANNEL_OF[each.table] == "level2"})
        for symbol in books:  # a book is whole again only from a fresh snapshot on
            if symbol in self._books:
                self._books[symbol].lose()
        subscriptions = [each for each in sorted(self.wanted) if _CHANNEL_OF[each.table] == "level2"]
        if subscriptions:
            frames = [*self._frames("unsubscribe", subscriptions), *self._frames("subscribe", subscriptions)]
            self.events.append(Send(frames))

    def _books_of(self, messages: list[Row], mono_ns: int) -> list[Row]:
        rows: list[Row] = []
        has_rejects = False
        for message in messages:
            if isinstance(message, L2Message):
                rows += self.book_rows(message, mono_ns)[0]
                if message.is_snapshot:
                    self._spoilt.discard(message.symbol)
            else:
                rows.append(message)
                has_rejects = has_rejects or isinstance(message, Reject)
        return self._mended(rows, mono_ns) if has_rejects or self._spoilt else rows

    def _mended(self, rows: list[Row], mono_ns: int) -> list[Row]:
        """A book one of whose levels is a reject is wrong from then on: told, not believed, and asked for anew."""
        books = {each.symbol for each in self.wanted if _CHANNEL_OF[each.table] == "level2"}
        spoilt = {row.symbol for row in rows if isinstance(row, Reject) and row.channel == "l2"} & books
        for symbol in sorted(spoilt):
            evidence = "levels of a message are impossible, they are in rejects"
            self.events.append(Break("sequence_break", evidence, (symbol,), ("l2", "orderbook")))
            if symbol in self._books:
                self._books[symbol].lose()
        self._spoilt = (self._spoilt | spoilt) & books
        for symbol in sorted({row.symbol for row in rows} & self._spoilt):
            if self._pace.may_ask(symbol, mono_ns):
                self.events.append(Send(self.resync(symbol)))
        return [kept for row in rows for kept in (untrusted([row]) if row.symbol in spoilt else [row])]

    def _confirm(self, subscribed: dict[str, list[str]]) -> None:
        """What is subscribed now; a `-USDC` product is confirmed under the name that it answers with."""
        there = {(channel, product) for channel, products in subscribed.items() for product in products}
        for each in list(self.unconfirmed):
            names = {each.raw_symbol, each.raw_symbol.removesuffix("C")}
            if any((_CHANNEL_OF[each.table], name) in there for name in names):
                self.unconfirmed.discard(each)


class _Product(msgspec.Struct):
    product_id: str
    base_increment: str | None = None
    price_increment: str | None = None
    base_min_size: str | None = None
    quote_min_size: str | None = None
    status: str | None = None
    base_currency_id: str | None = None
    quote_currency_id: str | None = None


class _Products(msgspec.Struct):
    products: list[_Product]


class _PastTrade(msgspec.Struct):
    trade_id: str
    time: str


class _PastTrades(msgspec.Struct):
    trades: list[_PastTrade]


class Coinbase(Exchange):
    """Coinbase Advanced Trade."""

    profile = PROFILE

    def raw_symbol(self, symbol: str) -> str:
        """BTC/USD is BTC-USD."""
        return stored_symbol(symbol)

    def session(self, wanted: Iterable[Subscription]) -> CoinbaseSession:
        """The protocol of one connection."""
        return CoinbaseSession(self, wanted)

    def look(self, subscription: Subscription) -> Request:
        """The last trade: whatever the stream, a market that trades also quotes."""
        url = f"{self.rest_url}/products/{subscription.raw_symbol}/ticker?limit=1"
        return Request(url, 1, "look", subscription.table, subscription.symbol)

    def newest(self, subscription: Subscription, body: bytes) -> Newest:
        """The last trade's id and time."""
        try:
            trades = msgspec.json.decode(body, type=_PastTrades).trades
            return Newest(trade_number(trades[0].trade_id), utc_us(trades[0].time)) if trades else Newest(None, None)
        except (msgspec.MsgspecError, ValueError) as error:
            raise FrameMalformed(self.profile.name, f"trades by REST: {error}") from error

    def instruments_requests(self, wanted: Iterable[Subscription]) -> list[Request]:
        """One document of the wanted products."""
        names = sorted({each.raw_symbol for each in wanted})
        query = "&".join(f"product_ids={name}" for name in names)
        return [Request(f"{self.rest_url}/products?{query}", 1, "instruments")] if names else []

    def instruments(self, body: bytes, wanted: Iterable[Subscription]) -> list[Instrument]:
        """The wanted products."""
        names = {each.raw_symbol: each.symbol for each in wanted}
        try:
            products = msgspec.json.decode(body, type=_Products).products
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FrameMalformed(self.profile.name, f"products by REST: {error}") from error
        return [
            Instrument(
                names[each.product_id],
                None,
                raw_symbol=each.product_id,
                kind="spot",
                base=each.base_currency_id,
                quote=each.quote_currency_id,
                status=each.status,
                tick_size=optional_number(each.price_increment),
                lot_size=optional_number(each.base_increment),
                amount_min=optional_number(each.base_min_size),
                cost_min=optional_number(each.quote_min_size),
            )
            for each in products
            if each.product_id in names
        ]


EXCHANGE = Coinbase
