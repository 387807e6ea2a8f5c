"""Every cause by which trades can be missing reaches silver; what declares no loss changes nothing there."""

from pathlib import Path

import polars as pl
import pytest

from etl.core.config import EtlOptions
from etl.core.executor import TransformExecutor
from ingestion.continuity import UNENDED_AFTER_US
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import GAP_CAUSES, LIFECYCLE_CAUSES, Reject
from tests.ingestion.writers.lake_rows import StepClock
from tests.storage.captured import Capturing

LOSING = sorted(set(GAP_CAUSES) - LIFECYCLE_CAUSES - {"restart", "journal_damage"})  # those come by themselves


def silver(lake: Lake) -> pl.DataFrame:
    executor = TransformExecutor(EtlOptions(lake, disk=Disk(durable=False)))
    executor.run(end_of_data=True)
    executor.close()
    files = sorted(lake.silver("trades").glob("**/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).sort("ordinal")


@pytest.mark.parametrize("cause", LOSING)
def test_a_cause_that_can_lose_trades_marks_the_trade_behind_the_hole(tmp_path: Path, cause: str) -> None:
    run = Capturing(Lake.under(tmp_path), StepClock())
    run.trades(1, 5)
    run.interrupt(cause)
    run.trades(9, 12)
    run.stop()
    rows = silver(Lake.under(tmp_path))
    assert rows.filter("gap_before")["trade_seq"].to_list() == [9]


def test_a_restart_that_lost_trades_marks_the_trade_behind_it(tmp_path: Path) -> None:
    lake, clock = Lake.under(tmp_path), StepClock()
    for first in (1, 9):
        run = Capturing(lake, clock)
        run.trades(first, first + 4)
        run.stop()
    assert silver(lake).filter("gap_before")["trade_seq"].to_list() == [9]


@pytest.mark.parametrize(("goes_on_at", "marked"), [(6, []), (9, [9])])
def test_a_hole_written_before_it_ends_marks_only_what_it_turned_out_to_be(
    tmp_path: Path, goes_on_at: int, marked: list[int]
) -> None:
    run = Capturing(Lake.under(tmp_path), StepClock())
    run.trades(1, 5)
    run.interrupt("disconnect")
    run.clock.now_ns += UNENDED_AFTER_US * 1000
    run.rows(run.feed.unwritten(run.us))
    run.trades(goes_on_at, 12)
    run.stop()
    assert silver(Lake.under(tmp_path)).filter("gap_before")["trade_seq"].to_list() == marked


def test_rows_that_declare_no_loss_change_no_silver_row(tmp_path: Path) -> None:
    plain, told = (Capturing(Lake.under(tmp_path / name), StepClock()) for name in ("plain", "told"))
    for run in (plain, told):
        run.trades(1, 5)
        if run is told:
            run.clock.now_ns -= 4_000_000
            for cause in sorted(LIFECYCLE_CAUSES):
                run.rows([run.feed.event(cause, "x", at_us=run.us)])
            run.clock.now_ns -= 1_000_000
        run.rows([Reject("BTC-USD", None, "trades", "bad", "{}", row_id=None)])
        run.trades(6, 12)
        run.stop()
    one, other = (silver(Lake.under(tmp_path / name)) for name in ("plain", "told"))
    assert one.equals(other)
    assert one.height == 12
