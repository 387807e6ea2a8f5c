"""The rows of a ready file, whichever format it was written in."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from shared.tables import table


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
