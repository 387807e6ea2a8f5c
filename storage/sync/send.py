"""Sending one file, and proof that what was sent is there."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from posixpath import commonprefix
from typing import BinaryIO

from shared.disk import translated
from shared.errors import ObjectConflict, ObjectMissing
from storage.base import ObjectInfo, ObjectStore
from storage.checksum import Checksum, Digest
from storage.published import PublishedDiffers
from storage.sync.names import Stage, day_folder, named
from storage.sync.plan import Local, Remote, Upload

_CHUNK_BYTES = 1 << 20
_ROTTEN = (
    "It is not uploaded, and what the archive has of these rows stays. Check the disk, and `daedalus check --deep`;"
    " a sound copy in its place goes with `daedalus sync --full-scan`"
)


def sent(upload: Upload, path: Path, store: ObjectStore, *, pass_on: Callable[[int], None]) -> Remote:
    """Send a file as it is now, and return what the archive holds of it then.

    The file is opened once: whoever replaces it does so by rename, so what is sent is one state of it.

    Args:
        upload: what.
        path: where it is, or the whole log of a piece.
        store: where it goes.
        pass_on: called with the size of each chunk before it goes.

    Raises: ObjectConflict: another content has that final name, and nothing was overwritten. FileNotFoundError.
        PublishedDiffers: it is damaged on this disk; StorageFailed.
    """
    file, is_piece = upload.file, named(upload.file.key).stage is Stage.LOGS
    with translated(path):
        opened = path.open("rb")
    with opened:
        found = os.fstat(opened.fileno())
        whole = is_piece or upload.is_final
        size_bytes = file.size_bytes if whole else found.st_size
        if found.st_size < file.start + size_bytes or (upload.is_final and found.st_size != size_bytes):
            raise PublishedDiffers(
                path,
                f"it has {found.st_size} bytes, published were {file.start + size_bytes}",
                hint="It is not uploaded; check the disk, and `daedalus check --deep`",
            )
        version = 0 if whole else found.st_mtime_ns
        if upload.is_final and file.was_begun and (there := equal(store, file, path)):
            return _remote(upload, there[0], size_bytes=size_bytes, version=version, crc32=there[1])
        opened.seek(file.start)
        digest = Digest()
        content = _chunks(opened, path, size_bytes, crc32=file.crc32, digest=digest, pass_on=pass_on)
        small = b"".join(content) if size_bytes <= _CHUNK_BYTES else None
        try:
            etag = store.put(file.key, content if small is None else small, if_absent=upload.is_final)
        except ObjectConflict as error:
            if not (there := equal(store, file, path)):
                raise ObjectConflict(
                    f"{store.name}/{file.key}", f"it is there with another content than {path}; nothing was overwritten"
                ) from error
            return _remote(upload, there[0], size_bytes=size_bytes, version=version, crc32=there[1])
        return _remote(upload, etag, size_bytes=size_bytes, version=version, crc32=digest.checksum().crc32)


def listings(objects: Iterable[Remote]) -> dict[str, list[Remote]]:
    """The objects by the prefix under which one listing shows them, and few others."""
    groups: dict[str, list[Remote]] = {}
    for each in objects:
        place = "state/etl" if each.key.startswith("state/etl/") else day_folder(each.key)
        groups.setdefault(place, []).append(each)
    return {commonprefix([each.key for each in group]): group for group in groups.values()}


def seen(store: ObjectStore, prefix: str, wanted: list[Remote], *, path_of: Callable[[str], Path]) -> list[Remote]:
    """Those of the objects just sent that the archive lists, each with the size and state that it was sent with.

    Some stores said yes and kept nothing.
    """
    sent_keys = {each.key for each in wanted}
    listed = {info.key: info for info in store.list(prefix) if info.key in sent_keys}
    return [each for each in wanted if each.key in listed and _is_it(store, each, listed[each.key], path_of)]


def _is_it(store: ObjectStore, each: Remote, info: ObjectInfo, path_of: Callable[[str], Path]) -> bool:
    if info.size_bytes != each.size_bytes:
        return False
    if info.etag == each.etag:
        return True
    checksum = store.head(each.key).checksum  # some servers name objects of parts otherwise in listings
    if checksum is None or checksum.part_bytes is None:
        return checksum == Checksum(each.crc32 or 0)
    return checksum.is_of(path_of(each.key))


def equal(store: ObjectStore, file: Local, path: Path) -> tuple[str, int] | None:
    """The etag and the CRC-32 of what the store holds under a file's name, if that is the content of the file."""
    try:
        there = store.head(file.key)
    except ObjectMissing:
        return None
    if there.size_bytes != file.size_bytes:
        return None
    checksum = there.checksum
    if checksum is None:
        with store.get(file.key) as content:
            digest = Digest()
            for chunk in content:
                digest.update(chunk)
        checksum = digest.checksum()
    if file.crc32 is not None and checksum.part_bytes is None:  # it tells more than the file, which may have rotted
        return (there.etag, file.crc32) if checksum.crc32 == file.crc32 else None
    crc32 = _crc32(path)
    return (there.etag, crc32) if checksum.is_of(path) and file.crc32 in {None, crc32} else None


def _crc32(path: Path) -> int:
    digest = Digest()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.checksum().crc32


def _chunks(
    file: BinaryIO,
    path: Path,
    size_bytes: int,
    *,
    crc32: int | None,
    digest: Digest,
    pass_on: Callable[[int], None],
) -> Iterator[bytes]:
    """The content to send. Its last chunk is let go only if all of it has the `crc32` that is on record."""
    left = size_bytes
    while left:
        with translated(path):
            chunk = file.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise PublishedDiffers(path, f"{left} bytes are missing at its end", hint="Check the disk")
        digest.update(chunk)
        left -= len(chunk)
        if not left and crc32 is not None and digest.checksum().crc32 != crc32:
            raise PublishedDiffers(path, "its bytes are not those that were written", hint=_ROTTEN)
        pass_on(len(chunk))
        yield chunk


def _remote(upload: Upload, etag: str, *, size_bytes: int, version: int, crc32: int) -> Remote:
    file = upload.file
    return Remote(key=file.key, size_bytes=size_bytes, version=version, etag=etag, crc32=crc32, rows=file.rows)
