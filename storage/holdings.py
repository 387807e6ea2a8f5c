"""The files of a lake that age or size may remove, found by walking its folders."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from shared.partitioning import Lake, Partition, named_units, unit_span
from storage.made_files import is_made, segments_of
from storage.retention import Held

_NEWEST = 2  # files of a stream of silver or gold that may grow yet


def holdings(lake: Lake) -> Iterator[Held]:
    """Every file of bronze, silver and gold. What is being written, and what is not ours, is none."""
    for root in (lake.ready, lake.daily):
        for file, size_bytes in _files(root):
            parts = file.relative_to(root).parts
            end = _end(file)
            if end and len(parts) > 2:
                yield Held(
                    path=file, key=lake.key_of(file), tier="bronze", channel=parts[1], end=end, size_bytes=size_bytes
                )
    for tier, root in (("silver", lake.processed / lake.tier_silver), ("gold", lake.processed / lake.tier_gold)):
        yield from _refined(lake, tier, root)


def segments_in(lake: Lake, path: Path) -> list[Path]:
    """The published paths, relative to `ready`, whose rows a file of bronze holds. Raises: InputUnreadable."""
    if is_made(path.name):
        return [Path(segment) for segment in segments_of(path)]
    return [path.relative_to(lake.ready)] if path.name.startswith("segment_") else []


def _refined(lake: Lake, tier: str, root: Path) -> Iterator[Held]:
    streams: dict[Path, list[tuple[datetime, Path, int]]] = {}
    for file, size_bytes in _files(root):
        if end := _end(file):
            stream = next(folder for folder in file.parents if folder.name.startswith("symbol="))
            streams.setdefault(stream, []).append((end, file, size_bytes))
    for files in streams.values():
        newest = sorted({end for end, _, _ in files})[-_NEWEST:]
        for end, file, size_bytes in files:
            yield Held(
                path=file,
                key=lake.key_of(file),
                tier=tier,
                channel=file.relative_to(root).parts[0],
                end=end,
                size_bytes=size_bytes,
                is_newest=end in newest,
            )


def _files(folder: Path | str) -> Iterator[tuple[Path, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from _files(entry.path)
                elif entry.name.endswith((".parquet", ".ndjson")):
                    yield Path(entry.path), entry.stat().st_size
    except FileNotFoundError:  # replaced, compacted or never there
        return


def _end(file: Path) -> datetime | None:
    """The first moment behind the day, or month, of a file; None for what lies where we put nothing."""
    try:
        partition = Partition.parse(file)
    except ValueError:
        return None
    units = [each for each in (partition.year, partition.month, partition.day) if each is not None]
    named = named_units(file.name)[:3]
    return unit_span(named if list(named[: len(units)]) == units else units)[1]
