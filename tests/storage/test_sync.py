"""A lake and its archive, a folder or a bucket: every byte is there, nothing is asked twice, nothing is overwritten."""

import json
from collections import Counter
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from shared.errors import LakeLocked, LeaseHeld, ObjectDamaged, StorageRefused, StorageUnreachable
from storage.leases import Lease
from storage.sync import StorageSync, SyncOptions
from storage.sync.names import LEASE
from storage.sync.plan import Selection
from tests.ingestion.writers.lake_rows import StepClock
from tests.storage.captured import Capturing, two_runs
from tests.storage.synced import content_of, objects_of, refined, sums_of


class Asked:
    """A store that counts what it is asked, and fails as told."""

    def __init__(self, store):
        self._store, self.counts, self.failing = store, Counter(), {}

    @property
    def name(self):
        return self._store.name

    def __getattr__(self, verb):
        def ask(*args, **options):
            self.counts[verb] += 1
            if fail := self.failing.get(verb):
                fail(*args)
            return getattr(self._store, verb)(*args, **options)

        return ask


def test_every_byte_of_a_lake_is_in_its_archive(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    (lake.quarantine).mkdir(parents=True)
    (lake.quarantine / "a.journal").write_bytes(b"damaged")
    report = StorageSync(lake, store).run_once()
    assert report.is_complete
    assert report.uploaded_files == len(sums_of(lake))
    assert objects_of(store) == sums_of(lake)


def test_the_manifest_of_a_day_names_all_that_is_of_it(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, store).run_once()
    manifests = [info.key for info in store.list("manifests/")]
    entries = [entry for key in manifests for entry in json.loads(content_of(store, key))["files"]]
    dated = {key: crc for key, crc in sums_of(lake).items() if "year=" in key}
    assert {entry["key"]: entry["crc32"] for entry in entries} == dated
    assert all(Path(key).stem in {"2026-05-01", "2026-05-28"} for key in manifests)


def test_a_pass_with_nothing_new_asks_nothing(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    asked = Asked(folder_store)
    StorageSync(lake, asked).run_once()
    asked.counts.clear()
    report = StorageSync(lake, asked).run_once()
    assert report.is_complete
    assert not asked.counts


def test_what_is_new_follows_and_what_has_grown_is_replaced(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    syncing = StorageSync(lake, store)
    syncing.run_once()
    for _ in range(3):
        third = Capturing(lake, StepClock())
        third.trades(41, 60)
        third.stop()
        refined(lake)
        assert syncing.run_once().is_complete
        assert objects_of(store) == sums_of(lake)


def test_the_plan_writes_nothing(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    before = sorted(path for path in tmp_path.rglob("*"))
    plan = StorageSync(lake, folder_store).plan()
    assert plan.files == len(sums_of(lake))
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_lost_ledger_is_made_again_from_the_archive(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, store).run_once()
    for path in (lake.state / "sync").glob("ledger.sqlite*"):
        path.unlink()
    report = StorageSync(lake, store).run_once()
    assert report.is_complete
    logs_and_positions = 3
    assert report.uploaded_files <= logs_and_positions
    assert objects_of(store) == sums_of(lake)


def test_a_spoilt_ledger_is_made_again_from_the_archive(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, folder_store).run_once()
    (lake.state / "sync" / "ledger.sqlite").write_bytes(b"no database" * 1000)
    assert StorageSync(lake, folder_store).run_once().is_complete
    assert objects_of(folder_store) == sums_of(lake)


def test_what_was_lost_in_the_archive_is_found_by_a_full_scan(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, store).run_once()
    lost = [info.key for info in store.list("raw/ready/")][:3]
    for key in lost:
        store.delete(key)
    report = StorageSync(lake, store, SyncOptions(full_scan=True)).run_once()
    assert report.is_complete
    assert objects_of(store) == sums_of(lake)


def test_a_store_that_says_yes_and_keeps_nothing_is_found_out(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    left = {"lies": 4}

    class Lying(Asked):
        def put(self, key, content, **options):
            if key.startswith("raw/") and left["lies"]:
                left["lies"] -= 1
                b"".join(content if not isinstance(content, bytes) else [content])
                return "etag"
            return folder_store.put(key, content, **options)

    report = StorageSync(lake, Lying(folder_store)).run_once()
    assert report.is_complete
    assert any("does not show it" in line for line in report.problems)
    assert objects_of(folder_store) == sums_of(lake)


def test_another_content_under_a_final_name_is_told_and_left(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    key = next(key for key in sums_of(lake) if key.startswith("raw/ready/"))
    folder_store.put(key, b"something else")
    report = StorageSync(lake, folder_store).run_once()
    assert report.conflicting_files == 1
    assert len([line for line in report.problems if key in line]) == 1
    assert content_of(folder_store, key) == b"something else"
    again = StorageSync(lake, folder_store).run_once()
    assert again.conflicting_files == 1
    assert again.uploaded_files == 0


def test_the_same_content_under_a_final_name_is_taken_as_sent(store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    for key in [key for key in sums_of(lake) if key.startswith("raw/ready/")][:3]:
        store.put(key, lake.path_of(key).read_bytes())
    assert StorageSync(lake, store).run_once().is_complete
    assert objects_of(store) == sums_of(lake)


def test_an_archive_with_runs_that_the_lake_does_not_know_is_refused(folder_store, tmp_path):
    StorageSync(two_runs(tmp_path / "lake"), folder_store).run_once()
    there = objects_of(folder_store)
    lake, clock = two_runs(tmp_path / "other"), StepClock()
    for path in lake.published.iterdir():
        path.unlink()
    clock.now_ns += 10**15
    other = Capturing(lake, clock)
    other.trades(1, 3)
    other.stop()
    with pytest.raises(StorageRefused, match="holds runs that this lake does not have") as refused:
        StorageSync(lake, folder_store).run_once()
    assert "--direction down" in refused.value.line()
    assert objects_of(folder_store) == there


def test_a_store_that_fails_for_a_while_gets_everything(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    asked, numbers = Asked(folder_store), count()

    def fail(key, *_):
        if not key.startswith("leases/") and next(numbers) % 3 == 1:
            raise StorageUnreachable("s3://lake", "no answer")

    asked.failing["put"] = fail
    syncing = StorageSync(lake, asked)
    while not syncing.run_once().is_complete:
        pass
    assert objects_of(folder_store) == sums_of(lake)


def test_channels_leave_out_other_tables_but_never_gaps(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    chosen = SyncOptions(selection=Selection(channels=frozenset({"ticker"})))
    StorageSync(lake, folder_store, chosen).run_once()
    tables = {key.split("/")[3] for key in objects_of(folder_store) if key.startswith("raw/ready/")}
    assert tables == {"ticker", "gaps"}
    StorageSync(lake, folder_store).run_once()
    assert objects_of(folder_store) == sums_of(lake)


def test_two_syncers_of_a_lake_are_one_too_many(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    with StorageSync(lake, folder_store)._held_lock(), pytest.raises(LakeLocked, match="in use by pid"):
        StorageSync(lake, folder_store).run_once()


def test_a_syncer_on_another_machine_is_told_and_kept_out(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    with Lease(folder_store, LEASE, owner="the other one", ttl_s=2.0).kept(), pytest.raises(LeaseHeld) as held:
        StorageSync(lake, folder_store).run_once()
    assert "the other one" in held.value.line()
    assert objects_of(folder_store) == {}
    assert StorageSync(lake, folder_store).run_once().is_complete


def test_the_last_success_is_remembered_by_the_next_process(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, folder_store).run_once()
    state = lake.state / "sync.json"
    before = json.loads(state.read_text())["last_success_wall_ns"]
    stopped = Event()
    stopped.set()
    StorageSync(lake, folder_store).run("up", 1.0, stopped)
    assert json.loads(state.read_text())["last_success_wall_ns"] == before > 0


def test_a_pass_that_was_stopped_is_no_success(folder_store, tmp_path):
    lake, asked, stopped = two_runs(tmp_path / "lake"), Asked(folder_store), Event()
    asked.failing["put"] = lambda key, *_: stopped.set() if key.startswith("raw/ready/") else None
    StorageSync(lake, asked).run_once(stopped=stopped)
    said = json.loads((lake.state / "sync.json").read_text())
    assert said["last_success_wall_ns"] is None
    assert said["backlog_files"] > 0


@pytest.mark.parametrize("kind", [StorageUnreachable, ObjectDamaged])
def test_what_ails_the_store_is_one_line_and_not_one_for_each_file(folder_store, tmp_path, kind):
    lake, asked = two_runs(tmp_path / "lake"), Asked(folder_store)

    def fail(key, *_):
        if key.startswith("raw/"):
            raise kind(f"s3://lake/{key}", "no answer from http://there")

    asked.failing["put"] = fail
    with capture_logs() as lines:
        report = StorageSync(lake, asked).run_once()
    assert report.put_off_files > 5
    assert len(report.problems) == 1
    (said,) = [line["problem"] for line in lines if line["log_level"] == "error"]
    assert said.startswith("s3://lake/raw/")
    assert json.loads((lake.state / "sync.json").read_text())["last_problem"].startswith("s3://lake/raw/")
