"""Kraken's public REST answers as plain values.

Source: docs.kraken.com, REST market data (Assets, AssetPairs, Trades, Depth, Time, SystemStatus).
"""

from typing import Any

from ingestion.simulator.events import padded, stamp_us
from ingestion.simulator.state import Pair, VenueState

TRADES_MAX = 1000
_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
# Assets of Kraken's first years carry a class letter: X for coins, Z for money.
_LETTERED = frozenset({"XBT", "ETH", "LTC", "XDG", "XRP"})


def asset_name(asset: str) -> str:
    """Kraken's internal asset name.

    >>> asset_name("BTC"), asset_name("USD"), asset_name("SOL")
    ('XXBT', 'ZUSD', 'SOL')
    """
    old = _OLD_NAMES.get(asset, asset)
    if old in _LETTERED:
        return f"X{old}"
    return f"Z{old}" if old in ("USD", "EUR", "GBP", "JPY", "CAD") else old


def pair_name(symbol: str) -> str:
    """Kraken's internal pair name.

    >>> pair_name("BTC-USD"), pair_name("SOL-USD")
    ('XXBTZUSD', 'SOLUSD')
    """
    base, _, quote = symbol.partition("-")
    if asset_name(base).startswith("X") and asset_name(base) != base:
        return asset_name(base) + asset_name(quote)
    return _alternate(symbol)


def assets(state: VenueState) -> dict[str, Any]:
    """`Assets`."""
    names = {
        asset for pair in state.pairs.values() for asset in (pair.instrument.base_asset, pair.instrument.quote_asset)
    }
    return _answer(
        {
            asset_name(name): {
                "aclass": "currency",
                "altname": _OLD_NAMES.get(name, name),
                "decimals": 4 if name == "USD" else 10,
                "display_decimals": 2 if name == "USD" else 5,
                "status": "enabled",
            }
            for name in sorted(names)
        }
    )


def pairs(state: VenueState, wanted: str) -> dict[str, Any]:
    """`AssetPairs`, all or those named in the comma list `wanted`."""
    chosen = [_find(state, name) for name in wanted.split(",")] if wanted else list(state.pairs.values())
    if None in chosen:
        return _unknown_pair()
    return _answer({pair_name(pair.instrument.symbol): _pair(pair) for pair in chosen if pair})


def trades(state: VenueState, wanted: str, *, since_ns: int | None, count: int) -> dict[str, Any]:
    """At most 1000 trades after `since_ns`, oldest first, or the newest; `last` is the next `since`."""
    pair = _find(state, wanted)
    if pair is None:
        return _unknown_pair()
    count = max(1, min(count, TRADES_MAX))
    found = pair.prints[-count:] if since_ns is None else pair.between(since_ns + 1, 1 << 62)
    page, rest = found[:count], found[count : count + 1]
    item = pair.instrument
    last_ns = page[-1].ts_ns if page else (since_ns or 0)
    if rest and rest[0].ts_ns == last_ns:  # the page cut a sweep: let the next page repeat it
        last_ns -= 1
    rows = [
        [
            padded(fill.price, item.price_decimals),
            padded(fill.size, item.size_decimals),
            fill.ts_ns / 1e9,
            "b" if fill.taker_buys else "s",
            "m",
            "",
            fill.trade_id,
        ]
        for fill in page
    ]
    return _answer({pair_name(item.symbol): rows, "last": str(last_ns)})


def depth(state: VenueState, wanted: str, *, count: int, now_ns: int) -> dict[str, Any]:
    """`Depth`: `count` levels per side from the touch outwards."""
    pair = _find(state, wanted)
    if pair is None:
        return _unknown_pair()
    item = pair.instrument
    sides = [
        [
            [padded(price, item.price_decimals), padded(size, item.size_decimals), now_ns // 1_000_000_000]
            for price, size in levels
        ]
        for levels in pair.book.top(count)
    ]
    return _answer({pair_name(item.symbol): {"asks": sides[1], "bids": sides[0]}})


def server_time(now_ns: int) -> dict[str, Any]:
    """`Time`."""
    return _answer({"unixtime": now_ns // 1_000_000_000, "rfc1123": ""})


def system_status(now_ns: int) -> dict[str, Any]:
    """`SystemStatus`."""
    return _answer({"status": "online", "timestamp": stamp_us(now_ns)})


def _pair(pair: Pair) -> dict[str, Any]:
    item = pair.instrument
    base, quote = item.base_asset, item.quote_asset
    return {
        "altname": _alternate(item.symbol),
        "wsname": f"{_OLD_NAMES.get(base, base)}/{quote}",
        "aclass_base": "currency",
        "base": asset_name(base),
        "aclass_quote": "currency",
        "quote": asset_name(quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": item.price_decimals,
        "lot_decimals": item.size_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": padded(1, item.size_decimals),
        "costmin": "0.5",
        "tick_size": padded(1, item.price_decimals),
        "status": "online",
    }


def _alternate(symbol: str) -> str:
    base, _, quote = symbol.partition("-")
    return _OLD_NAMES.get(base, base) + quote


def _find(state: VenueState, name: str) -> Pair | None:
    """The pair under any of the names Kraken takes."""
    for symbol, pair in state.pairs.items():
        if name in (symbol, symbol.replace("-", "/"), symbol.replace("-", ""), _alternate(symbol), pair_name(symbol)):
            return pair
    return None


def _answer(result: dict[str, Any]) -> dict[str, Any]:
    return {"error": [], "result": result}


def _unknown_pair() -> dict[str, Any]:
    return {"error": ["EQuery:Unknown asset pair"]}
