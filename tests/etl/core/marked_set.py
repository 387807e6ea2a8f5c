"""A chain whose rows say in which generation they were made, rewritten for ever; readers can tell any mixture.

`python -m tests.etl.core.marked_set <lake>` goes on where it was killed.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from etl.core.base import BaseTransform
from etl.core.chains import Chain
from etl.core.config import EtlOptions
from etl.core.outputs import Output
from shared.disk import Disk
from shared.partitioning import Lake

START = datetime(2026, 5, 25, tzinfo=UTC)
STEP = timedelta(hours=3)  # eight rows a day: five weeks and a turn of the month in 300 rows
ROWS_ENOUGH = 600


class Marked(BaseTransform):
    """Nothing to remember."""

    name = "marked"
    version = 1

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows

    def finish(self) -> pl.DataFrame:
        return pl.DataFrame()

    def snapshot(self) -> bytes:
        return b"none"


def marked_chain(lake: Lake, *, disk: Disk | None = None, file_unit: str = "day", folder_unit: str = "month") -> Chain:
    """A chain of rows that are nothing but a place, a time and a generation."""
    output = Output(lake.bars("marked"), "e", "S", "bars", "bar_seq", "time_start", file_unit, folder_unit)
    options = EtlOptions(lake, disk=disk or Disk(durable=False), checkpoint_keep_days=5)
    return Chain("bars-marked", output, options, make=lambda _: Marked())


def rows_of(chain: Chain, count: int) -> pl.DataFrame:
    """The next rows; each says which generation it is of, and with which row that generation begins."""
    first, generation = chain.current.rows_out, chain.current.generation
    cut = chain.current.revised[-1][1] if chain.current.revised else 0
    numbers = range(first, first + count)
    return pl.DataFrame(
        {
            "bar_seq": numbers,
            "time_start": [START + number * STEP for number in numbers],
            "generation": [generation] * count,
            "cut": [cut] * count,
        },
        schema_overrides={"time_start": pl.Datetime("us", "UTC")},
    )


def mixture(rows: pl.DataFrame) -> str:
    """What is wrong with rows that a reader got, in any order; nothing if they are one state of the chain."""
    rows = rows.sort("bar_seq")
    if rows["bar_seq"].to_list() != list(range(rows.height)):
        steps = rows.with_columns(step=pl.col("bar_seq").diff()).filter(pl.col("step") != 1)
        return f"holes or doubles: {steps.select('bar_seq', 'step', 'generation', 'cut').rows()}"
    end = rows.height
    while end:
        generation, cut = rows.row(end - 1, named=True)["generation"], rows.row(end - 1, named=True)["cut"]
        part = rows.slice(cut, end - cut)["generation"].unique().to_list()
        if part != [generation] or cut >= end:
            return f"rows {cut}..{end} are of generations {part}"
        end = cut
    return ""


def step(chain: Chain, rng: random.Random) -> None:
    """Append some rows, or go back to a kept checkpoint and replace what follows it by as many rows or more."""
    had = chain.current.rows_out
    if chain.replaces or (had and rng.random() < 0.5) or had > ROWS_ENOUGH:
        if not chain.replaces:
            chain.go_back(rng.choice(list(chain.earlier(lambda _: True))))
        enough = min(ROWS_ENOUGH, rng.randint(had, had + 50))
        while chain.current.rows_out < max(had, enough):
            chain.add(rows_of(chain, rng.randint(1, 60)), position={"n": 1})
    else:
        chain.add(rows_of(chain, rng.randint(1, 20)), position={"n": 1})
    chain.commit(b"none")


def main(root: Path) -> None:
    rng = random.Random()
    chain = marked_chain(Lake.under(root), disk=Disk(durable=True))
    while True:
        step(chain, rng)
        print(chain.current.number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
