"""The bar sets of a lake: which streams each one holds, and their bars without reading more than is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from shared.partitioning import Lake


@dataclass(frozen=True, order=True)
class BarStream:
    """One symbol of one exchange in one bar set."""

    bar_set: str
    exchange: str
    symbol: str
    folder: Path

    def files(self) -> list[Path]:
        """Its files in the order of their days."""
        return sorted(self.folder.rglob("*.parquet"), key=lambda path: path.name)

    def scan(self, since: datetime | None = None, until: datetime | None = None) -> pl.LazyFrame:
        """The bars that begin in [since, until), in the order of `bar_seq`."""
        return within(pl.scan_parquet(self.files(), hive_partitioning=False), since, until)


def within(bars: pl.LazyFrame, since: datetime | None, until: datetime | None) -> pl.LazyFrame:
    """The bars that begin in [since, until); None does not bound."""
    if since is not None:
        bars = bars.filter(pl.col("time_start") >= since)
    return bars if until is None else bars.filter(pl.col("time_start") < until)


def bar_streams(lake: Lake) -> list[BarStream]:
    """Every stream of every bar set that has files, by name."""
    return sorted(_streams(lake))


def _streams(lake: Lake) -> Iterator[BarStream]:
    for folder in lake.bars("any").parent.glob("bar_set=*/exchange=*/symbol=*"):
        if next(folder.rglob("*.parquet"), None) is not None:
            bar_set, exchange, symbol = (part.partition("=")[2] for part in folder.parts[-3:])
            yield BarStream(bar_set, exchange, symbol, folder)
