"""The manifest of a day: what the archive holds of it, as a file of JSON that is written after all that it names."""

from collections.abc import Iterable, Iterator
from datetime import date

import msgspec

from shared.errors import ObjectDamaged
from storage.base import ObjectStore
from storage.sync.names import MANIFESTS
from storage.sync.plan import Remote


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a day."""

    key: str
    size_bytes: int
    crc32: int | None = None
    """Of its whole content; null: it was not computed here."""
    rows: int | None = None
    """Where it was told when the file was published."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The objects of a day, by key."""

    day: date
    files: list[Entry]


def key_of_day(day: str) -> str:
    """The key of a day's manifest."""
    return f"{MANIFESTS}{day}.json"


def written(store: ObjectStore, day: str, objects: Iterable[Remote]) -> None:
    """Put a manifest, and see that it is there. Raises: ObjectDamaged: it is not; StorageFailed."""
    key, content = key_of_day(day), b"".join(_lines(day, objects))
    store.put(key, content)
    if not any(info.key == key and info.size_bytes == len(content) for info in store.list(key)):
        raise ObjectDamaged(f"{store.name}/{key}", "it was put, and is not there as it was")


def read(content: bytes) -> Manifest:
    """The manifest in an object's content. Raises: msgspec.MsgspecError."""
    return msgspec.json.decode(content, type=Manifest)


def _lines(day: str, objects: Iterable[Remote]) -> Iterator[bytes]:
    yield b'{"day":"%s","files":[\n' % day.encode()
    before = b""
    for each in objects:
        entry = Entry(key=each.key, size_bytes=each.size_bytes, crc32=each.crc32, rows=each.rows)
        yield before + msgspec.json.encode(entry)
        before = b",\n"
    yield b"\n]}\n"
