"""The gaps table read back: which files hold what is asked for, and the latest word on each gap."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from shared.partitioning import Lake, Partition
from shared.rows import LIFECYCLE_CAUSES
from shared.tables import table
from storage.published import Published
from storage.segments import read_segment

COLUMNS = (
    "gap_id",
    "revision",
    "source",
    "exchange",
    "symbol",
    "channel",
    "cause",
    "status",
    "start_ts",
    "end_ts",
    "rows_lost",
    "prev_seq",
    "next_seq",
    "prev_id",
    "next_id",
    "evidence",
    "epoch",
    "capture_ts",
)
STORED = tuple(name for name in COLUMNS if name != "source")  # the path alone knows the source


@dataclass(frozen=True)
class GapFilter:
    """Which gaps are asked for; an empty tuple asks for all."""

    exchanges: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    since: datetime | None = None  # gaps that lasted until then or longer
    until: datetime | None = None  # gaps that began before
    with_lifecycle: bool = False  # also what declares no loss: starts, stops, connections, rejects, clock steps

    def reads(self, entry: Published) -> bool:
        """Whether a file can hold what is asked for. A hole is written when it ends, which may be long after."""
        if entry.table != "gaps" or (self.exchanges and entry.exchange not in self.exchanges):
            return False
        if self.symbols and entry.symbol not in self.symbols:
            return False
        return self.since is None or Partition.parse(Path(entry.path)).end() > self.since

    def of(self, gaps: pl.DataFrame) -> pl.DataFrame:
        """The gaps that are asked for, by their beginning. Takes the latest revisions, see `latest`."""
        wanted = pl.lit(value=True)
        for column, values in (
            ("exchange", self.exchanges),
            ("symbol", self.symbols),
            ("channel", self.channels),
            ("cause", self.causes),
            ("status", self.statuses),
        ):
            if values:
                wanted &= pl.col(column).is_in(values)
        if not self.with_lifecycle and not self.causes:
            wanted &= ~pl.col("cause").is_in(LIFECYCLE_CAUSES)
        if self.since is not None:
            wanted &= pl.coalesce("end_ts", pl.lit(datetime.max.replace(tzinfo=UTC, year=9000))) >= self.since
        if self.until is not None:
            wanted &= pl.coalesce("start_ts", "capture_ts") < self.until
        return gaps.filter(wanted).sort(pl.coalesce("start_ts", "capture_ts"), "gap_id", maintain_order=True)


def no_gaps() -> pl.DataFrame:
    """The table without a row."""
    stored = pl.DataFrame(table("gaps").ready_schema.empty_table()).select(STORED)
    return stored.with_columns(source=pl.lit(None, pl.String)).select(COLUMNS)


def read_gaps(lake: Lake, entries: Iterable[Published]) -> tuple[pl.DataFrame, list[str]]:
    """Every revision in these files, and the names of those that are not there or cannot be read."""
    parts, missing = [no_gaps()], []
    for entry in entries:
        try:
            rows = read_segment(lake.ready / entry.path, "gaps", STORED)
        except (OSError, pl.exceptions.PolarsError):
            missing.append(entry.path)
            continue
        parts.append(rows.with_columns(source=pl.lit(entry.source)).select(COLUMNS))
    return pl.concat(parts), missing


def latest(revisions: pl.DataFrame) -> pl.DataFrame:
    """The last revision of each gap."""
    ordered = revisions.sort("revision", "capture_ts", maintain_order=True)
    return ordered.unique("gap_id", keep="last", maintain_order=True)
