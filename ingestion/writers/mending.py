"""Files that rotted between their commit and the end of their journal, made again from it.

They were synced before the record that names them, so only a disk that lies or rots is behind it. The record stays the
truth: what is made again takes a file's place only if it is the same to the byte.
"""

from pathlib import Path

from ingestion.writers.seal import Commit, Sealer
from shared.disk import Disk
from shared.errors import LakeUnusable
from shared.log import get_log
from shared.partitioning import Lake
from storage.checksum import Checksum
from storage.published import Published

MENDING = "mending"  # below `raw/staging`; recovery clears it
log = get_log("recovery")


def mend(commit: Commit, lake: Lake, sealer: Sealer, *, disk: Disk) -> None:
    """Make again what is not as it was committed. What cannot be made again stays as it is, and is told."""
    damaged = [
        (staged, ready, entry) for staged, ready, entry in sealer.places(commit) if _is_rotten(staged, ready, entry)
    ]
    journal = lake.active / commit.journal
    made = _made(journal, sealer) if damaged and journal.exists() else {}
    for staged, ready, entry in damaged:
        place = ready if ready.exists() else staged
        again, as_made = made.get(entry.path, (None, None))
        if again is None or as_made != entry:
            log.error("a file rotted on the disk, and its journal does not give it again", path=str(place))
            continue
        disk.rename(again, place)
        disk.sync_dir(place.parent)
        if place == ready:
            disk.remove(staged)
        log.warning("a file rotted on the disk before it was published; made again", path=str(place))


def _is_rotten(staged: Path, ready: Path, entry: Published) -> bool:
    if entry.crc32 is None:
        return False
    try:
        return not Checksum(entry.crc32).is_of(ready if ready.exists() else staged)
    except FileNotFoundError:  # a consumer has moved it away since
        return False
    except OSError:
        return True


def _made(journal: Path, sealer: Sealer) -> dict[str, tuple[Path, Published]]:
    try:
        return sealer.make_again(journal, MENDING)
    except (OSError, MemoryError, LakeUnusable):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a journal holds, it must not stop every start
        log.warning("a journal does not give its files again", path=str(journal), error=repr(error)[:300])
        return {}
