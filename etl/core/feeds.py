"""Feeds: of which source and table a stream's books or tickers are read, and what of them is new."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from etl.core.bronze import exchange_time, read_journal, require, unconsumed
from etl.core.config import StreamKey
from shared.partitioning import Lake, stream_path
from storage.published import Published

SOURCES = ("native", "ccxt", "rest", "csv")  # the first that has rows is read: those of two are never mixed


@dataclass(frozen=True)
class Files:
    """The published files of a stream."""

    new: list[Published]  # at least those that no run has seen
    every: Callable[[], list[Published]]  # that there ever were


@dataclass(frozen=True)
class Feed:
    """Which bronze rows are read."""

    source: str
    table: str

    def __str__(self) -> str:
        """As it stands in the rules of what is made from it."""
        return f"{self.source}/{self.table}"

    def files(self, journals: Iterable[list[Published]]) -> list[Published]:
        """Those of this feed in these journals."""
        every = (entry for journal in journals for entry in journal)
        return [entry for entry in every if (entry.source, entry.table) == (self.source, self.table)]

    def unused(self, entries: list[Published], position: Mapping[str, int]) -> list[list[Published]]:
        """The journals behind a position that hold rows of it, each with these and its gaps alone."""
        own = [entry for entry in entries if entry.source == self.source and entry.table in (self.table, "gaps")]
        return [journal for journal in unconsumed(own, position) if self.files([journal])]

    def read(self, lake: Lake, journals: list[list[Published]], columns: Sequence[str]) -> pl.DataFrame:
        """Rows of these journals in order of arrival, with `gap_before`; no columns where there are none.

        Raises: BronzeMissing.
        """
        require(lake, (entry for journal in journals for entry in journal), tables={self.table, "gaps"})
        parts = [read_journal(lake, journal, columns, table=self.table) for journal in journals]
        if not parts:
            return pl.DataFrame()
        return pl.concat(parts).with_columns(exchange_time()).rename({"after_gap": "gap_before"})


def feed_of(key: StreamKey, tables: Sequence[str], lake: Lake) -> Feed | None:
    """The feed of a stream's rows of the first of these tables that it has; None: it has none."""
    for table in tables:
        for source in SOURCES:
            folder = Path(source) / table / stream_path(*key)
            if (lake.ready / folder).exists() or (lake.daily / folder).exists():
                return Feed(source, table)
    return None


def is_overtaken(position: Mapping[str, int], unused: list[list[Published]]) -> bool:
    """Whether rows of an earlier run come after those that stand at this position."""
    return min((journal[0].epoch for journal in unused), default="~") < max(position, default="")
