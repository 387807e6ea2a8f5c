"""What of a disk is not told by the tests of those who use it."""

import errno
import gc
import os
from pathlib import Path

import pytest

from shared.disk import Disk
from shared.errors import LakeUnusable
from tests.stepped_disk import FailingDisk


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_disk_that_fails_again_and_again_leaves_no_file_open(tmp_path):
    disk, before = FailingDisk("sync_dir", 0, errno.EIO, for_ever=True), open_files()
    for number in range(20):
        with pytest.raises(LakeUnusable):
            disk.open_new(tmp_path / str(number))
    assert open_files() == before


def test_a_file_that_cannot_be_cut_is_let_go(tmp_path, monkeypatch):
    def broken(_fd, _size):
        raise PermissionError(errno.EACCES, "injected")

    before = open_files()
    file = Disk().open_new(tmp_path / "a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(LakeUnusable):
            file.close()
    del file
    assert open_files() == before


def test_closing_twice_closes_nothing_of_others(tmp_path):
    file = Disk().open_new(tmp_path / "a")
    file.close()
    with (tmp_path / "b").open("wb") as other:  # it gets the number that is free now
        file.close()
        assert other.write(b"x") == 1
