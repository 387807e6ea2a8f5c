"""What a folder alone can get wrong: power cuts, full disks, other writers."""

import subprocess

import pytest

from shared.disk import Disk
from shared.errors import DiskFull, LakeUnusable, ObjectConflict
from storage.local import LocalStorage


class RecordingDisk(Disk):
    def __init__(self):
        super().__init__(durable=False)
        self.steps = []

    def sync_file(self, path):
        self.steps.append(("sync", path.name[-1]))

    def rename(self, source, target):
        super().rename(source, target)
        self.steps.append(("rename", target.name))

    def sync_dir(self, path):
        self.steps.append(("sync names", path.name))


def test_the_content_is_synced_before_the_name_and_the_name_before_it_is_told(tmp_path):
    disk = RecordingDisk()
    LocalStorage(tmp_path, disk=disk).put("day/k", b"x")
    told = [step for step in disk.steps if step[1] in {"k", "day"}]
    assert told == [("sync", "k"), ("rename", "k"), ("sync names", "day")]


def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk):
    store = LocalStorage(small_disk)
    etag = store.put("k", b"kept")
    with pytest.raises(DiskFull) as full:
        store.put("k", iter([bytes(1 << 20)] * 8))
    assert "the disk is full" in full.value.line()
    assert "\n" not in full.value.line()
    assert store.head("k").etag == etag
    assert list(store.unfinished()) == []


def test_a_read_only_file_system_is_one_line_and_can_still_be_read(small_disk):
    store = LocalStorage(small_disk)
    store.put("k", b"kept")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for verb in (lambda: store.put("k", b"x"), lambda: store.delete("k")):
        with pytest.raises(LakeUnusable, match="the filesystem is read-only") as refused:
            verb()
        assert "\n" not in refused.value.line()
    assert [found.key for found in store.list()] == ["k"]


def test_etags_differ_though_the_clock_stands_still(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_000_000)
    store = LocalStorage(tmp_path)
    etags = [store.put("k", b"same size") for _ in range(20)]
    assert len(set(etags)) == 20
    with pytest.raises(ObjectConflict):
        store.put("k", b"lost update", if_match=etags[-2])


def test_a_folder_where_an_object_should_be_is_said(tmp_path):
    store = LocalStorage(tmp_path)
    store.put("a/b", b"x")
    for key in ("a", "a/b/c"):
        with pytest.raises(LakeUnusable, match="stands where a f"):
            store.put(key, b"y")
    assert list(store.unfinished()) == []
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
