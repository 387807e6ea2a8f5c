"""Binance spot: addresses, limits and what its protocol permits to prove.

Trade ids are contiguous per symbol, so a jump proves a loss, across reconnects too. Book updates name the versions
that they lead from and to. Nothing else is numbered.

Source: github.com/binance/binance-spot-api-docs (web-socket-streams.md, rest-api.md; July 2026); recorded frames of
2021-10-12 and 2024-08-08.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import msgspec

from ingestion.exchanges import binance_rest
from ingestion.exchanges.binance_session import PING, BinanceSession
from ingestion.exchanges.protocol import (
    Channel,
    Exchange,
    Limits,
    Newest,
    Profile,
    Request,
    Subscription,
)
from shared.errors import FrameMalformed
from shared.rows import Instrument, Row

SPOT_STREAMS = {
    "trades": "trade",
    "ticker": "ticker",
    "l2": "depth@100ms",
    "orderbook": "depth@100ms",
    "candles": "kline_1m",
}
_SYMBOL = re.compile("([A-Z0-9]+)/([A-Z0-9]+)")
BOOK_NOTE = (
    "changes of 100 ms together; begins with a REST snapshot of the best 1000 levels a side, what lies behind them is "
    "known from its first change on"
)
# The snapshots of a connection's books can be had within half a minute of the REST budget, here and at Binance US and
# USD-M: so long a connection that is replaced must wait for the books of the new one, and hold back its updates.
BOOKS_PER_CONNECTION = {"l2": 50, "orderbook": 50}
SPOT_CHANNELS = {
    "trades": Channel("@trade", ("contiguous ids",), "every fill"),
    "ticker": Channel(
        "@ticker", ("none",), "each second, 24 hours, with the best bid and ask; each change of these is in l2"
    ),
    "l2": Channel("@depth@100ms", ("symbol sequence",), BOOK_NOTE),
    "orderbook": Channel("@depth@100ms", ("derived from l2",)),
    "candles": Channel("@kline_1m", ("none",), "1 minute"),
}


class Binance(Exchange):
    """Binance spot."""

    profile = Profile(
        name="binance",
        title="Binance spot",
        ws_url="wss://stream.binance.com:9443",
        rest_url="https://api.binance.com",
        source="github.com/binance/binance-spot-api-docs; recorded frames of 2021-10-12 and 2024-08-08",
        channels=SPOT_CHANNELS,
        limits=Limits(
            streams_per_connection=1024,
            streams_of_table=BOOKS_PER_CONNECTION,
            symbols_per_message=200,
            messages_per_s=4,  # 5, and pongs count
            connections_per_minute=60,
            lifetime_s=86_400,
            rest_weight_per_minute=4800,  # 6000
        ),
        silence_timeout_s=60.0,  # our ping is answered
        ping=PING,
        ping_every_s=20.0,
        notes="Times in microseconds. An acknowledged stream need not exist: names that nobody sends are acknowledged.",
    )
    streams: ClassVar[Mapping[str, str]] = SPOT_STREAMS
    stream_path: ClassVar[str] = "/stream?timeUnit=MICROSECOND"
    api_path: ClassVar[str] = "/api/v3"
    # The best 1000 levels cost 50 of 6000 a minute, all 5000 cost 250: the books of 100 symbols within a minute or in
    # more than four, while all their updates are held back.
    book_limit: ClassVar[int] = 1000
    book_weight: ClassVar[float] = 50
    look_path: ClassVar[str] = "aggTrades"  # names the newest trade, too, and costs a sixth of `trades`
    look_weight: ClassVar[float] = 4
    instruments_weight: ClassVar[float] = 20

    def raw_symbol(self, symbol: str) -> str:
        """BTC/USDT is BTCUSDT."""
        match = _SYMBOL.fullmatch(symbol)
        if not match:
            raise ValueError(f"{symbol!r} is no spot market; write it as BTC/USDT")
        return match[1] + match[2]

    def endpoint(self, subscription: Subscription) -> str:
        """The address of combined streams."""
        return f"{self.ws_url}{self.stream_path}"

    def session(self, wanted: Iterable[Subscription]) -> BinanceSession:
        """The protocol of one connection."""
        return BinanceSession(self, wanted, self.streams, self.book)

    def book(self, symbol: str, raw_symbol: str) -> Request:
        """The document that a book begins with."""
        url = f"{self.rest_url}{self.api_path}/depth?symbol={raw_symbol}&limit={self.book_limit}"
        return Request(url, self.book_weight, "book", "l2", symbol)

    def look(self, subscription: Subscription) -> Request | None:
        """The last trade: whatever the stream, a market that trades also quotes. A forced close proves nothing so."""
        if subscription.table in {"liquidations", "open_interest"}:
            return None
        url = f"{self.rest_url}{self.api_path}/{self.look_path}?symbol={subscription.raw_symbol}&limit=1"
        return Request(url, self.look_weight, "look", subscription.table, subscription.symbol)

    def newest(self, subscription: Subscription, body: bytes) -> Newest:
        """The last trade's id and time."""
        try:
            return binance_rest.newest(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise FrameMalformed(self.profile.name, f"trades by REST: {error}") from error

    def instruments_requests(self, wanted: Iterable[Subscription]) -> list[Request]:
        """One document of the wanted symbols; the list of all is over 10 MB."""
        names = sorted({each.raw_symbol for each in wanted})
        symbols = "%2C".join(f"%22{name}%22" for name in names)
        url = f"{self.rest_url}{self.api_path}/exchangeInfo?symbols=%5B{symbols}%5D"
        return [Request(url, self.instruments_weight, "instruments")] if names else []

    def instruments(self, body: bytes, wanted: Iterable[Subscription]) -> list[Instrument]:
        """The wanted symbols."""
        names = {each.raw_symbol: each.symbol for each in wanted}
        try:
            return list(binance_rest.instruments(body, names))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise FrameMalformed(self.profile.name, f"markets by REST: {error}") from error

    def polled(self, subscription: Subscription, body: bytes) -> Sequence[Row]:
        """The open interest, where it is polled."""
        try:
            return [binance_rest.open_interest(subscription.symbol, body)]
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise FrameMalformed(self.profile.name, f"open interest by REST: {error}") from error


EXCHANGE = Binance
