"""The lake as tables: what there is to read, and the paths of it. Nobody else needs to know a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import polars as pl

from shared.errors import InputUnreadable
from shared.filters import FilterSpec
from shared.partitioning import UNITS, Lake, named_units, unit_span
from storage.made_files import without_sources

_EVERYTHING = FilterSpec()
_LISTED_AT_ONCE = 128  # names that one call of the system returns together, at least
_TRIES = 20
_CLOCKS = ("time_start", "timestamp")  # a row that goes back in it lies where the row before does


@dataclass(frozen=True)
class LakeTable:
    """A table under the name by which people ask for it."""

    name: str
    patterns: tuple[str, ...]  # of its Parquet files, for any reader that takes globs


def tables(lake: Lake) -> list[LakeTable]:
    """Every table that has files: bronze by its name, `silver_<name>`, `quality_<name>`, `gold_candles` and `bars`.

    `candles` are those of the exchange, in bronze; `gold_candles` ours, from trades.
    """
    found: dict[str, dict[str, None]] = {}
    for name, root in _roots(lake):
        if any(name.endswith(".parquet") for _, _, names in os.walk(root) for name in names):
            is_bronze = root.parent.parent in {lake.ready, lake.daily}
            place = f"{root.parent.parent}/*/{name}" if is_bronze else str(root)
            found.setdefault(name, {})[f"{place}/**/*.parquet"] = None
    return [LakeTable(name, tuple(patterns)) for name, patterns in found.items()]


def plan(lake: Lake, table: str, where: FilterSpec = _EVERYTHING, **keys: str) -> list[Path]:
    """The Parquet files that can hold what is wanted, stream after stream, each in the order of time.

    Folders that cannot are not listed, and no file is opened but those that compaction made, for what they stand for.
    Depths may be mixed: a file is passed over by its partition, whatever its depth, and by the hour, day or month in
    its name. Whatever moment compaction is in, the files hold each row once; those it has made something of since are
    gone, and reading them raises FileNotFoundError: plan again.

    Args:
        lake: where.
        table: its name, as in `tables`.
        where: streams and times.
        keys: partitions that this table has beside those of streams and times, as `bar_set` of bars and `interval` of
            `gold_candles`.

    Raises: InputUnreadable: no such table. ValueError: it has no such partitions.
    """
    return [file.path for file in _planned(lake, table, where, keys)]


def scan(lake: Lake, table: str, where: FilterSpec = _EVERYTHING, **keys: str) -> pl.LazyFrame:
    """The wanted rows, lazily, out of the files that `plan` finds for the same arguments.

    Rows are those of the times that are wanted, by the clock that the table is laid out by, see `FilterSpec`: days
    that are asked for one by one make the whole, no row missing and none twice.

    Raises: InputUnreadable: no such table, or nothing in it that is wanted. ValueError: it has no such partitions.
    """
    files = _planned(lake, table, where, keys)
    if not files:
        asked = ", ".join([str(where), *(f"{key} {value}" for key, value in keys.items())])
        hint = "Ask for less narrow a part; `daedalus query` lists the tables"
        raise InputUnreadable(f"{table} has no file for {asked}", hint=hint)
    if not where.has_times:
        return pl.scan_parquet([file.path for file in files], hive_partitioning=False)
    streams = [list(group) for _, group in groupby(files, key=attrgetter("stream"))]
    frames = [pl.scan_parquet([file.path for file in stream], hive_partitioning=False) for stream in streams]
    return pl.concat(frame.filter(*_wanted_rows(where, _clock(frame))) for frame in frames)


def _planned(lake: Lake, table: str, where: FilterSpec, keys: dict[str, str]) -> "list[_File]":
    if not any(name == table for name, _ in _roots(lake)):
        names = ", ".join(sorted({name for name, _ in _roots(lake)})) or "none yet"
        raise InputUnreadable(f"there is no table {table!r} in this lake", hint=f"Tables are: {names}")
    walk = _Walk(where, keys)
    found = _found(lake, table, walk)
    if found and (unknown := keys.keys() - walk.met):
        further = ", ".join(sorted(walk.met)) or "none"
        raise ValueError(f"{table} has no partitions by {min(unknown)!r}; beside streams and times it has: {further}")
    return found


def _found(lake: Lake, table: str, walk: "_Walk") -> "list[_File]":
    """In the order of reading. What stands below `ready` is listed first: what goes from it is elsewhere by then."""

    def listed(*, is_daily: bool) -> Iterator[_File]:
        for name, root in list(_roots(lake)):
            if name == table and root.is_relative_to(lake.daily) == is_daily:
                yield from walk.files(root, _stream(lake, root), ())

    for tries_left in reversed(range(_TRIES)):
        try:
            files = [*listed(is_daily=False), *listed(is_daily=True)]
            standing = set(without_sources(lake, (file.path for file in files)))
        except FileNotFoundError:  # a folder was emptied, or a merged hour became part of a day, just now
            if not tries_left:
                raise
            continue
        return sorted(file for file in files if file.path in standing)
    raise AssertionError("unreachable")


def _stream(lake: Lake, root: Path) -> str:
    """What the files of a stream have in common, whether compacted or not."""
    return str(lake.ready / root.relative_to(lake.daily)) if root.is_relative_to(lake.daily) else str(root)


def _roots(lake: Lake) -> Iterator[tuple[str, Path]]:
    """Names of tables and where they begin; a table of bronze begins in the folder of each source."""
    bronze = [path for top in (lake.ready, lake.daily) for source in _folders(top) for path in _folders(source)]
    yield from sorted(((path.name, path) for path in bronze), key=lambda found: found[0])
    yield from ((f"silver_{path.name}", path) for path in _folders(lake.silver("any").parent))
    yield from ((f"quality_{path.name}", path) for path in _folders(lake.quality("any").parent))
    for path in _folders(lake.bars("any").parent.parent):
        yield ("gold_candles" if path.name == "candles" else path.name), path


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir()) if path.is_dir() else []


class _File(NamedTuple):
    """In the order in which files are read."""

    stream: str
    start: datetime
    path: Path


class _Walk:
    """The way down to the files that are wanted."""

    def __init__(self, where: FilterSpec, keys: dict[str, str]) -> None:
        self._where, self._keys = where, keys
        self.met: set[str] = set()  # partitions that are neither of streams nor of times

    def files(self, folder: str | Path, stream: str, units: tuple[int, ...]) -> Iterator[_File]:
        """Of this folder, which lies in the year, month, ... `units` of a stream."""
        for entry in _listed(folder):
            key, is_partition, value = entry.name.partition("=")
            if entry.name.startswith("."):  # what is not finished yet
                continue
            if entry.name.endswith(".parquet"):
                named = named_units(entry.name)
                lies_in = named if named[: len(units)] == units else units  # the folder is right
                if not lies_in or self._where.covers(*lies_in):
                    start = unit_span(lies_in or (1970,))[0]
                    yield _File(stream, start, Path(entry.path))
            elif is_partition and key in UNITS:
                if value.isdigit() and self._where.covers(*units, int(value)):
                    yield from self.files(entry.path, stream, (*units, int(value)))
            elif is_partition and self._is_wanted(key, value):
                yield from self.files(entry.path, f"{stream}/{entry.name}", units)
            elif not is_partition and entry.is_dir():  # r17, of a stream whose rows were replaced
                yield from self.files(entry.path, stream, units)

    def _is_wanted(self, key: str, value: str) -> bool:
        if key in {"exchange", "symbol"}:
            return self._where.names(key, value)
        self.met.add(key)
        return self._keys.get(key, value) == value


def _listed(folder: str | Path) -> list[os.DirEntry[str]]:
    """What is in a folder, as of one moment: the system lists a large one piece by piece, beside a merge too."""
    with os.scandir(folder) as entries:
        found = list(entries)
    while len(found) > _LISTED_AT_ONCE:
        before = found
        with os.scandir(folder) as entries:
            found = list(entries)
        if {entry.name for entry in found} == {entry.name for entry in before}:
            break
    return found


def _clock(stream: pl.LazyFrame) -> pl.Expr:
    """The time by which the rows of a stream are laid out; they are in their order, and the first begins a file."""
    names = stream.collect_schema().names()
    if "origin" in names:  # bronze
        return pl.when(pl.col("origin") == "ws").then("capture_ts").otherwise(pl.coalesce("timestamp", "capture_ts"))
    if "tape_ts" in names:
        return pl.col("tape_ts")
    found = next((name for name in _CLOCKS if name in names), None)
    if found is None:
        raise ValueError(f"the table has no time to filter by: none of {', '.join(_CLOCKS)} is among its columns")
    return pl.col(found).cum_max()


def _wanted_rows(where: FilterSpec, clock: pl.Expr) -> Iterator[pl.Expr]:
    for unit in UNITS:
        if (value := getattr(where, unit)) is not None:
            yield getattr(clock.dt, unit)() == value
    if where.since is not None:
        yield clock >= where.since
    if where.until is not None:
        yield clock < where.until
