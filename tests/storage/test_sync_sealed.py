"""What the log says of a segment's bytes since its seal, held against what is sent and what is brought."""

import random
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.published import Published, log_paths, read_log
from storage.sync import StorageSync, SyncOptions
from tests.storage.captured import two_runs
from tests.storage.synced import killed_before_its_note, objects_of, sums_of


def entries(lake: Lake) -> list[Published]:
    return [entry for path in log_paths(lake) for entry in read_log(path)[0]]


def rotten(path: Path) -> bytes:
    """Flip a bit in the middle of a file; what it held before."""
    content = path.read_bytes()
    path.write_bytes(
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]
    )
    return content


def without_sums(lake: Lake) -> None:
    """Make the logs those of a version that knew no checksums."""
    for path in log_paths(lake):
        opening, *lines = path.read_bytes().splitlines()
        old = [
            [{k: v for k, v in each.items() if k != "crc32"} for each in msgspec.json.decode(line)] for line in lines
        ]
        path.write_bytes(b"".join(line + b"\n" for line in [opening, *map(msgspec.json.encode, old)]))


def large(lake: Lake, size_bytes: int = 11 << 20) -> Path:
    """Let a segment be of several parts; its path."""
    log = max(log_paths(lake))
    entry = read_log(log)[0][-1]
    path = lake.ready / entry.path
    path = path.with_name(path.name.replace("_000000_", "_000777_"))
    path.write_bytes(content := random.Random(3).randbytes(size_bytes))
    key = path.relative_to(lake.ready).as_posix()
    added = msgspec.structs.replace(entry, path=key, bytes=size_bytes, crc32=crc32(content))
    log.write_bytes(log.read_bytes() + msgspec.json.encode([added]) + b"\n")
    return path


@pytest.mark.parametrize("raw_format", ["parquet", "ndjson"])
def test_the_log_has_the_sum_of_each_file_as_it_was_written(tmp_path: Path, raw_format: str) -> None:
    lake = two_runs(tmp_path / "lake", raw_format=raw_format)
    assert entries(lake)
    assert all(entry.crc32 == crc32((lake.ready / entry.path).read_bytes()) for entry in entries(lake))


def test_a_segment_that_rotted_before_it_was_sent_is_set_aside_and_the_rest_goes(
    store: ObjectStore, tmp_path: Path
) -> None:
    lake = two_runs(tmp_path / "lake")
    path = lake.ready / entries(lake)[0].path
    content = rotten(path)
    report = StorageSync(lake, store).run_once()
    assert (report.missing_files, report.is_complete) == (1, False)
    (line,) = report.problems
    assert str(path) in line
    there = objects_of(store)
    assert lake.key_of(path) not in there
    assert there == {key: crc for key, crc in sums_of(lake).items() if key != lake.key_of(path)}
    path.write_bytes(content)
    assert StorageSync(lake, store, SyncOptions(full_scan=True)).run_once().is_complete
    assert objects_of(store) == sums_of(lake)


def test_nor_does_a_large_one_take_its_name(store: ObjectStore, tmp_path: Path) -> None:
    lake = two_runs(tmp_path / "lake")
    path = large(lake)
    content = rotten(path)
    assert StorageSync(lake, store).run_once().missing_files == 1
    assert lake.key_of(path) not in objects_of(store)
    assert not list(store.unfinished())
    path.write_bytes(content)
    assert StorageSync(lake, store, SyncOptions(full_scan=True)).run_once().is_complete
    assert objects_of(store) == sums_of(lake)


def test_what_arrived_sound_before_it_rotted_here_counts_as_sent(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = two_runs(tmp_path / "lake")
    killed_before_its_note(lake, store, monkeypatch, "raw/ready/")
    sound = sums_of(lake)
    key = min(key for key in objects_of(store) if key.startswith("raw/ready/"))
    rotten(lake.path_of(key))
    assert StorageSync(lake, store).run_once().is_complete
    assert objects_of(store) == sound


def test_a_log_without_sums_is_read_as_before(store: ObjectStore, tmp_path: Path) -> None:
    lake = two_runs(tmp_path / "lake")
    without_sums(lake)
    assert {entry.crc32 for entry in entries(lake)} == {None}
    path = lake.ready / entries(lake)[0].path
    rotten(path)
    assert StorageSync(lake, store).run_once().is_complete
    assert objects_of(store) == sums_of(lake)


def spoilt(store: ObjectStore, key: str) -> bytes:
    """Let an object have rotted before it was sent, as by a version that looked at sizes alone; what it held."""
    with store.get(key) as content:
        sound = content.read()
    store.delete(key)
    store.put(key, bytes([*sound[:-40], sound[-40] ^ 1, *sound[-39:]]))
    return sound


def test_what_was_sent_rotten_is_not_brought_under_its_name(store: ObjectStore, tmp_path: Path) -> None:
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, store).run_once()
    key = lake.key_of(lake.ready / entries(lake)[0].path)
    sound = spoilt(store, key)
    new = Lake.under(tmp_path / "new")
    for _ in range(2):
        report = StorageSync(new, store).run_once("down")
        assert (report.missing_files, len(report.problems)) == (1, 1)
        assert str(new.path_of(key)) in report.problems[0]
        assert sums_of(new) == {each: crc for each, crc in sums_of(lake).items() if each != key}
    store.delete(key)
    store.put(key, sound)
    assert StorageSync(new, store).run_once("down").is_complete
    assert sums_of(new) == sums_of(lake)


def test_nor_is_it_brought_to_another_machine(store: ObjectStore, tmp_path: Path) -> None:
    lake = two_runs(tmp_path / "lake")
    StorageSync(lake, store).run_once()
    key = lake.key_of(lake.ready / entries(lake)[0].path)
    sound = spoilt(store, key)
    other = Lake.under(tmp_path / "other")
    report = StorageSync(other, store).run_once("both")
    assert (report.missing_files, len(report.problems)) == (1, 1)
    sums = sums_of(lake)
    assert sums_of(other) == {each: crc for each, crc in sums.items() if each != key}
    store.delete(key)
    store.put(key, sound)
    assert StorageSync(other, store).run_once("down").is_complete
    assert sums_of(other) == sums


def test_what_one_machine_could_not_send_keeps_nothing_from_another(store: ObjectStore, tmp_path: Path) -> None:
    lake = two_runs(tmp_path / "lake")
    path = lake.ready / entries(lake)[0].path
    rotten(path)
    StorageSync(lake, store).run_once()
    other = Lake.under(tmp_path / "other")
    report = StorageSync(other, store).run_once("both")
    assert report.missing_files == 1
    assert sums_of(other) == {key: crc for key, crc in sums_of(lake).items() if key != lake.key_of(path)}
