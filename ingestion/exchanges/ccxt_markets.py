"""ccxt's candles, funding rates, liquidations and market list as our rows, pure: this module does not import ccxt.

Source: the structures of ccxt 4.5 (docs.ccxt.com: OHLCV, funding rate, liquidation, market).
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from ingestion.exchanges.ccxt_rows import json_text, unreadable_row
from ingestion.exchanges.wire_values import WIRE_NUMBER_MAX
from shared.exchange_facts import taker_sides
from shared.partitioning import stored_exchange, stored_symbol
from shared.rows import Candle, Funding, Instrument, Liquidation, Row

_KINDS = {"spot": "spot", "swap": "perpetual", "future": "future", "option": "option"}


def candle_rows(candles: Sequence[Sequence[Any]], symbol: str, interval_s: int) -> list[Row]:
    """A row per candle as it stands now; ccxt does not say which are closed.

    >>> candle_rows([[1700724660000, 1.0, 3.0, 0.5, 2.0, 9.0]], "A/B", 60)[0].high
    3.0
    """
    rows: list[Row] = []
    for candle in candles:
        begin_ms, *numbers = candle[:6] or [None]
        prices = [each for each in map(_positive, numbers[:4]) if each is not None]
        volume = _number(numbers[4]) if len(numbers) == 5 else None
        if not isinstance(begin_ms, int) or len(prices) < 4 or volume is None or volume < 0:
            rows.append(unreadable_row(json_text(list(candle)), f"{symbol}: not a candle", channel="candles"))
            continue
        opened, high, low, closed = prices
        rows.append(Candle(stored_symbol(symbol), begin_ms * 1000, interval_s, opened, high, low, closed, volume))
    return rows


def funding_row(funding: Mapping[str, Any], *, keep_info: bool = False) -> Funding:
    """What a perpetual's holders will pay. ccxt's `fundingTimestamp` is when `fundingRate` is paid."""
    interval = funding.get("interval")
    hours = float(interval[:-1]) if isinstance(interval, str) and interval[:-1].isdecimal() else None
    return Funding(
        stored_symbol(str(funding["symbol"])),
        _us(funding.get("timestamp")),
        _number(funding.get("fundingRate")),
        _number(funding.get("nextFundingRate")),
        _us(funding.get("fundingTimestamp")),
        hours if interval and str(interval).endswith("h") else None,
        _positive(funding.get("markPrice")),
        _positive(funding.get("indexPrice")),
        info_json=json_text(funding.get("info")) if keep_info else None,
    )


def liquidation_row(
    liquidation: Mapping[str, Any], market: Mapping[str, Any], exchange_id: str, *, keep_info: bool = False
) -> Liquidation:
    """A position that the exchange closed. ccxt counts contracts; the market says how much of the base one is."""
    side, price = liquidation.get("side"), _positive(liquidation.get("price"))
    contracts, size = _number(liquidation.get("contracts")), _positive(market.get("contractSize")) or 1.0
    amount = None if contracts is None else contracts * size
    if market.get("inverse"):  # a contract is so much of the quote
        amount = amount / price if amount is not None and price else None
    word = side if isinstance(side, str) else None
    known = taker_sides(stored_exchange(exchange_id)) if word else {}
    return Liquidation(
        stored_symbol(str(liquidation["symbol"])),
        _us(liquidation.get("timestamp")),
        word if word in {"buy", "sell"} else known.get(word or ""),
        word,
        price,
        amount,
        info_json=json_text(liquidation.get("info")) if keep_info else None,
    )


def instrument_rows(
    markets: Mapping[str, Mapping[str, Any]], symbols: Iterable[str], *, keep_info: bool = False
) -> list[Row]:
    """What ccxt knows of these markets. `status` is ccxt's word, since the exchange's own has no fixed place."""
    return [_instrument(markets[symbol], keep_info=keep_info) for symbol in symbols if symbol in markets]


def _instrument(market: Mapping[str, Any], *, keep_info: bool) -> Instrument:
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    active = market.get("active")
    return Instrument(
        stored_symbol(str(market["symbol"])),
        None,
        str(market.get("id")),
        _KINDS.get(str(market.get("type")), str(market.get("type"))),
        market.get("base"),
        market.get("quote"),
        market.get("settle"),
        None if active is None else "active" if active else "inactive",
        _positive(precision.get("price")),
        _positive(precision.get("amount")),
        _positive((limits.get("amount") or {}).get("min")),
        _positive((limits.get("cost") or {}).get("min")),
        _positive(market.get("contractSize")),
        market.get("inverse"),
        json_text(market.get("info")) if keep_info else None,
    )


def _number(value: Any) -> float | None:
    fits = isinstance(value, int | float) and isfinite(value) and abs(value) < WIRE_NUMBER_MAX
    return float(value) if fits else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _us(ms: Any) -> int | None:
    return ms * 1000 if isinstance(ms, int) else None
