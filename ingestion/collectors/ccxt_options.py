"""What to collect through ccxt, checked before ccxt is asked; and which of ccxt's methods brings which table."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from ingestion.silence import SilenceRules
from shared.partitioning import stored_symbol

_CCXT_IDS = {"coinbaseadvanced": "coinbase"}  # our name of it -> ccxt's


class Method(NamedTuple):
    """One of ccxt's ways to subscribe."""

    flag: str  # its name in ccxt's `has`
    name: str
    together: str | None = None  # the flag of the one that takes several symbols and brings the same


METHODS: dict[str, Method] = {
    "trades": Method("watchTrades", "watch_trades", "watchTradesForSymbols"),
    "ticker": Method("watchTicker", "watch_ticker"),
    "orderbook": Method("watchOrderBook", "watch_order_book", "watchOrderBookForSymbols"),
    "candles": Method("watchOHLCV", "watch_ohlcv"),
    "funding": Method("watchFundingRate", "watch_funding_rate"),
    "liquidations": Method("watchLiquidations", "watch_liquidations"),
}


@dataclass(frozen=True)
class CcxtOptions:
    """What to collect from which exchange; symbols in ccxt's form, as BTC/USD."""

    exchange_id: str
    trades: tuple[str, ...] = ()
    ticker: tuple[str, ...] = ()
    orderbook: tuple[str, ...] = ()
    orderbook_depth: int = 50
    options: Mapping[str, Any] = field(default_factory=dict)
    urls: Mapping[str, Any] = field(default_factory=dict)  # ccxt's `urls`, or only what stands in its `api`
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)  # apiKey, secret, password
    silence_timeout_s: float = 30.0
    keep_info: bool = False
    candles: tuple[str, ...] = ()  # of one minute
    funding: tuple[str, ...] = ()
    liquidations: tuple[str, ...] = ()
    orderbook_interval_s: float = 0.0  # least time between two stored snapshots of a book; 0: one per message
    silence: SilenceRules = field(default_factory=SilenceRules)

    def __post_init__(self) -> None:
        """Refuse what cannot be collected; ccxt is not asked yet."""
        if not self.tables:
            raise ValueError(f"{self.exchange_id}: needs symbols for {', '.join(METHODS)}")
        if self.orderbook_depth < 1 or not self.silence_timeout_s > 0:
            raise ValueError(f"{self.exchange_id}: orderbook_depth and silence_timeout_s must be positive")
        if not self.orderbook_interval_s >= 0:
            raise ValueError(f"{self.exchange_id}: orderbook_interval_s must not be negative")
        for symbol in self.symbols:
            stored_symbol(symbol)

    @property
    def ccxt_id(self) -> str:
        """The exchange's name in ccxt."""
        return _CCXT_IDS.get(self.exchange_id, self.exchange_id)

    @property
    def tables(self) -> dict[str, tuple[str, ...]]:
        """Table -> symbols, only what is wanted."""
        return {table: symbols for table in METHODS if (symbols := getattr(self, table))}

    @property
    def symbols(self) -> list[str]:
        """Every symbol once."""
        return sorted({symbol for symbols in self.tables.values() for symbol in symbols})

    @property
    def streams(self) -> dict[tuple[str, str], str]:
        """(table, symbol in the lake) -> symbol in ccxt's form."""
        return {(table, stored_symbol(each)): each for table, symbols in self.tables.items() for each in symbols}


def exchange_class(ccxt_id: str) -> type[Any]:
    """The class that ccxt.pro has for an exchange. Raises: ValueError where it has none."""
    ccxt = importlib.import_module("ccxt.pro")  # 110 MB: only who collects through it pays
    found: type[Any] | None = getattr(ccxt, ccxt_id, None)
    if found is not None and ccxt_id in ccxt.exchanges:
        return found
    near = get_close_matches(ccxt_id, ccxt.exchanges, 3)
    raise ValueError(f"ccxt.pro knows no exchange {ccxt_id!r}; similar: {', '.join(near) or 'none'}")
