"""The rows of a published file, wherever they are by now: in the file itself, or in one that compaction made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.partitioning import Lake, Partition
from storage.made_files import is_made, made_in, made_with, without_sources
from storage.published import Published
from storage.segments import opened, read_segment

_TELLING = ("epoch", "seq", "hour")  # which of a made file's rows were those of one published file


def is_here(lake: Lake, entry: Published) -> bool:
    """Whether the rows of a published file are on this machine, in whatever file."""
    return (lake.ready / entry.path).exists() or made_with(lake, entry.path) is not None


def rows_of(lake: Lake, entry: Published, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows of a published file, in its order, with the table's types, or some columns of them.

    Raises: FileNotFoundError where they are nowhere. OSError and polars' errors: the file cannot be read.
    """
    try:
        return read_segment(lake.ready / entry.path, entry.table, columns)
    except FileNotFoundError:
        made = _made(lake, entry)
    wanted = pl.all() if columns is None else pl.col(list(columns))
    own = (pl.col("epoch") == entry.epoch) & pl.col("seq").is_between(entry.first_seq, entry.last_seq)
    rows = pl.scan_parquet(made, hive_partitioning=False).filter(own, pl.col("hour") == _hour(entry))
    return rows.sort("seq").select(wanted).collect()


def batches_of(lake: Lake, entry: Published, columns: Sequence[str], *, rows_at_once: int) -> Iterator[pa.RecordBatch]:
    """As `rows_of`, a few rows at a time; those of a made file in the order of `capture_ts` and `seq`."""
    path = lake.ready / entry.path
    try:
        file = opened(path)
    except FileNotFoundError:
        file = opened(_made(lake, entry))
        columns, needed = list(columns), list(dict.fromkeys([*columns, *_TELLING]))
        with file:
            groups = [at for at in range(file.num_row_groups) if _may_hold(file.metadata.row_group(at), entry)]
            for batch in file.iter_batches(rows_at_once, row_groups=groups, columns=needed) if groups else ():
                own = batch.filter(_is_own(batch, entry))
                if own.num_rows:
                    yield own.select(columns)
        return
    with file:
        yield from file.iter_batches(rows_at_once, columns=list(columns))


def rows_of_hour(lake: Lake, table: str, hour: Partition, columns: Sequence[str]) -> pl.DataFrame | None:
    """The rows of a table of a stream's hour, of whatever source and in whatever files; None where there is no file."""
    files = sorted(lake.ready.glob(f"*/{table}/{hour.path()}/segment_*"))
    files += [path for folder in sorted(lake.ready.glob(f"*/{table}/{hour.path()}")) for path in made_in(folder)]
    day = replace(hour, hour=None).path()
    files += [path for folder in sorted(lake.daily.glob(f"*/{table}/{day}")) for path in made_in(folder)]
    if not files:
        return None
    parts = [
        pl.scan_parquet(path, hive_partitioning=False).filter(pl.col("hour") == hour.hour).select(columns).collect()
        if is_made(path.name)
        else read_segment(path, table, columns)
        for path in without_sources(lake, files)
    ]
    return pl.concat(parts)


def _made(lake: Lake, entry: Published) -> Path:
    found = made_with(lake, entry.path)
    if found is None:
        raise FileNotFoundError(f"{entry.path}: neither in {lake.ready} nor in a file made of it")
    return found


def _hour(entry: Published) -> int:
    hour = Partition.parse(Path(entry.path)).hour
    assert hour is not None
    return hour


def _is_own(batch: pa.RecordBatch, entry: Published) -> pa.Array:
    seq = batch.column("seq")
    in_range = pc.and_(pc.greater_equal(seq, entry.first_seq), pc.less_equal(seq, entry.last_seq))
    of_run = pc.equal(batch.column("epoch"), entry.epoch)
    return pc.and_(pc.and_(in_range, of_run), pc.equal(batch.column("hour"), _hour(entry)))


def _may_hold(group: pq.RowGroupMetaData, entry: Published) -> bool:
    """Whether a row group can hold numbers of this file, by its statistics."""
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema == "seq" and column.is_stats_set and column.statistics.has_min_max:
            return bool(column.statistics.min <= entry.last_seq and column.statistics.max >= entry.first_seq)
    return True
