"""The gaps table read back: which files hold what is asked for, and the latest word on each gap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from shared.partitioning import Lake, Partition
from shared.rows import LIFECYCLE_CAUSES
from shared.tables import table
from storage.bronze_rows import rows_of
from storage.published import Published

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


def running_at(moment: datetime | None, epochs: Sequence[str]) -> str:
    """The epoch that ran at a moment: a gap of an older one has ended, or is repeated as a `restart` of a newer one.

    >>> running_at(datetime(2026, 6, 9, 12, tzinfo=UTC), ["20260609T110000Z-aaaa", "20260609T130000Z-bbbb"])
    '20260609T110000Z-aaaa'
    """
    if moment is None:
        return ""
    begun = [epoch for epoch in epochs if epoch[:16] <= f"{moment:%Y%m%dT%H%M%SZ}"]
    return max(begun, default="")


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

    def reads(self, entry: Published, *, whole_from: str = "") -> bool:
        """Whether a file can hold what is asked for: a hole is written when it ends, or a minute after it began.

        Args:
            entry: the file.
            whole_from: the epoch from which on every file can hold a gap that still has no end, see `running_at`.
        """
        if entry.table != "gaps" or (self.exchanges and entry.exchange not in self.exchanges):
            return False
        if self.symbols and entry.symbol not in self.symbols:
            return False
        if self.since is None or entry.epoch >= whole_from:
            return True
        return Partition.parse(Path(entry.path)).end() > self.since

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
            gaps = gaps.filter(~gaps["gap_id"].is_in(repeated(gaps).implode()))
        if self.since is not None:
            wanted &= pl.coalesce("end_ts", pl.lit(datetime.max.replace(tzinfo=UTC, year=9000))) >= self.since
        if self.until is not None:
            wanted &= pl.coalesce("start_ts", "capture_ts") < self.until
        return gaps.filter(wanted).sort(pl.coalesce("start_ts", "capture_ts"), "gap_id", maintain_order=True)


def repeated(gaps: pl.DataFrame) -> pl.Series:
    """The `gap_id` of each gap without an end that a later run tells again as a `restart` from the same moment on."""
    where = ["source", "exchange", "symbol", "channel", "start_ts"]
    again = gaps.filter(pl.col("cause") == "restart").group_by(where).agg(last=pl.col("epoch").max())
    told = gaps.filter(pl.col("end_ts").is_null(), pl.col("status") == "open").join(again, on=where)
    return told.filter(pl.col("epoch") < pl.col("last"))["gap_id"]


def no_gaps() -> pl.DataFrame:
    """The table without a row."""
    stored = pl.DataFrame(table("gaps").ready_schema.empty_table()).select(STORED)
    return stored.with_columns(source=pl.lit(None, pl.String)).select(COLUMNS)


def read_gaps(lake: Lake, entries: Iterable[Published]) -> tuple[pl.DataFrame, list[str]]:
    """Every revision in these files, and the names of those that are not there or cannot be read."""
    parts, missing = [no_gaps()], []
    for entry in entries:
        try:
            rows = rows_of(lake, entry, STORED)
        except (OSError, pl.exceptions.PolarsError):
            missing.append(entry.path)
            continue
        parts.append(rows.with_columns(source=pl.lit(entry.source)).select(COLUMNS))
    return pl.concat(parts), missing


def latest(revisions: pl.DataFrame) -> pl.DataFrame:
    """The last revision of each gap."""
    ordered = revisions.sort("revision", "capture_ts", maintain_order=True)
    return ordered.unique("gap_id", keep="last", maintain_order=True)
