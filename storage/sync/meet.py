"""Whether an archive is what the ledger says: looked at once by each process before it sends anything."""

from collections.abc import Iterator

from shared.clock import utc_from_us
from shared.errors import StorageRefused
from shared.log import get_log
from shared.partitioning import Lake
from storage.base import ObjectInfo, ObjectStore
from storage.published import SUFFIX, log_paths
from storage.sync.ledger import Ledger
from storage.sync.names import FOREIGN, PIECE_BYTES, Stage, is_kept, log_name, named
from storage.sync.plan import Remote

_LOGS = "raw/published/"
_ROOTS = ("raw/", "processed/", "state/etl/")
_MET = "met"
_LINES_LOST = 2  # of a log, that no power cut takes: each is on the disk before the next is written
log = get_log("sync")


def met(store: ObjectStore, ledger: Ledger, lake: Lake, *, full_scan: bool, sends_bronze: bool = True) -> bool:
    """Make sure that the archive is this lake's and holds what the ledger says; whether the ledger was made anew.

    Costs one listing of the logs, and one of everything where the ledger is new, is wrong, or with `full_scan`.

    Raises: StorageRefused: it holds another lake, or of this one's past what is gone here; StorageFailed.
    """
    logs = {info.key: info for info in store.list(_LOGS) if _is_log(info.key)}
    if not ledger.fact(_MET):
        if sends_bronze:
            _refuse_strangers(store, lake, logs)
        full_scan = full_scan or bool(logs)
    elif any(
        key not in logs or logs[key].etag != each.etag
        for key, each in ledger.there_below(_LOGS).items()
        if _is_log(key) and not ledger.fact(FOREIGN + _log_of(key))
    ):
        log.warning("the archive is not as it was left: everything in it is looked at", archive=store.name)
        full_scan = True
    if full_scan and sends_bronze:
        _refuse_older(store, ledger, lake, logs)
    with ledger.changing():
        if full_scan:
            lost, new = ledger.scanned(_everything(store), lambda info: _adopted(info, lake))
            ledger.try_all_again()
            log.info("archive looked at", archive=store.name, not_there=lost, not_known=new)
        ledger.set_fact(_MET, "yes")
    return full_scan


def _is_log(key: str) -> bool:
    return is_kept(key) and named(key).stage is Stage.LOGS


def _log_of(key: str) -> str:
    return log_name(key.removeprefix(_LOGS))[0]


def _refuse_strangers(store: ObjectStore, lake: Lake, logs: dict[str, ObjectInfo]) -> None:
    there = {_log_of(key) for key in logs}
    unknown = sorted(name for name in there - {path.name for path in log_paths(lake)} if name.endswith(SUFFIX))
    if unknown:
        raise StorageRefused(
            store.name,
            f"it holds runs that this lake does not have, first {unknown[0].removesuffix(SUFFIX)}",
            hint="After a dead disk bring them back first (`daedalus sync --direction down`);"
            " another lake needs a bucket or prefix of its own",
        )


def _refuse_older(store: ObjectStore, ledger: Ledger, lake: Lake, logs: dict[str, ObjectInfo]) -> None:
    """A log that is longer there than here, by more than the line that a power cut may take from its end."""
    for path in log_paths(lake):
        pieces = [key for key in sorted(logs) if _log_of(key) == path.name]
        first, start = divmod(path.stat().st_size, PIECE_BYTES)
        lines = 0
        for key in [] if ledger.fact(FOREIGN + path.name) else pieces[first:]:
            if logs[key].size_bytes > start and lines < _LINES_LOST:
                with store.get(key, start=start) as content:
                    lines += content.read().count(b"\n")
            start = 0
        if lines >= _LINES_LOST:
            raise StorageRefused(
                store.name,
                f"it holds more of run {path.stem} than this disk: the disk is older, or has lost data",
                hint="Bring back what it lacks (`daedalus sync --direction down`), then start again",
            )


def _everything(store: ObjectStore) -> Iterator[ObjectInfo]:
    for root in _ROOTS:
        yield from (info for info in store.list(root) if is_kept(info.key))


def _adopted(info: ObjectInfo, lake: Lake) -> Remote | None:
    """An object as the copy of a local file; None: it is not one, or that cannot be told from a listing."""
    what, version = named(info.key), 0
    if what.stage in {Stage.LOGS, Stage.POSITIONS}:
        return None  # small; sent again
    path = lake.path_of(info.key)
    if path.exists():
        found = path.stat()
        is_older = utc_from_us(found.st_mtime_ns // 1000) < info.last_modified
        if found.st_size != info.size_bytes or not (what.is_final or is_older):
            return None
        version = 0 if what.is_final else found.st_mtime_ns
    return Remote(key=info.key, size_bytes=info.size_bytes, version=version, etag=info.etag)
