"""Many files of one bronze table read as one, in the order of their rows, a bounded number of rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shared.content_hash import content_hash
from shared.errors import InputUnreadable
from shared.tables import Table

_HEAD_BYTES = 8 << 20  # of a file's rows in memory; a frame may have many MiB, so rows are no measure
_ROWS_MAX = 1 << 16


class Key(NamedTuple):
    """The place of a row among the others."""

    capture_ts: datetime
    epoch: str
    seq: int


class Source:
    """One file on its way into another: its rows in order, and whether they are those that it says it holds."""

    def __init__(self, path: Path, kind: Table) -> None:
        self.path, self.rows, self.hash = path, 0, 0
        try:
            with pq.ParquetFile(path) as file:
                metadata = file.metadata
                facts = metadata.metadata or {}
                self._told = (
                    facts.get(b"daedalus.rows", b"").decode(),
                    facts.get(b"daedalus.content_hash", b"").decode(),
                )
                if not file.schema_arrow.equals(kind.ready_schema):
                    raise _unfit(path, f"it has other columns than {kind.name} has today")
                if facts.get(b"daedalus.table", b"").decode() != kind.name or not all(self._told):
                    raise _unfit(path, f"it does not say that it holds {kind.name}, and how much of it")
                keys = _keys(file.read(columns=list(Key._fields), use_threads=False))
        except (pa.ArrowException, OSError) as error:
            raise _unfit(path, f"it cannot be read: {str(error).splitlines()[0][:120]}") from error
        bytes_per_row = max(1, sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)))
        bytes_per_row = max(200, bytes_per_row // max(1, metadata.num_rows))
        self._rows_at_once = max(1, min(_ROWS_MAX, _HEAD_BYTES // bytes_per_row))
        self.boot_ids = _boot_ids(facts, keys)
        if not keys.height:
            raise _unfit(path, "it has no rows")
        self.first: datetime = keys.select(pl.col("capture_ts").min()).item()
        self._is_sorted = _order(keys) is None
        self._batches: Iterator[pa.Table] = iter(())
        self._nothing = Rows(pa.Table.from_batches([], kind.ready_schema))
        self.head = self._nothing
        self._is_open = False

    def fill(self) -> bool:
        """Have rows at hand unless all were taken; whether there are any. Raises: InputUnreadable."""
        if not self._is_open:
            self._is_open, self._batches = True, self._read()
        while not self.head.count:
            self.head = self._nothing  # an empty rest would hold the memory of all that was taken from it
            batch = next(self._batches, None)
            if batch is None:
                return False
            self.head = Rows(batch)
        return True

    def _read(self) -> Iterator[pa.Table]:
        try:
            with pq.ParquetFile(self.path) as file:
                if self._is_sorted:
                    for batch in file.iter_batches(self._rows_at_once, use_threads=False):
                        yield self._counted(pa.Table.from_batches([batch]))
                else:  # a clock was set back; a segment fits the memory
                    yield sorted_rows(self._counted(file.read(use_threads=False)))
        except (pa.ArrowException, OSError) as error:
            raise _unfit(self.path, f"it cannot be read: {str(error).splitlines()[0][:120]}") from error
        if (str(self.rows), f"{self.hash:016x}") != self._told:
            raise _unfit(self.path, "its rows do not give the content hash that it says they have")

    def _counted(self, rows: pa.Table) -> pa.Table:
        self.rows += rows.num_rows
        self.hash = (self.hash + content_hash(rows)) % 2**64
        return rows


class Rows:
    """Rows in order, from the front of which some can be taken."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._keys = _keys(rows)

    @property
    def count(self) -> int:
        """How many are left."""
        return int(self._rows.num_rows)

    @property
    def last_key(self) -> "Key":
        """Of the last of them."""
        return Key(*self._keys.row(-1))

    def take(self, upto: "Key") -> pa.Table:
        """Those whose key is not larger."""
        moment, epoch, seq = upto
        at = self._keys["capture_ts"].search_sorted(moment, side="left")
        until = self._keys["capture_ts"].search_sorted(moment, side="right")
        ties = self._keys.slice(at, until - at)
        is_upto = (pl.col("epoch") < epoch) | ((pl.col("epoch") == epoch) & (pl.col("seq") <= seq))
        at += ties.select(is_upto.sum()).item()
        taken, self._rows, self._keys = self._rows.slice(0, at), self._rows.slice(at), self._keys.slice(at)
        return taken


def merged(sources: Sequence[Source]) -> Iterator[pa.Table]:
    """All rows of these files, ascending by `Key`, in small tables.

    A file is opened when its first row can be next, so that as many are open as overlap in time.

    Raises: InputUnreadable for one whose rows are not what it says.
    """
    waiting = sorted(sources, key=lambda each: each.first, reverse=True)
    taking: list[Source] = []
    while waiting or taking:
        if not taking:
            taking.append(waiting.pop())
        taking = [each for each in taking if each.fill()]
        if not taking:
            continue
        upto = min(each.head.last_key for each in taking)
        if waiting and waiting[-1].first <= upto.capture_ts:
            taking.append(waiting.pop())
            continue
        parts = [each.head.take(upto) for each in taking]
        parts = [rows for rows in parts if rows.num_rows]
        yield parts[0] if len(parts) == 1 else sorted_rows(pa.concat_tables(parts))


def sorted_rows(rows: pa.Table) -> pa.Table:
    """The rows ascending by `Key`."""
    order = _order(_keys(rows))
    return rows if order is None else rows.take(order)


def _keys(rows: pa.Table) -> pl.DataFrame:
    found = pl.from_arrow(rows.select(list(Key._fields)))
    assert isinstance(found, pl.DataFrame)
    return found


def _order(keys: pl.DataFrame) -> pa.Array | None:
    """The places of the rows in ascending order; None where they are in it."""
    order = keys.with_row_index().sort(*Key._fields, maintain_order=True)["index"]
    return None if order.is_sorted() else order.to_arrow()


def _boot_ids(facts: Mapping[bytes, bytes], keys: pl.DataFrame) -> dict[str, str]:
    """By epoch, whose monotonic clock the rows bear."""
    if b"daedalus.boot_ids" in facts:
        return msgspec.json.decode(facts[b"daedalus.boot_ids"], type=dict[str, str])
    return dict.fromkeys(keys["epoch"].unique(), facts.get(b"daedalus.boot_id", b"").decode())


def _unfit(path: Path, reason: str) -> InputUnreadable:
    return InputUnreadable(
        f"{path}: {reason}", hint="`daedalus check --deep` tells what is wrong with the lake's files"
    )
