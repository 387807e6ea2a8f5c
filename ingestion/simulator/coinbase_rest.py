"""Coinbase's public REST answers as plain values, and those that ccxt asks for at start.

Source: docs.cdp.coinbase.com, Advanced Trade REST (public) and Exchange REST (trades by id).
"""

from bisect import bisect_left
from typing import Any

from ingestion.simulator.events import Instrument, Print, plain, stamp_us
from ingestion.simulator.state import Pair, VenueState

_NS = 1_000_000_000
TRADES_MAX = 1000


def products(state: VenueState, wanted: list[str] | None = None) -> dict[str, Any]:
    """The product list; futures are never simulated."""
    listed = [product(pair) for symbol, pair in state.pairs.items() if not wanted or symbol in wanted]
    return {"products": listed, "num_products": len(listed)}


def product(pair: Pair) -> dict[str, Any]:
    """One product, all numbers as texts."""
    item, day = pair.instrument, pair.day
    base, quote = item.base_asset, item.quote_asset
    step = plain(1, item.price_decimals)
    return {
        "product_id": item.symbol,
        "price": plain(day.last or item.first_price, item.price_decimals),
        "price_percentage_change_24h": "0",
        "volume_24h": plain(day.size, item.size_decimals),
        "volume_percentage_change_24h": "0",
        "base_increment": plain(1, item.size_decimals),
        "quote_increment": step,
        "price_increment": step,
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_min_size": plain(1, item.size_decimals),
        "base_max_size": "100000000",
        "base_name": base,
        "quote_name": quote,
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "base_currency_id": base,
        "quote_currency_id": quote,
        "base_display_symbol": base,
        "quote_display_symbol": quote,
        "mid_market_price": "",
        "alias": "",
        "alias_to": [f"{base}-USDC"] if quote == "USD" else [],
        "view_only": False,
        "display_name": item.symbol,
        "product_venue": "CBE",
    }


def ticker(pair: Pair, *, limit: int, start_s: int | None, end_s: int | None) -> dict[str, Any]:
    """The newest `limit` trades of the window, newest first; both ends of the window are included."""
    item = pair.instrument
    start_ns = 0 if start_s is None else start_s * _NS
    end_ns = 1 << 62 if end_s is None else end_s * _NS + _NS - 1
    found = pair.between(start_ns, end_ns)[-min(limit, TRADES_MAX) :] if limit > 0 else []
    bids, asks = pair.book.top(1)
    return {
        "trades": [_trade(fill, item) for fill in reversed(found)],
        "best_bid": plain(bids[0][0], item.price_decimals) if bids else "",
        "best_ask": plain(asks[0][0], item.price_decimals) if asks else "",
    }


def exchange_trades(pair: Pair, *, limit: int, after: int | None, before: int | None) -> list[dict[str, Any]]:
    """Coinbase Exchange's page by id, newest first: older than `after`, newer than `before`."""
    item = pair.instrument
    stop = len(pair.prints) if after is None else bisect_left(pair.prints, after, key=_id)
    start = 0 if before is None else bisect_left(pair.prints, before + 1, key=_id)
    page = pair.prints[max(start, stop - min(limit, TRADES_MAX)) : stop]
    return [
        {
            "time": stamp_us(fill.ts_ns),
            "trade_id": fill.trade_id,
            "price": plain(fill.price, item.price_decimals),
            "size": plain(fill.size, item.size_decimals),
            "side": "sell" if fill.taker_buys else "buy",
        }
        for fill in reversed(page)
    ]


def product_book(pair: Pair, *, limit: int, now_ns: int) -> dict[str, Any]:
    """The resting sizes from the touch outwards."""
    item = pair.instrument
    bids, asks = pair.book.top(limit)

    def rows(levels: list[tuple[int, int]]) -> list[dict[str, str]]:
        return [
            {"price": plain(price, item.price_decimals), "size": plain(size, item.size_decimals)}
            for price, size in levels
        ]

    book = {"product_id": item.symbol, "bids": rows(bids), "asks": rows(asks), "time": stamp_us(now_ns)}
    return {"pricebook": book}


def fiat_currencies(state: VenueState) -> dict[str, Any]:
    """`/v2/currencies`."""
    quotes = sorted({pair.instrument.quote_asset for pair in state.pairs.values()})
    return {"data": [{"id": quote, "name": quote, "min_size": "0.01"} for quote in quotes]}


def crypto_currencies(state: VenueState) -> dict[str, Any]:
    """`/v2/currencies/crypto`."""
    bases = sorted({pair.instrument.base_asset for pair in state.pairs.values()})
    return {"data": [{"asset_id": base, "code": base, "name": base, "exponent": 8, "type": "crypto"} for base in bases]}


def exchange_rates(state: VenueState) -> dict[str, Any]:
    """`/v2/exchange-rates`."""
    return {"data": {"currency": "USD", "rates": {pair.instrument.base_asset: "1" for pair in state.pairs.values()}}}


def _trade(fill: Print, item: Instrument) -> dict[str, str]:
    return {
        "trade_id": str(fill.trade_id),
        "product_id": item.symbol,
        "price": plain(fill.price, item.price_decimals),
        "size": plain(fill.size, item.size_decimals),
        "time": stamp_us(fill.ts_ns),
        "side": "SELL" if fill.taker_buys else "BUY",
        "bid": "",
        "ask": "",
        "exchange": "",
    }


def _id(fill: Print) -> int:
    return fill.trade_id
