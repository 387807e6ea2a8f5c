"""Silver and gold that were removed here stay whole: in the archive, over replacements, and for chains that go back."""

import shutil
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from etl.core.config import BarSet, EtlOptions
from etl.core.consumption import following
from etl.core.executor import TransformExecutor
from etl.core.outputs import SilverMissing
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Trade
from storage.holdings import holdings
from storage.local import LocalStorage
from storage.removal import Remover
from storage.removed import RemovalRecord
from storage.retention import Rules, removable
from storage.sync import StorageSync
from tests.etl.core.test_streams import Recorder, market, silver_of
from tests.ingestion.writers.lake_rows import START_NS
from tests.stepped_disk import DyingDisk, Killed

LATER = datetime(2027, 1, 1, tzinfo=UTC)
DAY_US, MINUTE_US = 86_400_000_000, 60_000_000


def trades() -> list[Trade]:
    """Eight days, four trades in some of their hours."""
    made = market(4, exchange="bitfinex", trades=80)
    moments = (START_NS // 1000 + at // 4 * DAY_US * 2 // 5 + at % 4 * MINUTE_US for at in range(80))
    return [msgspec.structs.replace(trade, timestamp=us) for trade, us in zip(made, moments, strict=True)]


def options(lake: Lake, disk: Disk | None = None) -> EtlOptions:
    bars = (BarSet("tick", {"threshold": 7}),)
    return EtlOptions(lake, bars=bars, checkpoint_keep_days=30, rows_per_step=10, disk=disk or Disk(durable=False))


def run(lake: Lake, *, disk: Disk | None = None) -> None:
    executor = TransformExecutor(options(lake, disk))
    try:
        executor.run()
    finally:
        executor.close()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Refined day by day; a trade of the fourth day is in a journal that comes last, and is not refined yet."""
    lake, recorder = Lake.under(tmp_path / "lake"), Recorder(Lake.under(tmp_path / "lake"), "bitfinex")
    rows = trades()
    late = rows.pop(33)
    for at in range(0, 70, 10):
        recorder.record([rows[at : at + 10]])
        run(lake)
    recorder.record([[late, *rows[70:]]])
    return lake


def removed(lake: Lake, store: LocalStorage, *, silver_days: int) -> list[str]:
    """Remove silver of so many days before the last of it, as retention does."""
    used = following(options(lake))
    last = max(file.end for file in holdings(lake) if file.tier == "silver")
    disk = Disk(durable=False)
    plan = removable(
        holdings(lake), Rules(days={"silver": silver_days}), now=last, is_used=lambda file: used(file.path, file.end)
    )
    with closing(RemovalRecord(lake, 1_790_000_000_000_000, disk=disk)) as record:
        done = Remover(lake, store, record, now_us=1_790_000_000_000_000, disk=disk).carry_out(plan)
    assert not done.stays
    return [file.key for file in done.removed]


@pytest.fixture
def store(tmp_path: Path, lake: Lake) -> LocalStorage:
    (tmp_path / "archive").mkdir()
    store = LocalStorage(tmp_path / "archive")
    assert StorageSync(lake, store).run_once().is_complete
    return store


def test_what_was_removed_here_stays_in_the_archive_when_rows_behind_it_are_replaced(
    lake: Lake, store: LocalStorage, tmp_path: Path
) -> None:
    gone = removed(lake, store, silver_days=5)
    assert gone
    run(lake)
    assert list(lake.silver("trades").glob("*/*/r[0-9]*"))
    assert StorageSync(lake, store).run_once().is_complete
    there = Lake.under(tmp_path / "archive")
    for key in gone:
        assert store.head(key)
    whole = Lake(lake.raw, tmp_path / "whole", tmp_path / "whole-state")
    run(whole)
    assert silver_of(there)["trade_id"].to_list() == silver_of(whole)["trade_id"].to_list()


def test_a_chain_that_goes_back_into_a_removed_file_says_so_and_publishes_nothing(
    lake: Lake, store: LocalStorage, tmp_path: Path
) -> None:
    assert removed(lake, store, silver_days=1)
    before = {path: path.read_bytes() for path in lake.processed.rglob("*.parquet") if "staging" not in path.parts}
    with pytest.raises(ExceptionGroup) as missing:
        run(lake)
    assert {type(error) for error in missing.value.exceptions} == {SilverMissing}
    assert {path: path.read_bytes() for path in before} == before
    shutil.copytree(tmp_path / "archive" / "processed", lake.processed, dirs_exist_ok=True)
    run(lake)
    whole = Lake(lake.raw, tmp_path / "whole", tmp_path / "whole-state")
    run(whole)
    assert silver_of(lake)["trade_id"].to_list() == silver_of(whole)["trade_id"].to_list()


def test_retention_between_a_kill_and_its_repair_does_not_make_the_repair_think_that_it_is_done(
    lake: Lake, tmp_path: Path
) -> None:
    """The checkpoint counts new rows; the exchange that shows them did not come; old files go meanwhile."""
    whole = Lake(lake.raw, tmp_path / "whole", tmp_path / "whole-state")
    run(whole)
    expected = silver_of(whole)["trade_id"].to_list()
    disk = ExchangeDies()
    with suppress(Killed):
        run(lake, disk=disk)
    assert disk.is_dead
    for path in sorted(lake.silver("trades").rglob("*.parquet"))[3:-2]:
        path.unlink()
    run(lake)
    assert silver_of(lake)["trade_id"].to_list() == expected


class ExchangeDies(DyingDisk):
    """A disk under a process that is killed as it exchanges two folders."""

    def __init__(self) -> None:
        super().__init__(0)
        self.is_dead = False

    def before(self, kind: str, path: Path) -> None:
        if kind == "exchange" or self.is_dead:
            self.is_dead = True
            raise Killed
