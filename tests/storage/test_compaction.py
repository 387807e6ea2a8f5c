"""Compaction changes in which files rows are, and nothing else, whatever step it is killed at."""

import errno
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from scripts.check import examine
from shared.content_hash import content_hash
from shared.disk import Disk
from shared.errors import DiskFull, InputUnreadable, LakeUnusable
from shared.filters import FilterSpec
from shared.partitioning import Lake, Partition
from storage.bronze_rows import batches_of, is_here, rows_of, rows_of_hour
from storage.compaction import Compactor, MadeOptions
from storage.compaction_log import last, log_path
from storage.compaction_plan import planned, survey
from storage.inspection import Scope
from storage.lake import plan, scan, tables
from storage.made_files import is_made, segments_of, sources_of
from tests.small_disk import small_disk  # noqa: F401
from tests.stepped_disk import FAILABLE, DyingDisk, FailingDisk, Killed
from tests.storage.many_files import RULES, compacted, entries, files, many_files, same, scanned, view


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return many_files(tmp_path_factory.mktemp("original"))


@pytest.fixture
def lake(original: Lake, tmp_path: Path) -> Lake:
    """A copy that a test may change."""
    shutil.copytree(original.raw, tmp_path / "lake" / "raw")
    return Lake.under(tmp_path / "lake")


def test_days_that_are_over_become_one_file_each_with_the_same_rows(original, lake):
    before = view(lake)
    assert len(files(lake)) > 30
    made = compacted(lake)
    assert before.same(view(lake))
    left = files(lake)
    assert len(left) == made
    assert all(name.startswith("daily/native/") for name in left)
    assert not list(lake.ready.rglob("day=*"))  # where years of empty folders would be
    assert list(lake.ready.glob("native/trades/*/symbol=BTC-USD"))
    days = [path.parent for path in lake.daily.rglob("*.parquet")]
    assert len(days) == len(set(days))  # one file a day
    assert examine(lake, Scope(), deep=True)[1] == examine(original, Scope(), deep=True)[1] == []
    assert examine(lake, Scope())[0] == examine(original, Scope())[0]


def test_a_made_file_is_sorted_in_whole_row_groups_and_says_what_it_holds(lake):
    names = {entry.path for entry in entries(lake)}
    compacted(lake)
    seen: set[str] = set()
    for path in lake.daily.rglob("*.parquet"):
        with pq.ParquetFile(path) as file:
            rows, facts = file.read(), file.metadata.metadata
            assert file.num_row_groups == 1
            assert all(file.metadata.row_group(0).column(at).is_stats_set for at in range(9))
        frame = pl.DataFrame(rows)
        assert frame.equals(frame.sort("capture_ts", "epoch", "seq"))
        told = facts[b"daedalus.content_hash"].decode()
        assert told == f"{content_hash(rows):016x}" == path.stem.rpartition("_")[2]
        assert int(facts[b"daedalus.rows"]) == rows.num_rows
        assert int(facts[b"daedalus.last_seq"]) == frame["seq"].max()
        assert set(json.loads(facts[b"daedalus.boot_ids"])) == set(frame["epoch"])
        seen |= segments_of(path)
    assert seen == names


def test_what_was_done_once_is_not_done_again(lake):
    compacted(lake, replace(RULES, now=datetime(2026, 5, 29, 0, 30, tzinfo=UTC), with_hours=True))
    compacted(lake)
    before, log = files(lake), log_path(lake).read_bytes()
    assert compacted(lake) == compacted(lake, replace(RULES, with_hours=True)) == 0
    assert files(lake) == before
    assert log_path(lake).read_bytes() == log


def test_hours_of_a_day_that_goes_on_are_merged_where_they_lie_and_the_day_is_made_of_them(lake):
    before, names = view(lake), {entry.path for entry in entries(lake)}
    during = replace(RULES, now=datetime(2026, 5, 29, 2, 30, tzinfo=UTC), with_hours=True)
    assert compacted(lake, during) > 4
    assert before.same(view(lake))
    merged = [path for path in lake.ready.rglob("*.parquet") if is_made(path.name)]
    assert merged
    assert len(list(lake.ready.glob("*/trades/*/symbol=BTC-USD/*/*/*/hour=*/*.parquet"))) == 4
    assert examine(lake, Scope(), deep=True)[1] == []
    assert compacted(lake, during) == 0
    compacted(lake)
    assert before.same(view(lake))
    held = [segments_of(path) for path in lake.daily.rglob("*.parquet")]
    assert frozenset[str]().union(*held) == names
    assert not list(lake.ready.rglob("*.parquet"))


def test_a_day_with_several_files_is_cut_at_the_ends_of_hours(lake):
    before = view(lake)
    compacted(lake, replace(RULES, target_bytes=1))
    assert before.same(view(lake))
    made = sorted(path for path in lake.daily.rglob("*.parquet") if "table" not in path.name)
    trades = [path for path in made if "/trades/" in str(path) and "BTC" in str(path)]
    assert [path.name[6:18] for path in trades] == ["20260528_022", "20260528_023", "20260529_000", "20260529_001"]
    ready, daily = view(lake).scanned["trades"], pl.concat(pl.read_parquet(p, hive_partitioning=False) for p in trades)
    assert ready.filter(pl.col("symbol") == "BTC-USD").height == daily.height


def test_only_days_that_ended_long_enough_ago_and_hold_enough_files_are_touched(lake):
    days = list(survey(lake))
    midnight = datetime(2026, 5, 30, tzinfo=UTC)
    assert {merge.day.day for merge in planned(days, replace(RULES, now=midnight + timedelta(hours=5.9)))} == {28}
    assert {merge.day.day for merge in planned(days, replace(RULES, now=midnight + timedelta(hours=6)))} == {28, 29}
    few = list(planned(days, replace(RULES, min_count=4)))
    assert few
    assert all(len(merge.sources) >= 4 for merge in few)


def test_what_comes_late_becomes_a_second_file_of_the_day(original, tmp_path):
    lake = Lake.under(tmp_path)
    held_back = [path for path in original.ready.rglob("segment_*") if "_000001_" in path.name]
    shutil.copytree(original.raw, lake.raw)
    for path in held_back:
        (lake.raw / path.relative_to(original.raw)).unlink()
    compacted(lake)
    for path in held_back:
        late = lake.raw / path.relative_to(original.raw)
        late.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, late)
    assert view(original).same(view(lake))
    compacted(lake)
    assert view(original).same(view(lake))
    assert not list(lake.ready.rglob("*.parquet"))
    assert compacted(lake) == 0


def test_files_that_were_brought_back_beside_the_day_count_once_and_go_again(original, lake):
    compacted(lake)
    after = files(lake)
    shutil.copytree(original.ready, lake.ready, dirs_exist_ok=True)
    assert view(original).same(view(lake))
    assert compacted(lake) == 0
    assert files(lake) == after


def test_killed_at_every_step_everything_is_there_and_the_next_start_ends_it(tmp_path):
    original = many_files(tmp_path / "original", hours=2, files_an_hour=2, rows=2)
    for other in ("ticker", "gaps", "rejects", "trades/exchange=coinbaseadvanced/symbol=ETH-USD"):
        shutil.rmtree(original.ready / "native" / other)  # one stream is enough, and each step takes its time
    expected = scanned(original)
    during = replace(RULES, now=datetime(2026, 5, 28, 23, 30, tzinfo=UTC), with_hours=True)
    copies = (Lake.under(tmp_path / str(steps)) for steps in count())
    reference = next(copies)
    shutil.copytree(original.raw, reference.raw)
    assert compacted(reference, during) == 1
    compacted(reference)
    for steps, lake in enumerate(copies):
        shutil.copytree(original.raw, lake.raw)
        try:
            disk = DyingDisk(steps)
            compacted(lake, during, disk=disk)
            compacted(lake, disk=disk)
        except Killed:
            assert same(expected, scanned(lake)), f"after a kill before step {steps}"
            compacted(lake, during)
            compacted(lake)
            assert same(expected, scanned(lake)), f"after the start that followed step {steps}"
            assert files(lake).keys() == files(reference).keys(), f"step {steps}"
            assert not list((lake.staging / "compaction").iterdir())
            shutil.rmtree(lake.raw)
        else:
            break
    assert steps > 20


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        *((kind, errno.ENOSPC) for kind in FAILABLE),
        ("sync_dir", errno.EIO),
        ("open", errno.EROFS),
    ],
)
def test_a_disk_that_fails_is_told_and_nothing_is_lost(lake, kind, error):
    expected = scanned(lake)
    disk = FailingDisk(kind, 3, error, for_ever=True)
    with pytest.raises(LakeUnusable):
        compacted(lake, disk=disk)
    assert disk.failed
    assert same(expected, scanned(lake))
    compacted(lake)
    assert same(expected, scanned(lake))
    assert not list(lake.ready.rglob("*.parquet"))


def test_a_full_disk_in_the_middle_is_one_line_and_leaves_what_was(original, small_disk):  # noqa: F811
    lake = Lake.under(small_disk)
    shutil.copytree(original.raw, lake.raw)
    expected = view(lake)
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "filler").write_bytes(bytes(free - 4096))
    with pytest.raises(DiskFull):
        compacted(lake)
    assert expected.same(view(lake))
    (small_disk / "filler").unlink()
    compacted(lake)
    assert expected.same(view(lake))


def test_a_run_that_is_asked_to_end_leaves_whole_files_only(original, lake):
    """At each moment at which it asks: what was committed is done, of what was not nothing is left."""
    expected, asked = view(lake), 0

    def ends_at(last_asked: int) -> bool:
        nonlocal asked
        asked = 0

        def check() -> None:
            nonlocal asked
            asked += 1
            if asked == last_asked:
                raise KeyboardInterrupt

        compactor = Compactor(lake, MadeOptions(), disk=Disk(durable=False), check=check)
        try:
            for merge in planned(survey(lake), RULES):
                compactor.compact(merge)
        except KeyboardInterrupt:
            return True
        return False

    moments = 0
    while ends_at(moments + 1):
        moments += 1
        made, committed = [*lake.daily.rglob("*.parquet")], last(lake)
        assert not [path for path in lake.staging.rglob("*") if path.is_file()]
        assert not made or committed
        assert expected.same(view(lake))
        shutil.rmtree(lake.raw)
        shutil.copytree(original.raw, lake.raw)
    assert moments > 40
    assert expected.same(view(lake))


def test_room_that_capture_needs_is_left(lake):
    (merge, *_) = planned(survey(lake), RULES)
    compactor = Compactor(lake, MadeOptions(reserve_bytes=1 << 60), disk=Disk(durable=False))
    with pytest.raises(DiskFull, match=r"would not leave the .* MB of ingestion.disk_reserve_mb"):
        compactor.compact(merge)
    assert not list(lake.daily.rglob("*.parquet"))


@pytest.mark.parametrize("damage", ["cut", "other rows", "no facts"])
def test_a_file_that_is_not_what_it_says_stays_with_all_its_day(lake, damage):
    merge = next(merge for merge in planned(survey(lake), RULES) if len(merge.sources) > 3)
    path = merge.sources[2].path
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        with pq.ParquetFile(path) as file:
            rows, facts = file.read(), file.metadata.metadata
        keep = {} if damage == "no facts" else {key: facts[key] for key in facts if key.startswith(b"daedalus")}
        schema = rows.schema.with_metadata({**(rows.schema.metadata or {}), **keep})
        pq.write_table(rows.slice(0, rows.num_rows - 1).cast(schema), path)
    before = files(lake)
    with pytest.raises(InputUnreadable, match=path.name):
        Compactor(lake, MadeOptions(), disk=Disk(durable=False)).compact(merge)
    assert files(lake) == before
    assert last(lake) is None


def test_what_is_written_is_read_back_before_anything_is_removed(lake, monkeypatch):
    before = files(lake)
    (merge, *_) = planned(survey(lake), RULES)

    class Lying(Disk):
        def sync_file(self, path: Path) -> None:
            with path.open("r+b") as file:  # the card wrote something else
                file.seek(300)
                file.write(bytes(40))

    with pytest.raises(InputUnreadable, match="what was written is not what is read back; nothing was touched"):
        Compactor(lake, MadeOptions(), disk=Lying(durable=False)).compact(merge)
    assert files(lake) == before


def test_check_finds_a_day_file_that_is_gone_changed_or_of_nobody(lake):
    compacted(lake)
    path = min(lake.daily.glob("*/trades/*/symbol=BTC-USD/*/*/*/*"))
    kept = path.read_bytes()
    path.unlink()
    problems = examine(lake, Scope())[1]
    assert sum("is missing" in line for line in problems) == 6
    path.write_bytes(kept)
    other = path.with_name("daily_20260528_000_00000000000000ff.parquet")
    path.rename(other)
    assert [line for line in examine(lake, Scope())[1] if "its name 00000000000000ff" in line]
    other.rename(path)
    path.write_bytes(kept[:-30])
    sources_of.cache_clear()
    (line,) = (line for line in examine(lake, Scope())[1] if str(path) in line)
    assert line.startswith(f"{path}: cannot be read as a file that compaction made. ")
    path.write_bytes(kept)
    shutil.copy2(path, path.with_name("copy.parquet"))
    assert examine(lake, Scope())[1] == [f"{path.parent.relative_to(lake.daily)}/copy.parquet is published nowhere"]


def test_a_published_file_is_read_in_batches_too(lake):
    wanted = {entry.path: rows_of(lake, entry, ["seq", "symbol"]) for entry in entries(lake)}
    compacted(lake)
    for entry in entries(lake):
        assert is_here(lake, entry)
        found = pl.concat(pl.DataFrame(batch) for batch in batches_of(lake, entry, ["seq", "symbol"], rows_at_once=2))
        assert found.equals(wanted[entry.path])
    shutil.rmtree(lake.daily)
    assert not is_here(lake, entry)
    with pytest.raises(FileNotFoundError, match="neither in"):
        rows_of(lake, entry)


def test_parts_of_a_day_are_planned_out_of_both_roots(original, lake):
    compacted(lake, replace(RULES, now=datetime(2026, 5, 29, 12, tzinfo=UTC)))  # the first day alone
    day = FilterSpec(("coinbaseadvanced",), ("BTC-USD",), year=2026, month=5, day=28)
    assert [is_made(path.name) for path in plan(lake, "trades", day)] == [True]
    for where in (day, replace(day, hour=22), replace(day, day=29), FilterSpec(hour=23), FilterSpec()):
        order = ["symbol", "epoch", "seq"]
        assert (
            scan(lake, "trades", where)
            .collect()
            .sort(order)
            .equals(scan(original, "trades", where).collect().sort(order))
        )
    files_in_order = plan(lake, "trades", FilterSpec(symbols=("BTC-USD",)))
    assert [is_made(path.name) for path in files_in_order] == [True, *[False] * (len(files_in_order) - 1)]
    assert [len(table.patterns) for table in tables(lake) if table.name == "trades"] == [2]


def test_an_empty_lake_has_nothing_to_compact(tmp_path):
    lake = Lake.under(tmp_path)
    assert compacted(lake) == 0
    assert last(lake) is None


def test_a_torn_line_of_the_log_is_cut_off(lake):
    compacted(lake, replace(RULES, now=datetime(2026, 5, 29, 12, tzinfo=UTC)))
    known = last(lake)
    with log_path(lake).open("ab") as file:
        file.write(b'{"made":"daily/na\0\0\0\0')
    assert last(lake) == known
    compacted(lake)
    lines = [json.loads(line) for line in log_path(lake).read_bytes().splitlines()]
    assert lines[-1]["made"] != known.made
    made = {f"daily/{path.relative_to(lake.daily).as_posix()}" for path in lake.daily.rglob("*.parquet")}
    assert {line["made"] for line in lines} == made


def test_the_rows_of_an_hour_are_found_in_whatever_files(original, lake):
    hour = Partition("coinbaseadvanced", "BTC-USD", 2026, 5, 28, 23)
    expected = rows_of_hour(original, "ticker", hour, ["seq", "bid"])
    assert expected is not None
    compacted(lake)
    found = rows_of_hour(lake, "ticker", hour, ["seq", "bid"])
    assert found is not None
    assert found.sort("seq").equals(expected.sort("seq"))
    shutil.copytree(original.ready, lake.ready, dirs_exist_ok=True)
    assert rows_of_hour(lake, "ticker", hour, ["seq", "bid"]).height == expected.height
    assert rows_of_hour(lake, "ticker", replace(hour, day=27), ["seq"]) is None
