"""What may be removed from this disk: a pure rule over the files of a lake, their ages and their sizes.

It says what is old enough, or too much, and used up. Whether a file may go at all is decided in `storage.removal`, by
what the archive proves at that moment.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from pathlib import Path

DAY = timedelta(days=1)
NEVER = frozenset({"gaps", "rejects"})  # bronze tables by which everything else is proven; refining reads gaps again


@dataclass(frozen=True, kw_only=True)
class Held:
    """A file on this disk that age or size may remove."""

    path: Path
    key: str  # its name in an archive
    tier: str  # bronze, silver or gold
    channel: str  # bronze or silver table, or kind of gold
    end: datetime  # the first UTC moment behind its hour, day or month
    size_bytes: int
    is_newest: bool = False  # of its stream: it may grow yet


class Stays(StrEnum):
    """Why a file is not removed."""

    PROOF = "proves what is complete"
    YOUNG = "too young"
    UNUSED = "not refined yet"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Ages in whole UTC days, and the size of the whole; None removes nothing."""

    days: Mapping[str, int | None] = field(default_factory=dict)  # by tier
    bronze_days: Mapping[str, int] = field(default_factory=dict)  # by bronze table, instead of that of the tier
    max_bytes: int | None = None

    def days_of(self, file: Held) -> int | None:
        """After how many days the file goes."""
        own = self.bronze_days.get(file.channel) if file.tier == "bronze" else None
        return self.days.get(file.tier) if own is None else own


@dataclass(frozen=True)
class Plan:
    """What may go, in groups of one day and channel, the oldest first."""

    aged: list[list[Held]]
    by_size: list[list[Held]]  # bronze, to go group by group for as long as something is above the cap
    excess_bytes: int | None  # above the cap before anything goes; None: there is no cap
    stays: list[tuple[Held, Stays]]


def removable(files: Iterable[Held], rules: Rules, *, now: datetime, is_used: Callable[[Held], bool]) -> Plan:
    """What the rules let go.

    Never a file whose day, or month, ended less than a whole day ago, nor one that may grow yet, nor one that is not
    used up.

    Args:
        files: everything there is.
        rules: ages and cap.
        now: the present, in UTC.
        is_used: whether everything that is made of a file has been made; asked only of what would go.
    """
    aged: list[Held] = []
    rest: list[Held] = []
    stays: list[tuple[Held, Stays]] = []
    held_bytes = 0
    for file in files:
        held_bytes += file.size_bytes
        days = rules.days_of(file)
        is_aged = days is not None and file.end + days * DAY <= now
        by_size = rules.max_bytes is not None and file.tier == "bronze"
        if file.tier == "bronze" and file.channel in NEVER:
            stays.append((file, Stays.PROOF))
        elif file.is_newest or file.end + DAY > now or not (is_aged or by_size):
            stays.append((file, Stays.YOUNG))
        elif not is_used(file):
            stays.append((file, Stays.UNUSED))
        else:
            (aged if is_aged else rest).append(file)
    excess_bytes = None if rules.max_bytes is None else held_bytes - rules.max_bytes
    return Plan(_groups(aged), _groups(rest), excess_bytes, stays)


def _groups(files: list[Held]) -> list[list[Held]]:
    """By day and channel: the oldest day first, of it the channel that takes most room."""

    def place(file: Held) -> tuple[datetime, str, str]:
        return (day_of(file), file.tier, file.channel)

    groups = [list(group) for _, group in groupby(sorted(files, key=lambda file: (place(file), file.key)), key=place)]
    return sorted(groups, key=lambda group: (day_of(group[0]), -sum(file.size_bytes for file in group)))


def day_of(file: Held) -> datetime:
    """The last day that a file's rows may lie in."""
    return (file.end - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
