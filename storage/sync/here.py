"""What a lake has of an archive, as the plan that brings the rest asks for it."""

from collections.abc import Iterable

from shared.partitioning import Lake
from storage.sync.changes import home_folder
from storage.sync.ledger import Ledger
from storage.sync.names import Stage, named, stream_of
from storage.sync.plan_down import Found, Here, newest_checkpoints


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
