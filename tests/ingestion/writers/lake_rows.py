"""Rows to write and ways to read a lake back, for the writer's tests."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ingestion import continuity
from ingestion.capture import Capture
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name
from shared.rows import Row, Trade

START_NS = 1_780_000_000_000_000_000


class StepClock:
    """A clock that a test moves by hand."""

    def __init__(self, wall_ns: int = START_NS) -> None:
        self.now_ns = wall_ns

    def wall_ns(self) -> int:
        return self.now_ns

    def mono_ns(self) -> int:
        return self.now_ns - START_NS


def trade(number: int, symbol: str = "BTC-USD") -> Trade:
    return Trade(symbol, START_NS // 1000 + number, str(number), number, "buy", "SELL", 100.5 + number, 0.25)


class Feed:
    """Numbered captures of one epoch, as a pipeline would hand them to the writer."""

    def __init__(self, clock: StepClock) -> None:
        self.feed, self.clock, self.number = continuity.Feed("native", "coinbaseadvanced", "e"), clock, 0

    def capture(self, rows: Sequence[Row]) -> Capture:
        numbered, seqs = self.feed.number(rows, self.clock.wall_ns() // 1000)
        rows = [row for row in numbered if row in rows]
        wall_ns, mono_ns = self.clock.wall_ns(), self.clock.mono_ns()
        return Capture("native", "coinbaseadvanced", wall_ns, mono_ns, rows, seqs[-len(rows) :])

    def captures(self, count: int, *, symbol: str = "BTC-USD") -> list[Capture]:
        out = []
        for _ in range(count):
            self.number += 1
            self.clock.now_ns += 1_000_000
            out.append(self.capture([trade(self.number, symbol)]))
        return out


def writer(
    lake: Lake, clock: StepClock, *, run: int = 0, options: WriterOptions | None = None, disk: Disk | None = None
) -> StreamingParquetWriter:
    return StreamingParquetWriter(
        lake, options or WriterOptions(), epoch=epoch_name(clock.wall_ns(), run), clock=clock, disk=disk or Disk()
    )


def ready_files(lake: Lake, table: str = "trades") -> list[Path]:
    return sorted(lake.ready.glob(f"*/{table}/**/segment_*"))


def ready_rows(lake: Lake, table: str = "trades") -> pl.DataFrame:
    files = ready_files(lake, table)
    if not files:
        return pl.DataFrame()
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files])
