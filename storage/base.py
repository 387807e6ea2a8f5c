"""The port to object stores: six verbs that a folder and a bucket answer alike.

A store holds objects: whole contents under keys such as `raw/ready/ccxt/trades/exchange=kraken/.../segment_x.parquet`.
An object appears whole or not at all, and is replaced whole. Verbs block; stores may be used from many threads.
Use no key that is the folder of another, as `a` beside `a/b`: a bucket can hold both, a folder cannot.

What is built on this rests on three facts:

- `put(..., if_absent=True)` of a name that is never used twice uploads it once, whoever else tries. After
  `ObjectConflict` somebody was first, perhaps an earlier attempt whose answer was lost: compare with `head`.
- `put(..., if_match=etag)` replaces only what was read, so that an object can be a lease or a counter.
- `head` gives the size and the checksum that the store itself holds, so that a local file may be deleted.

After `StorageUnreachable` nothing is known of the outcome. The other errors are in `shared.errors.StorageFailed`.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeAlias

from shared.errors import ObjectDamaged
from storage.checksum import Checksum, Digest, read_chunks

_KEY_BYTES_MAX = 1024
_TAKEN = "."  # what begins with a dot is the store's own

Content: TypeAlias = bytes | Path | Iterable[bytes]
"""What an object is made of: bytes, a local file, or chunks that come from somewhere, such as another store."""


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """What a store says of an object."""

    key: str
    size_bytes: int
    etag: str
    """Names this state of the object; another content, another etag. It is not a checksum."""
    last_modified: datetime
    """By the store's clock, in UTC."""
    checksum: Checksum | None = None
    """As the store holds it; None: it says none, and a listing never does."""


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """An upload that was begun and neither finished nor discarded; it takes room and is invisible in listings."""

    key: str
    upload_id: str
    started_at: datetime


class ObjectContent:
    """The bytes of an object, to be taken once: iterate over chunks, or `read` what is known to be small.

    The end is reached only when as many bytes came as were announced and, where the object is read from its first
    byte, they have the checksum the store gave; otherwise `ObjectDamaged` is raised there.
    """

    def __init__(self, info: ObjectInfo, chunks: Iterable[bytes], *, place: str, start: int = 0) -> None:
        self.info = info
        self._chunks, self._place, self._start = chunks, place, start

    def __iter__(self) -> Iterator[bytes]:
        expected = self.info.checksum if self._start == 0 else None
        digest = Digest(part_bytes=expected.part_bytes if expected else None)
        missing_bytes = self.info.size_bytes - self._start
        for chunk in self._chunks:
            missing_bytes -= len(chunk)
            digest.update(chunk)
            yield chunk
        if missing_bytes:
            raise ObjectDamaged(self._place, f"of {self.info.size_bytes} bytes, {missing_bytes} did not come")
        if expected and digest.checksum() != expected:
            raise ObjectDamaged(self._place, "the content that came has another checksum than the store holds")

    def read(self) -> bytes:
        """Everything at once."""
        return b"".join(self)


class ObjectStore(Protocol):
    """The port. Keys and prefixes are relative to the store; a prefix is cut anywhere, so end a folder with `/`."""

    name: str
    """For messages, as `s3://bucket/prefix`; holds no secret."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, by key, without checksums; read as it is needed.

        Costs one request per 1000 objects under the prefix, however many there are elsewhere.
        """

    def head(self, key: str) -> ObjectInfo:
        """What the store holds under `key`, with its checksum. Raises: ObjectMissing."""

    def get(self, key: str, *, start: int = 0, if_match: str | None = None) -> AbstractContextManager[ObjectContent]:
        """The content from byte `start` on, open until the context ends.

        To resume, give `start` and the etag of what came before. Raises: ObjectMissing; ObjectConflict where the
        object has another etag than `if_match`, or no byte `start`.
        """

    def put(self, key: str, content: Content, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Store an object, durably, and return its etag.

        With `if_absent` only where there is none; with `if_match` only in place of the one with that etag. A large
        content that broke off with `if_absent` goes on where it was when it is put again; what it leaves until then is
        `unfinished`. Every other put that fails leaves nothing.
        Raises: ObjectConflict, and nothing was changed.
        """

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove an object; one that is not there is fine, unless `if_match` asks for it. Raises: ObjectConflict."""

    def unfinished(self) -> Iterator[Unfinished]:
        """Uploads that are under way, or were abandoned by a process that died."""

    def discard(self, upload: Unfinished) -> None:
        """Give up an unfinished upload and free its room; one that is gone is fine."""


def checked_key(key: str) -> str:
    """`key`, if every store can hold it. Raises: ValueError.

    >>> checked_key("raw/ready/a.parquet")
    'raw/ready/a.parquet'
    >>> checked_key("raw/../state")
    Traceback (most recent call last):
    ...
    ValueError: not a key of an object: 'raw/../state'
    """
    if not is_key(key):
        raise ValueError(f"not a key of an object: {key!r}")
    return key


def is_key(key: str) -> bool:
    """Whether every store can hold an object under `key`; what others put under another one is not listed."""
    steps = key.split("/")
    usable = all(step and not step.startswith(_TAKEN) and step.isprintable() for step in steps)
    return usable and len(key.encode()) <= _KEY_BYTES_MAX


def checked_prefix(prefix: str) -> str:
    """`prefix`, if keys can begin with it. Raises: ValueError."""
    if prefix:
        checked_key(prefix.removesuffix("/"))
    return prefix


def checked_conditions(*, if_absent: bool, if_match: str | None) -> None:
    """Raises: ValueError for conditions that no object can meet together."""
    if if_absent and if_match is not None:
        raise ValueError("if_absent and if_match exclude each other")


def chunks(content: Content) -> Iterator[bytes]:
    """The bytes of any kind of content, in chunks."""
    if isinstance(content, bytes):
        return iter((content,))
    return _chunks_of_file(content) if isinstance(content, Path) else iter(content)


def _chunks_of_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from read_chunks(file)
