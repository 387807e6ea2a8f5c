"""Kraken's v2 messages as bytes. Numbers are JSON numbers with every decimal of the pair.

Source: docs.kraken.com, WebSocket API v2 (trade, book, ticker, instrument) and the guide to the book checksum.
"""

from itertools import chain
from typing import Any
from zlib import crc32

import msgspec

from ingestion.simulator.events import Instrument, Print, padded, stamp_us_full
from ingestion.simulator.state import Pair

_CHECKSUM_LEVELS = 10
Side = list[tuple[int, int]]  # (price, size) in steps, from the touch outwards


def checksum(bids: Side, asks: Side, item: Instrument) -> int:
    """CRC32 over the digits of the ten best asks, then bids: price and size, no point, no leading zeros."""
    return crc32(
        "".join(
            # Steps are whole numbers: their text has neither a point nor leading zeros already.
            f"{price}{size}"
            for price, size in chain(asks[:_CHECKSUM_LEVELS], bids[:_CHECKSUM_LEVELS])
        ).encode()
    )


def trade_frame(kind: str, prints: tuple[Print, ...] | list[Print], item: Instrument) -> bytes:
    """Trades oldest first; `side` is the taker's."""
    trades = ",".join(
        trade_text(
            item.symbol,
            "buy" if fill.taker_buys else "sell",
            padded(fill.price, item.price_decimals),
            padded(fill.size, item.size_decimals),
            fill.trade_id,
            stamp_us_full(fill.ts_ns),
        )
        for fill in prints
    )
    return f'{{"channel":"trade","type":"{kind}","data":[{trades}]}}'.encode()


def book_frame(kind: str, pair: Pair, sides: tuple[Side, Side], *, ts_ns: int | None) -> bytes:
    """The given levels with the checksum of the whole book as it now stands."""
    item = pair.instrument
    bids, asks = (
        ",".join(
            f'{{"price":{padded(price, item.price_decimals)},"qty":{padded(size, item.size_decimals)}}}'
            for price, size in side
        )
        for side in sides
    )
    digits = checksum(*pair.book.top(_CHECKSUM_LEVELS), item)
    when = "" if ts_ns is None else f',"timestamp":"{stamp_us_full(ts_ns)}"'
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{spelled(item.symbol)}","bids":[{bids}],'
        f'"asks":[{asks}],"checksum":{digits}{when}}}]}}'
    ).encode()


def ticker_frame(kind: str, pair: Pair) -> bytes:
    """Touch and figures since the market began."""
    item, day = pair.instrument, pair.day
    bids, asks = pair.book.top(1)
    bid, ask = bids[0] if bids else (0, 0), asks[0] if asks else (0, 0)
    last = day.last or item.first_price
    mean = day.value // day.size if day.size else last

    def price(value: int) -> str:
        return padded(value, item.price_decimals)

    def size(value: int) -> str:
        return padded(value, item.size_decimals)

    change = day.last - day.first
    return (
        f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{spelled(item.symbol)}",'
        f'"bid":{price(bid[0])},"bid_qty":{size(bid[1])},"ask":{price(ask[0])},"ask_qty":{size(ask[1])},'
        f'"last":{price(last)},"volume":{size(day.size)},"vwap":{price(mean)},'
        f'"low":{price(day.low or last)},"high":{price(day.high or last)},'
        f'"change":{price(change)},"change_pct":{change / (day.first or last) * 100:.2f}}}]}}'
    ).encode()


def trade_text(symbol: str, side: str, price: str, size: str, trade_id: int, when: str) -> str:
    """One element of a trade frame's `data`; price and size as JSON is to show them."""
    return (
        f'{{"symbol":"{spelled(symbol)}","side":"{side}","price":{price},"qty":{size},'
        f'"ord_type":"market","trade_id":{trade_id},"timestamp":"{when}"}}'
    )


def instrument_entry(item: Instrument) -> dict[str, Any]:
    """One element of the instrument channel's `pairs`."""
    return {
        "symbol": spelled(item.symbol),
        "base": item.base_asset,
        "quote": item.quote_asset,
        "status": "online",
        "price_precision": item.price_decimals,
        "qty_precision": item.size_decimals,
        "price_increment": msgspec.Raw(padded(1, item.price_decimals).encode()),
        "qty_increment": msgspec.Raw(padded(1, item.size_decimals).encode()),
        "qty_min": msgspec.Raw(padded(1, item.size_decimals).encode()),
    }


def spelled(symbol: str) -> str:
    """Kraken's v2 spelling: `BTC/USD`."""
    return symbol.replace("-", "/")
