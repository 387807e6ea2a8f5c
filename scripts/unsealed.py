"""What journals hold that is not in `ready` yet: numbers and gap rows, read beside a collector at work."""

from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from ingestion.writers.journal import COMMIT_SUFFIX, SUFFIX, JournalId, JournalReader
from ingestion.writers.seal import read_commit
from shared.partitioning import Lake
from shared.rows import Stream
from shared.tables import Table
from storage.gaps import COLUMNS, no_gaps
from storage.spans import Spans


@dataclass
class Unsealed:
    """The rows of every open journal."""

    numbers: dict[tuple[str, Stream], Spans] = field(default_factory=dict)  # by epoch and stream
    gaps: pl.DataFrame = field(default_factory=no_gaps)


def read_unsealed(lake: Lake) -> Unsealed:
    """Everything that is journalled now; a journal that is sealed meanwhile is left to the log of published names.

    Call it before that log is read: what is sealed in between is then met twice, and nothing is missed.
    """
    found = Unsealed()
    if not lake.active.is_dir():
        return found
    parts = [found.gaps]
    for path in sorted(lake.active.glob(f"*{SUFFIX}")):
        try:
            epoch = JournalId.parse(path.stem).epoch
        except ValueError:
            continue  # not a journal of ours
        try:
            for kind, batch in JournalReader(path).batches():
                _count(found, epoch, kind, batch)
                if kind.name == "gaps":
                    parts.append(_gap_rows(epoch, pl.DataFrame(batch)))
        except FileNotFoundError:
            continue  # sealed just now
    found.gaps = pl.concat([*parts, *_declared(lake)])
    return found


def _count(found: Unsealed, epoch: str, kind: Table, batch: pa.RecordBatch) -> None:
    rows = pl.DataFrame(batch).select("source", "exchange", "symbol", "seq")
    for (source, exchange, symbol), part in rows.group_by("source", "exchange", "symbol"):
        stream = Stream(str(source), str(exchange), kind.name, str(symbol))
        found.numbers.setdefault((epoch, stream), Spans()).add_all(part["seq"].to_numpy())


def _gap_rows(epoch: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(epoch=pl.lit(epoch)).select(COLUMNS)


def _declared(lake: Lake) -> list[pl.DataFrame]:
    """The gaps of damaged journals, which no journal holds before the next start."""
    parts = []
    for path in lake.active.glob(f"*{COMMIT_SUFFIX}"):
        try:
            commit = read_commit(path)
        except FileNotFoundError:
            continue
        epoch = JournalId.parse(path.stem).epoch
        for declared in commit.gaps:
            gap = declared.gap
            row = {name: getattr(gap, name, None) for name in COLUMNS}
            row |= {"source": declared.source, "exchange": declared.exchange, "epoch": epoch}
            schema = no_gaps().schema
            parts.append(pl.DataFrame([row], schema=schema, orient="row"))
    return parts
