"""Bringing one object: to a temporary name beside its place, checked, synced, and only then under its name."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from shared.disk import Disk, translated
from shared.errors import DiskFull, LakeUnusable, ObjectDamaged
from storage.base import ObjectStore
from storage.checksum import Digest
from storage.published import PublishedDiffers
from storage.sync.names import log_name, named
from storage.sync.plan import Remote
from storage.sync.plan_down import Found

_SPOILT = "If there is a sound copy anywhere, let it take the place of that object"
_MOVE_IT = "Move it away, or bring the archive into another folder"


def brought(found: Found, path: Path, store: ObjectStore, *, disk: Disk, pass_on: Callable[[int], None]) -> Remote:
    """Bring an object to `path`, and return what is known of it then. What came of it before is gone on with.

    Raises: ObjectConflict: it has changed since it was listed. PublishedDiffers: the archive does not hold what the
        log of published names says. ObjectMissing, ObjectDamaged, StorageFailed; LakeUnusable, DiskFull.
    """
    disk.make_dirs(path.parent)
    state = sha256(found.etag.encode()).hexdigest()[:12]  # what came of another state is never gone on with
    part = path.with_name(f".{path.name}.{state}.part")
    start = part.stat().st_size if part.exists() else 0
    etag = found.etag
    try:
        if start < found.size_bytes or not start:
            etag = _append(found, part, store, start=start, pass_on=pass_on)
        if part.stat().st_size != found.size_bytes or (start and not _is_whole(found, part, store)):
            raise ObjectDamaged(f"{store.name}/{found.key}", "what came is not what it should be")
    except (ObjectDamaged, DiskFull):
        disk.remove(part)
        raise
    crc32 = _crc32(part)
    if found.crc32 not in {None, crc32}:
        disk.remove(part)
        raise PublishedDiffers(path, f"not brought: {store.name} does not hold what was published", hint=_SPOILT)
    disk.sync_file(part)
    disk.rename(part, path)
    disk.sync_dir(path.parent)
    written = path.stat()
    is_final = named(found.key).is_final
    return Remote(
        key=found.key,
        size_bytes=written.st_size,
        version=0 if is_final else written.st_mtime_ns,
        etag=etag,
        crc32=crc32,
    )


def brought_log(
    pieces: list[Found], path: Path, store: ObjectStore, *, disk: Disk, pass_on: Callable[[int], None]
) -> list[Remote]:
    """Bring a log to `path` out of its pieces, in their order. One that is as long here is left.

    Raises: LakeUnusable: another log has this name here. StorageFailed.
    """
    size_bytes = sum(piece.size_bytes for piece in pieces)
    before = path.stat().st_size if path.exists() else 0
    if before >= size_bytes:
        return []
    disk.make_dirs(path.parent)
    part, remotes, start = path.with_name(f".{path.name}.part"), [], 0
    with translated(part), part.open("wb") as file:
        for piece in pieces:
            with store.get(piece.key, if_match=piece.etag) as content:
                for chunk in content:
                    pass_on(len(chunk))
                    file.write(chunk)
            size = piece.size_bytes
            remotes.append(Remote(key=piece.key, size_bytes=size, version=0, etag=piece.etag))
            start += size
    with part.open("rb") as come:
        if before and come.read(before) != path.read_bytes():
            raise LakeUnusable(path, "it is not the beginning of the log of that name in the archive", hint=_MOVE_IT)
    disk.sync_file(part)
    disk.rename(part, path)
    disk.sync_dir(path.parent)
    return remotes


def by_log(pieces: list[Found]) -> dict[str, list[Found]]:
    """Pieces by the name of their log, in order."""
    logs: dict[str, list[Found]] = {}
    for piece in sorted(pieces, key=lambda piece: piece.key):
        logs.setdefault(log_name(Path(piece.key).name)[0], []).append(piece)
    return logs


def _append(found: Found, part: Path, store: ObjectStore, *, start: int, pass_on: Callable[[int], None]) -> str:
    """Add what is missing of an object; the etag of the state that came."""
    match = found.etag or None
    with store.get(found.key, start=start, if_match=match) as content, translated(part), part.open("ab") as file:
        for chunk in content:
            pass_on(len(chunk))
            file.write(chunk)
        return content.info.etag


def _is_whole(found: Found, part: Path, store: ObjectStore) -> bool:
    """Whether what came in two turns has the checksum that the store holds."""
    checksum = store.head(found.key).checksum
    return checksum is None or checksum.is_of(part)


def _crc32(path: Path) -> int:
    digest = Digest()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.checksum().crc32
