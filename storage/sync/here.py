"""What a lake has of an archive, as the plan that brings the rest asks for it."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.sync.changes import home_folder
from storage.sync.crew import Crew
from storage.sync.ledger import Ledger
from storage.sync.names import Stage, named, stream_of
from storage.sync.plan import Local, Remote
from storage.sync.plan_down import Found, Here, newest_checkpoints
from storage.sync.send import equal


def here(lake: Lake, ledger: Ledger, there: Iterable[Found]) -> Here:
    """What this lake has of these objects."""
    files: dict[str, tuple[int, int]] = {}
    homes: dict[str, str] = {}
    for found in there:
        what, path = named(found.key), lake.path_of(found.key)
        if path.exists():
            stat = path.stat()
            files[found.key] = (stat.st_size, 0 if what.is_final else stat.st_mtime_ns)
        if what.stage is Stage.PROCESSED and what.group not in homes:
            home = home_folder(lake.path_of(stream_of(found.key)))
            homes[what.group] = lake.key_of(home) if home else stream_of(found.key)
    checkpoints = newest_checkpoints(lake.key_of(path) for path in lake.refining.glob("*/*/*/*.checkpoint"))
    return Here(files=files, known=ledger.there(files), checkpoints=checkpoints, homes=homes)


def taken_over(lake: Lake, ledger: Ledger, strange: Iterable[Found], store: ObjectStore, *, crew: Crew) -> bool:
    """Note those of these objects that are here as they are there: they came, and a kill came before the note.

    Returns whether there are any.
    """
    calls = ((0, found, partial(_same, found, lake.path_of(found.key), store)) for found in strange)
    come = [known for _, future in crew.outcomes(calls) if (known := future.result())]
    with ledger.changing():
        ledger.record(come)
    return bool(come)


def _same(found: Found, path: Path, store: ObjectStore) -> Remote | None:
    """What is known of a file that has the content of an object; None: it has another."""
    try:
        here = path.stat()
        file = Local(key=found.key, size_bytes=here.st_size, version=here.st_mtime_ns)
        there = equal(store, file, path) if here.st_size == found.size_bytes else None
    except FileNotFoundError:  # it went meanwhile
        return None
    if there is None:
        return None
    etag, crc32 = there
    return Remote(key=found.key, size_bytes=here.st_size, version=here.st_mtime_ns, etag=etag, crc32=crc32)
