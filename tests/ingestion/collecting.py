"""Collect from a local exchange for real: sockets, queue, journal, ready files. For tests."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ingestion.collectors.coinbase_ws import CoinbaseCollector, CoinbaseOptions
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.retry import RetryPolicy
from ingestion.simulator import LocalExchange
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name
from shared.rows import LIFECYCLE_CAUSES

QUICK = RetryPolicy(first_delay_s=0.01, delay_s_max=0.05)


class Run:
    """One collector run over a lake."""

    def __init__(self, lake: Lake, *, number: int = 0, options: PipelineOptions | None = None) -> None:
        clock = SystemClock()
        epoch = epoch_name(clock.wall_ns(), number)
        options = options or PipelineOptions(flush_interval_s=0.02, journal_sync_s=0.1)
        disk = Disk(durable=False)
        writer = StreamingParquetWriter(lake, WriterOptions(), epoch=epoch, clock=clock, disk=disk)
        self.lake = lake
        self.pipeline = IngestionPipeline(writer, options, epoch=epoch, clock=clock)
        self.inlet = self.pipeline.inlet("native", "coinbaseadvanced")

    async def coinbase(
        self, options: CoinbaseOptions, *, until: Callable[[], bool], retry: RetryPolicy = QUICK
    ) -> None:
        """Collect until the condition holds, then stop in order."""
        collector = CoinbaseCollector(options, self.inlet, retry)
        running = asyncio.create_task(self.pipeline.run([collector]))
        while not until() and not running.done():
            await asyncio.sleep(0.01)
        self.pipeline.stop()
        await running


def coinbase_options(exchange: LocalExchange, *symbols: str, tables: tuple[str, ...] = ("trades",)) -> CoinbaseOptions:
    return CoinbaseOptions(exchange.coinbase_ws_url, dict.fromkeys(tables, symbols), silence_timeout_s=2.5)


def bronze(lake: Lake, table: str = "trades", *, whole: bool = False) -> pl.DataFrame:
    """Every row of a bronze table in order of arrival; of gaps those that declare a loss, or the `whole` table."""
    rows = _stored(lake, table)
    return rows.filter(~pl.col("cause").is_in(LIFECYCLE_CAUSES)) if "cause" in rows.columns and not whole else rows


def events(lake: Lake) -> pl.DataFrame:
    """The gap rows that say what happened to collectors, in order of arrival."""
    return _stored(lake, "gaps").filter(pl.col("cause").is_in(LIFECYCLE_CAUSES))


def _stored(lake: Lake, table: str) -> pl.DataFrame:
    files: list[Path] = sorted(lake.ready.glob(f"*/{table}/**/*.parquet"))
    if not files:
        return pl.DataFrame()
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).sort("epoch", "seq")


def unsaid(lake: Lake, made: set[int], symbol: str) -> set[int]:
    """Trade ids that are neither in bronze nor inside a declared gap."""
    trades = bronze(lake)
    kept = set(trades.filter(pl.col("symbol") == symbol)["trade_seq"]) if trades.height else set()
    gaps = bronze(lake, "gaps")
    if gaps.height:
        wanted = (pl.col("symbol") == symbol) & (pl.col("channel") == "trades")
        latest = gaps.filter(wanted).sort("revision").unique("gap_id", keep="last")
        for gap in latest.filter(pl.col("status") == "open").iter_rows(named=True):
            if gap["prev_id"] and gap["next_id"]:
                kept |= set(range(int(gap["prev_id"]) + 1, int(gap["next_id"])))
    return made - kept
