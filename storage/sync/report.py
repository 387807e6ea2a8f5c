"""What a synchronisation did and what it says about it: counts, the file of its state, and whoever looks on."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from shared.clock import Clock
from shared.disk import Disk
from shared.errors import LakeUnusable
from shared.log import get_log

_WRITTEN_EACH_NS = 5_000_000_000
_PROBLEMS_KEPT = 20
log = get_log("sync")


@dataclass
class SyncReport:
    """What a pass did."""

    uploaded_files: int = 0
    uploaded_bytes: int = 0
    downloaded_files: int = 0
    downloaded_bytes: int = 0
    removed_files: int = 0
    """In the archive, each superseded by another object."""
    put_off_files: int = 0
    """Still to be done, because the archive did not answer or damaged them."""
    conflicting_files: int = 0
    """Not sent: their names have other content there."""
    missing_files: int = 0
    """Not sent: published here, and gone or damaged."""
    problems: list[str] = field(default_factory=list)
    """The first few, a line each."""

    @property
    def is_complete(self) -> bool:
        """Whether everything that was to be done was done."""
        return not (self.put_off_files or self.conflicting_files or self.missing_files)


class Onlooker(Protocol):
    """Whoever shows progress. Called from several threads."""

    def expect(self, files: int, size_bytes: int) -> None:
        """This much is to be moved in this pass."""

    def moved(self, size_bytes: int) -> None:
        """Bytes have gone, or come."""

    def finished(self, files: int) -> None:
        """Files are there, and were seen there."""


class Told:
    """Counts for `state/sync.json`, for a report, and for an onlooker."""

    def __init__(self, path: Path | None, *, clock: Clock, onlooker: Onlooker | None = None) -> None:
        self._path, self._clock, self._onlooker = path, clock, onlooker
        self._disk, self._lock = Disk(durable=False), threading.Lock()
        self._written_ns = 0
        self._said: set[str] = set()
        self.report = SyncReport()
        self._state: dict[str, int | str | bool | None] = dict.fromkeys(
            (
                "direction",
                "backlog_files",
                "backlog_bytes",
                "last_success_wall_ns",
                "last_problem",
                "last_problem_wall_ns",
            )
        )
        totals = ("uploaded_files_total", "uploaded_bytes_total", "downloaded_files_total", "downloaded_bytes_total")
        self._state |= dict.fromkeys(totals, 0)
        self._state |= _lasting(path)

    def begin(self, direction: str) -> None:
        """A pass begins."""
        self.report = SyncReport()
        self._state["direction"] = direction
        self.write(is_running=True)

    def expect(self, files: int, size_bytes: int) -> None:
        """So much is to be done."""
        self._state |= {"backlog_files": files, "backlog_bytes": size_bytes}
        if self._onlooker:
            self._onlooker.expect(files, size_bytes)
        self.write(is_running=True)

    def moved(self, size_bytes: int) -> None:
        """Bytes have gone or come."""
        if self._onlooker:
            self._onlooker.moved(size_bytes)
        if self._clock.mono_ns() - self._written_ns > _WRITTEN_EACH_NS:
            self.write(is_running=True)

    def uploaded(self, files: int, size_bytes: int) -> None:
        """Files are in the archive."""
        self.report.uploaded_files += files
        self.report.uploaded_bytes += size_bytes
        self._count("uploaded", files, size_bytes)

    def downloaded(self, files: int, size_bytes: int) -> None:
        """Files are here."""
        self.report.downloaded_files += files
        self.report.downloaded_bytes += size_bytes
        self._count("downloaded", files, size_bytes)

    def problem(self, line: str) -> None:
        """Something a person should know; said once until all is well again."""
        self._state |= {"last_problem": line, "last_problem_wall_ns": self._clock.wall_ns()}
        if len(self.report.problems) < _PROBLEMS_KEPT and line not in self.report.problems:
            self.report.problems.append(line)
        if line not in self._said:
            self._said.add(line)
            log.error("sync", problem=line)

    def end(self, *, backlog: tuple[int, int]) -> None:
        """A pass has ended."""
        self._state |= {"backlog_files": backlog[0], "backlog_bytes": backlog[1]}
        if self.report.is_complete:
            self._said.clear()
            self._state["last_success_wall_ns"] = self._clock.wall_ns()
        self.write(is_running=True)

    def write(self, *, is_running: bool) -> None:
        """Write the file. One that cannot be written stops nothing."""
        if self._path is None:
            return
        with self._lock:
            self._written_ns = self._clock.mono_ns()
            said = {"pid": os.getpid(), "wall_ns": self._clock.wall_ns(), **self._state, "is_running": is_running}
            try:
                self._disk.write_whole(self._path, msgspec.json.encode(said))
            except (OSError, LakeUnusable) as error:
                if "state" not in self._said:
                    log.warning("the state cannot be written; synchronising goes on", error=str(error))
                self._said.add("state")

    def _count(self, what: str, files: int, size_bytes: int) -> None:
        for name, value in ((f"{what}_files_total", files), (f"{what}_bytes_total", size_bytes)):
            self._state[name] = int(self._state[name] or 0) + value
        if self._onlooker:
            self._onlooker.finished(files)


def _lasting(path: Path | None) -> dict[str, int | str]:
    """What processes before this one said that is still true."""
    try:
        said = msgspec.json.decode(path.read_bytes(), type=dict[str, Any]) if path else {}
    except (OSError, msgspec.MsgspecError):
        return {}
    names = ("last_success_wall_ns", "last_problem", "last_problem_wall_ns")
    return {name: said[name] for name in names if isinstance(said.get(name), int | str)}
