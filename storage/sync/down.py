"""One pass downwards: what the archive holds and this lake does not is brought, whole and checked, in an order that
holds: bronze before the logs that name it, files before the checkpoints that count their rows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import msgspec

from shared.disk import Disk
from shared.errors import ObjectConflict, ObjectMissing, StorageFailed, StorageRefused
from shared.partitioning import Lake, stream_path
from storage.base import ObjectInfo, ObjectStore
from storage.made_files import is_made, made_with
from storage.published import SUFFIX, PublishedDiffers, log_paths, opening_tails, published_sums, read_log, scan_log
from storage.sync.crew import Crew
from storage.sync.fetch import brought, brought_log, by_log
from storage.sync.here import here, taken_over
from storage.sync.ledger import Ledger
from storage.sync.manifest import read
from storage.sync.names import FOREIGN, MANIFESTS, Stage, day_folder, is_kept, named
from storage.sync.pace import Interrupted, Pace
from storage.sync.plan import Remote, Selection
from storage.sync.plan_down import Coming, Found, planned_down
from storage.sync.report import Told

_ROOTS = ("raw/ready/", "raw/daily/", "processed/")
_LOGS, _STATE, _QUARANTINE = "raw/published/", "state/etl/", "raw/quarantine/"
_BATCH_FILES = 256
_ATTEMPTS, _PAUSE_S, _PAUSE_S_MAX = 8, 0.25, 30.0


class DownPass:
    """Brings what is wanted of an archive."""

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        lake: Lake,
        selection: Selection,
        *,
        crew: Crew,
        pace: Pace,
        told: Told,
        stopped: Event,
        disk: Disk,
        own: Path,
        gone_by: dict[str, str],
    ) -> None:
        self._store, self._ledger, self._lake, self._selection = store, ledger, lake, selection
        self._crew, self._pace, self._told, self._stopped, self._disk = crew, pace, told, stopped, disk
        self._own = own  # folder of this synchronisation alone
        self._gone_by = gone_by  # manifests, by day, of which this process has brought everything, with their etags
        self._means: dict[str, Any] = {"disk": disk, "pass_on": self._pass_on}

    def planned(self, *, everything: bool = False) -> Coming:
        """What is to be brought. Raises: StorageFailed."""
        state = self._listed([_STATE])  # before the files whose rows they count
        published = self._listed([_LOGS])
        logs = [found for found in published if named(found.key).stage is Stage.LOGS]
        seen, prefixes = self._places(everything=everything)
        beside = [found for found in published if named(found.key).stage is not Stage.LOGS]
        there = [*state, *self._listed(prefixes), *self._listed([_QUARANTINE]), *beside]
        plan = planned_down(there, here(self._lake, self._ledger, there))
        strange = set(plan.changed_here)
        strangers = [found for found in there if found.key in strange]
        if taken_over(self._lake, self._ledger, strangers, self._store, crew=self._crew):
            plan = planned_down(there, here(self._lake, self._ledger, there))
        return Coming(plan.downloads, plan.changed_here, logs=self._longer(logs), manifests=seen)

    def run(self, coming: Coming) -> None:
        """Bring it. Raises: Interrupted; StorageRefused, LakeUnusable: a person has to act."""
        if changed := coming.changed_here:
            others = f"; {len(changed) - 1:,} more changed too" if len(changed) > 1 else ""
            first = self._lake.path_of(min(changed))
            self._told.problem(f"{first}: changed here, so what the archive holds does not replace it{others}")
        self._told.report.conflicting_files += len(coming.changed_here)
        self._told.expect(coming.files, coming.size_bytes)
        if (sums := self._sums(coming)) is None:
            return
        for stage in Stage:
            if stage is Stage.LOGS:
                self._bring_logs(coming.logs)
            else:
                found = [each for each in coming.downloads if named(each.key).stage is stage]
                self._bring([replace(each, crc32=sums.get(each.key)) for each in found])
            if self._told.report.put_off_files:
                return  # what comes next would speak of what is not here
        if not coming.changed_here:
            self._gone_by.update(coming.manifests)

    def run_others(self, *, captures_here: bool = True) -> None:
        """Bring bronze that other machines captured, and their logs: never again what was captured here."""
        logs = [found for found in self._listed([_LOGS]) if named(found.key).stage is Stage.LOGS]
        pieces = by_log(self._longer(logs))
        ours = log_paths(self._lake) if captures_here else []
        own = {path.name for path in ours if not self._ledger.fact(FOREIGN + path.name)}
        for name in sorted(name for name in pieces if name.endswith(SUFFIX) and name not in own):
            beside = self._beside(name)
            if not self._bring_log(pieces[name], beside):
                return
            known = self._lake.published / name  # what it names was brought, and may be compacted or removed by now
            entries, _ = read_log(beside, start=known.stat().st_size if known.exists() else 0)
            wanted = [
                Found(key=f"raw/ready/{each.path}", size_bytes=each.bytes, etag="", crc32=each.crc32)
                for each in entries
            ]
            gone: list[Found] = []
            self._bring([each for each in wanted if self._is_wanted(each.key) and not self._path(each).exists()], gone)
            self._bring_made(gone)
            if self._told.report.put_off_files:
                return  # the log would name what is not here yet; what the archive has lost was told
            with self._ledger.changing():
                self._ledger.set_fact(FOREIGN + name, "yes")
            self._bring_logs(pieces[name])
            self._disk.remove(beside)

    def _sums(self, coming: Coming) -> dict[str, int] | None:
        """The CRC-32s under which bronze that is coming was published, by key; None: a log did not come."""
        wanted = {found.key for found in coming.downloads if found.key.startswith("raw/ready/")}
        logs = {self._beside(name): own for name, own in by_log(coming.logs).items() if name.endswith(SUFFIX)}
        if not wanted:
            return {}
        for beside, own in logs.items():
            self._bring_log(own, beside)
        if self._told.report.put_off_files:
            return None
        sums = published_sums([*log_paths(self._lake), *logs])
        found = {key: crc32 for path, crc32 in sums if (key := f"raw/ready/{path}") in wanted}
        for beside in logs:
            self._disk.remove(beside)
        return found

    def _beside(self, name: str) -> Path:
        """Where a log is read before the files that it names are here."""
        path = self._own / name
        self._disk.make_dirs(self._own)
        self._disk.remove(path)
        return path

    def _bring_made(self, gone: list[Found]) -> None:
        """Bring what compaction made of bronze files that are not there any more."""
        days = sorted({day_folder(found.key) for found in gone})
        listed = self._listed([*days, *(day.replace("raw/ready/", "raw/daily/", 1) for day in days)])
        self._bring([each for each in listed if is_made(Path(each.key).name) and not self._path(each).exists()])
        for found in gone:
            if made_with(self._lake, found.key.removeprefix("raw/ready/")) is None:
                self._told.problem(f"{self._store.name}/{found.key}: no such object, nor one that was made of it")
                self._told.report.missing_files += 1

    def _places(self, *, everything: bool) -> tuple[dict[str, str], list[str]]:
        """The manifests that have changed since they were gone by, and the prefixes under which to list."""
        days = {Path(info.key).stem: info.etag for info in self._store.list(MANIFESTS)}
        since = self._selection.since
        seen = {day: etag for day, etag in days.items() if self._gone_by.get(day) != etag}
        if since is not None:
            month = since.replace(day=1).isoformat()  # of files that hold a month
            seen = {day: etag for day, etag in seen.items() if day >= month}
        if everything or not days or (since is None and not self._gone_by):
            return seen, list(_ROOTS)
        prefixes = set()
        for day in seen:
            with self._store.get(f"{MANIFESTS}{day}.json") as content:
                try:
                    manifest = read(content.read())
                except msgspec.MsgspecError:
                    return seen, list(_ROOTS)
            wanted = (entry.key for entry in manifest.files if is_kept(entry.key) and self._is_wanted(entry.key))
            prefixes |= {day_folder(key) for key in wanted}
        return seen, sorted(prefixes)

    def _listed(self, prefixes: Iterable[str]) -> list[Found]:
        """The wanted objects under these prefixes."""
        calls = ((0, prefix, partial(self._list, prefix)) for prefix in prefixes)
        found: list[Found] = []
        for _, future in self._crew.outcomes(calls):
            found += future.result()
        return found

    def _list(self, prefix: str) -> list[Found]:
        infos: Iterator[ObjectInfo] = self._store.list(prefix)
        return [
            Found(key=info.key, size_bytes=info.size_bytes, etag=info.etag)
            for info in infos
            if is_kept(info.key) and self._is_wanted(info.key)
        ]

    def _is_wanted(self, key: str) -> bool:
        return self._selection.allows(named(key))

    def _longer(self, logs: list[Found]) -> list[Found]:
        """The pieces of the logs that are longer there than here."""
        longer: list[Found] = []
        for name, pieces in by_log(logs).items():
            path = self._lake.published / name
            if not path.exists() or path.stat().st_size < sum(piece.size_bytes for piece in pieces):
                longer += pieces
        return longer

    def _path(self, found: Found) -> Path:
        return self._lake.path_of(found.key)

    def _bring(self, wanted: list[Found], gone: list[Found] | None = None) -> None:
        """Bring these; what does not come is tried again a few times, then put off. `gone` gets what is not there."""
        for attempt in range(_ATTEMPTS):
            wanted = self._bring_once(wanted, gone)
            if not wanted:
                return
            self._pause(attempt)
        self._told.report.put_off_files += len(wanted)

    def _bring_once(self, wanted: list[Found], gone: list[Found] | None) -> list[Found]:
        """Bring these; those that have to be tried again."""
        again: list[Found] = []
        for first in range(0, len(wanted), _BATCH_FILES):
            batch = wanted[first : first + _BATCH_FILES]
            come: list[Remote] = []
            calls = (
                (found.size_bytes, found, partial(brought, found, self._path(found), self._store, **self._means))
                for found in batch
            )
            try:
                for found, future in self._crew.outcomes(calls):
                    try:
                        come.append(future.result())
                    except StorageRefused:
                        raise
                    except PublishedDiffers as error:
                        self._told.problem(error)
                        self._told.report.missing_files += 1
                    except ObjectMissing as error:
                        if gone is not None:
                            gone.append(found)
                        elif named(found.key).is_final:  # else a newer one has taken its place since it was listed
                            self._told.problem(error)
                            self._told.report.missing_files += 1
                    except StorageFailed as error:
                        self._told.problem(error)
                        again.append(found)
            finally:
                self._note(come)
            if len(again) >= _BATCH_FILES:
                return [*again, *wanted[first + _BATCH_FILES :]]
        return again

    def _note(self, come: list[Remote]) -> None:
        for each in come:
            if each.key.startswith("raw/daily/"):
                self._make_stream(self._lake.path_of("raw/ready/" + day_folder(each.key).removeprefix("raw/daily/")))
        with self._ledger.changing():
            self._ledger.record(come)
        self._told.downloaded(len(come), sum(each.size_bytes for each in come))

    def _bring_logs(self, found: list[Found]) -> None:
        """Bring logs, and make the folders of the streams that they name: feeds are found by them."""
        for name, own in by_log(found).items():
            path = self._lake.published / name
            if not self._bring_log(own, path) or not name.endswith(SUFFIX):
                continue
            streams = {*(opening_tails(path) or {}), *(each.stream for entries in scan_log(path) for each in entries)}
            for source, exchange, table, symbol in sorted(streams):
                self._make_stream(self._lake.ready / source / table / stream_path(exchange, symbol))

    def _bring_log(self, pieces: list[Found], path: Path) -> bool:
        """Bring a log to a place; whether there was something to bring."""
        for attempt in range(_ATTEMPTS):
            try:
                come = brought_log(pieces, path, self._store, **self._means)
            except StorageRefused:
                raise
            except StorageFailed as error:
                self._told.problem(error)
                if isinstance(error, ObjectConflict):  # it has grown since it was listed
                    break
                self._pause(attempt)
                continue
            if come and path.parent == self._lake.published:
                self._note(come)
            return bool(come)
        self._told.report.put_off_files += 1
        return False

    def _pause(self, attempt: int) -> None:
        if self._stopped.wait(min(_PAUSE_S * 2.0**attempt, _PAUSE_S_MAX)):
            raise Interrupted

    def _make_stream(self, folder: Path) -> None:
        """Make the folder of a stream in `ready`, given it or one below."""
        while not folder.name.startswith("symbol="):
            folder = folder.parent
        self._disk.make_dirs(folder)

    def _pass_on(self, size_bytes: int) -> None:
        self._pace.pass_on(size_bytes)
        self._told.moved(size_bytes)
