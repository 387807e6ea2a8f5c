"""Files that wait for their commit: nobody sees them until then, however many steps it took to write them."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from shared.disk import Disk
from storage.frames_out import write_frame


class Stage:
    """The staged files of one commit, one per hour or day of the output."""

    def __init__(self, folder: Path, base: Path, number: int, *, first: int, disk: Disk) -> None:
        self.folder = folder
        self.number = number  # of the commit: a crashed attempt's files are never taken for those of another
        self.first = first  # number of the first row that is new or replaces another
        self.disk = disk
        self.files: dict[int, Path] = {}
        self._base = base

    def relative(self, path: Path) -> str:
        """A path as a checkpoint names it."""
        return path.relative_to(self._base).as_posix()

    def write(self, rows: pl.DataFrame, unit_us: int, facts: Mapping[str, str]) -> None:
        """Write the file of an hour or day whole; `facts` are what it says of itself."""
        staged = self.folder / f"{self.number:012d}-{unit_us}.parquet"
        write_frame(rows, staged, compression="zstd", compression_level=3, row_group_size=1 << 17, metadata=dict(facts))
        self.files[unit_us] = staged

    def sync(self) -> None:
        """Wait until every staged file and its name are on the disk."""
        for staged in self.files.values():
            self.disk.sync_file(staged)
        if self.files:
            self.disk.sync_dir(self.folder)


def read_rows(path: Path, wanted: pl.Expr | None = None) -> pl.DataFrame:
    """Rows of an output file, without what its path says."""
    rows = pl.scan_parquet(path, hive_partitioning=False)
    return (rows if wanted is None else rows.filter(wanted)).collect()
