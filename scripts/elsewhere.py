"""Refining whose bronze comes from another machine's archive, or whose silver and gold go to a bucket.

Nothing of refining changes: before a run what is new is brought into the lake's folders, after it what changed is sent,
files before the checkpoints that count their rows. The folders of this machine are a cache of both.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from config.config import Settings
from etl.core.executor import TransformExecutor
from etl.core.streams import StreamResult
from shared.errors import LeaseHeld, StorageRefused, StorageUnreachable
from shared.log import get_log
from storage.factory import object_store, place_name
from storage.leases import Lease
from storage.sync import StorageSync, SyncOptions
from storage.sync.plan import Selection
from storage.sync.report import SyncReport

INPUT, OUTPUT = "sync-input", "sync-output"
_WATCHER = "leases/watcher"
_LEASE_S = 60.0
log = get_log("watch")


class Refining:
    """An executor with what is brought before a run, and sent after it."""

    def __init__(
        self,
        executor: TransformExecutor,
        *,
        bringing: StorageSync | None = None,
        sending: StorageSync | None = None,
        lease: Lease | None = None,
        interval_s: float = 0.0,
    ) -> None:
        """`interval_s`: bronze is asked for no more often."""
        self._executor, self._bringing, self._sending, self._lease = executor, bringing, sending, lease
        self._interval_s, self._asked_s = interval_s, -float("inf")
        self._is_behind = True  # what the last run made may not be there yet
        self._keeps_on = False

    def keep_on(self) -> None:
        """From now on a store that does not answer is said, and asked again at the next run."""
        self._keeps_on = True

    def run(self, *, full_scan: bool = False, end_of_data: bool = False) -> list[StreamResult]:
        """As `TransformExecutor.run`. Raises: StorageFailed; LeaseLost: another watcher writes to the output."""
        if self._bringing and time.monotonic() - self._asked_s >= self._interval_s:
            self._asked_s = time.monotonic()
            self._moved(self._bringing, "follow")
        results = self._executor.run(full_scan=full_scan, end_of_data=end_of_data)
        if self._sending and self._lease and (results or self._is_behind):
            _ = self._lease.fence
            self._is_behind = not self._moved(self._sending, "up")
        return results

    def _moved(self, sync: StorageSync, direction: Any) -> bool:
        """One pass; whether all of it was done."""
        try:
            _whole(sync.run_once(direction))
        except (StorageUnreachable, LeaseHeld) as error:
            if not self._keeps_on:
                raise
            log.warning("refining goes on with what is here", why=error.line())
            return False
        return True


@contextmanager
def refining(settings: Settings, make: Callable[[], TransformExecutor]) -> Iterator[Refining]:
    """An executor between the places of the settings, while the context lasts.

    Raises: LeaseHeld: another watcher writes to the output; LakeLocked; StorageFailed.
    """
    places = settings.storage
    with ExitStack() as stack:
        bringing = sending = lease = None
        if places.etl_storage_input.type != "local":
            bringing = _synced(settings, places.etl_storage_input, INPUT, frozenset({"bronze"}))
        if places.etl_storage_output.type != "local":
            store = object_store(places.etl_storage_output.options(), root=Path())
            lease = Lease(store, _WATCHER, owner="daedalus watch", ttl_s=_LEASE_S)
            stack.enter_context(lease.kept())
            sending = _synced(settings, places.etl_storage_output, OUTPUT, frozenset({"silver", "gold"}))
            _restored(sending.run_once("down"), settings)
        executor = make()
        stack.callback(executor.close)
        yield Refining(executor, bringing=bringing, sending=sending, lease=lease, interval_s=settings.sync.interval_s)


def _synced(settings: Settings, place: Any, name: str, tiers: frozenset[str]) -> StorageSync:
    limit = settings.sync.bandwidth_limit_mb_s
    options = SyncOptions(
        name=name,
        archive=place_name(place.options()),
        owner="daedalus watch",
        selection=Selection(tiers=tiers),
        files_at_once=settings.sync.files_at_once,
        bandwidth_bytes_per_s=limit * 1e6 if limit else None,
        writes_manifests=False,
    )
    return StorageSync(settings.lake(), object_store(place.options(), root=Path()), options)


def _restored(report: SyncReport, settings: Settings) -> None:
    """See that this machine stands where the output stands. Raises: StorageRefused, StorageUnreachable."""
    if report.conflicting_files:
        lake = settings.lake()
        raise StorageRefused(
            "storage.etl_storage_output",
            f"another watcher went on from there: {report.conflicting_files:,} files here are not those it has, "
            f"{report.problems[0]}",
            hint=f"Here they are a cache: move {lake.processed} and {lake.refining} away, then start again",
        )
    _whole(report)


def _whole(report: SyncReport) -> None:
    if not report.is_complete:
        raise StorageUnreachable("storage", "; ".join(report.problems[:3]) or "not everything was moved")
