"""What a synchronisation did and what it says about it: counts, the file of its state, and whoever looks on."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shared.clock import Clock, boot_id
from shared.errors import DaedalusError, ObjectDamaged, StorageUnreachable
from shared.log import get_log
from shared.state_files import StateFile, read
from storage.sync_state import SyncState

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
    """Still to be done, because the archive did not answer or damaged them, or the pass was stopped."""
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

    def say(self) -> None:
        """One line of the log for a pass that did something."""
        counts = {
            "uploaded": self.uploaded_files,
            "bytes": self.uploaded_bytes + self.downloaded_bytes,
            "downloaded": self.downloaded_files,
            "removed": self.removed_files,
            "put_off": self.put_off_files,
            "conflicting": self.conflicting_files,
            "missing": self.missing_files,
        }
        if any(counts.values()):
            log.info("synchronised", **{name: count for name, count in counts.items() if count})


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

    def __init__(self, path: Path, *, clock: Clock, onlooker: Onlooker | None = None) -> None:
        self._file, self._clock, self._onlooker = StateFile(path, log=log), clock, onlooker
        self._lock = threading.Lock()
        self._written_ns = 0
        self._said: set[str] = set()
        self._met: set[str] = set()  # in this pass
        self.report = SyncReport()
        self._state = SyncState(pid=os.getpid(), boot=boot_id(), wall_ns=clock.wall_ns())
        if before := read(path, SyncState).said:
            self._state.last_success_wall_ns = before.last_success_wall_ns
            self._state.last_problem = before.last_problem
            self._state.last_problem_wall_ns = before.last_problem_wall_ns

    def begin(self, direction: str) -> None:
        """A pass begins."""
        self.report = SyncReport()
        self._met.clear()
        self._state.direction = direction
        self.write(is_running=True)

    def expect(self, files: int, size_bytes: int) -> None:
        """So much is to be done."""
        self._state.backlog_files, self._state.backlog_bytes = files, size_bytes
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
        self._state.uploaded_files_total += files
        self._state.uploaded_bytes_total += size_bytes
        if self._onlooker:
            self._onlooker.finished(files)

    def downloaded(self, files: int, size_bytes: int) -> None:
        """Files are here."""
        self.report.downloaded_files += files
        self.report.downloaded_bytes += size_bytes
        self._state.downloaded_files_total += files
        self._state.downloaded_bytes_total += size_bytes
        if self._onlooker:
            self._onlooker.finished(files)

    def problem(self, what: DaedalusError | str) -> None:
        """Something a person should know; said once until all is well again, and not for each file that it meets."""
        line = what if isinstance(what, str) else what.line()
        what_ails = what.reason if isinstance(what, StorageUnreachable | ObjectDamaged) else line
        self._state.last_problem, self._state.last_problem_wall_ns = line, self._clock.wall_ns()
        if len(self._met) < _PROBLEMS_KEPT and what_ails not in self._met:
            self._met.add(what_ails)
            self.report.problems.append(line)
        if what_ails not in self._said:
            self._said.add(what_ails)
            log.error("sync", problem=line)

    def end(self, *, backlog: tuple[int, int], was_stopped: bool) -> None:
        """A pass has ended."""
        self._state.backlog_files, self._state.backlog_bytes = backlog
        if self.report.is_complete and not was_stopped:
            self._said.clear()
            self._state.last_success_wall_ns = self._clock.wall_ns()
        self.write(is_running=True)

    def write(self, *, is_running: bool) -> None:
        """Write the file. One that cannot be written stops nothing."""
        with self._lock:
            self._written_ns = self._clock.mono_ns()
            self._state.wall_ns, self._state.is_running = self._clock.wall_ns(), is_running
            self._file.write(self._state)
