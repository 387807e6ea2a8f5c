"""`StorageSync`: keeps a lake and an archive in step, and proves what it moved.

Upwards, what is new is read from the logs of published names and from the newest folders of outputs, never by walking
the lake, and what is known to be in the archive from a ledger that is a cache. A pass that finds nothing new asks the
archive nothing. What is sent is checksummed on its way, listed afterwards, and only then noted; the manifest of its day
comes last. See docs/sync.md and docs/decisions/0019-what-an-archive-holds.md.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from threading import Event

from filelock import FileLock

from shared.clock import Clock, SystemClock, utc_from_us
from shared.disk import Disk
from shared.errors import LeaseHeld, LeaseLost, StorageFailed
from shared.log import get_log
from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.leases import Lease
from storage.locks import hold, sync_lock, watcher_lock
from storage.sync.changes import Changes
from storage.sync.crew import Crew
from storage.sync.down import DownPass
from storage.sync.ledger import Ledger
from storage.sync.meet import met
from storage.sync.names import LEASE, Stage
from storage.sync.pace import Interrupted, Pace
from storage.sync.plan import Direction, Plan, Selection
from storage.sync.report import Onlooker, SyncReport, Told
from storage.sync.up import UpPass

_LEASE_S = 120.0
log = get_log("sync")


@dataclass(frozen=True, kw_only=True)
class SyncOptions:
    """How a lake is synchronised."""

    name: str = "sync"
    """Of this among those of one lake: each has a ledger, a lock, a state file and a lease of its own."""
    archive: str = ""
    """Names the archive among all others: where it is another than last time, the ledger begins anew."""
    owner: str = "daedalus sync"
    """For whoever finds the archive in use."""
    selection: Selection = field(default_factory=Selection)
    files_at_once: int = 8
    bandwidth_bytes_per_s: float | None = None
    unfinished_keep_s: float = 172_800.0
    writes_manifests: bool = True
    """false: another synchronisation with this archive writes them."""
    full_scan: bool = False
    """Look at everything in the archive first, and at every published name here."""


class StorageSync:
    """Synchronises one lake with one archive. Not for several threads; `stopped` may be set by any."""

    def __init__(
        self,
        lake: Lake,
        store: ObjectStore,
        options: SyncOptions | None = None,
        *,
        disk: Disk | None = None,
        clock: Clock | None = None,
        onlooker: Onlooker | None = None,
    ) -> None:
        self._lake, self._store, self._options = lake, store, options or SyncOptions()
        self._disk, self._clock = disk or Disk(), clock or SystemClock()
        name = self._options.name
        self._folder = lake.state / name
        self._told = Told(lake.state / f"{name}.json", clock=self._clock, onlooker=onlooker)
        lease = LEASE if name == "sync" else f"leases/{name}"
        self._lease = Lease(store, lease, owner=self._options.owner, ttl_s=_LEASE_S, clock=self._clock)
        self._has_met = self._has_swept = self._has_followed = False
        self._gone_by: dict[str, str] = {}

    def plan(self, direction: Direction = "up") -> Plan:
        """What a pass would move now. Writes nothing, neither here nor there."""
        with self._ledger_of_plan() as ledger, Crew(self._options.files_at_once) as crew:
            if direction == "down":
                coming = self._down(ledger, crew, Event()).planned(everything=self._options.full_scan)
                moved = [*coming.downloads, *coming.logs]
                return Plan([(each.key, each.size_bytes) for each in moved])
            Changes(self._lake, ledger, held=None, disk=self._disk).look()
            waiting = [each for stage in Stage for each in ledger.planned(stage, self._options.selection)]
            return Plan([(each.key, each.size_bytes) for each in waiting])

    def run_once(self, direction: Direction = "up", *, stopped: Event | None = None) -> SyncReport:
        """One pass.

        Raises: LakeLocked, LeaseHeld: another syncer is at work. StorageRefused: a person has to act. LeaseLost.
            LakeUnusable: this disk cannot be used.
        """
        stopped = stopped or Event()
        with self._held_lock(), self._opened_ledger() as ledger:
            try:
                return self._pass(ledger, direction, stopped, is_last=True)
            finally:
                self._told.write(is_running=False)

    def run(
        self,
        direction: Direction,
        interval_s: float,
        stopped: Event,
        *,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Pass after pass until `stopped` is set. What a person has to mend is said once, and tried again.

        After a pass that left nothing to do, `then` is called.

        Raises: LakeLocked: another syncer of this lake. LakeUnusable: this disk cannot be used.
        """
        with self._held_lock(), self._opened_ledger() as ledger:
            try:
                while not stopped.is_set():
                    began_ns = self._clock.mono_ns()
                    try:
                        report = self._pass(ledger, direction, stopped, is_last=False)
                        report.say()
                        if then and report.is_complete and not stopped.is_set():
                            then()
                    except (StorageFailed, LeaseHeld, LeaseLost) as error:
                        self._told.problem(error)
                        self._told.write(is_running=True)
                    passed_s = (self._clock.mono_ns() - began_ns) / 1e9
                    stopped.wait(max(0.0, interval_s - passed_s))
            finally:
                self._told.write(is_running=False)

    def _pass(self, ledger: Ledger, direction: Direction, stopped: Event, *, is_last: bool) -> SyncReport:
        self._told.begin(direction)
        with Crew(self._options.files_at_once) as crew:
            try:
                if direction == "follow":
                    self._follow(ledger, crew, stopped)
                elif direction != "up":
                    self._bring(ledger, crew, stopped, others_only=direction == "both")
                if direction in {"up", "both"}:
                    self._send(ledger, crew, stopped, is_last=is_last)
            except Interrupted:
                log.info("stopped; what is under way is gone on with next time")
        report = self._told.report
        if direction in {"up", "both"}:
            report.conflicting_files += ledger.aside("conflict")
            report.missing_files += ledger.aside("missing") + ledger.aside("damaged")
        backlog = ledger.backlog(self._options.selection) if direction in {"up", "both"} else (0, 0)
        if stopped.is_set():
            report.put_off_files = backlog[0]
        self._told.end(backlog=backlog, was_stopped=stopped.is_set())
        return report

    def _bring(self, ledger: Ledger, crew: Crew, stopped: Event, *, others_only: bool) -> None:
        down = self._down(ledger, crew, stopped)
        if others_only:
            down.run_others()
            return
        coming = down.planned(everything=self._options.full_scan)
        if not coming.is_refined:
            down.run(coming)
            return
        with self._watcher_kept_out():
            down.run(down.planned(everything=self._options.full_scan))  # as it stands while nobody works on it

    def _follow(self, ledger: Ledger, crew: Crew, stopped: Event) -> None:
        """Bring bronze, then the logs that name it; the first time, and when some has moved, look at everything."""
        down = self._down(ledger, crew, stopped)
        if self._has_followed:
            down.run_others(captures_here=False)
        else:
            down.run(down.planned(everything=True))
        self._has_followed = self._told.report.is_complete

    def _down(self, ledger: Ledger, crew: Crew, stopped: Event) -> DownPass:
        return DownPass(
            self._store,
            ledger,
            self._lake,
            self._options.selection,
            crew=crew,
            pace=Pace(self._options.bandwidth_bytes_per_s, clock=self._clock, stopped=stopped),
            told=self._told,
            stopped=stopped,
            disk=self._disk,
            own=self._folder,
            gone_by=self._gone_by,
        )

    def _send(self, ledger: Ledger, crew: Crew, stopped: Event, *, is_last: bool) -> None:
        changes = Changes(self._lake, ledger, held=self._folder / "held", disk=self._disk)
        changes.look()
        files, size_bytes = ledger.backlog(self._options.selection)
        self._told.expect(files, size_bytes)
        if files or ledger.removable(count=1) or ledger.is_due() or self._wants_scan():
            with self._lease.kept(sleep=partial(_sleep, stopped)):
                self._go_up(ledger, changes, crew, stopped, is_last=is_last)

    def _go_up(self, ledger: Ledger, changes: Changes, crew: Crew, stopped: Event, *, is_last: bool) -> None:
        if not self._has_met or self._wants_scan():
            sends_bronze = "bronze" in self._options.selection.tiers
            if met(self._store, ledger, self._lake, full_scan=self._wants_scan(), sends_bronze=sends_bronze):
                changes.look()
                self._told.expect(*ledger.backlog(self._options.selection))
            self._has_met = True
        pace = Pace(self._options.bandwidth_bytes_per_s, clock=self._clock, stopped=stopped)
        sending = UpPass(
            self._store,
            ledger,
            changes,
            self._options.selection,
            crew=crew,
            pace=pace,
            told=self._told,
            stopped=stopped,
            still_ours=self._still_ours,
        )
        try:
            sending.run()
            sending.remove_superseded()
        finally:
            if self._lease.is_held and self._options.writes_manifests:
                sending.write_manifests(clock=self._clock, everything=is_last or stopped.is_set())
        self._sweep()

    def _still_ours(self) -> None:
        """Raises: LeaseLost."""
        _ = self._lease.fence

    def _wants_scan(self) -> bool:
        return self._options.full_scan and not self._has_met

    def _sweep(self) -> None:
        """Give up what was begun long ago, here or by a process that is gone; once."""
        if self._has_swept:
            return
        now = utc_from_us(self._clock.wall_ns() // 1000)
        for upload in list(self._store.unfinished()):
            if now - upload.started_at > timedelta(seconds=self._options.unfinished_keep_s):
                self._store.discard(upload)
                log.info("an upload that was never finished is given up", key=upload.key, begun=str(upload.started_at))
        self._has_swept = True

    @contextmanager
    def _watcher_kept_out(self) -> Iterator[None]:
        """Nobody refines what is half there."""
        self._disk.make_dirs(self._lake.refining)
        lock = hold(watcher_lock(self._lake), hint="Stop `daedalus watch` while files and checkpoints are brought")
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _held_lock(self) -> Iterator[FileLock]:
        self._disk.make_dirs(self._folder)
        lock = hold(
            sync_lock(self._lake, self._options.name), hint="One syncer per lake: stop it, or let it do the work"
        )
        try:
            yield lock
        finally:
            lock.release()

    @contextmanager
    def _opened_ledger(self) -> Iterator[Ledger]:
        path = self._folder / "ledger.sqlite"
        name = self._options.archive or self._store.name
        with closing(Ledger.opened(path, archive=name, disk=self._disk)) as ledger:
            yield ledger

    @contextmanager
    def _ledger_of_plan(self) -> Iterator[Ledger]:
        """A copy in memory of the ledger that there is."""
        name = self._options.archive or self._store.name
        with closing(Ledger.copied(self._folder / "ledger.sqlite", archive=name)) as ledger:
            yield ledger


def _sleep(stopped: Event, seconds: float) -> None:
    if stopped.wait(seconds):
        raise Interrupted
