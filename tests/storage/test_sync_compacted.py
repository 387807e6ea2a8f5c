"""A lake that is compacted and retained beside its archive: the archive holds each row once, and nothing is missed."""

import pytest

from shared.disk import Disk
from shared.partitioning import Lake
from storage.bronze_rows import is_here
from storage.made_files import sources_of
from storage.published import log_paths, read_log
from storage.sync import StorageSync
from tests.ingestion.writers.lake_rows import StepClock
from tests.storage.captured import HOUR_NS, Capturing, two_runs
from tests.storage.many_files import compacted
from tests.storage.synced import killed_before_its_note, objects_of, refined, rows_of, sums_of
from tests.storage.test_sync_down import capture_more


@pytest.fixture
def store(folder_store):
    return folder_store


def test_a_day_file_takes_the_place_of_the_hours_in_the_archive(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, store).run_once()
    before = sums_of(lake)
    compacted(lake)
    assert [key for key in sums_of(lake) if key.startswith("raw/daily/")]
    report = StorageSync(lake, store).run_once()
    assert report.is_complete
    gone = before.keys() - sums_of(lake).keys()
    assert report.removed_files == len(gone) > 0
    assert objects_of(store) == sums_of(lake)
    assert StorageSync(lake, store).run_once().uploaded_files == 0


def test_a_day_file_that_was_damaged_since_takes_no_place_in_the_archive(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, store).run_once()
    sound = objects_of(store)
    compacted(lake)
    key = min(key for key in sums_of(lake) if key.startswith("raw/daily/"))
    path = lake.path_of(key)
    hours = {f"raw/ready/{name}" for name in sources_of(path)}
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    report = StorageSync(lake, store).run_once()
    assert not report.is_complete
    assert any(path.name in line for line in report.problems)
    there = objects_of(store)
    assert key not in there
    assert hours
    assert {each: there[each] for each in hours} == {each: sound[each] for each in hours}


def test_hours_that_were_compacted_before_they_were_sent_are_not_missed(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    compacted(lake)
    report = StorageSync(lake, store).run_once()
    assert report.is_complete
    assert report.problems == []
    assert objects_of(store) == sums_of(lake)


def test_hours_that_arrived_and_were_compacted_before_that_was_noted_go_too(store, tmp_path, monkeypatch):
    lake = two_runs(tmp_path / "lake")
    killed_before_its_note(lake, store, monkeypatch, "raw/ready/")
    compacted(lake)
    assert StorageSync(lake, store).run_once().is_complete
    assert objects_of(store) == sums_of(lake)


def test_a_compacted_lake_comes_back_and_goes_on(store, tmp_path):
    stayed = two_runs(tmp_path / "stayed")
    refined(stayed)
    StorageSync(stayed, store).run_once()
    compacted(stayed)
    StorageSync(stayed, store).run_once()
    moved = Lake.under(tmp_path / "moved")
    assert StorageSync(moved, store).run_once("down").is_complete
    assert sums_of(moved) == sums_of(stayed)
    for lake in (stayed, moved):
        capture_more(lake, 41, 60)
        refined(lake)
    assert rows_of(moved) == rows_of(stayed)
    report = StorageSync(moved, store).run_once()
    assert report.is_complete
    assert report.problems == []
    assert objects_of(store) == sums_of(moved)


def test_what_was_removed_here_stays_there_with_the_record_of_it(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, store).run_once()
    removed = lake.path_of(min(key for key in sums_of(lake) if key.startswith("raw/ready/")))
    kept = objects_of(store)
    record = lake.published / "removed" / "2026-05-28.1-ab.jsonl"
    Disk().make_dirs(record.parent)
    record.write_bytes(b"{}\n")
    removed.unlink()
    report = StorageSync(lake, store).run_once()
    assert report.is_complete
    assert objects_of(store).keys() == {*kept, lake.key_of(record)}
    new = Lake.under(tmp_path / "new")
    StorageSync(new, store).run_once("down")
    assert sums_of(new) == objects_of(store)


def test_another_machine_gets_bronze_that_was_compacted_meanwhile(store, tmp_path):
    one = two_runs(tmp_path / "one")
    StorageSync(one, store).run_once()
    compacted(one)
    StorageSync(one, store).run_once()
    other = Lake.under(tmp_path / "other")
    report = StorageSync(other, store).run_once("both")
    assert report.is_complete, report.problems
    assert all(is_here(other, entry) for log in log_paths(one) for entry in read_log(log)[0])


def test_what_another_machine_captured_is_brought_once(store, tmp_path):
    one, clock = two_runs(tmp_path / "one"), StepClock()
    clock.now_ns += 5 * HOUR_NS
    run = Capturing(one, clock)
    run.trades(41, 50)
    run.seal()
    StorageSync(one, store).run_once()
    other = Lake.under(tmp_path / "other")
    StorageSync(other, store).run_once("both")
    entries = read_log(other.published / f"{run.epoch}.log")[0]
    removed = other.ready / entries[0].path
    removed.unlink()  # as retention does
    compacted(other)
    assert StorageSync(other, store).run_once("both").is_complete
    run.trades(51, 60)
    run.stop()
    StorageSync(one, store).run_once()
    report = StorageSync(other, store).run_once("both")
    assert report.is_complete, report.problems
    assert not removed.exists()
    after = read_log(other.published / f"{run.epoch}.log")[0]
    assert len(after) > len(entries)
    assert [entry for entry in after if not is_here(other, entry)] == entries[:1]
