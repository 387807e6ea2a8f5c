"""What a synchronisation does, decided from what is here and what is there; no disk, no network, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

from storage.sync.names import Named, Stage, named

_LABELS = {Stage.LOGS: "logs", Stage.CHECKPOINTS: "checkpoints", Stage.POSITIONS: "positions"}
Direction: TypeAlias = Literal["up", "down", "both", "follow"]
"""follow: bring bronze as it is named, beside a watcher; the others as `daedalus sync` says them."""


@dataclass(frozen=True, kw_only=True)
class Local:
    """The state of a file here, or of a piece of a log."""

    key: str
    size_bytes: int
    version: int
    """Another content under this name has another: the time of the file's last change, in ns; 0 of final names."""
    rows: int | None = None
    start: int = 0
    """Of a piece of a log: where it begins."""
    was_begun: bool = False
    """Whether it was sent before, and not seen there since."""
    crc32: int | None = None
    """Of its content when it was made, where that is on record."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The state of an object there that was sent or brought from here, and seen there."""

    key: str
    size_bytes: int
    version: int
    """That of the local file with the same content."""
    etag: str
    crc32: int | None = None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Send a file."""

    file: Local
    is_final: bool
    """It may not replace anything."""


@dataclass(frozen=True)
class Selection:
    """The part of a lake that is synchronised."""

    tiers: frozenset[str] = frozenset({"bronze", "silver", "gold"})
    channels: frozenset[str] | None = None
    """Tables of bronze; gaps always go along, and what has no table. None: all."""
    since: date | None = None
    """The first day that is wanted; what is of no day always is."""

    def allows(self, what: Named) -> bool:
        """Whether a file is wanted."""
        if what.tier not in self.tiers:
            return False
        if self.channels is not None and what.tier == "bronze" and what.table not in {"", "gaps", *self.channels}:
            return False
        return self.since is None or what.last_day is None or what.last_day >= self.since


@dataclass(frozen=True)
class Plan:
    """What a pass would do now."""

    keys: list[tuple[str, int]]
    """Of the files it would move, with their sizes in bytes, in order."""

    @property
    def files(self) -> int:
        """How many."""
        return len(self.keys)

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum(size_bytes for _, size_bytes in self.keys)

    @property
    def by_table(self) -> dict[str, tuple[int, int]]:
        """How many files of each table, and their bytes."""
        counts: dict[str, tuple[int, int]] = {}
        for key, size_bytes in self.keys:
            what = named(key)
            name = _LABELS.get(what.stage, f"{what.tier} {what.table}".strip())
            before = counts.get(name, (0, 0))
            counts[name] = before[0] + 1, before[1] + size_bytes
        return counts


def planned(local: Iterable[Local], remote: Mapping[str, Remote], superseded: Mapping[str, str]) -> list[Upload]:
    """What makes an archive hold what is here, in an order in which nothing comes before what it speaks of.

    Args:
        local: what is here; what is only there stays there.
        remote: what is known to be there, by key.
        superseded: keys whose content others hold, and the keys of those; they are not sent where those are.
    """
    files = {file.key: file for file in local}
    uploads = [
        Upload(file=file, is_final=named(key).is_final)
        for key, file in files.items()
        if (by := superseded.get(key)) not in files and by not in remote and not is_same(file, remote.get(key))
    ]
    return sorted(uploads, key=lambda upload: order_of(upload.file.key))


def order_of(key: str) -> tuple[int, str, str]:
    """Stage after stage, in each the older days first."""
    what = named(key)
    return int(what.stage), what.day.isoformat() if what.day else "", key


def is_same(file: Local, there: Remote | None) -> bool:
    """Whether an object has the content of a file."""
    return there is not None and (there.size_bytes, there.version) == (file.size_bytes, file.version)
