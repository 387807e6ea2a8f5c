"""A frame that a full disk does not take is our error, by which everything else knows a full disk."""

from contextlib import suppress

import polars as pl
import pytest

from shared.errors import DiskFull
from storage.frames_out import write_frame
from storage.inspection import Scope
from storage.side_report import SideReport
from tests.small_disk import small_disk
from tests.storage.captured import two_runs
from tests.storage.synced import refined

__all__ = ["small_disk"]


def fill(disk):
    with (disk / "fill").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("height", [1, 100_000])
def test_a_full_disk_is_said_to_be_full(small_disk, height):
    rows = pl.DataFrame({"a": range(height)})
    write_frame(rows, small_disk / "fits.parquet", compression="zstd")
    assert pl.read_parquet(small_disk / "fits.parquet").equals(rows)
    fill(small_disk)
    with pytest.raises(DiskFull, match=r"rows.parquet: the disk is full"):
        write_frame(rows, small_disk / "rows.parquet")


def test_verdicts_on_sides_are_given_where_a_full_disk_does_not_keep_them(small_disk):
    lake = two_runs(small_disk)
    refined(lake)
    fill(small_disk)
    report = SideReport(lake, Scope())
    assert report.days()
    assert isinstance(report.unwritten, DiskFull)
    assert not list(lake.processed.rglob("*.tmp"))
