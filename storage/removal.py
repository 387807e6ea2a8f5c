"""Removing files from this disk: each on the proof, read back at that moment, that the archive holds the very same.

Order: the archive's size and checksum against the file as the disk has it now; the record, durable; then the file.
Stopped anywhere, a file is there, or recorded, or both. Folders stay: feeds are found by them.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import polars as pl

from shared.disk import Disk
from shared.errors import ObjectMissing
from shared.exchange_facts import ids_prove_loss
from shared.partitioning import Lake, Partition
from storage.base import ObjectStore
from storage.checksum import Checksum
from storage.local import LocalStorage
from storage.removed import Ranges, RemovalRecord, Removed, Rows, run_of
from storage.retention import Held, Plan, day_of
from storage.segments import read_segment
from storage.spans import Spans


class Doubt(StrEnum):
    """Why a file was not removed, although the rules let it go."""

    MISSING = "not in the archive"
    SIZE = "another size in the archive"
    CONTENT = "another content in the archive"
    UNTOLD = "the archive tells no checksum"
    SAME = "the archive is this very file"
    GONE = "it changed meanwhile"
    UNREADABLE = "it cannot be read here"


@dataclass
class Removal:
    """What one removal came to."""

    removed: list[Held] = field(default_factory=list)
    unproven: list[Held] = field(default_factory=list)  # of the removed: no archive holds them
    stays: list[tuple[Held, Doubt]] = field(default_factory=list)
    excess_bytes: int = 0  # still above the cap

    @property
    def freed_bytes(self) -> int:
        """How much room it made."""
        return sum(file.size_bytes for file in self.removed)

    def __iadd__(self, other: "Removal") -> "Removal":
        self.removed += other.removed
        self.unproven += other.unproven
        self.stays += other.stays
        return self


class Remover:
    """Removes files of one lake. Held together with the lock of maintenance, see `scripts.retain`."""

    def __init__(
        self, lake: Lake, store: ObjectStore | None, record: RemovalRecord | None, *, now_us: int, disk: Disk
    ) -> None:
        """`store` None: there is no archive. `record` None: nothing is removed, files are only proven."""
        self._lake, self._store, self._record, self._now_us, self._disk = lake, store, record, now_us, disk

    def remove(self, group: list[Held], *, even_unproven: bool = False) -> Removal:
        """Remove those files of a group, of one day, that the archive proves to hold.

        Raises: StorageFailed: the archive did not answer; what was removed before is recorded.
        """
        done = Removal()
        proven: list[tuple[Held, Removed, tuple[int, ...]]] = []
        for file in group:
            try:
                seen = _state(file.path)
                proof = self._proof(file)
                if isinstance(proof, Checksum):
                    proven.append((file, self._told(file, proof), seen))
                elif even_unproven:
                    proven.append((file, self._told(file, None), seen))
                    done.unproven.append(file)
                else:
                    done.stays.append((file, proof))
            except FileNotFoundError:  # compacted, or replaced by the watcher
                done.stays.append((file, Doubt.GONE))
            except (OSError, pl.exceptions.PolarsError, ValueError):
                done.stays.append((file, Doubt.UNREADABLE))
        if self._record and proven:
            self._record.add(day_of(group[0]).date(), [told for _, told, _ in proven])
        for file, _, seen in proven:
            if self._record and not self._is_gone(file.path, seen):
                done.stays.append((file, Doubt.GONE))
            else:
                done.removed.append(file)
        if self._record:
            for folder in sorted({file.path.parent for file in done.removed}):
                self._disk.sync_dir(folder)
        return done

    def carry_out(self, plan: Plan, *, even_unproven: bool = False) -> Removal:
        """Remove what the rules let go: all that is aged, then by size while there is too much. Raises: as `remove`."""
        done = Removal()
        for group in plan.aged:
            done += self.remove(group, even_unproven=even_unproven)
        for group in plan.by_size:
            if (plan.excess_bytes or 0) > done.freed_bytes:
                done += self.remove(group, even_unproven=even_unproven)
        done.excess_bytes = max(0, (plan.excess_bytes or 0) - done.freed_bytes)
        return done

    def _proof(self, file: Held) -> Checksum | Doubt:
        """The checksum under which the archive holds exactly what this file holds now, or what speaks against it."""
        if self._store is None:
            return Doubt.MISSING
        if isinstance(self._store, LocalStorage) and self._store.is_same(file.key, file.path):
            return Doubt.SAME
        try:
            found = self._store.head(file.key)
        except ObjectMissing:
            return Doubt.MISSING
        if found.size_bytes != file.path.stat().st_size:
            return Doubt.SIZE
        if found.checksum is None:
            return Doubt.UNTOLD
        return found.checksum if found.checksum.is_of(file.path) else Doubt.CONTENT

    def _told(self, file: Held, proof: Checksum | None) -> Removed:
        """What the record says of a file."""
        return Removed(
            key=file.key,
            bytes=file.size_bytes,
            archive=self._store.name if self._store and proof else "",
            removed_us=self._now_us,
            crc32=proof.crc32 if proof else None,
            part_bytes=proof.part_bytes if proof else None,
            rows=_rows(file) if file.tier == "bronze" else {},
        )

    def _is_gone(self, path: Path, seen: tuple[int, ...]) -> bool:
        """Remove a file that is as it was when it was proven."""
        try:
            if _state(path) != seen:
                return False
        except FileNotFoundError:
            return False
        self._disk.remove(path)
        return True


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _rows(file: Held) -> dict[str, Rows]:
    """What a bronze file holds of each collector run and hour."""
    source = Path(file.key).parts[2]
    has_ids = file.channel == "trades" and ids_prove_loss(Partition.parse(file.path).exchange, source)
    columns = ["epoch", "hour", "seq", *(["trade_seq"] if has_ids else [])]
    rows = read_segment(file.path, file.channel, columns)
    return {
        run_of(str(epoch), hour): Rows(_ranges(part["seq"]), _ranges(part["trade_seq"].drop_nulls()) if has_ids else [])
        for (epoch, hour), part in rows.group_by("epoch", "hour")
    }


def _ranges(values: pl.Series) -> Ranges:
    spans = Spans()
    spans.add_all(values.to_numpy())
    return list(spans)
