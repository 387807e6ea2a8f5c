"""`daedalus ingest`: settings to collectors, and nothing else."""

import asyncio
import random
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from config.config import DEFAULT_FILE, Settings, load_config
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.pressure import pressure_options
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from ingestion.writers.segments import SegmentOptions
from scripts.capture_plan import plan_collectors
from scripts.config_commands import ConfigFile
from scripts.ingest_notices import Notices
from scripts.log_options import LogFormatOption, configure_log
from scripts.reload import Capture
from shared.clock import SystemClock
from shared.disk import Disk
from shared.log import get_log
from shared.notify import STOPPING, notify
from shared.rows import Stream
from storage.published import next_epoch

log = get_log("ingest")


def ingest(config: ConfigFile = DEFAULT_FILE, log_format: LogFormatOption = None) -> None:
    """Capture what the settings name, until SIGTERM or Ctrl-C; then write, sync and seal everything."""
    settings = load_config(config)
    configure_log(settings, log_format)
    for notice in settings.notices:
        log.warning("settings", notice=notice)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run(settings, file=config))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where somebody installed it; asyncio's own costs more per wake-up and does the same."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def run(
    settings: Settings, *, file: Path | None = None, on_synced: Callable[[dict[Stream, int]], None] | None = None
) -> None:
    """One capture process, from recovery to the last sealed journal. SIGHUP reads `file` anew."""
    plans = plan_collectors(settings)  # what cannot be collected is refused before the lake is touched
    notices = Notices(on_synced)
    pipeline = build_pipeline(settings, on_synced=notices.synced)
    capture, asked = Capture(pipeline, settings, plans), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        notify(STOPPING)
        pipeline.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    beside = [asyncio.create_task(notices.tell(pipeline, feeds=lambda: len(capture.collectors)))]
    if file is not None:
        loop.add_signal_handler(signal.SIGHUP, asked.set)
        beside.append(asyncio.create_task(capture.follow(file, asked)))
    for task in beside:
        task.add_done_callback(lambda _: pipeline.stop())  # they end by a bug alone
    log.info(
        "capturing", feeds=[collector.inlet.name for collector in capture.collectors], raw=str(settings.lake().raw)
    )
    try:
        await pipeline.run(capture.collectors, heartbeat=settings.lake().state / "ingestion.json")
    finally:
        ended = [task for task in beside if not task.cancel()]
    for task in ended:
        task.result()
    log.info("stopped", rows=pipeline.statistics().rows_total)


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
        pressure=pressure_options(
            ingestion.overload_percent / 100, ingestion.overload_after_seconds, ingestion.overload_calm_seconds
        ),
        disk_reserve_bytes=ingestion.disk_reserve_mb << 20,
        clock_step_ns=ingestion.clock_step_ms * 1_000_000,
    )
    return IngestionPipeline(writer, options, epoch=epoch, clock=clock, on_synced=on_synced)
