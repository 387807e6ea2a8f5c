"""Rows of bronze in the order in which they arrived: one table of one stream, a file at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from etl.core.bronze import ended_hole, exchange_time
from etl.core.config import FilterSpec, StreamKey
from etl.core.feeds import SOURCES
from shared.errors import InputUnreadable
from shared.partitioning import UNITS, Lake, Partition, SegmentName
from storage.lake import plan
from storage.made_files import hours_of, is_made

_ROWS = 1 << 16  # of a portion: snapshots hold many levels


class Arrivals:
    """The rows of a table of one stream, of one source, in order of arrival, with `gap_before` where a hole ends.

    Args:
        lake: where.
        table: orderbook, l2 or ticker.
        key: which stream.
        where: which times, by years to hours.
        columns: those to read beside `epoch`, `seq`, `capture_ts` and `timestamp`.
        seen: the `seq` up to which rows of an epoch are passed over.
    """

    def __init__(
        self,
        lake: Lake,
        table: str,
        key: StreamKey,
        where: FilterSpec,
        *,
        columns: Sequence[str],
        seen: Mapping[str, int],
    ) -> None:
        self._where = where
        self._columns = list(dict.fromkeys(("epoch", "seq", "capture_ts", "timestamp", *columns)))
        self.table, self._seen = table, dict(seen)
        files = planned(lake, table, key, where)
        self.source = next((source for source in SOURCES if source in files), "")
        self.files = files.get(self.source, [])
        self._gap_files = planned(lake, "gaps", key, where).get(self.source, [])

    def portions(self) -> Iterator[pl.DataFrame]:
        """The rows, none of them empty.

        Raises: InputUnreadable for a file that is damaged.
        """
        holes = self._holes()
        for rows in self._read():
            marks = np.zeros(rows.height, dtype=np.bool_)
            ended = holes.filter(holes <= rows["capture_ts"][-1])
            holes = holes.slice(ended.len())
            # A gap row stands before the rows after the hole, at their time.
            marks[rows["capture_ts"].search_sorted(ended, side="left").to_numpy()] = True
            rows = rows.with_columns(pl.Series("gap_before", marks), exchange_time()).drop(UNITS)
            for start in range(0, rows.height, _ROWS):
                yield rows.slice(start, _ROWS)

    def _read(self) -> Iterator[pl.DataFrame]:
        """The wanted rows of each file; where files were compacted, of each hour and run, which is the same order."""
        for files, hour in _in_order(self.files):
            parts = [_read(file, [*self._columns, *UNITS], hour=hour) for file in files]
            rows = self._fresh(pl.concat(parts).filter(self._is_wanted()))
            for _, run in sorted(rows.partition_by("epoch", as_dict=True).items()):
                yield run.sort("capture_ts", "seq")

    def _holes(self) -> pl.Series:
        """When each declared hole of the table had ended, in order."""
        columns = ["capture_ts", "channel", "revision", "status", "end_ts", "next_seq", "gap_id", "epoch"]
        parts = [_read(file, columns) for file in self._gap_files]
        if not parts:
            return pl.Series(dtype=pl.Datetime("us", "UTC"))
        return pl.concat(parts).filter(pl.col("channel") == self.table, ended_hole())["capture_ts"].sort()

    def _is_wanted(self) -> pl.Expr:
        asked = ((unit, getattr(self._where, unit)) for unit in UNITS)
        return pl.all_horizontal(True, *(pl.col(unit) == value for unit, value in asked if value is not None))

    def _fresh(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those that were not read before."""
        reached = pl.col("epoch").replace_strict(self._seen, default=-1, return_dtype=pl.Int64)
        return rows.filter(pl.col("seq") > reached) if self._seen else rows


def position_after(rows: pl.DataFrame, before: Mapping[str, int]) -> dict[str, int]:
    """`seen` of what follows these rows."""
    return dict(before) | dict(rows.group_by("epoch").agg(pl.col("seq").max()).sort("epoch").iter_rows())


def planned(lake: Lake, table: str, key: StreamKey, where: FilterSpec) -> dict[str, list[Path]]:
    """The files of a stream by source; none where there is no table."""
    try:
        files = plan(lake, table, replace(where, exchanges=(key.exchange,), symbols=(key.symbol,)))
    except InputUnreadable:
        return {}
    found: dict[str, list[Path]] = {}
    for file in files:
        root = next((root for root in (lake.ready, lake.daily) if root in file.parents), None)
        if root:
            found.setdefault(file.relative_to(root).parts[0], []).append(file)
    return found


def streams(lake: Lake, table: str, where: FilterSpec) -> list[StreamKey]:
    """The wanted streams of a table of bronze, by name."""
    try:
        files = plan(lake, table, where)
    except InputUnreadable:
        return []
    found = (Partition.parse(file) for file in files)
    return sorted({StreamKey(each.exchange, each.symbol) for each in found})


def _in_order(files: Sequence[Path]) -> Iterator[tuple[list[Path], str]]:
    """What is read together, and of which hour, as rows arrived: a segment, or an hour that was compacted."""
    hours: dict[str, list[Path]] = {}
    for file in files:
        for hour in hours_of(file) if is_made(file.name) else (SegmentName.parse(file.name).hour,):
            hours.setdefault(hour, []).append(file)
    for hour, among in sorted(hours.items()):
        if any(is_made(file.name) for file in among):
            yield among, hour
        else:
            yield from (([file], hour) for file in sorted(among, key=_arrival))


def _arrival(file: Path) -> tuple[str, str, int]:
    name = SegmentName.parse(file.name)
    return name.hour, name.epoch, name.counter


def _read(file: Path, columns: Sequence[str], *, hour: str = "") -> pl.DataFrame:
    """The rows of a file, of an hour such as `20260609T04` alone where one is named."""
    rows = pl.scan_parquet(file, hive_partitioning=False)
    if hour:
        rows = rows.filter(pl.col("hour") == int(hour[-2:]))
    try:
        return rows.select(columns).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        is_gone = isinstance(error, FileNotFoundError)
        hint = "Move it away, or bring it back from where it was copied to"
        raise InputUnreadable(
            f"{file}: cannot be read: {str(error).splitlines()[0]}",
            hint="If it was compacted or removed meanwhile, run again" if is_gone else hint,
        ) from error
