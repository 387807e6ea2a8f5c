"""Many files of one bronze table read as one, in the order of their rows, a bounded number of rows at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
import pyarrow as pa

from shared.content_hash import content_hash
from shared.errors import InputUnreadable
from shared.tables import Table
from storage.segments import opened

_HEAD_BYTES = 4 << 20  # of a file's rows in memory; a frame may have many MiB, so rows are no measure
_ROWS_MAX = 1 << 16


class Key(NamedTuple):
    """The place of a row among the others."""

    capture_ts: datetime
    epoch: str
    seq: int


class Source:
    """One file on its way into another: its runs of rows, and whether they are those that it says it holds."""

    def __init__(self, path: Path, kind: Table) -> None:
        self.path, self.rows, self.hash = path, 0, 0
        self.runs: list[Run] = []
        epochs: set[str] = set()
        with self._readable(), opened(path) as file:
            metadata = file.metadata
            facts = metadata.metadata or {}
            self._told = (facts.get(b"daedalus.rows", b"").decode(), facts.get(b"daedalus.content_hash", b"").decode())
            if not file.schema_arrow.equals(kind.ready_schema):
                raise _unfit(path, f"it has other columns than {kind.name} has today")
            if facts.get(b"daedalus.table", b"").decode() != kind.name or not all(self._told):
                raise _unfit(path, f"it does not say that it holds {kind.name}, and how much of it")
            for group in range(metadata.num_row_groups):
                keys = _keys(file.read_row_group(group, columns=list(Key._fields), use_threads=False))
                epochs.update(keys["epoch"].unique())
                self._add(group, keys)
        if not self.runs:
            raise _unfit(path, "it has no rows")
        bytes_per_row = sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
        bytes_per_row = max(200, bytes_per_row // metadata.num_rows)
        self._rows_at_once = max(1, min(_ROWS_MAX, _HEAD_BYTES // bytes_per_row))
        self.boot_ids = _boot_ids(facts, epochs)

    def _add(self, group: int, keys: pl.DataFrame) -> None:
        """Take a row group as part of the run before it, or as the first of the next."""
        if not keys.height:
            return
        is_sorted = _order(keys) is None
        if not is_sorted:
            keys = keys.sort(*Key._fields)
        first, last = Key(*keys.row(0)), Key(*keys.row(-1))
        if is_sorted and self.runs and self.runs[-1].goes_on(first):
            self.runs[-1].add(group, last)
        else:
            self.runs.append(Run(self, group, first=first, last=last, is_sorted=is_sorted))

    def read(self, groups: list[int], *, is_sorted: bool) -> Iterator[pa.Table]:
        """The rows of these row groups, a few at a time; of one that is not sorted, all of them in order."""
        with self._readable(), opened(self.path) as file:
            if is_sorted:
                for batch in file.iter_batches(self._rows_at_once, row_groups=groups, use_threads=False):
                    yield self._counted(pa.Table.from_batches([batch]))
            else:
                yield sorted_rows(self._counted(file.read_row_groups(groups, use_threads=False)))

    def prove(self) -> None:
        """See that what was read is what the file says it holds. Raises: InputUnreadable."""
        if (str(self.rows), f"{self.hash:016x}") != self._told:
            raise _unfit(self.path, "its rows do not give the content hash that it says they have")

    def _counted(self, rows: pa.Table) -> pa.Table:
        self.rows += rows.num_rows
        self.hash = (self.hash + content_hash(rows)) % 2**64
        return rows

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise _unfit(self.path, f"it cannot be read: {str(error).splitlines()[0][:120]}") from error


class Run:
    """Row groups of a file whose rows come in order; where a clock was set back, one of them that is put in order."""

    def __init__(self, source: Source, group: int, *, first: "Key", last: "Key", is_sorted: bool) -> None:
        self.first, self.head = first, _NOTHING
        self._source, self._groups, self._last, self._is_sorted = source, [group], last, is_sorted
        self._batches: Iterator[pa.Table] | None = None

    def goes_on(self, key: "Key") -> bool:
        """Whether a row with this key may come next."""
        return self._is_sorted and self._last <= key

    def add(self, group: int, last: "Key") -> None:
        """Take one more row group, whose rows are in order and come next."""
        self._groups.append(group)
        self._last = last

    def fill(self) -> bool:
        """Have rows at hand unless all were taken; whether there are any. Raises: InputUnreadable."""
        if self._batches is None:
            self._batches = self._source.read(self._groups, is_sorted=self._is_sorted)
        while not self.head.count:
            self.head = _NOTHING  # an empty rest would hold the memory of all that was taken from it
            batch = next(self._batches, None)
            if batch is None:
                return False
            self.head = Rows(batch)
        return True


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

    A run is opened when its first row can be next, so that as many are open as overlap in time.

    Raises: InputUnreadable for one whose rows are not what it says.
    """
    waiting = sorted((run for each in sources for run in each.runs), key=lambda run: run.first, reverse=True)
    taking: list[Run] = []
    while waiting or taking:
        if not taking:
            taking.append(waiting.pop())
        taking = [each for each in taking if each.fill()]
        if not taking:
            continue
        upto = min(each.head.last_key for each in taking)
        if waiting and waiting[-1].first <= upto:
            taking.append(waiting.pop())
            continue
        parts = [each.head.take(upto) for each in taking]
        parts = [rows for rows in parts if rows.num_rows]
        yield parts[0] if len(parts) == 1 else sorted_rows(pa.concat_tables(parts))
    for source in sources:
        source.prove()


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


def _boot_ids(facts: Mapping[bytes, bytes], epochs: Iterable[str]) -> dict[str, str]:
    """By epoch, whose monotonic clock the rows bear."""
    if b"daedalus.boot_ids" in facts:
        return msgspec.json.decode(facts[b"daedalus.boot_ids"], type=dict[str, str])
    return dict.fromkeys(epochs, facts.get(b"daedalus.boot_id", b"").decode())


def _unfit(path: Path, reason: str) -> InputUnreadable:
    return InputUnreadable(
        f"{path}: {reason}", hint="`daedalus check --deep` tells what is wrong with the lake's files"
    )


_NOTHING = Rows(pa.table({name: pa.nulls(0) for name in Key._fields}))
