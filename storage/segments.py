"""The rows of a ready file, whichever format it was written in."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shared.content_hash import content_hash
from shared.tables import table

_ROWS_AT_ONCE = 1 << 15


def opened(path: Path) -> pq.ParquetFile:
    """A Parquet file to be read bit by bit: with `pre_buffer` an iteration holds all row groups it went through."""
    return pq.ParquetFile(path, pre_buffer=False)


def content_of(file: pq.ParquetFile) -> int:
    """The content hash of a file's rows, of which a few are in memory at a time."""
    batches = file.iter_batches(_ROWS_AT_ONCE, use_threads=False)
    return sum(map(content_hash, batches)) % 2**64


def read_segment(path: Path, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows of one file of bronze table `name`, with that table's types, or some columns of them."""
    wanted = list(columns) if columns is not None else table(name).ready_schema.names
    if path.suffix == ".parquet":
        return pl.read_parquet(path, columns=wanted, hive_partitioning=False)
    schema = table(name).ready_schema.empty_table().select(wanted).schema
    rows = pl.read_ndjson(path, infer_schema_length=None)
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    parsed = rows.with_columns(
        pl.col(column).cast(pl.String).str.to_datetime(time_unit="us", time_zone="UTC") for column in times
    )
    empty = pl.DataFrame(schema.empty_table())
    return parsed.cast({column: empty.schema[column] for column in wanted}).select(wanted)
