"""`daedalus ingest`: settings to collectors, and nothing else."""

import asyncio
import random
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from config.capture import CcxtExchange
from config.config import DEFAULT_FILE, Settings, load_config
from ingestion.collectors.base_collector import BaseCollector
from ingestion.collectors.coinbase_ws import CoinbaseCollector, CoinbaseOptions
from ingestion.inlet import Inlet
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.retry import RetryPolicy
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from ingestion.writers.segments import SegmentOptions
from scripts.config_commands import ConfigFile
from shared.clock import SystemClock
from shared.disk import Disk
from shared.errors import SettingsInvalid
from shared.log import configure, get_log
from shared.partitioning import stored_exchange
from shared.rows import Stream
from storage.published import next_epoch

_COINBASE_TABLES = {"market_trades": "trades", "ticker": "ticker", "level2": "l2"}
log = get_log("ingest")


def ingest(config: ConfigFile = DEFAULT_FILE) -> None:
    """Capture what the settings name, until SIGTERM or Ctrl-C; then write, sync and seal everything."""
    settings = load_config(config)
    configure(settings.logging.level, format=settings.logging.format)
    for notice in settings.notices:
        log.warning("settings", notice=notice)
    asyncio.run(run(settings))


async def run(settings: Settings, *, on_synced: Callable[[dict[Stream, int]], None] | None = None) -> None:
    """One capture process, from recovery to the last sealed journal."""
    plans = plan_collectors(settings)  # what cannot be collected is refused before the lake is touched
    pipeline = build_pipeline(settings, on_synced=on_synced)
    collectors = [plan.build(pipeline.inlet(plan.source, plan.exchange)) for plan in plans]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, pipeline.stop)
    log.info("capturing", feeds=[collector.inlet.name for collector in collectors], raw=str(settings.lake().raw))
    await pipeline.run(collectors, heartbeat=settings.lake().state / "ingestion.json")
    log.info("stopped", rows=pipeline.statistics()["rows_total"])


def build_pipeline(
    settings: Settings, *, on_synced: Callable[[dict[Stream, int]], None] | None = None
) -> IngestionPipeline:
    """The pipeline that the settings describe; whatever an earlier process left has been recovered."""
    ingestion, clock = settings.ingestion, SystemClock()
    segments = SegmentOptions(ingestion.raw_format, ingestion.parquet_compression, ingestion.parquet_compression_level)
    writer_options = WriterOptions(ingestion.segment_max_mb, ingestion.segment_max_seconds, segments)
    epoch = next_epoch(settings.lake(), clock.wall_ns(), random.getrandbits(16))
    disk = Disk(durable=ingestion.enable_fsync)
    writer = StreamingParquetWriter(settings.lake(), writer_options, epoch=epoch, clock=clock, disk=disk)
    options = PipelineOptions(
        batch_size=ingestion.batch_size,
        flush_interval_s=ingestion.flush_interval_seconds,
        journal_sync_s=ingestion.journal_sync_ms / 1000,
        queue_bytes_max=round(ingestion.queue_max_mb * 2**20),
        queue_rows_max=ingestion.queue_maxsize,
        clock_step_ns=ingestion.clock_step_ms * 1_000_000,
    )
    return IngestionPipeline(writer, options, epoch=epoch, clock=clock, on_synced=on_synced)


@dataclass(frozen=True)
class CollectorPlan:
    """A collector whose options have been checked; `build` takes its way in."""

    source: str
    exchange: str
    build: Callable[[Inlet], BaseCollector]


def plan_collectors(settings: Settings) -> list[CollectorPlan]:
    """One collector per exchange that the settings turn on.

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
    if products := {_COINBASE_TABLES[name]: ids for name, ids in settings.coinbase.subscriptions.items()}:
        options = CoinbaseOptions(
            settings.coinbase.ws_url,
            products,
            silence_timeout_s=settings.coinbase.silence_timeout_s,
            keep_info=ingestion.store_info_json,
        )
        plans.append(CollectorPlan("native", "coinbaseadvanced", partial(CoinbaseCollector, options, retry=retry)))
    through_ccxt = {name: exchange for name, exchange in settings.ccxt.exchanges.items() if exchange.subscriptions}
    _refuse_aliases(through_ccxt)
    for exchange_id, exchange in through_ccxt.items():
        plans.append(_ccxt_plan(exchange_id, exchange, retry, keep_info=ingestion.store_info_json))
    if not plans:
        raise SettingsInvalid(
            "nothing to capture: no symbols are named", hint="Name symbols under coinbase.symbols or ccxt.exchanges"
        )
    return plans


def _refuse_aliases(exchange_ids: Iterable[str]) -> None:
    """Two names of one exchange would be one feed, and every row in it twice."""
    taken: dict[str, str] = {}
    for exchange_id in exchange_ids:
        other = taken.setdefault(stored_exchange(exchange_id), exchange_id)
        if other != exchange_id:
            raise SettingsInvalid(
                f"ccxt.exchanges: {other} and {exchange_id} are one exchange, its rows would be stored twice",
                hint="Put all of its symbols under one of the two names",
            )


def _ccxt_plan(exchange_id: str, exchange: CcxtExchange, retry: RetryPolicy, *, keep_info: bool) -> CollectorPlan:
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
            orderbook_depth=exchange.orderbook_depth,
            options=exchange.options,
            urls=_nested(exchange.urls),
            silence_timeout_s=exchange.silence_timeout_s,
            keep_info=keep_info,
            credentials={name: secret.get_secret_value() for name, secret in secrets.items() if secret},
        )
        exchange_class(options.ccxt_id)
    except ValueError as error:
        raise SettingsInvalid(f"ccxt.exchanges: {error}") from error
    return CollectorPlan("ccxt", exchange_id, partial(CcxtCollector, options, retry=retry))


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
