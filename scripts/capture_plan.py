"""Settings to collectors: what is refused is refused here, before the lake is touched."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from config.capture import CcxtExchange, Coinbase
from config.config import Settings
from config.native import NativeExchange
from ingestion.collectors.base_collector import Collector
from ingestion.collectors.coinbase_ws import CoinbaseOptions
from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.protocol import Exchange, SessionOptions, Subscription
from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from shared.errors import SettingsInvalid
from shared.partitioning import stored_exchange, stored_symbol

_COINBASE_TABLES = {"market_trades": "trades", "level2": "l2"}  # the others have our names


@dataclass(frozen=True)
class CollectorPlan:
    """A collector whose options have been checked; `build` takes its way in."""

    source: str
    exchange: str
    options: Any
    build: Callable[[Inlet], Collector]

    @property
    def feed(self) -> tuple[str, str]:
        """Whose rows it brings: there is one collector of each."""
        return self.source, stored_exchange(self.exchange)


def plan_collectors(settings: Settings) -> list[CollectorPlan]:
    """One collector per exchange and source that the settings turn on.

    Raises: SettingsInvalid where nothing, or something that cannot be collected, is turned on.
    """
    ingestion = settings.ingestion
    retry = RetryPolicy(
        ingestion.reconnect_delay,
        ingestion.reconnect_delay_max,
        ingestion.max_reconnect_attempts,
        ingestion.auto_reconnect,
    )
    plans: list[CollectorPlan] = []
    native = {name: each for name, each in settings.native.exchanges.items() if each.subscriptions}
    coinbase = ["coinbase"] if settings.coinbase.subscriptions else []
    _refuse_aliases([*coinbase, *(f"native.exchanges.{name}" for name in native)])
    if coinbase:
        options = replace(_coinbase_options(settings.coinbase, settings).native(), store_frames=ingestion.store_frames)
        plans.append(_native_plan("coinbaseadvanced", options, retry))
    for name, exchange in native.items():
        plans.append(_native_plan(name, _native_options(name, exchange, settings), retry))
    through_ccxt = {name: exchange for name, exchange in settings.ccxt.exchanges.items() if exchange.subscriptions}
    _refuse_aliases([f"ccxt.exchanges.{name}" for name in through_ccxt])
    for exchange_id, each in through_ccxt.items():
        plans.append(_ccxt_plan(exchange_id, each, retry, settings))
    if not plans:
        raise SettingsInvalid(
            "nothing to capture: no symbols are named",
            hint="Name symbols under coinbase.symbols, native.exchanges or ccxt.exchanges",
        )
    return plans


def _refuse_aliases(sections: Iterable[str]) -> None:
    """Two names of one exchange would be one feed, and every row in it twice."""
    taken: dict[str, str] = {}
    for section in sections:
        other = taken.setdefault(stored_exchange(section.rpartition(".")[2]), section)
        if other != section:
            raise SettingsInvalid(
                f"{other} and {section} are one exchange, its rows would be stored twice",
                hint="Put all of its symbols under one of the two",
            )


def _native_plan(exchange: str, options: NativeOptions, retry: RetryPolicy) -> CollectorPlan:
    return CollectorPlan("native", exchange, options, partial(NativeCollector, options, retry=retry))


def _depth(wanted: int, settings: Settings) -> int:
    return min(wanted, settings.ingestion.max_orderbook_depth or wanted)


def _coinbase_options(section: Coinbase, settings: Settings) -> CoinbaseOptions:
    return CoinbaseOptions(
        section.ws_url,
        {_COINBASE_TABLES.get(name, name): products for name, products in section.subscriptions.items()},
        silence_timeout_s=section.silence_timeout_s,
        keep_info=settings.ingestion.store_info_json,
        rest_url=section.rest_url,
        orderbook_depth=_depth(section.orderbook_depth, settings),
        orderbook_interval_ns=section.orderbook_interval_ms * 1_000_000,
    )


def _native_options(name: str, section: NativeExchange, settings: Settings) -> NativeOptions:
    where, known = f"native.exchanges.{name}", native_exchanges()
    if stored_exchange(name) not in known:
        raise SettingsInvalid(
            f"{where}: there is no native collector for it; there are {', '.join(known)}",
            hint="Name it under ccxt.exchanges instead",
        )
    exchange = known[stored_exchange(name)](
        SessionOptions(
            keep_info=settings.ingestion.store_info_json,
            orderbook_depth=_depth(section.orderbook_depth, settings),
            orderbook_interval_ns=section.orderbook_interval_ms * 1_000_000,
            ws_url=section.ws_url or "",
            rest_url=section.rest_url or "",
        )
    )
    subscriptions = tuple(_subscriptions(where, section, exchange))
    timeout_s = section.silence_timeout_s or exchange.profile.silence_timeout_s
    try:
        return NativeOptions(
            exchange,
            subscriptions,
            timeout_s,
            section.poll_interval_s,
            store_frames=settings.ingestion.store_frames,
        )
    except ValueError as error:
        raise SettingsInvalid(f"{where}: {error}") from error


def _subscriptions(where: str, section: NativeExchange, exchange: Exchange) -> Iterable[Subscription]:
    there = exchange.profile.channels
    for table, own in section.chosen.items():
        if own is not None and table not in there:
            raise SettingsInvalid(
                f"{where}.channels.{table}: {exchange.profile.title} has no {table}; it has {', '.join(there)}",
                hint="Take it out of the list",
            )
        for symbol in (section.symbols if own is None else own) if table in there else ():
            try:
                yield Subscription(table, stored_symbol(symbol), exchange.raw_symbol(symbol))
            except ValueError as error:
                raise SettingsInvalid(f"{where}: {symbol} cannot be subscribed to: {error}") from error


def _ccxt_plan(exchange_id: str, exchange: CcxtExchange, retry: RetryPolicy, settings: Settings) -> CollectorPlan:
    from ingestion.collectors.ccxt_collector import CcxtCollector, CcxtOptions, exchange_class

    secrets = {"apiKey": exchange.api_key, "secret": exchange.secret, "password": exchange.password}
    try:
        options = CcxtOptions(
            exchange_id,
            trades=exchange.channels.watchTrades,
            ticker=exchange.channels.watchTicker,
            orderbook=exchange.channels.watchOrderBook,
            candles=exchange.channels.watchOHLCV,
            funding=exchange.channels.watchFundingRate,
            liquidations=exchange.channels.watchLiquidations,
            orderbook_interval_s=exchange.orderbook_interval_ms / 1000,
            orderbook_depth=_depth(exchange.orderbook_depth, settings),
            options=exchange.options,
            urls=_nested(exchange.urls),
            silence_timeout_s=exchange.silence_timeout_s,
            keep_info=settings.ingestion.store_info_json,
            credentials={name: secret.get_secret_value() for name, secret in secrets.items() if secret},
        )
        exchange_class(options.ccxt_id)
    except ValueError as error:
        raise SettingsInvalid(f"ccxt.exchanges: {error}") from error
    return CollectorPlan("ccxt", exchange_id, options, partial(CcxtCollector, options, retry=retry))


def _nested(urls: Mapping[str, str]) -> dict[str, Any]:
    """Ccxt's tree of addresses from keys like `ws.publicV2`."""
    tree: dict[str, Any] = {}
    for key, url in urls.items():
        *parents, name = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = url
    return tree
