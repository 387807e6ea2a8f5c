"""Bars from a file that a person names, Parquet, CSV or Arrow; and reading that fails with a line."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa

from etl.bars.statistics import KEYS
from shared.errors import InputUnreadable

_READERS: dict[str, Callable[[Path], pl.LazyFrame]] = {
    ".parquet": lambda path: pl.scan_parquet(path, hive_partitioning=False),
    ".csv": lambda path: pl.scan_csv(path, try_parse_dates=True),
    ".arrow": pl.scan_ipc,
    ".ipc": pl.scan_ipc,
    ".feather": pl.scan_ipc,
}


def scan_bars_file(path: Path, *, needed: Sequence[str] = ("time_start",)) -> pl.LazyFrame:
    """The bars of a file; where it does not say what they are, their `bar_set` is the file's name.

    Rows that an export filled in for empty buckets are left out: they are no bars.

    Raises: InputUnreadable.
    """
    if path.suffix not in _READERS:
        raise InputUnreadable(f"{path}: bars are read from files that end in {', '.join(_READERS)}")
    if not path.is_file():
        raise InputUnreadable(f"{path}: no such file", hint="Write one with `daedalus bars export`")
    try:
        bars = _READERS[path.suffix](path)
        schema = bars.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise InputUnreadable(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    if missing := [name for name in needed if name not in schema]:
        raise InputUnreadable(f"{path}: no column {missing[0]!r}", hint="Bars have one; are these trades?")
    if not isinstance(schema["time_start"], pl.Datetime):
        raise InputUnreadable(f"{path}: column 'time_start' is {schema['time_start']}, not a time")
    naive = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone is None]
    if "is_filled" in schema:
        bars = bars.filter(~pl.col("is_filled"))
    absent = {"bar_set": path.stem, "exchange": "", "symbol": ""}
    return bars.with_columns(
        pl.col(naive).dt.replace_time_zone("UTC"),
        *(pl.lit(absent[name]).alias(name) for name in KEYS if name not in schema),
    )


def collected(bars: pl.LazyFrame, name: str) -> pl.DataFrame:
    """The bars of what `name` names.

    Raises: InputUnreadable: a file of it is damaged, or was replaced while it was read.
    """
    with readable(name):
        return bars.collect()


@contextmanager
def readable(name: str) -> Iterator[None]:
    """What fails in here fails with a line.

    Raises: InputUnreadable: a file of what `name` names is damaged, or was replaced while it was read.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, pa.ArrowException, FileNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise InputUnreadable(f"{name}: cannot be read: {reason}", hint="Try again; if it stays, rebuild it") from error
