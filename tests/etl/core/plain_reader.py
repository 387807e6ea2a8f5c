"""A reader with no code of ours: globs a set again and again, and says what it saw.

`python -m tests.etl.core.plain_reader <engine> <folder> <file>` prints one JSON line as soon as the file is there.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
from pyarrow import dataset

from tests.etl.core.marked_set import mixture


def by_polars(folder: str) -> pl.DataFrame:
    return pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).collect()


def by_duckdb(folder: str) -> pl.DataFrame:
    with duckdb.connect(config={"threads": 1}) as connection:
        query = f"select * from read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        return pl.DataFrame(connection.sql(query).to_arrow_table())


def by_pyarrow(folder: str) -> pl.DataFrame:
    columns = ["bar_seq", "generation", "cut"]  # asked for, or no file at all would be an empty answer
    return pl.DataFrame(dataset.dataset(folder, partitioning="hive").to_table(columns))


ENGINES: dict[str, Callable[[str], pl.DataFrame]] = {"polars": by_polars, "duckdb": by_duckdb, "pyarrow": by_pyarrow}
REFUSALS = (pl.exceptions.PolarsError, duckdb.Error, pa.ArrowException, OSError)  # loud, and can be tried again


def main(engine: str, folder: Path, stop: Path) -> None:
    saw = {"read": 0, "refused": 0, "generations": 0, "wrong": ""}
    most: dict[int, int] = {}  # rows seen of each generation
    begun_s = time.monotonic()
    while not stop.exists() and not saw["wrong"]:
        time.sleep(2 * (time.monotonic() - begun_s))  # three that never rest leave a writer of two processors nothing
        begun_s = time.monotonic()
        try:
            rows = ENGINES[engine](str(folder))
        except REFUSALS:
            saw["refused"] += 1
            continue
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # how polars says that a file is not the one it knew
                raise
            saw["refused"] += 1
            continue
        generation = rows["generation"].max()
        had = most.get(generation, 0)
        most[generation] = rows.height
        saw |= {"read": saw["read"] + 1, "generations": len(most), "wrong": mixture(rows)}
        if rows.height < had:
            saw["wrong"] = f"{rows.height} rows of generation {generation}, which had {had}"
    print(json.dumps(saw))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
