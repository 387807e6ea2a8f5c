"""What brings an archive into a lake, decided from what is there and what is here; no disk, no network, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from storage.sync.names import QUALITY, Stage, checkpoint_number, generation, home_of, named
from storage.sync.plan import Remote, order_of
from storage.sync.turns import rank


@dataclass(frozen=True, kw_only=True)
class Found:
    """An object as an archive lists it."""

    key: str
    size_bytes: int
    etag: str
    crc32: int | None = None
    """Under which it was published, where a log says so."""


@dataclass(frozen=True, kw_only=True)
class Here:
    """What a lake has beside an archive."""

    files: Mapping[str, tuple[int, int]]
    """Size and version of the files that have the names of objects."""
    known: Mapping[str, Remote]
    """Which local state was seen to have the content of an object."""
    checkpoints: Mapping[str, int]
    """The number of the newest checkpoint of each chain that has any."""
    homes: Mapping[str, str]
    """Where the years of each chain lie."""


@dataclass(frozen=True, kw_only=True)
class PlannedDown:
    """What is brought, in order, and the names that are left as they are because they changed here."""

    downloads: list[Found]
    changed_here: list[str]


@dataclass(frozen=True)
class Coming:
    """What a pass brings."""

    downloads: list[Found]
    changed_here: list[str]
    logs: list[Found]
    """Pieces of logs that are longer there."""
    manifests: dict[str, str]
    """Those gone by, by day, with their etags."""

    @property
    def is_refined(self) -> bool:
        """Whether something of it is what a watcher works on."""
        return any(named(found.key).stage > Stage.LOGS for found in self.downloads)

    @property
    def files(self) -> int:
        """How many objects."""
        return len(self.downloads) + len(self.logs)

    @property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum(found.size_bytes for found in (*self.downloads, *self.logs))


def planned_down(there: Iterable[Found], here: Here) -> PlannedDown:
    """What brings everything of an archive but logs, without harm to what is only here.

    A final name is brought where it is not. A chain that is as far here as there, by its checkpoints, keeps what it
    has, and gets what it lacks. Of another, files and checkpoints come together; a file that changed here stops it.
    Files that no checkpoint counts were being sent when that broke off: they stay, with all that is made of them, and
    are made again here.
    """
    objects = {found.key: found for found in there}
    newest = newest_checkpoints(objects)
    ours = {group for group, number in here.checkpoints.items() if number >= newest.get(group, 0)}
    homes = {**_homes(objects, newest), **{group: here.homes.get(group, "") for group in ours}}
    downloads: list[Found] = []
    changed: list[str] = []
    unfounded = _unfounded(homes, newest, ours)
    for key in sorted(objects, key=order_of):
        what = named(key)
        is_left = what.stage is Stage.PROCESSED and home_of(key) != homes[what.group]
        if is_left or (what.stage is Stage.CHECKPOINTS and what.group in ours) or _follows(what.group, unfounded):
            continue
        if key not in here.files:
            downloads.append(objects[key])
        elif what.group not in {"*", *ours}:
            kept = here.known.get(key)
            if what.is_final:
                is_changed, is_new = here.files[key][0] != objects[key].size_bytes, False
            else:
                is_changed = kept is None or (kept.size_bytes, kept.version) != here.files[key]
                is_new = kept is not None and kept.etag != objects[key].etag
            if is_changed:
                changed.append(key)
            elif is_new:
                downloads.append(objects[key])
    stopped = {named(key).group for key in changed} - {""}
    if changed or here.checkpoints:
        stopped.add("*")  # positions say what all chains have used; without them a watcher looks at everything once
    coming = [found for found in downloads if named(found.key).group not in stopped]
    return PlannedDown(downloads=coming, changed_here=changed)


def newest_checkpoints(keys: Iterable[str]) -> dict[str, int]:
    """The number of the newest checkpoint of each chain among these keys."""
    newest: dict[str, int] = {}
    for key in keys:
        what = named(key)
        if what.stage is Stage.CHECKPOINTS:
            newest[what.group] = max(newest.get(what.group, 0), checkpoint_number(key))
    return newest


def _unfounded(homes: Mapping[str, str], newest: Mapping[str, int], ours: set[str]) -> dict[str, int]:
    """Streams of which a chain has files that no checkpoint counts, and the rank of the first such chain."""
    found: dict[str, int] = {}
    for group, home in homes.items():
        chain, _, stream = group.partition("/")
        if group not in ours and not chain.startswith(QUALITY) and generation(home) > newest.get(group, -1):
            found[stream] = min(found.get(stream, rank(chain)), rank(chain))
    return found


def _follows(group: str, unfounded: Mapping[str, int]) -> bool:
    chain, _, stream = group.partition("/")
    return not chain.startswith(QUALITY) and rank(chain) >= unfounded.get(stream, 2**62)


def _homes(keys: Iterable[str], newest: Mapping[str, int]) -> dict[str, str]:
    """Where the years of each chain lie by its newest checkpoint: a later home is not whole yet, an earlier is left."""
    homes: dict[str, str] = {}
    for key in keys:
        what = named(key)
        if what.stage is Stage.PROCESSED:
            reached = newest.get(what.group, 2**62)
            homes[what.group] = max(
                homes.get(what.group, home_of(key)),
                home_of(key),
                key=lambda home: (generation(home) <= reached, generation(home)),
            )
    return homes
