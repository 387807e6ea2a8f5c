"""Files that compaction made of segments: their names, what each holds, and which files they stand for.

A made file names in its metadata every segment whose rows it holds. Those rows are read from it from the moment it is
there: a segment that still stands beside it is passed over, and goes with the next compaction.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

import msgspec
import pyarrow.parquet as pq

from shared.errors import InputUnreadable
from shared.partitioning import Lake, SegmentName

SOURCES = b"daedalus.sources"
_MADE = re.compile(r"(?:daily_\d{8}_\d{3}|merged_\d{8}T\d{2})_([0-9a-f]{16})\.parquet")


def daily_name(day: str, hour: int, content_hash: int) -> str:
    """The name of a day file: its day, the hour in which it begins, and the hash of its rows.

    >>> daily_name("20260609", 4, 255)
    'daily_20260609_004_00000000000000ff.parquet'
    """
    return f"daily_{day}_{hour:03d}_{content_hash:016x}.parquet"


def merged_name(hour: str, content_hash: int) -> str:
    """The name of segments of one hour that became one file.

    >>> merged_name("20260609T04", 255)
    'merged_20260609T04_00000000000000ff.parquet'
    """
    return f"merged_{hour}_{content_hash:016x}.parquet"


def is_made(name: str) -> bool:
    """Whether a file's name is one that compaction gives.

    >>> is_made("merged_20260609T04_00000000000000ff.parquet"), is_made("rows.parquet")
    (True, False)
    """
    return bool(_MADE.fullmatch(name))


def hash_in(name: str) -> str:
    """The content hash in the name of a made file."""
    match = _MADE.fullmatch(name)
    assert match, f"{name} is not made by compaction"
    return match[1]


@lru_cache(maxsize=512)
def sources_of(path: Path) -> frozenset[str]:
    """What a made file stands for: paths below `ready`, merged files and their segments alike.

    Such a file never changes, so that each is opened once. Raises: FileNotFoundError; InputUnreadable.
    """
    try:
        told = (pq.read_metadata(path).metadata or {})[SOURCES]
        return frozenset(msgspec.json.decode(told, type=list[str]))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError) as error:  # pyarrow's and msgspec's errors of damaged data are ValueErrors
        hint = "Move it away and bring it back: `daedalus sync --direction down`"
        raise InputUnreadable(f"{path}: cannot be read as a file that compaction made", hint=hint) from error


def segments_of(path: Path) -> frozenset[str]:
    """The segments whose rows a made file holds, as paths below `ready`."""
    return frozenset(name for name in sources_of(path) if not is_made(PurePosixPath(name).name))


def hours_of(path: Path) -> frozenset[str]:
    """The hours of which a made file holds rows, as `20260609T04`."""
    return frozenset(SegmentName.parse(PurePosixPath(name).name).hour for name in segments_of(path))


def made_in(folder: Path) -> list[Path]:
    """The made files of a folder, by name; none where there is no such folder."""
    try:
        return sorted(path for path in folder.iterdir() if is_made(path.name))
    except FileNotFoundError:
        return []


def made_with(lake: Lake, entry_path: str) -> Path | None:
    """The made file that holds a segment, named below `ready`; None where there is none."""
    hour = Path(entry_path).parent
    # The folder below `ready` first: what goes from it is in the day's folder by then.
    for path in [*made_in(lake.ready / hour), *made_in(lake.daily / hour.parent)]:
        try:
            if entry_path in sources_of(path):
                return path
        except FileNotFoundError:  # it has just become part of a day
            continue
    return None


def without_sources(lake: Lake, files: Iterable[Path]) -> list[Path]:
    """Of files of bronze, those that no other of them stands for; only what has others beside it is opened for that.

    Raises: as `sources_of`.
    """
    listed = list(files)
    hours = Counter(path.parent for path in listed if path.is_relative_to(lake.ready))
    days = {lake.daily / hour.relative_to(lake.ready).parent for hour in hours}
    made = [path for path in listed if (path.parent in days or hours[path.parent] > 1) and is_made(path.name)]
    gone = {lake.ready / name for path in made for name in sources_of(path)}
    return [path for path in listed if path not in gone]
