"""Binance USD-M futures: two addresses, `pu` in the books, funding, liquidations, open interest.

Trades come from `@trade`, which sends every fill with contiguous ids, those of the insurance fund and of forced
deleveraging too; an id that is used up without a trade is sent with price 0 and `X` NA, and kept as a reject.
`@aggTrade`, which the documentation prefers, adds up the fills of one order at one price and leaves those out.

Source: developers.binance.com, USD-M futures (market streams, base URL split of 2026-04-23); `@trade` is not in it:
recorded frames of 2024-08-08 (14,076 trades, no hole) and its use by ccxt 4.5.90 on the address `/public`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

from ingestion.exchanges.binance import BOOK_NOTE, BOOKS_PER_CONNECTION, Binance
from ingestion.exchanges.binance_session import PING
from ingestion.exchanges.protocol import Channel, Limits, Profile, Request, Subscription

_SYMBOL = re.compile(r"([A-Z0-9]+)/([A-Z0-9]+):\2(?:-(\d{6}))?")
_PUBLIC = frozenset(
    {"trades", "ticker", "l2", "orderbook"}
)  # the others are sent at `/market` alone, without an error here


class BinanceUsdm(Binance):
    """Binance USD-M futures."""

    profile = Profile(
        name="binanceusdm",
        title="Binance USD-M futures",
        ws_url="wss://fstream.binance.com",
        rest_url="https://fapi.binance.com",
        source="developers.binance.com (USD-M futures); recorded frames of 2021-07-22 and 2024-08-08",
        channels={
            "trades": Channel(
                "@trade", ("contiguous ids",), "every fill; not documented, unlike @aggTrade, which adds fills up"
            ),
            "ticker": Channel("@bookTicker", ("none",), "best bid and ask at each change; no 24 hour figures"),
            "l2": Channel("@depth@100ms", ("symbol sequence",), BOOK_NOTE),
            "orderbook": Channel("@depth@100ms", ("derived from l2",)),
            "candles": Channel("@kline_1m", ("none",), "1 minute"),
            "funding": Channel("@markPrice@1s", ("none",), "rate, next settlement, mark and index price each second"),
            "liquidations": Channel(
                "@forceOrder", ("none",), "not complete: the newest order of each second and symbol alone is sent"
            ),
            "open_interest": Channel("GET /fapi/v1/openInterest", ("polled",), "there is no stream"),
        },
        limits=Limits(
            streams_per_connection=1024,
            streams_of_table=BOOKS_PER_CONNECTION,
            symbols_per_message=200,
            messages_per_s=8,  # 10
            connections_per_minute=60,
            lifetime_s=86_400,
            rest_weight_per_minute=1920,  # 2400
        ),
        silence_timeout_s=60.0,
        ping=PING,
        ping_every_s=20.0,
        notes="Streams are split over two addresses, /public (trades, ticker, books) and /market (the others). "
        "Times in milliseconds; a book's is the matching engine's.",
    )
    streams: ClassVar[Mapping[str, str]] = {
        "trades": "trade",
        "ticker": "bookTicker",
        "l2": "depth@100ms",
        "orderbook": "depth@100ms",
        "candles": "kline_1m",
        "funding": "markPrice@1s",
        "liquidations": "forceOrder",
    }
    api_path: ClassVar[str] = "/fapi/v1"
    book_weight: ClassVar[float] = 20  # of 1000 levels, all there are
    look_path: ClassVar[str] = "trades"
    look_weight: ClassVar[float] = 5
    instruments_weight: ClassVar[float] = 1

    def raw_symbol(self, symbol: str) -> str:
        """BTC/USDT:USDT is BTCUSDT, BTC/USDT:USDT-261225 is BTCUSDT_261225."""
        match = _SYMBOL.fullmatch(symbol)
        if not match:
            raise ValueError(f"{symbol!r} is no USD-M future; write it as BTC/USDT:USDT")
        return match[1] + match[2] + (f"_{match[3]}" if match[3] else "")

    def endpoint(self, subscription: Subscription) -> str:
        """`/public` for what the matching engine sends, `/market` for what is computed."""
        return f"{self.ws_url}/{'public' if subscription.table in _PUBLIC else 'market'}/stream"

    def polls(self, subscription: Subscription) -> Request | None:
        """The open interest."""
        if subscription.table != "open_interest":
            return None
        url = f"{self.rest_url}{self.api_path}/openInterest?symbol={subscription.raw_symbol}"
        return Request(url, 1, "poll", subscription.table, subscription.symbol)

    def instruments_requests(self, wanted: Iterable[Subscription]) -> list[Request]:
        """One document of all symbols: it cannot be asked for less."""
        url = f"{self.rest_url}{self.api_path}/exchangeInfo"
        return [Request(url, self.instruments_weight, "instruments")] if any(True for _ in wanted) else []


EXCHANGE = BinanceUsdm
