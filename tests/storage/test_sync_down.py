"""What comes back from an archive: a lake that goes on as if its disk had never died, and bronze of other machines."""

import shutil
from datetime import date
from hashlib import sha256

import pytest

from shared.errors import LakeLocked, StorageRefused
from shared.partitioning import Lake
from storage.locks import hold, watcher_lock
from storage.published import log_paths
from storage.sync import StorageSync, SyncOptions
from storage.sync.plan import Selection
from tests.ingestion.writers.lake_rows import StepClock
from tests.storage.captured import HOUR_NS, Capturing, two_runs
from tests.storage.synced import files_of, objects_of, refined, rows_of, sums_of


def capture_more(lake, first, last, *, hours=5):
    clock = StepClock()
    clock.now_ns += hours * HOUR_NS
    run = Capturing(lake, clock)
    run.trades(first, last)
    run.stop()


def test_a_lake_on_a_new_disk_goes_on_as_one_that_never_moved(store, tmp_path):
    stayed = two_runs(tmp_path / "stayed")
    refined(stayed)
    StorageSync(stayed, store).run_once()
    moved = Lake.under(tmp_path / "moved")
    report = StorageSync(moved, store).run_once("down")
    assert report.is_complete
    assert sums_of(moved) == sums_of(stayed)
    folders = [{path.relative_to(lake.ready) for path in lake.ready.glob("*/*/*/*")} for lake in (moved, stayed)]
    assert folders[0] == folders[1]
    for number in range(2):
        for lake in (stayed, moved):
            capture_more(lake, 41 + 20 * number, 60 + 20 * number, hours=5 + number)
            refined(lake)
    assert rows_of(moved) == rows_of(stayed)
    assert StorageSync(moved, store).run_once().is_complete
    assert objects_of(store) == sums_of(moved)


def test_what_came_once_does_not_come_again(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, folder_store).run_once()
    mirror = Lake.under(tmp_path / "mirror")
    StorageSync(mirror, folder_store).run_once("down")
    assert StorageSync(mirror, folder_store).run_once("down").downloaded_files == 0
    capture_more(lake, 41, 60)
    refined(lake)
    StorageSync(lake, folder_store).run_once()
    report = StorageSync(mirror, folder_store).run_once("down")
    assert report.is_complete
    assert 0 < report.downloaded_files < len(sums_of(lake))
    missing = sums_of(lake).items() - sums_of(mirror).items()
    assert {key for key, _ in missing} <= {"state/etl/positions.json"}


def killed(lake, *, left):
    """A lake as a kill leaves one that is being brought back: `left` files of outputs came, none of them was noted."""
    (lake.state / "sync" / "ledger.sqlite").unlink()
    shutil.rmtree(lake.state / "etl")
    for path in sorted(lake.processed.rglob("*.parquet"))[left:]:
        path.unlink()
    for path in lake.published.iterdir():
        path.unlink()


@pytest.mark.parametrize("left", [1, 3, 1000])
def test_a_lake_whose_coming_back_was_killed_comes_back(store, tmp_path, left):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, store).run_once()
    mirror = Lake.under(tmp_path / "mirror")
    assert StorageSync(mirror, store).run_once("down").is_complete
    killed(mirror, left=left)
    assert StorageSync(mirror, store).run_once("down").is_complete
    assert sums_of(mirror) == sums_of(lake)


def test_what_changed_here_is_told_in_a_line_and_stays(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, folder_store).run_once()
    mirror = Lake.under(tmp_path / "mirror")
    StorageSync(mirror, folder_store).run_once("down")
    killed(mirror, left=1000)
    changed = sorted(path for path in mirror.processed.rglob("*.parquet"))[:2]
    for path in changed:
        path.write_bytes(bytes(reversed(path.read_bytes())))  # the size tells nothing
    before = {path: path.read_bytes() for path in changed}
    report = StorageSync(mirror, folder_store).run_once("down")
    assert report.conflicting_files == 2
    (line,) = report.problems
    assert line.startswith(f"{changed[0]}: changed here")
    assert line.endswith("; 1 more changed too")
    assert before == {path: path.read_bytes() for path in changed}


def test_what_came_in_part_is_gone_on_with(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, folder_store).run_once()
    mirror = Lake.under(tmp_path / "mirror")
    key = next(key for key in sums_of(lake) if key.startswith("raw/ready/"))
    plan = StorageSync(mirror, folder_store).plan("down")
    assert key in {each for each, _ in plan.keys}
    asked = []
    real = folder_store.get

    def get(key, *, start=0, if_match=None):
        asked.append((key, start))
        return real(key, start=start, if_match=if_match)

    etag = next(info.etag for info in folder_store.list(key))
    path = mirror.path_of(key)
    path.parent.mkdir(parents=True)
    part = path.with_name(f".{path.name}.{sha256(etag.encode()).hexdigest()[:12]}.part")
    part.write_bytes(lake.path_of(key).read_bytes()[:100])
    folder_store.get = get
    assert StorageSync(mirror, folder_store).run_once("down").is_complete
    assert (key, 100) in asked
    assert sums_of(mirror) == sums_of(lake)


def test_what_came_in_part_and_is_spoilt_comes_whole(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, folder_store).run_once()
    mirror = Lake.under(tmp_path / "mirror")
    key = next(key for key in sums_of(lake) if key.startswith("raw/ready/"))
    etag = next(info.etag for info in folder_store.list(key))
    path = mirror.path_of(key)
    path.parent.mkdir(parents=True)
    part = path.with_name(f".{path.name}.{sha256(etag.encode()).hexdigest()[:12]}.part")
    part.write_bytes(b"x" * 100)
    assert StorageSync(mirror, folder_store).run_once("down").is_complete
    assert sums_of(mirror) == sums_of(lake)


def test_of_some_days_only_those_come(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    capture_more(lake, 41, 60, hours=48)
    StorageSync(lake, folder_store).run_once()
    days = sorted({key.split("/day=")[1].split("/")[0] for key in files_of(lake) if "/day=" in key})
    assert len(days) == 2
    first = Lake.under(tmp_path / "part")
    since = SyncOptions(selection=Selection(since=date(2026, 5, int(days[1]))))
    assert StorageSync(first, folder_store, since).run_once("down").is_complete
    wanted = {key for key in sums_of(lake) if f"/day={days[0]}/" not in key}
    assert sums_of(first).keys() == wanted


def test_a_machine_gets_what_others_captured_and_never_what_it_removed_itself(folder_store, tmp_path):
    one, clock = two_runs(tmp_path / "one"), StepClock()
    StorageSync(one, folder_store).run_once()
    clock.now_ns += 100 * HOUR_NS
    other = Lake.under(tmp_path / "other")
    run = Capturing(other, clock)
    run.trades(1, 9, "SOL-USD")
    run.stop()
    own = {key for key in sums_of(other) if key.startswith("raw/ready/")}
    report = StorageSync(other, folder_store).run_once("both")
    assert report.is_complete
    assert sums_of(one).keys() <= sums_of(other).keys()
    removed = other.path_of(min(own))
    removed.unlink()
    StorageSync(other, folder_store).run_once("both")
    assert not removed.exists()
    assert objects_of(folder_store).keys() >= own


def test_a_disk_that_is_older_than_the_archive_overwrites_nothing_there(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    clock = StepClock()
    clock.now_ns += 5 * HOUR_NS
    run = Capturing(lake, clock)
    run.trades(41, 50)
    run.seal()
    refined(lake)
    StorageSync(lake, folder_store).run_once()
    shutil.copytree(tmp_path / "lake", tmp_path / "image" / "lake")
    for first in (51, 61):
        run.trades(first, first + 9)
        run.seal()
    run.stop()
    refined(lake)
    StorageSync(lake, folder_store).run_once()
    there, rows = objects_of(folder_store), rows_of(lake)
    back = Lake.under(tmp_path / "image" / "lake")
    capture_more(back, 81, 90, hours=50)
    with pytest.raises(StorageRefused, match="than this disk") as refused:
        StorageSync(back, folder_store).run_once()
    assert "--direction down" in refused.value.line()
    assert objects_of(folder_store) == there
    assert StorageSync(back, folder_store).run_once("down").is_complete
    assert rows_of(back) == rows
    refined(back)
    assert StorageSync(back, folder_store).run_once().is_complete
    assert objects_of(folder_store) == sums_of(back)
    assert objects_of(folder_store).keys() >= {key for key in there if key.startswith("raw/")}


def test_a_line_that_a_power_cut_took_from_a_log_is_no_reason_to_refuse(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, folder_store).run_once()
    log = log_paths(lake)[-1]
    content = log.read_bytes()
    log.write_bytes(content[: content[:-1].rfind(b"\n") + 8])
    capture_more(lake, 41, 50)
    (lake.state / "sync" / "ledger.sqlite").unlink()
    assert StorageSync(lake, folder_store).run_once().is_complete


def test_a_log_of_another_machine_that_is_longer_there_stays_so(folder_store, tmp_path):
    one, clock = two_runs(tmp_path / "one"), StepClock()
    clock.now_ns += 5 * HOUR_NS
    run = Capturing(one, clock)
    run.trades(41, 50)
    run.seal()
    StorageSync(one, folder_store).run_once()
    other = Lake.under(tmp_path / "other")
    capture_more(other, 1, 9, hours=100)
    assert StorageSync(other, folder_store).run_once("both").is_complete
    for first in (51, 61):
        run.trades(first, first + 9)
        run.seal()
    run.stop()
    StorageSync(one, folder_store).run_once()
    capture_more(other, 10, 19, hours=120)
    assert StorageSync(other, folder_store).run_once().is_complete  # as if the other went on behind our look
    assert objects_of(folder_store).items() >= sums_of(one).items()


def test_nothing_but_bronze_is_brought_under_a_watcher(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, folder_store).run_once()
    bronze = lake.path_of(next(key for key in sums_of(lake) if key.startswith("raw/ready/")))
    silver = lake.path_of(next(key for key in sums_of(lake) if key.startswith("processed/silver/")))
    lock = hold(watcher_lock(lake), hint="x")
    bronze.unlink()
    assert StorageSync(lake, folder_store).run_once("down").downloaded_files == 1
    assert bronze.exists()
    silver.unlink()
    with pytest.raises(LakeLocked, match="in use"):
        StorageSync(lake, folder_store).run_once("down")
    lock.release()
    assert StorageSync(lake, folder_store).run_once("down").is_complete
    assert silver.exists()


def test_a_file_that_changed_here_is_told_and_left(folder_store, tmp_path):
    lake = two_runs(tmp_path / "lake")
    refined(lake)
    StorageSync(lake, folder_store).run_once()
    mirror = Lake.under(tmp_path / "mirror")
    key = next(key for key in sums_of(lake) if key.startswith("processed/silver/"))
    mirror.path_of(key).parent.mkdir(parents=True)
    mirror.path_of(key).write_bytes(b"mine")
    report = StorageSync(mirror, folder_store).run_once("down")
    assert report.conflicting_files == 1
    assert mirror.path_of(key).read_bytes() == b"mine"
    assert not list((mirror.state / "etl" / "trades").rglob("BTC-USD/*.checkpoint"))
    assert not (mirror.state / "etl" / "positions.json").exists()
    shutil.rmtree(mirror.processed)
    assert StorageSync(mirror, folder_store).run_once("down").is_complete
    assert sums_of(lake).keys() - sums_of(mirror).keys() == {"state/etl/positions.json"}
    refined(mirror)
    assert rows_of(mirror) == rows_of(lake)


def test_two_synchronisations_of_one_lake_share_no_folder(folder_store, tmp_path):
    StorageSync(two_runs(tmp_path / "lake"), folder_store).run_once()
    other = Lake.under(tmp_path / "other")
    assert StorageSync(other, folder_store, SyncOptions(name="sync-input")).run_once("follow").is_complete
    assert not (other.state / "sync").exists()
    assert [path.name for path in (other.state / "sync-input").glob("*.log")] == []
