"""The machine's clock jumps by an hour, both ways: while rows come, before a seal, between a kill and a start."""

import random
from pathlib import Path

import polars as pl
import pytest

from ingestion.capture import Capture
from ingestion.continuity import Feed
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.disk import Disk
from shared.partitioning import Lake, Partition
from storage.published import log_paths, next_epoch
from tests.ingestion.writers.lake_rows import StepClock, ready_files, ready_rows, trade

HOUR_NS = 3_600_000_000_000


class Lives:
    """One writer after another on one lake."""

    def __init__(self, lake: Lake, seed: int) -> None:
        self.lake, self.clock, self.rng = lake, StepClock(), random.Random(seed)
        self.number = self.lives = 0
        self.acknowledged: set[int] = set()
        self.start()

    def start(self) -> None:
        epoch = next_epoch(self.lake, self.clock.wall_ns(), self.lives)
        options = WriterOptions(segment_max_seconds=60)
        self.writer = StreamingParquetWriter(
            self.lake, options, epoch=epoch, clock=self.clock, disk=Disk(durable=False)
        )
        self.feed = Feed("native", "coinbaseadvanced", epoch)
        self.feed.resume(self.writer.tails, started_us=self.clock.wall_ns() // 1000)
        self.lives += 1

    def jump(self) -> None:
        self.clock.now_ns += self.rng.choice((-HOUR_NS, HOUR_NS))

    def rows(self) -> None:
        """A few trades, synced; a journal that is due is sealed, as the pipeline does."""
        taken = set()
        for _ in range(self.rng.randrange(1, 5)):
            self.number += 1
            self.clock.now_ns += self.rng.randrange(20_000_000_000)
            wall_ns = self.clock.wall_ns()
            rows, seqs = self.feed.number([trade(self.number)], wall_ns // 1000)
            self.writer.append([Capture("native", "coinbaseadvanced", wall_ns, self.number, rows, seqs)])
            taken.add(self.number)
        self.writer.sync()
        self.acknowledged |= taken
        if self.writer.due():
            journal = self.writer.rotate()
            assert journal
            self.writer.seal(journal)

    def kill(self) -> None:
        self.writer._lock.release()
        self.start()


@pytest.mark.parametrize("seed", range(12))
def test_clock_jumps_lose_double_and_misname_nothing(tmp_path: Path, seed: int) -> None:
    lives = Lives(Lake.under(tmp_path), seed)
    for _ in range(40):
        lives.rng.choice((lives.rows, lives.rows, lives.rows, lives.jump, lives.kill))()
    lives.writer.close()
    table = ready_rows(lives.lake)
    assert sorted(table["trade_seq"]) == sorted(lives.acknowledged)
    assert table.select("epoch", "seq").is_unique().all()
    order = table.sort("epoch", "seq")["trade_seq"].to_list()
    assert order == sorted(order), "later runs sort behind earlier ones, wherever the clock stood"
    assert len(log_paths(lives.lake)) == lives.lives
    for path in ready_files(lives.lake):
        partition = Partition.parse(path)
        hours = {Partition.of_us("coinbaseadvanced", "BTC-USD", us) for us in _capture_us(path)}
        assert hours == {partition}
    gaps = ready_rows(lives.lake, "gaps")
    assert not gaps.height or set(gaps["status"]) == {"filled"}, "no trade is missing, whatever the clock says"


def _capture_us(path: Path) -> list[int]:
    return pl.read_parquet(path, hive_partitioning=False)["capture_ts"].dt.timestamp("us").to_list()
