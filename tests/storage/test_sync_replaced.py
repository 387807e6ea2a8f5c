"""Outputs whose rows are replaced while they are synchronised: what comes back can always be gone on from."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from shared.errors import StorageRefused
from shared.partitioning import Lake
from storage.sync import StorageSync, SyncOptions
from storage.sync.changes import Changes
from tests.etl.core.test_streams import Recorder, at_once, cut, market, run, tables
from tests.storage.synced import killed_before_its_note, objects_of, sums_of


@pytest.fixture
def store(folder_store):
    return folder_store


class Dying:
    """A store that refuses everything after some requests that change it."""

    def __init__(self, store, changes):
        self._store, self.left = store, changes
        self.name = store.name

    def put(self, key, content, **options):
        self._die(key)
        return self._store.put(key, content, **options)

    def delete(self, key, **options):
        self._die(key)
        return self._store.delete(key, **options)

    def _die(self, key):
        if not key.startswith("leases/"):
            self.left -= 1
            if self.left < 0:
                raise StorageRefused(self.name, "dead", hint="none")

    def __getattr__(self, verb):
        return getattr(self._store, verb)


def late_and_on_time(seed):
    rng, trades = random.Random(seed), market(1, exchange="kraken", trades=300)
    late = sorted(rng.sample(range(300), 6))
    on_time = [trade for index, trade in enumerate(trades) if index not in late]
    return cut(on_time[:150], rng), [on_time[120:], [trades[index] for index in late]]


def homes(keys):
    return {key.partition("/year=")[0] for key in keys if key.startswith("processed/")}


def test_the_old_tree_goes_when_the_new_one_and_its_checkpoint_are_there(store, tmp_path):
    lake = Lake.under(tmp_path / "lake")
    recorder = Recorder(lake, "kraken")
    first, second = late_and_on_time(0)
    recorder.record(first)
    run(lake)
    StorageSync(lake, store).run_once()
    before = homes(objects_of(store))
    recorder.record(second)
    run(lake)
    assert StorageSync(lake, store).run_once().is_complete
    assert objects_of(store) == sums_of(lake)
    assert homes(objects_of(store)) != before


@pytest.mark.parametrize("seed", range(8))
def test_wherever_a_transfer_breaks_off_what_comes_back_goes_on_to_the_same_rows(store, tmp_path, seed):
    rng = random.Random(seed)
    lake, stages = Lake.under(tmp_path / "lake"), late_and_on_time(seed)
    recorder = Recorder(lake, "kraken")
    for journals in stages:
        recorder.record(journals)
        run(lake)
        with suppress(StorageRefused):
            StorageSync(lake, Dying(store, rng.randrange(60))).run_once()
    back = Lake.under(tmp_path / "back")
    assert StorageSync(back, store).run_once("down").is_complete
    trees = homes(sums_of(back))
    assert len({tree.partition("/r")[0].rpartition("symbol=")[0] for tree in trees}) == len(trees)
    for name in ("ready", "published"):
        copy_missing(lake.raw / name, back.raw / name)
    run(back, end_of_data=True)
    run(lake, end_of_data=True)
    assert tables(back) == tables(lake) == tables(at_once(lake, tmp_path))


def copy_missing(source: Path, target: Path) -> None:
    """What had not been sent is captured by nobody again; here it is, so that the ends can be compared."""
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if path.is_file() and (not place.exists() or place.stat().st_size < path.stat().st_size):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())


def test_what_had_arrived_when_a_kill_came_before_its_note_goes_too(store, tmp_path, monkeypatch):
    lake = Lake.under(tmp_path / "lake")
    recorder = Recorder(lake, "kraken")
    first, second = late_and_on_time(0)
    recorder.record(first)
    run(lake)
    killed_before_its_note(lake, store, monkeypatch, "processed/")
    recorder.record(second)
    run(lake)
    assert StorageSync(lake, store).run_once().is_complete
    assert objects_of(store) == sums_of(lake)


def test_so_does_what_is_replaced_while_it_is_sent_again_after_the_kill(store, tmp_path, monkeypatch):
    lake = Lake.under(tmp_path / "lake")
    recorder = Recorder(lake, "kraken")
    first, second = late_and_on_time(0)
    recorder.record(first)
    run(lake)
    killed_before_its_note(lake, store, monkeypatch, "processed/")
    look = Changes.look

    def look_and_replace(changes):
        look(changes)
        recorder.record(second)
        run(lake)

    with monkeypatch.context() as patch:
        patch.setattr(Changes, "look", look_and_replace)
        StorageSync(lake, store).run_once()
    assert StorageSync(lake, store).run_once().is_complete
    assert objects_of(store) == sums_of(lake)


def test_what_nobody_remembers_is_found_by_a_look_at_everything(store, tmp_path):
    lake = Lake.under(tmp_path / "lake")
    recorder = Recorder(lake, "kraken")
    first, second = late_and_on_time(0)
    recorder.record(first)
    run(lake)
    StorageSync(lake, store).run_once()
    old = [key for key in objects_of(store) if key.startswith("processed/")]
    recorder.record(second)
    run(lake)
    StorageSync(lake, store).run_once()
    for key in old:
        store.put(key, b"from a time of which no ledger tells")
    assert StorageSync(lake, store, SyncOptions(full_scan=True)).run_once().is_complete
    assert objects_of(store) == sums_of(lake)
