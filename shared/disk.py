"""Durable file operations: the one place where a rename, an fsync or a full disk is dealt with.

A rename may outlive the data it points to, so contents are synced before the name, and the folder after it.
Foreign errors are translated here: a full, read-only or forbidden disk becomes `LakeUnusable`.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import finalize

from shared.errors import DiskFull, LakeUnusable

_STEP_BYTES = 16 << 20  # journals grow in steps: half the card writes of growing by each flush
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2(2)
_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space and start again; what was acknowledged is safe"),
    errno.EDQUOT: (
        "the disk quota is used up",
        "Raise it or free some space; what was acknowledged is safe",
    ),
    errno.EACCES: ("permission denied", "Give this user write permission, or set storage.paths elsewhere"),
    errno.EPERM: ("operation not permitted", "Give this user write permission, or set storage.paths elsewhere"),
    errno.EROFS: ("the filesystem is read-only", "Remount it read-write; a failing SD card does this"),
    errno.ENOTDIR: ("a file stands where a folder should", "Move it away, or set storage.paths elsewhere"),
    errno.EISDIR: ("a folder stands where a file should", "Move it away, or name another file"),
    errno.EIO: ("the disk reports an I/O error", "Check the disk (dmesg); do not delete anything in raw/active"),
    errno.EXDEV: ("active, staging and ready lie on different filesystems", "Put them on one; a rename cannot cross"),
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of the operating system, as `LakeUnusable` with the operator's next step."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        reason, hint = _REASONS[error.errno]
        kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else LakeUnusable
        raise kind(path, reason, hint=hint) from error


class AppendFile:
    """A file that only grows; `sync` returns when what was written survives a power cut.

    It is new, or one whose first `after_bytes` are gone on with; what stands behind them is cut off.
    """

    def __init__(self, path: Path, *, durable: bool, reserve: bool, after_bytes: int | None = None) -> None:
        self.path, self._durable, self._reserves = path, durable, reserve
        self._allocated = 0
        self.size_bytes = after_bytes or 0
        with translated(path):
            self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | (os.O_EXCL if after_bytes is None else 0), 0o644)
            self._let_go = finalize(self, os.close, self._fd)  # also of one that is dropped, as when its disk failed
            if after_bytes is not None:
                os.ftruncate(self._fd, after_bytes)

    def write(self, data: bytes) -> None:
        """Append all of `data`, short writes continued, or nothing: what a failed write left is cut off."""
        try:
            self._write(data)
        except LakeUnusable:
            with suppress(OSError):  # else whole frames of it would stand behind a shorter block that comes instead
                os.ftruncate(self._fd, self.size_bytes)
                self._allocated = self.size_bytes
            raise

    def _write(self, data: bytes) -> None:
        with translated(self.path):
            self._reserve(self.size_bytes + len(data))
            view, offset = memoryview(data), self.size_bytes
            while view:
                written = os.pwrite(self._fd, view, offset)
                view, offset = view[written:], offset + written
        self.size_bytes = offset

    def sync(self) -> None:
        """Wait until everything written so far is on the disk."""
        if self._durable:
            with translated(self.path):
                os.fdatasync(self._fd)

    def close(self) -> None:
        """Cut off what was reserved and not used, and let the file go."""
        if not self._let_go.alive:
            return
        with translated(self.path):
            os.ftruncate(self._fd, self.size_bytes)
            self._let_go()

    def _reserve(self, size_bytes: int) -> None:
        if not self._reserves or size_bytes <= self._allocated:
            return
        step = max(_STEP_BYTES, size_bytes - self._allocated)
        try:
            os.posix_fallocate(self._fd, self._allocated, step)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                step = size_bytes - self._allocated  # the last bytes of a disk are worth using
            elif error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
        self._allocated += step


class Disk:
    """Every change of the file system, in single steps that a test can stop between.

    `durable=False` (setting `enable_fsync: false`) skips the waits; it survives a kill, not a power cut.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable

    def make_dirs(self, path: Path) -> None:
        """Make a folder and its missing parents, each one's name synced in its own parent."""
        missing = []
        while not path.exists():
            missing.append(path)
            path = path.parent
        with translated(path):
            for folder in reversed(missing):
                with suppress(FileExistsError):
                    folder.mkdir()
                self.sync_dir(folder.parent)
            if missing and not missing[0].is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(missing[0]))

    def open_new(self, path: Path, *, reserve: bool = False) -> AppendFile:
        """A new, empty, growing file whose name is synced; with `reserve`, a reader must expect a tail of zeroes."""
        file = AppendFile(path, durable=self.durable, reserve=reserve and self.durable)
        self.sync_dir(path.parent)
        return file

    def open_again(self, path: Path, *, after_bytes: int) -> AppendFile:
        """A growing file gone on with behind so many bytes, or begun where there is none; its name is synced."""
        file = AppendFile(path, durable=self.durable, reserve=False, after_bytes=after_bytes)
        self.sync_dir(path.parent)
        return file

    def write_whole(self, path: Path, data: bytes) -> None:
        """Put a whole file in place so that a reader or a power cut sees the old or the new, never a part."""
        temporary = path.with_name(path.name + ".tmp")
        with translated(path):
            temporary.write_bytes(data)
            self.sync_file(temporary)
            self.rename(temporary, path)
            self.sync_dir(path.parent)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its new name; the caller syncs the folders when the batch is done."""
        with translated(target):
            source.rename(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file that never changes a second name; a copy where the filesystem knows no links."""
        with translated(target):
            try:
                os.link(source, target)
            except OSError as error:
                if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
                    raise
                shutil.copy2(source, target)
                self.sync_file(target)

    def exchange(self, new: Path, current: Path) -> None:
        """Let two folders change places in one step; a missing `current` just gets its place.

        Where the filesystem cannot (FAT, some network mounts), `current` is gone for the moment between two renames;
        its old content is then beside `new`, with `.old` at the end of the name.
        """
        with translated(current):
            if not current.exists():
                new.rename(current)
            elif not _exchanged(new, current):
                current.rename(new.with_name(new.name + ".old"))
                new.rename(current)

    def remove(self, path: Path) -> None:
        """Remove a file; a missing one is fine."""
        with translated(path):
            path.unlink(missing_ok=True)

    def remove_dir(self, path: Path) -> None:
        """Remove an empty folder; a missing one is fine."""
        with translated(path), suppress(FileNotFoundError):
            path.rmdir()

    def forget_cached(self, path: Path) -> None:
        """Let the system drop what it keeps of a synced file in memory, so that the next read is of the disk."""
        with translated(path), path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_file(self, path: Path) -> None:
        """Wait until a file's contents are on the disk."""
        self._sync(path, os.O_RDONLY)

    def sync_dir(self, path: Path) -> None:
        """Wait until the names in a folder are on the disk."""
        self._sync(path, os.O_RDONLY | os.O_DIRECTORY)

    def _sync(self, path: Path, flags: int) -> None:
        if not self.durable:
            return
        with translated(path):
            fd = os.open(path, flags)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system let two names change places in one step."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    if ctypes.get_errno() in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
        return False
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
