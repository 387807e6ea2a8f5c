"""Two decodings of the same frames, held against each other row by row, book updates message by message."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from shared.content_hash import row_hashes
from shared.partitioning import Lake
from shared.tables import COMMON, table
from storage.bronze_rows import rows_of
from storage.published import Published

COMPARED = frozenset(
    {"trades", "ticker", "orderbook", "l2", "candles", "funding", "liquidations", "open_interest", "rejects"}
)
_STAMPS = ("capture_ts", "capture_mono_ns", "origin", "epoch", "seq")
_REFUSALS = "subscriptions"  # rejects that the collector makes of an exchange's refusals, and no decoder does


class Window(NamedTuple):
    """The part of a run that is compared, in microseconds since 1970, its end included."""

    start_us: int
    end_us: int


@dataclass
class Difference:
    """What became of one table: rows, of l2 book messages."""

    equal: int = 0
    changed: int = 0  # another row in its place
    new: int = 0  # there was none
    missing: int = 0  # there is none any more

    def __iadd__(self, other: "Difference") -> "Difference":
        """The sums."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)
        return self


class Unit(NamedTuple):
    """A row or a book message: when it came, and a hash of what it says."""

    at_us: int
    mono_ns: int
    content: int


def compare(
    stored: tuple[Lake, Iterable[Published]],
    redone: tuple[Lake, Iterable[Published]],
    windows: Mapping[str, Window],
) -> dict[str, Difference]:
    """By table, how the second lake's rows differ from those of the first that came in the windows, by epoch.

    One symbol's hour of a table is in memory at a time.
    """
    old, new = _by_folder(stored[1]), _by_folder(redone[1])
    found: dict[str, Difference] = {}
    for folder, name in sorted({**old, **new}):
        before = _units(stored[0], old.get((folder, name), []), name, windows)
        after = _units(redone[0], new.get((folder, name), []), name, None)
        if before or after:
            total = found.setdefault(name, Difference())
            total += difference(before, after)
    return dict(sorted(found.items()))


def difference(before: list[Unit], after: list[Unit]) -> Difference:
    """How two lists in the order of their storage differ. What came at one moment is compared in its order.

    >>> a, b, c = Unit(1, 1, 10), Unit(1, 1, 11), Unit(2, 2, 12)
    >>> difference([a, c], [b, c, c])
    Difference(equal=1, changed=1, new=1, missing=0)
    """
    if before == after:
        return Difference(equal=len(before))
    found = Difference()
    olds, news = _by_moment(before), _by_moment(after)
    for moment in olds.keys() | news.keys():
        old, new = olds.get(moment, []), news.get(moment, [])
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        equal = len(old) if old == new else sum(block.size for block in matcher.get_matching_blocks())
        changed = min(len(old), len(new)) - equal
        found += Difference(equal, changed, len(new) - equal - changed, len(old) - equal - changed)
    return found


def _by_folder(entries: Iterable[Published]) -> dict[tuple[str, str], list[Published]]:
    folders: dict[tuple[str, str], list[Published]] = {}
    for entry in entries:
        if entry.table in COMPARED:
            folders.setdefault((Path(entry.path).parent.as_posix(), entry.table), []).append(entry)
    return folders


def _by_moment(units: Iterable[Unit]) -> dict[tuple[int, int], list[int]]:
    moments: dict[tuple[int, int], list[int]] = {}
    for at_us, mono_ns, content in units:
        moments.setdefault((at_us, mono_ns), []).append(content)
    return moments


def _units(lake: Lake, files: Iterable[Published], name: str, windows: Mapping[str, Window] | None) -> list[Unit]:
    """What these files hold, in the order of storage; of the windows alone, where there are some."""
    own = [column for column in table(name).ready_schema.names if column not in COMMON or column == "timestamp"]
    parts = [rows_of(lake, entry, [*_STAMPS, *own]) for entry in files]
    if not parts:
        return []
    rows = pl.concat(parts).filter(pl.col("origin") == "ws").sort("epoch", "seq")
    if name == "rejects":
        rows = rows.filter(pl.col("channel") != _REFUSALS)
    rows = rows.with_columns(pl.col("capture_ts").dt.timestamp("us"))
    if windows is not None:
        wanted = pl.lit(value=False)
        for epoch, window in windows.items():
            wanted |= (pl.col("epoch") == epoch) & pl.col("capture_ts").is_between(*window)
        rows = rows.filter(wanted)
    if not rows.height:
        return []
    hashes = row_hashes(rows.select(own).to_arrow())
    ends = np.flatnonzero(rows["is_last"].to_numpy()) + 1 if name == "l2" else np.arange(1, rows.height + 1)
    starts = np.concatenate(([0], ends[:-1]))
    times = zip(rows["capture_ts"].to_numpy()[starts], rows["capture_mono_ns"].to_numpy()[starts], strict=True)
    contents = (hash(hashes[start:end].tobytes()) for start, end in zip(starts, ends, strict=True))
    return [Unit(int(at), int(mono), content) for (at, mono), content in zip(times, contents, strict=True)]
