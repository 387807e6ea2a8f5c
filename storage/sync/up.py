"""One pass upwards: everything that waits is sent, seen there, noted; then what it supersedes is removed."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from threading import Event
from typing import TypeVar

from shared.clock import Clock
from shared.errors import LakeUnusable, ObjectConflict, StorageFailed, StorageRefused
from storage.base import ObjectStore
from storage.made_files import is_made
from storage.published import PublishedDiffers
from storage.sync import manifest
from storage.sync.changes import Changes
from storage.sync.crew import Crew
from storage.sync.ledger import Ledger
from storage.sync.names import Stage, named
from storage.sync.pace import Interrupted, Pace
from storage.sync.plan import Local, Remote, Selection, Upload, planned
from storage.sync.report import Told
from storage.sync.send import listings, seen, sent
from storage.sync.turns import chain_and_stream, in_turns

_BATCH_FILES = 256  # noted together: what a kill makes us look at again
_ATTEMPTS, _PAUSE_S, _PAUSE_S_MAX = 8, 0.25, 30.0
_FAILURES_MAX = 16  # in succession: the archive is not there at all
_MANIFEST_EACH_NS = 600_000_000_000
T = TypeVar("T")


class UpPass:
    """Sends what waits in the ledger."""

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        changes: Changes,
        selection: Selection,
        *,
        crew: Crew,
        pace: Pace,
        told: Told,
        stopped: Event,
        still_ours: Callable[[], None],
    ) -> None:
        self._store, self._ledger, self._changes, self._selection = store, ledger, changes, selection
        self._crew, self._pace, self._told, self._stopped = crew, pace, told, stopped
        self._still_ours = still_ours
        self._failures = 0  # of the archive, in succession

    def run(self) -> None:
        """Send everything that waits. Raises: Interrupted, StorageRefused, LeaseLost."""
        for stage in Stage:
            for attempt in range(_ATTEMPTS):
                if not self._put_off(stage):
                    break
                self._pause(min(_PAUSE_S * 2.0**attempt, _PAUSE_S_MAX) if attempt + 1 < _ATTEMPTS else 0.0)
            if self._failures >= _FAILURES_MAX:
                break
        self._told.report.put_off_files = self._ledger.backlog(self._selection)[0]

    def remove_superseded(self) -> None:
        """Remove what the archive holds twice. Raises: LeaseLost, StorageRefused."""
        with self._ledger.changing():
            self._ledger.settle_absent()
        while removable := self._ledger.removable(count=_BATCH_FILES):
            self._still_ours()
            gone = []
            calls = ((0, key, partial(self._store.delete, key)) for key in removable)
            for key, future in self._crew.outcomes(calls):
                if self._is_done(future):
                    gone.append(key)
            with self._ledger.changing():
                self._ledger.forget(gone)
                self._ledger.settle(gone)
            self._told.report.removed_files += len(gone)
            if len(gone) < len(removable):
                break

    def write_manifests(self, *, clock: Clock, everything: bool) -> None:
        """Write the manifests of the days that changed; large ones not in each pass, unless it is `everything`."""
        now_ns = clock.wall_ns()
        for day in self._ledger.days_to_write(
            written_before_ns=now_ns + 1 if everything else now_ns - _MANIFEST_EACH_NS
        ):
            self._still_ours()
            try:
                manifest.written(self._store, day, self._ledger.there_of_day(day))
            except StorageRefused:
                raise
            except StorageFailed as error:
                self._told.problem(error)
                self._told.report.put_off_files += 1
                continue
            with self._ledger.changing():
                self._ledger.day_written(day, now_ns)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Interrupted

    def _put_off(self, stage: Stage) -> bool:
        """Send what waits in a stage, once; whether some of it has to be tried again."""
        self._failures = 0
        if stage is Stage.CHECKPOINTS:
            return self._put_off_checkpoints()
        put_off, after = 0, ("", "")
        while files := self._ledger.waiting(stage, self._selection, after=after, count=_BATCH_FILES):
            last = files[-1].key
            after = (day.isoformat() if (day := named(last).day) else "", last)
            put_off += self._send_batch(files)
            if self._failures >= _FAILURES_MAX:
                return True
        return put_off > 0

    def _put_off_checkpoints(self) -> bool:
        """Send checkpoints in turns; of a stream nothing more once one of it has to wait."""
        waiting = {file.key: file for file in self._ledger.planned(Stage.CHECKPOINTS, self._selection)}
        free = {file.key for file in self._ledger.waiting(Stage.CHECKPOINTS, self._selection, count=len(waiting))}
        put_off, blocked = 0, set[str]()
        for turn in in_turns(waiting):
            going = [key for key in turn if key in free and chain_and_stream(key)[1] not in blocked]
            for first in range(0, len(going), _BATCH_FILES):
                put_off += self._send_batch([waiting[key] for key in going[first : first + _BATCH_FILES]])
            blocked |= {chain_and_stream(file.key)[1] for file in self._ledger.waiting_of(turn)}
        return put_off > 0

    def _send_batch(self, files: list[Local]) -> int:
        """Send those of these files that differ from what is there; how many have to be tried again."""
        keys = [file.key for file in files]
        superseded = self._ledger.superseded(keys)
        successors = self._ledger.waiting_of(superseded.values())
        there = self._ledger.there([*keys, *superseded.values()])
        uploads = planned([*files, *successors], there, superseded)
        with self._ledger.changing(is_durable=True):
            self._ledger.drop({*keys} - {upload.file.key for upload in uploads})
            self._ledger.begin(upload.file.key for upload in uploads)
        return len(uploads) - self._send(uploads)

    def _send(self, uploads: list[Upload]) -> int:
        """Send a batch, see it there, note it; how many need not be tried again."""
        self._still_ours()
        there: list[Remote] = []
        aside: dict[str, str] = {}
        try:
            for upload, future in self._crew.outcomes(self._calls(uploads)):
                self._take(upload, future, there, aside)
        finally:
            found = [] if self._stopped.is_set() else self._seen(there)
            if "gone" in aside.values():
                self._changes.look_at_compacted()  # it may have taken them
            with self._ledger.changing():
                self._ledger.record(found)
                for key, state in aside.items():
                    self._settle(key, state)
            self._told.uploaded(len(found), sum(each.size_bytes for each in found))
        return len(found) + len(aside)

    def _calls(self, uploads: list[Upload]) -> Iterator[tuple[int, Upload, Callable[[], Remote]]]:
        for upload in uploads:
            if self._failures >= _FAILURES_MAX:
                return
            path = self._changes.path_of(upload.file.key)
            yield (
                upload.file.size_bytes,
                upload,
                partial(sent, upload, path, self._store, pass_on=self._pass_on),
            )

    def _pass_on(self, size_bytes: int) -> None:
        self._pace.pass_on(size_bytes)
        self._told.moved(size_bytes)

    def _take(self, upload: Upload, future: Future[Remote], there: list[Remote], aside: dict[str, str]) -> None:
        key = upload.file.key
        try:
            there.append(future.result())
            self._failures = 0
        except ObjectConflict as error:
            if upload.is_final:
                self._told.problem(error)
                aside[key] = "conflict"
        except StorageRefused:
            raise
        except StorageFailed as error:
            self._failures += 1
            self._told.problem(error)
        except FileNotFoundError:
            aside[key] = "gone"
        except PublishedDiffers as error:
            self._told.problem(error)
            aside[key] = "damaged"
        except LakeUnusable as error:
            self._told.problem(error)

    def _seen(self, there: list[Remote]) -> list[Remote]:
        found: list[Remote] = []
        calls = (
            (
                0,
                prefix,
                lambda prefix=prefix, group=group: seen(self._store, prefix, group, path_of=self._changes.path_of),
            )
            for prefix, group in listings(there).items()
        )
        for _, future in self._crew.outcomes(calls):
            if self._is_done(future):
                found += future.result()
        lost = {each.key for each in there} - {each.key for each in found}
        if lost and not self._failures:
            first = f"{self._store.name}/{min(lost)}"
            self._told.problem(f"{first}: the store said yes and does not show it; sent again ({len(lost)} files)")
        return found

    def _is_done(self, future: Future[T]) -> bool:
        try:
            future.result()
        except StorageRefused:
            raise
        except StorageFailed as error:
            self._failures += 1
            self._told.problem(error)
            return False
        return True

    def _settle(self, key: str, state: str) -> None:
        """Let a file that cannot be sent wait no more, or be set aside."""
        what = named(key)
        if state != "gone":
            self._ledger.set_aside(key, state)
        elif what.stage is Stage.PROCESSED:  # it was replaced since it was found; what counts rows of its stream waits
            self._ledger.drop([key])
            self._changes.put_off_checkpoints(key)
        elif self._ledger.superseded([key]):
            self._ledger.drop([key])
        elif is_made(self._changes.path_of(key).name):
            pass  # the record comes before the name
        else:
            self._ledger.set_aside(key, "missing")
            self._told.problem(f"{self._changes.path_of(key)}: published, never uploaded, and gone")
