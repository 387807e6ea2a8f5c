"""No file goes without proof: stores that lie, kills at every step, files that change; and what `check` says after."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from scripts.check import examined
from shared.disk import Disk
from shared.errors import ObjectMissing, StorageUnreachable
from shared.partitioning import Lake
from storage.base import ObjectInfo
from storage.checksum import Checksum
from storage.compaction import Compactor, MadeOptions
from storage.compaction_plan import Rules as CompactionRules
from storage.compaction_plan import planned, survey
from storage.holdings import holdings
from storage.inspection import Scope
from storage.local import LocalStorage
from storage.removal import Doubt, Removal, Remover
from storage.removed import RemovalRecord
from storage.retention import NEVER, Held, Rules, removable
from tests.stepped_disk import DyingDisk, Killed
from tests.storage.captured import two_runs

LATER = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return two_runs(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def lake(sound: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(sound.raw, tmp_path / "lake" / "raw")
    return Lake.under(tmp_path / "lake")


@pytest.fixture
def archive(lake: Lake, tmp_path: Path) -> LocalStorage:
    """A store that holds everything."""
    shutil.copytree(lake.raw, tmp_path / "archive" / "raw")
    return LocalStorage(tmp_path / "archive")


def compacted(lake: Lake) -> None:
    """Make one file of each day."""
    compactor = Compactor(lake, MadeOptions(), disk=Disk(durable=False))
    for merge in planned(list(survey(lake)), CompactionRules(now=LATER)):
        compactor.compact(merge)


class Lying(LocalStorage):
    """A store that tells something else of one object."""

    def __init__(self, root: Path, key: str, lie: dict[str, object] | Exception) -> None:
        super().__init__(root)
        self._key, self._lie = key, lie

    def head(self, key: str) -> ObjectInfo:
        if key != self._key:
            return super().head(key)
        if isinstance(self._lie, Exception):
            raise self._lie
        return replace(super().head(key), **self._lie)  # type: ignore[arg-type]


def bronze(lake: Lake) -> list[Held]:
    return [file for file in holdings(lake) if file.channel not in NEVER]


@contextmanager
def remover(lake: Lake, store: LocalStorage | None, *, disk: Disk | None = None) -> Iterator[Remover]:
    own = disk or Disk(durable=False)
    with closing(RemovalRecord(lake, 1_790_000_000_000_000, disk=own)) as record:
        yield Remover(lake, store, record, now_us=1_790_000_000_000_000, disk=own)


def removed(
    lake: Lake, store: LocalStorage | None, *, even_unproven: bool = False, disk: Disk | None = None
) -> Removal:
    plan = removable(holdings(lake), Rules(days={"bronze": 1}), now=LATER, is_used=lambda _: True)
    with remover(lake, store, disk=disk) as own:
        return own.carry_out(plan, even_unproven=even_unproven)


def test_what_the_archive_proves_goes_and_the_account_is_complete_without_it(
    lake: Lake, sound: Lake, archive: LocalStorage
) -> None:
    before, _, files, _ = examined(sound, Scope())
    folders = {path for path in lake.ready.rglob("*") if path.is_dir()}
    done = removed(lake, archive)
    assert done.removed
    assert not done.stays
    assert bronze(lake) == []
    assert {path for path in lake.ready.rglob("*") if path.is_dir()} == folders
    after, problems, looked, gone = examined(lake, Scope())
    assert problems == []
    assert (after, looked) == (before, files)
    (line,) = gone.lines()
    assert f"{len(done.removed)} files of 1 days" in line
    assert f"are in {archive.name}" in line


def test_day_files_that_compaction_made_are_proven_and_on_record_by_what_they_hold(
    lake: Lake, sound: Lake, tmp_path: Path
) -> None:
    compacted(lake)
    assert {file.path.name.partition("_")[0] for file in bronze(lake)} >= {"daily"}
    shutil.copytree(lake.raw, tmp_path / "archive" / "raw")
    done = removed(lake, LocalStorage(tmp_path / "archive"))
    assert not done.stays
    assert bronze(lake) == []
    assert examined(lake, Scope())[:3] == examined(sound, Scope())[:3]
    compacted(lake)
    Compactor(lake, MadeOptions(), disk=Disk(durable=False)).repair()
    starts = sorted(hour for each in examined(sound, Scope())[0] for hour in each.hours)
    assert examined(lake, Scope(since=starts[-1]))[:3] == examined(sound, Scope(since=starts[-1]))[:3]


def test_only_whole_hours_are_asked_and_still_add_up(lake: Lake, sound: Lake, archive: LocalStorage) -> None:
    removed(lake, archive)
    starts = sorted(hour for each in examined(sound, Scope())[0] for hour in each.hours)
    for scope in (Scope(since=starts[-1]), Scope(until=starts[-1]), Scope(symbols=("ETH-USD",))):
        assert examined(lake, scope)[:3] == examined(sound, scope)[:3]


def test_a_file_that_vanished_otherwise_is_missing_also_beside_those_removed(lake: Lake, archive: LocalStorage) -> None:
    lost = bronze(lake)[0]
    lost.path.unlink()
    removed(lake, archive)
    problems = examined(lake, Scope())[1]
    assert any(f"{lost.path.name} is missing" in problem for problem in problems)


@pytest.mark.parametrize(
    ("lie", "doubt"),
    [
        (ObjectMissing("there"), Doubt.MISSING),
        ({"size_bytes": 17}, Doubt.SIZE),
        ({"checksum": Checksum(17)}, Doubt.CONTENT),
        ({"checksum": Checksum(17, 5 << 20)}, Doubt.CONTENT),
        ({"checksum": None}, Doubt.UNTOLD),
    ],
    ids=["missing", "size", "checksum", "checksum of parts", "no checksum"],
)
def test_what_the_archive_does_not_prove_stays(
    lake: Lake, archive: LocalStorage, lie: dict[str, object] | Exception, doubt: Doubt
) -> None:
    one, *others = bronze(lake)
    done = removed(lake, Lying(Path(archive.name), one.key, lie))
    assert [(file.key, reason) for file, reason in done.stays] == [(one.key, doubt)]
    assert [file.key for file in bronze(lake)] == [one.key]
    assert len(done.removed) == len(others)
    assert examined(lake, Scope())[1] == []


def test_while_the_archive_does_not_answer_nothing_goes(lake: Lake, archive: LocalStorage) -> None:
    files = bronze(lake)
    first = removable(files, Rules(days={"bronze": 1}), now=LATER, is_used=lambda _: True).aged[0][0]
    with pytest.raises(StorageUnreachable):
        removed(lake, Lying(Path(archive.name), first.key, StorageUnreachable("there", "no answer")))
    assert bronze(lake) == files


def test_a_file_damaged_here_is_not_proven_by_its_sound_copy(lake: Lake, archive: LocalStorage) -> None:
    damaged = bronze(lake)[0]
    data = bytearray(damaged.path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.path.write_bytes(data)
    done = removed(lake, archive)
    assert [(file.key, reason) for file, reason in done.stays] == [(damaged.key, Doubt.CONTENT)]


def test_an_archive_that_is_the_lake_itself_proves_nothing(lake: Lake) -> None:
    files = bronze(lake)
    done = removed(lake, LocalStorage(lake.raw.parent))
    assert {reason for _, reason in done.stays} == {Doubt.SAME}
    assert bronze(lake) == files


def test_a_file_that_changes_while_it_is_proven_stays(lake: Lake, archive: LocalStorage) -> None:
    files = bronze(lake)

    class Touching(LocalStorage):
        def head(self, key: str) -> ObjectInfo:
            found = super().head(key)
            path = lake.path_of(key)
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)
            return found

    done = removed(lake, Touching(Path(archive.name)))
    assert {reason for _, reason in done.stays} == {Doubt.GONE}
    assert [file.key for file in bronze(lake)] == [file.key for file in files]


def test_what_no_archive_holds_goes_only_when_told_so_and_counts_as_declared_lost(lake: Lake, sound: Lake) -> None:
    files = bronze(lake)
    assert {reason for _, reason in removed(lake, None).stays} == {Doubt.MISSING}
    assert bronze(lake) == files
    done = removed(lake, None, even_unproven=True)
    assert done.unproven == done.removed
    assert bronze(lake) == []
    sums, problems, _, gone = examined(lake, Scope())
    assert problems == []
    before = examined(sound, Scope())[0]
    kept = [each for each in before if each.stream.table in NEVER]
    assert sum(each.stored for each in sums) == sum(each.stored for each in kept)
    assert sum(each.received for each in sums) == sum(each.received for each in before)
    assert "were given up" in next(gone.lines())


def test_a_kill_at_every_step_leaves_each_file_here_or_on_record(
    sound: Lake, archive: LocalStorage, tmp_path: Path
) -> None:
    expected = examined(sound, Scope())[:3]
    for steps in count():
        lake = Lake.under(tmp_path / str(steps))
        shutil.copytree(sound.raw, lake.raw)
        disk = DyingDisk(steps)
        with suppress(Killed):
            removed(lake, archive, disk=disk)
        assert examined(lake, Scope())[:3] == expected
        if disk.left >= 0:
            assert bronze(lake) == []
            break
        again = removed(lake, archive)
        assert not again.stays
        assert bronze(lake) == []
        assert examined(lake, Scope())[:3] == expected
        shutil.rmtree(lake.raw)


def test_by_size_only_as_much_goes_as_is_too_much(lake: Lake, archive: LocalStorage) -> None:
    everything = list(holdings(lake))
    held_bytes = sum(file.size_bytes for file in everything)
    largest = max(
        sum(file.size_bytes for file in bronze(lake) if file.channel == channel) for channel in ("trades", "ticker")
    )
    plan = removable(everything, Rules(max_bytes=held_bytes - 1), now=LATER, is_used=lambda _: True)
    with remover(lake, archive) as own:
        done = own.carry_out(plan)
    assert done.freed_bytes == largest
    assert done.excess_bytes == 0
    plan = removable(holdings(lake), Rules(max_bytes=0), now=LATER, is_used=lambda _: True)
    with remover(lake, archive) as own:
        done = own.carry_out(plan)
    assert bronze(lake) == []
    assert done.excess_bytes == sum(file.size_bytes for file in holdings(lake))
