"""Objects as files below one folder: a disk, a USB drive, a mounted share."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from shared.clock import utc_from_us
from shared.disk import Disk, translated
from shared.errors import LakeUnusable, ObjectConflict, ObjectMissing, StorageRefused
from storage.base import (
    Content,
    ObjectContent,
    ObjectInfo,
    Unfinished,
    checked_conditions,
    checked_key,
    checked_prefix,
    chunks,
)
from storage.checksum import checksum_of, read_chunks

_INCOMING = ".incoming"  # below the root, so that a rename into place crosses no filesystem
_LOCK, _MARK = "lock", "~"
_NAME_CHARS = 50  # of a key's last step in the name of its temporary file, for whoever finds one


class LocalStorage:
    """The store of one existing folder; a file's path below it is the object's key.

    A name shows its content whole: written beside, synced, then renamed under a lock that makes conditions hold between
    processes. The etag is the time of change and the size; the time rises with each change even where the clock does
    not. Files may also be put there by others, by rename. Empty folders stay: another may be about to use them.
    """

    def __init__(self, root: Path, *, disk: Disk | None = None) -> None:
        self.name = str(root)
        self._root, self._incoming = root, root / _INCOMING
        self._disk = disk or Disk()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `ObjectStore`. Looks only into folders that the prefix leads to."""
        checked_prefix(prefix)
        self._check_root()
        folder = prefix.rpartition("/")[0]
        for path in _files(self._root / folder):
            key = path.relative_to(self._root).as_posix()
            if key.startswith(prefix):
                with suppress(FileNotFoundError):  # removed since its name was read
                    yield _info(key, path.stat())

    def head(self, key: str) -> ObjectInfo:
        """See `ObjectStore`. Reads the file: its checksum is of what the disk holds now."""
        path = self._path(key)
        with self._reading(path) as file:
            info = _info(key, os.fstat(file.fileno()))
            with translated(path):
                return replace(info, checksum=checksum_of(file))

    @contextmanager
    def get(self, key: str, *, start: int = 0, if_match: str | None = None) -> Iterator[ObjectContent]:
        """See `ObjectStore`."""
        path = self._path(key)
        with self._reading(path) as file:
            info = _info(key, os.fstat(file.fileno()))
            if if_match is not None and info.etag != if_match:
                raise ObjectConflict(str(path), "it has changed since it was first read")
            if start and start >= info.size_bytes:
                raise ObjectConflict(str(path), f"it has {info.size_bytes} bytes, byte {start} was asked for")
            file.seek(start)
            yield ObjectContent(info, _chunks(file, path), place=str(path), start=start)

    def put(self, key: str, content: Content, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """See `ObjectStore`."""
        checked_conditions(if_absent=if_absent, if_match=if_match)
        path = self._path(key)
        written = self._written(key, content)
        try:
            self._disk.make_dirs(path.parent)
            with self._changing():
                before = self._found(path)
                if if_absent and before:
                    raise ObjectConflict(str(path), "it is already there")
                _check_match(path, before, if_match)
                _set_time(written, after=before)
                self._disk.rename(written, path)
                etag = _info(key, path.stat()).etag
            self._disk.sync_dir(path.parent)
        except BaseException:
            self._disk.remove(written)
            raise
        return etag

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """See `ObjectStore`."""
        path = self._path(key)
        self._check_root()
        with self._changing():
            found = self._found(path)
            _check_match(path, found, if_match)
            if found:
                self._disk.remove(path)
                self._disk.sync_dir(path.parent)

    def is_same(self, key: str, path: Path) -> bool:
        """Whether an object is a local file itself, by this or another name, and no copy of it."""
        try:
            return self._path(key).samefile(path)
        except FileNotFoundError:
            return False

    def unfinished(self) -> Iterator[Unfinished]:
        """See `ObjectStore`. The key is the last step of it, which is what the name of the temporary file tells."""
        self._check_root()
        for path in _files(self._incoming):
            _, mark, key = path.name.partition(_MARK)
            with suppress(FileNotFoundError):
                if mark:
                    started_at = utc_from_us(path.stat().st_mtime_ns // 1000)
                    yield Unfinished(key=key, upload_id=path.name, started_at=started_at)

    def discard(self, upload: Unfinished) -> None:
        """See `ObjectStore`."""
        self._disk.remove(self._incoming / upload.upload_id)

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _check_root(self) -> None:
        """A folder that is gone is an unmounted disk, not an empty store."""
        if not self._root.is_dir():
            raise StorageRefused(self.name, "no such folder", hint="Mount or make it, or correct the settings")

    @contextmanager
    def _reading(self, path: Path) -> Iterator[BinaryIO]:
        try:
            with translated(path):
                file = path.open("rb")
        except (FileNotFoundError, LakeUnusable) as error:
            self._check_root()
            if path.is_file():
                raise
            raise ObjectMissing(str(path)) from error
        with file:
            yield file

    def _written(self, key: str, content: Content) -> Path:
        """A synced file with the content that nobody sees yet."""
        self._check_root()
        self._disk.make_dirs(self._incoming)
        path = self._incoming / f"{uuid4().hex}{_MARK}{key.rpartition('/')[2][-_NAME_CHARS:]}"
        try:
            with translated(path):
                with path.open("xb") as file:
                    for chunk in chunks(content):
                        file.write(chunk)
                self._disk.sync_file(path)
        except BaseException:
            self._disk.remove(path)
            raise
        return path

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One change at a time, among threads and processes; the system ends it when its owner dies."""
        self._disk.make_dirs(self._incoming)
        with translated(self._incoming), (self._incoming / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _found(path: Path) -> os.stat_result | None:
        return path.stat() if path.is_file() else None


def _check_match(path: Path, found: os.stat_result | None, if_match: str | None) -> None:
    if if_match is not None and (found is None or _etag(found) != if_match):
        raise ObjectConflict(str(path), "it has changed since it was read" if found else "it is gone")


def _set_time(path: Path, *, after: os.stat_result | None) -> None:
    now_ns = time.time_ns()
    os.utime(path, ns=(now_ns, max(now_ns, after.st_mtime_ns + 1) if after else now_ns))


def _etag(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size_bytes=found.st_size,
        etag=_etag(found),
        last_modified=utc_from_us(found.st_mtime_ns // 1000),
    )


def _chunks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    with translated(path):
        yield from read_chunks(file)


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder in the order of their whole paths as text, which is how S3 lists."""
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir()):
        if entry.is_dir():
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)
