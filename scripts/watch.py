"""`daedalus watch`: settings to the watcher, and nothing else."""

import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated

import typer

from config.config import DEFAULT_FILE, Settings, load_config
from etl.compiled import at_first_compiling
from etl.core.config import EtlOptions, FeatureConfig, FilterSpec
from etl.core.executor import TransformExecutor
from etl.core.streams import StreamResult
from etl.transforms.trades import TradesTransform
from etl.watcher import Status, told
from etl.watcher import watch as run_watcher
from scripts.bar_sets import bar_sets, candle_intervals
from scripts.config_commands import ConfigFile
from scripts.elsewhere import Refining, refining
from scripts.features.options import feature_options
from scripts.log_options import LogFormatOption, configure_log
from scripts.stream_options import streams_of
from shared.errors import SettingsInvalid
from shared.log import get_log
from shared.notify import READY, notify


def watch(
    config: ConfigFile = DEFAULT_FILE,
    once: Annotated[bool, typer.Option("--once", help="Process what is there, then end.")] = False,
    full_scan: Annotated[bool, typer.Option("--full-scan", help="Look at every published file again first.")] = False,
    end_of_data: Annotated[
        bool,
        typer.Option("--end-of-data", help="Nothing will come any more: close open bars as partial. Implies --once."),
    ] = False,
    exchange: Annotated[list[str] | None, typer.Option(help="Only these exchanges. Implies --once.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only these symbols. Implies --once.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 runs all streams in this one.")] = 0,
    log_format: LogFormatOption = None,
) -> None:
    """Turn captured segments into silver trades and bars as they arrive, until SIGTERM or Ctrl-C."""
    settings = load_config(config)
    if not settings.etl.channels.trades.enabled:
        raise SettingsInvalid(
            "etl.channels.trades is off: everything else is made of silver trades, or beside them",
            hint="Set etl.channels.trades.enabled: true",
        )
    configure_log(settings, log_format)
    at_first_compiling(lambda: get_log("watch").info("first start of this version: compiling takes a minute or more"))
    only = streams_of(exchange, symbol)
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers else None

    def make() -> TransformExecutor:
        return TransformExecutor(etl_options(settings, only=only), workers=pool)

    try:
        with refining(settings, make) as executor:
            if once or end_of_data or exchange or symbol:
                for result in executor.run(full_scan=full_scan, end_of_data=end_of_data):
                    typer.echo(_line(result))
                return
            executor.keep_on()
            if full_scan:
                executor.run(full_scan=True)
            _run_until_told(executor, settings)
    finally:
        if pool:
            pool.shutdown()


def _run_until_told(executor: Refining, settings: Settings) -> None:
    """Watch until a signal. A service that is stopped has captured its last by then: SIGTERM looks once more."""
    stopped, looks_again = threading.Event(), threading.Event()

    def stop(number: int, _frame: object) -> None:
        if number == signal.SIGTERM:
            looks_again.set()
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    notify(READY)
    status = Status(settings.lake().state / "watcher.json")
    poll_interval_s = settings.etl.poll_interval_s
    run_watcher(
        executor, poll_interval_s=poll_interval_s, stopped=stopped, looks_again=looks_again.is_set, status=status
    )


def _line(result: StreamResult) -> str:
    """What a run of a stream did, and what its books were like."""
    bars = ", ".join(f"{count} {name}" for name, count in result.bars.items()) or "no bars"
    rows = [f"{count} rows of {name}" for name, count in result.features.items() if count]
    parts = [f"{result.trades_out} trades, {bars}", *rows]
    for table, counts in result.counts.items():
        seen = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in told(counts).items())
        parts.append(f"{table} of {seen}")
    return f"{result.key.exchange} {result.key.symbol}: {'; '.join(parts)}"


def etl_options(settings: Settings, *, only: FilterSpec = FilterSpec()) -> EtlOptions:  # noqa: B008 - frozen
    """What the settings say of silver and gold, as plain values.

    Raises: SettingsInvalid.
    """
    channels = settings.etl.channels
    cleaning = {
        name: value for name, value in channels.trades.processor_options.items() if name in TradesTransform.OPTIONS
    }
    features = FeatureConfig(
        trades=True,
        ticker=channels.ticker.enabled,
        orderbook=channels.orderbook.enabled,
        books_from=channels.orderbook.source,
        options=feature_options(settings),
        ticker_unit=channels.ticker.partition_cols[-1],
        orderbook_unit=channels.orderbook.partition_cols[-1],
    )
    return EtlOptions(
        settings.lake(),
        lateness_s=settings.etl.lateness_s,
        candles=candle_intervals(settings),
        bars=bar_sets(settings),
        trades=cleaning,
        side_convention=settings.etl.side_convention,
        features=features,
        silver_unit=channels.trades.partition_cols[-1],
        checkpoint_keep_days=settings.etl.checkpoint_keep_days,
        only=only,
    )
