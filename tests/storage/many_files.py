"""A lake of many small files over two days and two runs, and what readers see of it. For tests of compaction."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Reject, Ticker
from storage.bronze_rows import rows_of
from storage.compaction import Compactor, MadeOptions
from storage.compaction_plan import Rules, planned, survey
from storage.lake import scan, tables
from storage.published import Published, log_paths, read_log
from tests.ingestion.writers.lake_rows import StepClock
from tests.storage.captured import EXCHANGE, HOUR_NS, Capturing

RULES = Rules(now=datetime(2026, 6, 20, tzinfo=UTC))
BEGIN_NS = 1_780_005_600_000_000_000  # 2026-05-28 22:00:00


def many_files(
    folder: Path, *, hours: int = 4, files_an_hour: int = 3, rows: int = 4, exchange: str = EXCHANGE
) -> Lake:
    """Two runs over hours around a midnight; each hour of a run has some files of trades and tickers."""
    lake, clock, number = Lake.under(folder), StepClock(BEGIN_NS), 0
    for part in range(2):
        run = Capturing(lake, clock, exchange=exchange)
        for _ in range(hours // 2):
            begun = clock.now_ns
            for _ in range(files_an_hour):
                run.trades(number + 1, number + rows)
                run.trades(number + 1, number + 2, "ETH-USD")
                run.rows([Ticker("BTC-USD", run.us, bid=1.0 + number)])
                number += rows
                clock.now_ns += HOUR_NS // (2 * files_an_hour)
                run.seal()
            clock.now_ns = begun + HOUR_NS
        run.rows([Reject("BTC-USD", None, "trades", "bad price", "{}", row_id=str(10_000 + part))])
        run.stop()
        number += 3  # which never came
    return lake


@dataclass(frozen=True)
class View:
    """Everything that readers of bronze see."""

    scanned: dict[str, pl.DataFrame]
    published: dict[str, pl.DataFrame]

    def same(self, other: "View") -> bool:
        """Whether both show the same rows."""
        return same(self.scanned, other.scanned) and same(self.published, other.published)


def same(one: dict[str, pl.DataFrame], two: dict[str, pl.DataFrame]) -> bool:
    """Whether the same names have the same rows."""
    return one.keys() == two.keys() and all(one[name].equals(two[name]) for name in one)


def view(lake: Lake) -> View:
    """What `scan` gives of each table, ordered, and the rows of each published file in theirs."""
    return View(scanned(lake), {entry.path: rows_of(lake, entry) for entry in entries(lake)})


def scanned(lake: Lake) -> dict[str, pl.DataFrame]:
    """The rows of every table, in an order of their own."""
    return {
        table.name: scan(lake, table.name).collect().sort("exchange", "symbol", "epoch", "seq", "hour")
        for table in tables(lake)
    }


def entries(lake: Lake) -> list[Published]:
    """Every published file."""
    return [entry for path in log_paths(lake) for entry in read_log(path)[0]]


def files(lake: Lake) -> dict[str, bytes]:
    """Every file of bronze, and what is in it."""
    paths = [path for root in (lake.ready, lake.daily) for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(lake.raw).as_posix(): path.read_bytes() for path in sorted(paths)}


def compacted(lake: Lake, rules: Rules = RULES, *, disk: Disk | None = None) -> int:
    """Do what a run of `daedalus compact` does; how many files were made."""
    compactor = Compactor(lake, MadeOptions(), disk=disk or Disk(durable=False))
    compactor.repair()
    days = list(survey(lake))
    for day in days:
        compactor.tidy(day)
    return sum(1 for merge in planned(days, rules) if compactor.compact(merge))
