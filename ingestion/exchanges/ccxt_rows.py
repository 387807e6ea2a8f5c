"""ccxt's unified structures as our rows, pure: this module does not import ccxt.

ccxt computes floats and milliseconds. Where the exchange's own record (`info`) still has the decimal text or the
microseconds, and they agree with ccxt's value, they are taken; else ccxt's value is.

Source: the structures of ccxt 4.5 (docs.ccxt.com: public trades, ticker, order book) and its per-exchange parsers.
"""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any

import msgspec

from ingestion.exchanges.wire_values import WIRE_NUMBER_MAX, inexact_text, utc_us
from shared.exchange_facts import EXCHANGE_FACTS, ids_prove_loss, taker_sides
from shared.partitioning import stored_exchange, stored_symbol
from shared.rows import Level, OrderBook, Reject, Row, Ticker, Trade

UNKNOWN_SYMBOL = "unknown"
PAYLOAD_CHARS_MAX = 1 << 20
_BOOK_LIMITS = {"kraken": (10, 25, 100, 500, 1000), "bybit": (1, 50, 200, 1000)}  # the others take any or have one
_PRICE_KEYS, _AMOUNT_KEYS = ("price", "p", "px"), ("qty", "size", "q", "sz", "amount", "v", "volume")
_TIME_KEYS = ("timestamp", "time", "datetime")
_SIDE_KEYS = ("side", "S")
_SIDE_WORDS = frozenset({"buy", "sell", "b", "s"})
_TICKER_FIELDS = {
    "bid": "bid",
    "ask": "ask",
    "bidVolume": "bid_volume",
    "askVolume": "ask_volume",
    "last": "last",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "vwap": "vwap",
    "baseVolume": "base_volume",
    "quoteVolume": "quote_volume",
    "change": "change",
    "percentage": "percentage",
}


class TradeRows:
    """Turns one exchange's ccxt trades into rows; holds what is known of the exchange."""

    def __init__(self, exchange_id: str, *, keep_info: bool = False) -> None:
        name = stored_exchange(exchange_id)
        self._contiguous = ids_prove_loss(name, "ccxt")
        self._own_words = name in EXCHANGE_FACTS  # elsewhere only ccxt's word has a known meaning
        self._taker_side = taker_sides(name)
        self._keep_info = keep_info

    def rows(self, trades: Sequence[Mapping[str, Any]]) -> list[Row]:
        """A row per trade, oldest first; what is no valid trade is a `Reject` in its place."""
        if len(trades) > 1 and self._contiguous:
            # ccxt sorts equal milliseconds by the text of the id, where "10" comes before "9".
            ids = [str(trade.get("id")) for trade in trades]
            if all(each.isdecimal() for each in ids):
                trades = sorted(trades, key=lambda trade: int(trade["id"]))
        return [self._row(trade) for trade in trades]

    def _row(self, trade: Mapping[str, Any]) -> Row:
        info = trade.get("info")
        own: Mapping[str, Any] = info if isinstance(info, Mapping) else {}
        trade_id = "" if trade.get("id") is None else str(trade["id"])
        symbol = trade.get("symbol")
        try:
            price, price_text = _number(trade.get("price"), own, _PRICE_KEYS)
            amount, amount_text = _number(trade.get("amount"), own, _AMOUNT_KEYS)
            word = self._side_word(trade, own)
            return Trade(
                stored_symbol(str(symbol)),
                _time_us(trade.get("timestamp"), own),
                trade_id,
                int(trade_id) if self._contiguous and trade_id.isdecimal() else None,
                None if word is None else self._taker_side.get(word),
                word,
                price,
                amount,
                price_text,
                amount_text,
                _cost(trade.get("cost"), price * amount),
                json_text(info) if self._keep_info else None,
            )
        except ValueError as error:
            name = _symbol_or_unknown(symbol)
            return Reject(name, None, "trades", str(error), json_text(info or trade), row_id=trade_id or None)

    def _side_word(self, trade: Mapping[str, Any], own: Mapping[str, Any]) -> str | None:
        if self._own_words:
            for key in _SIDE_KEYS:
                word = own.get(key)
                if isinstance(word, str) and word.lower() in _SIDE_WORDS:
                    return word
        side = trade.get("side")
        return side if isinstance(side, str) else None


def ticker_row(ticker: Mapping[str, Any], *, keep_info: bool = False) -> Ticker:
    """The exchange's summary; what is no finite number is absent.

    >>> ticker_row({"symbol": "BTC/USD", "timestamp": 1786309542514, "bid": 1.5, "last": float("nan")}).bid
    1.5
    """
    info = ticker.get("info")
    own: Mapping[str, Any] = info if isinstance(info, Mapping) else {}
    numbers = {ours: _optional(ticker.get(theirs)) for theirs, ours in _TICKER_FIELDS.items()}
    text = json_text(info) if keep_info else None
    symbol = stored_symbol(str(ticker["symbol"]))
    return Ticker(symbol, _time_us(ticker.get("timestamp"), own), **numbers, info_json=text)


def book_row(book: Mapping[str, Any], symbol: str, depth: int) -> Row:
    """The best `depth` levels per side as they stand now, copied; a `Reject` where a level is impossible."""
    bids: list[Level] = [(level[0], level[1]) for level in book["bids"][:depth]]
    asks: list[Level] = [(level[0], level[1]) for level in book["asks"][:depth]]
    name = stored_symbol(symbol)
    if not (_possible(bids) and _possible(asks)):
        payload = json_text({"bids": bids, "asks": asks})
        return Reject(name, None, "orderbook", "a level's price or size is not a positive number", payload)
    nonce = book.get("nonce")
    best_bid, bid_size = bids[0] if bids else (None, None)
    best_ask, ask_size = asks[0] if asks else (None, None)
    moment = _time_us(book.get("timestamp"), book)
    own = nonce if isinstance(nonce, int) else None
    return OrderBook(name, moment, own, best_bid, bid_size, best_ask, ask_size, bids, asks)


def unreadable_row(payload: str | bytes, reason: str, *, channel: str = "frames") -> Reject:
    """What came and could not be read, whoever it was meant for."""
    text = payload if isinstance(payload, str) else payload.decode(errors="backslashreplace")
    return Reject(UNKNOWN_SYMBOL, None, channel, reason, text[:PAYLOAD_CHARS_MAX])


def refusal(message: Any) -> str | None:
    """Why the exchange refused a subscription, where the message says so in a way that ccxt leaves unanswered.

    Kraken's v2 names the request, not the channel, and ccxt's waiter listens on the channel: it would wait for ever.

    >>> refusal({"method": "subscribe", "success": False, "error": "Currency pair not supported", "symbol": "X/Y"})
    'Currency pair not supported: X/Y'
    """
    if isinstance(message, Mapping) and message.get("success") is False and message.get("method") == "subscribe":
        reason, symbol = str(message.get("error") or "subscription refused"), message.get("symbol")
        return f"{reason}: {symbol}" if symbol and str(symbol) not in reason else reason
    return None


def book_limit(exchange_id: str, depth: int) -> int | None:
    """The depth to subscribe to so that `depth` levels are there; None leaves it to the exchange's default.

    >>> book_limit("kraken", 50), book_limit("kraken", 5000), book_limit("okx", 50)
    (100, 1000, None)
    """
    limits = _BOOK_LIMITS.get(exchange_id)
    return next((limit for limit in limits if limit >= depth), limits[-1]) if limits else None


def point(addresses: dict[str, Any], replacements: Mapping[str, Any]) -> None:
    """Replace ccxt's addresses in place. One address for a whole branch goes to each of its leaves.

    >>> known = {"public": "https://a", "ws": {"public": "wss://b", "publicV2": "wss://c"}}
    >>> point(known, {"ws": "ws://127.0.0.1:1/v2"})
    >>> known
    {'public': 'https://a', 'ws': {'public': 'ws://127.0.0.1:1/v2', 'publicV2': 'ws://127.0.0.1:1/v2'}}
    """
    for key, value in replacements.items():
        branch = addresses.get(key)
        if isinstance(value, Mapping):
            point(addresses.setdefault(key, {}), value)
        elif isinstance(branch, dict):
            point(branch, dict.fromkeys(branch, value))
        else:
            addresses[key] = value


def json_text(value: Any) -> str:
    """The value as JSON, cut where it is absurdly long."""
    return msgspec.json.encode(value, enc_hook=str).decode()[:PAYLOAD_CHARS_MAX]


def _number(value: Any, own: Mapping[str, Any], keys: Sequence[str]) -> tuple[float, str | None]:
    """A positive number, and its text where float64 cannot give it back."""
    if not isinstance(value, int | float) or not 0 < value < WIRE_NUMBER_MAX:
        raise ValueError(f"{value!r} is not a positive number")
    for key in keys:
        text = own.get(key)
        if isinstance(text, str) and _same(text, value):
            return float(text), inexact_text(text, float(text))
    return float(value), None


def _same(text: str, value: float) -> bool:
    try:
        return isclose(float(text), value, rel_tol=1e-15)
    except ValueError:
        return False


def _time_us(ms: Any, own: Mapping[str, Any]) -> int | None:
    if not isinstance(ms, int):
        return None
    for key in _TIME_KEYS:
        text = own.get(key)
        if isinstance(text, str) and "T" in text:
            try:
                us = utc_us(text)
            except ValueError:
                continue
            if abs(us - ms * 1000) <= 1000:
                return us
    return ms * 1000


def _cost(cost: Any, product: float) -> float | None:
    if not isinstance(cost, int | float) or not 0 <= cost < WIRE_NUMBER_MAX or isclose(cost, product, rel_tol=1e-9):
        return None
    return float(cost)


def _optional(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < WIRE_NUMBER_MAX else None


def _possible(levels: list[Level]) -> bool:
    return all(0 < price < WIRE_NUMBER_MAX and 0 < size < WIRE_NUMBER_MAX for price, size in levels)


def _symbol_or_unknown(symbol: Any) -> str:
    try:
        return stored_symbol(str(symbol))
    except ValueError:
        return UNKNOWN_SYMBOL
