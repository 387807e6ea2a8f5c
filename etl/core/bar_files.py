"""Bars on their way to a file or a folder: written beside it, put in its place at the end, or not at all."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import polars as pl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from shared.disk import Disk, translated
from shared.partitioning import Partition
from storage.segments import opened

_GROUP_ROWS = 1 << 14  # bars have fifty columns: what waits to be written counts in memory


class BarFile:
    """One growing Parquet file of bars."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self._path, self._facts = path, facts
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pl.DataFrame] = []

    def add(self, bars: pl.DataFrame) -> None:
        """Append bars; those of one file come in their order."""
        self._waiting.append(bars)
        if sum(map(len, self._waiting)) >= _GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        self._write()
        if self._writer is not None:
            with translated(self._path):
                self._writer.close()

    def abandon(self) -> None:
        """Let the file go unfinished."""
        if self._writer is not None:
            self._writer.is_open = False  # else its destructor tries to end it, on a disk that may be full
            self._writer = None

    def _write(self) -> None:
        if not self._waiting:
            return
        rows: pa.Table = pl.concat(self._waiting).to_arrow(compat_level=pl.CompatLevel.oldest())
        self._waiting = []
        with translated(self._path):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path, rows.schema, compression="zstd", compression_level=3)
                self._writer.add_key_value_metadata(dict(self._facts))
            self._writer.write_table(rows, row_group_size=_GROUP_ROWS)


class BarsOutput:
    """Where bars of one set go: one `.parquet` file, or a folder with a partition for each stream and month.

    Until `publish` everything lies in a folder beside the target, so a failure leaves what stood there as it was.
    """

    def __init__(self, target: Path, facts: Mapping[str, str], *, disk: Disk | None = None) -> None:
        self._target, self._facts, self._disk = target, facts, disk or Disk()
        self._is_file = target.suffix == ".parquet"
        self._streams: list[tuple[str, str]] = []
        self._open: dict[Path, BarFile] = {}
        self._staging = target.parent / f".{target.name}.building-{os.getpid()}"

    def __enter__(self) -> Self:
        """Make room, away with what a killed run left."""
        self._disk.make_dirs(self._target.parent)
        for left in self._target.parent.glob(f".{self._target.name}.building-*"):
            pid = left.name.rpartition("-")[2]
            if pid.isdigit() and (int(pid) == os.getpid() or not psutil.pid_exists(int(pid))):
                self._put_back(left)
                shutil.rmtree(left)
        with translated(self._target.parent):
            self._staging.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        """Away with what was not published."""
        self._let_go()
        self._put_back(self._staging)
        shutil.rmtree(self._staging, ignore_errors=True)

    def begin(self, exchange: str, symbol: str) -> None:
        """Bars of this stream follow; what was added of it before is forgotten."""
        is_again = (exchange, symbol) in self._streams
        self._let_go(close=not is_again)
        if not is_again:
            self._streams.append((exchange, symbol))
        shutil.rmtree(self._folder(exchange, symbol), ignore_errors=True)

    def add(self, bars: pl.DataFrame) -> None:
        """Append bars of the stream that was begun, as rows of gold, in their order."""
        if self._is_file:
            self._file(self._folder(*self._streams[-1]) / "bars.part").add(bars)
            return
        for (year, month), part in bars.partition_by("year", "month", as_dict=True, maintain_order=True).items():
            folder = self._folder(*self._streams[-1]) / f"year={year}" / f"month={month}"
            self._file(folder / f"bars_{year:04d}{month:02d}.parquet.part").add(part)

    def publish(self, empty: pl.DataFrame) -> None:
        """Put everything in its place; a file without any bars has the columns of `empty`."""
        self._let_go(close=True)
        if self._is_file:
            self._publish_file(empty)
        else:
            self._publish_folders()

    def _publish_file(self, empty: pl.DataFrame) -> None:
        parts = [self._folder(*stream) / "bars.part" for stream in self._streams]
        parts = [part for part in parts if part.exists()]
        whole = parts[0] if len(parts) == 1 else self._staging / "whole.part"
        if len(parts) != 1:
            joined = BarFile(whole, self._facts)
            joined.add(empty)
            for part in parts:
                with opened(part) as file:
                    for batch in file.iter_batches(_GROUP_ROWS):
                        joined.add(pl.DataFrame(batch))
            joined.close()
        self._disk.sync_file(whole)
        with translated(self._target):
            self._disk.rename(whole, self._target)
        self._disk.sync_dir(self._target.parent)

    def _publish_folders(self) -> None:
        """Exchange the folders of the streams that were begun; a reader sees each stream's old bars or its new."""
        for part in self._staging.rglob("*.part"):
            self._disk.sync_file(part)
            part.rename(part.with_suffix(""))
        for stream in self._streams:
            new = self._folder(*stream)
            final = self._target / new.relative_to(self._staging)
            self._disk.make_dirs(final.parent)
            if new.exists():
                self._disk.exchange(new, final)
            elif final.exists():
                self._disk.make_dirs(new.parent)
                self._disk.rename(final, new)
            self._disk.sync_dir(final.parent)

    def _put_back(self, staging: Path) -> None:
        """Undo an exchange of folders that was stopped between two steps, where the filesystem needs two."""
        for old in staging.glob("exchange=*/symbol=*.old"):
            final = self._target / old.relative_to(staging).with_suffix("")
            if not final.exists():
                old.rename(final)

    def _folder(self, exchange: str, symbol: str) -> Path:
        return self._staging / Partition(exchange, symbol, 1, 1).path().parent.parent

    def _file(self, path: Path) -> BarFile:
        if path not in self._open:
            with translated(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            self._open[path] = BarFile(path, self._facts)
        return self._open[path]

    def _let_go(self, *, close: bool = False) -> None:
        for file in self._open.values():
            file.close() if close else file.abandon()
        self._open = {}
