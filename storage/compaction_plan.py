"""What is to be compacted: which files of which stream's day become which file. Looking and deciding are apart."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import NamedTuple

from shared.errors import InputUnreadable
from shared.partitioning import Lake, Partition
from shared.rows import Stream
from storage.made_files import is_made, made_in, sources_of

_HOUR_RESTS = timedelta(minutes=10)  # after an hour's end its last journal is still being sealed


class Found(NamedTuple):
    """A file of bronze."""

    path: Path
    bytes: int


@dataclass(frozen=True)
class StreamDay:
    """What `ready` holds of a stream's day."""

    stream: Stream
    day: Partition
    hours: Mapping[int, tuple[Found, ...]]  # Parquet files
    left_over: tuple[Found, ...] = ()  # whose rows a made file holds already
    text_files: int = 0  # NDJSON, which stays as it is
    trouble: str = ""  # why nothing can be done about this day


@dataclass(frozen=True)
class Rules:
    """What becomes of what is found."""

    now: datetime
    after: timedelta = timedelta(hours=6)  # since a day's end
    target_bytes: int = 256 << 20
    target_count: int = 1  # files of a day, or of an hour
    min_count: int = 1
    with_hours: bool = False  # also merge the hours of days that have not ended


@dataclass(frozen=True)
class Merge:
    """Files that become one: a day file, or with `day.hour` one beside them."""

    stream: Stream
    day: Partition
    sources: tuple[Found, ...]

    @property
    def bytes(self) -> int:
        """Of the sources."""
        return sum(each.bytes for each in self.sources)


def survey(lake: Lake, *, wanted: Callable[[Stream], bool] = lambda _: True) -> Iterator[StreamDay]:
    """Every day of a stream that has files in `ready`, stream after stream in the order of time."""
    for folder in sorted(lake.ready.glob("*/*/exchange=*/symbol=*")):
        source, table, *_ = folder.relative_to(lake.ready).parts
        exchange, symbol = (part.partition("=")[2] for part in folder.parts[-2:])
        stream = Stream(source, exchange, table, symbol)
        if wanted(stream):
            days = (_stream_day(lake, stream, path) for path in folder.glob("year=*/month=*/day=*"))
            yield from sorted((day for day in days if day), key=lambda day: day.day)


def planned(days: Iterable[StreamDay], rules: Rules) -> Iterator[Merge]:
    """The work: files of days that have ended become day files, none across the end of an hour."""
    for found in days:
        if found.trouble:
            continue
        if found.day.end() + rules.after <= rules.now:
            files = sum(map(len, found.hours.values()))
            if files and files >= rules.min_count:
                for hours in _portions([found.hours[hour] for hour in sorted(found.hours)], rules):
                    yield Merge(found.stream, found.day, tuple(file for hour in hours for file in hour))
        elif rules.with_hours:
            for hour, among in sorted(found.hours.items()):
                partition = replace(found.day, hour=hour)
                segments: list[tuple[Found, ...]] = [(each,) for each in among if not is_made(each.path.name)]
                if partition.end() + _HOUR_RESTS > rules.now or len(segments) < rules.min_count:
                    continue
                portions = list(_portions(segments, rules))
                if len(portions) < len(segments):
                    yield from (Merge(found.stream, partition, tuple(each for (each,) in part)) for part in portions)


def _portions(groups: list[tuple[Found, ...]], rules: Rules) -> Iterator[list[tuple[Found, ...]]]:
    """Neighbours together, in as many portions as are asked for or as the size demands, each about as large."""
    sizes = [sum(each.bytes for each in group) for group in groups]
    count = max(rules.target_count, ceil(sum(sizes) / rules.target_bytes))
    part: list[tuple[Found, ...]] = []
    done, cuts = 0, 0
    for group, size in zip(groups, sizes, strict=True):
        part.append(group)
        done += size
        if done * count >= (cuts + 1) * sum(sizes):
            yield part
            part, cuts = [], done * count // max(1, sum(sizes))
    if part:
        yield part


def _stream_day(lake: Lake, stream: Stream, folder: Path) -> StreamDay | None:
    """What there is of a day; None where nothing is, or where no path of ours has that form."""
    try:
        day = Partition.parse(folder)
    except ValueError:
        return None
    listed = [path for path in sorted(folder.glob("hour=*/*")) if path.parent.name[5:].isdigit()]
    files = [path for path in listed if path.suffix == ".parquet"]
    made = [*made_in(lake.daily / folder.relative_to(lake.ready)), *(path for path in files if is_made(path.name))]
    try:
        gone = frozenset[str]().union(*map(sources_of, made))
    except InputUnreadable as error:
        return StreamDay(stream, day, {}, trouble=error.line())
    hours: dict[int, tuple[Found, ...]] = {}
    left_over: list[Found] = []
    for path in files:
        found = Found(path, path.stat().st_size)
        if path.relative_to(lake.ready).as_posix() in gone:
            left_over.append(found)
        else:
            hour = int(path.parent.name[5:])
            hours[hour] = (*hours.get(hour, ()), found)
    text_files = sum(path.suffix == ".ndjson" for path in listed)
    if not hours and not left_over and not text_files:
        return None
    return StreamDay(stream, day, hours, tuple(left_over), text_files)
