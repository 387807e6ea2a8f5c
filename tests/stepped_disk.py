"""Disks that can be stopped, broken or slowed before each of their steps."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from shared.disk import AppendFile, Disk, translated

FAILABLE = ("open", "write", "append_sync", "sync_file", "sync_dir", "rename", "remove", "remove_dir", "make_dirs")


class SteppedDisk(Disk):
    """A disk whose `before` is told each step before it is taken; what it raises stops the step.

    A write that is stopped is half done.
    """

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__(durable=durable)

    def before(self, kind: str, path: Path) -> None:
        """One of `FAILABLE` is about to happen."""
        raise NotImplementedError

    def open_new(self, path: Path, *, reserve: bool = False) -> AppendFile:
        self.before("open", path)
        return self._stepped(super().open_new(path, reserve=reserve))

    def open_again(self, path: Path, *, after_bytes: int) -> AppendFile:
        self.before("open", path)
        return self._stepped(super().open_again(path, after_bytes=after_bytes))

    def _stepped(self, file: AppendFile) -> AppendFile:
        return cast(AppendFile, SteppedFile(file, self.before))

    def make_dirs(self, path: Path) -> None:
        self.before("make_dirs", path)
        super().make_dirs(path)

    def rename(self, source: Path, target: Path) -> None:
        self.before("rename", target)
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self.before("link", target)
        super().link(source, target)

    def exchange(self, new: Path, current: Path) -> None:
        self.before("exchange", current)
        super().exchange(new, current)

    def remove(self, path: Path) -> None:
        self.before("remove", path)
        super().remove(path)

    def remove_dir(self, path: Path) -> None:
        self.before("remove_dir", path)
        super().remove_dir(path)

    def sync_file(self, path: Path) -> None:
        self.before("sync_file", path)
        super().sync_file(path)

    def sync_dir(self, path: Path) -> None:
        self.before("sync_dir", path)
        super().sync_dir(path)


class SteppedFile:
    """A growing file on such a disk. It holds nothing that holds it: with the process that is killed, it is closed."""

    def __init__(self, file: AppendFile, before: Callable[[str, Path], None]) -> None:
        self._file, self._before = file, before

    def write(self, data: bytes) -> None:
        try:
            self._before("write", self._file.path)
        except BaseException:
            self._file.write(data[: len(data) // 2])
            raise
        self._file.write(data)

    def sync(self) -> None:
        self._before("append_sync", self._file.path)
        self._file.sync()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class DyingDisk(SteppedDisk):
    """The disk under a process that is killed before its n-th step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def before(self, kind: str, path: Path) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class FailingDisk(SteppedDisk):
    """A disk that answers its n-th step of one kind with an error of the system; a full one goes on answering so."""

    def __init__(self, kind: str, nth: int, error: int, *, for_ever: bool) -> None:
        super().__init__()
        self._kind, self._nth, self._error, self._for_ever = kind, nth, error, for_ever
        self.seen: Counter[str] = Counter()
        self.failed = 0

    def before(self, kind: str, path: Path) -> None:
        at = self.seen[kind]
        self.seen[kind] += 1
        if kind == self._kind and (at == self._nth or (self._for_ever and at > self._nth)):
            self.failed += 1
            with translated(path):
                raise OSError(self._error, "injected", str(path))
