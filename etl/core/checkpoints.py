"""Checkpoints: where a chain of outputs stands, and the point of no return of every publication.

A commit names staged files and their places. It is written durably before any of them is moved, so a crash between
the two is repaired by moving what is still staged: readers never see a row that the checkpoint does not count.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from shared.clock import utc_from_us
from shared.disk import Disk
from shared.log import get_log

_SUFFIX = ".checkpoint"
_UNREADABLE = ".unreadable"
log = get_log("checkpoints")


class Move(msgspec.Struct, frozen=True):
    """A staged file and the place it goes to: a new file, or one that has grown."""

    staged: str
    final: str


class Swap(msgspec.Struct, frozen=True):
    """The folder of a stream, replaced by a staged tree in one step; see `etl.core.replacing` for what is in it."""

    tree: str
    folder: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a chain."""

    number: int
    transform: str
    version: int
    options_hash: str
    rules: str = ""  # those of the transform
    position: dict[str, int]  # bronze chains: epoch -> last journal consumed; silver chains: {"ordinal": next}
    beside: dict[str, int] = {}  # of book features: {"ordinal": next trade of silver, "reached_us": last book used}
    rows_out: int  # outputs so far: the next row's `ordinal` or `bar_seq`
    generation: int = 0  # rises when rows already published were replaced
    revised: list[tuple[int, int]] = []  # (generation, first row replaced), newest last
    input_generation: int = 0
    event_us: int = 0  # largest event time consumed: the day a checkpoint is kept for
    first_us: int = 0  # event time of the first row ever published
    last_us: int = 0  # event time of the last row published
    finished: bool = False  # the data's end was declared and nothing has come since
    moves: list[Move] = []  # in the order of their rows' time
    swap: Swap | None = None
    state: bytes = b""


class CheckpointStore:
    """The checkpoints of one chain of one stream, in a folder of their own."""

    def __init__(self, folder: Path, root: Path, *, disk: Disk) -> None:
        self.folder, self._root, self._disk = folder, root, disk
        self._staging = root / "staging" / folder.relative_to(folder.parents[2])

    def staging(self) -> Path:
        """The folder for the files of the next commit, without what an attempt at it left there."""
        self._disk.make_dirs(self._staging)
        for path in self._staging.iterdir():
            self._remove(path)
        return self._staging

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that can be read, its files in place; None if there is none.

        An unreadable one is said aloud and set aside; `begun` still counts it.
        """
        for path in reversed(self._paths()):
            checkpoint = _read(path)
            if checkpoint:
                self._publish(checkpoint)
                return checkpoint
            log.error("checkpoint unreadable, its rows are made again", path=str(path))
            self._disk.rename(path, path.with_suffix(_UNREADABLE))
        return None

    def begun(self) -> int:
        """The number of the last commit ever made here, readable or not."""
        aside = self.folder.glob(f"*{_UNREADABLE}")
        return max((_number(path) for path in (*self._paths(), *aside)), default=0)

    def earlier_than(self, number: int) -> list[Checkpoint]:
        """The kept checkpoints before `number`, newest first."""
        found = [_read(path) for path in reversed(self._paths()) if _number(path) < number]
        return [checkpoint for checkpoint in found if checkpoint]

    def commit(self, checkpoint: Checkpoint, *, keep_days: int) -> None:
        """Make the checkpoint count, put its files in place, and drop checkpoints that serve no more."""
        self._disk.make_dirs(self.folder)
        body = msgspec.msgpack.encode(checkpoint)
        day = utc_from_us(checkpoint.event_us)
        path = self.folder / f"{checkpoint.number:012d}-{day:%Y%m%d}{_SUFFIX}"
        self._disk.write_whole(path, hashlib.sha256(body).digest() + body)
        self._publish(checkpoint)
        self._prune(keep_days)

    def _publish(self, checkpoint: Checkpoint) -> None:
        """Move what is still staged; may be repeated.

        Moves are made in the order of time, one folder durable before the next is touched: whatever a reader lists,
        and wherever a power cut falls, no file is there before all of the rows in front of it.
        """
        folder: Path | None = None
        for move in checkpoint.moves:
            staged, final = self._staging / move.staged, self._root / move.final
            if not staged.exists():
                continue
            if folder and folder != final.parent:
                self._disk.sync_dir(folder)
            self._disk.make_dirs(final.parent)
            self._disk.rename(staged, final)
            folder = final.parent
        if folder:
            self._disk.sync_dir(folder)
        if checkpoint.swap:
            self._exchange(checkpoint.swap, home=f"r{checkpoint.number}")

    def _exchange(self, swap: Swap, *, home: str) -> None:
        """Put a staged tree in a folder's place; the old tree is then in staging.

        Only the new tree holds the folder `home`. What is in the old one proves nothing: retention removes files of it.
        """
        tree, folder = self._staging / swap.tree, self._root / swap.folder
        if tree.exists() and not (folder / home).exists():
            self._disk.exchange(tree, folder)
            self._disk.sync_dir(folder.parent)
            self._disk.sync_dir(self._staging)

    def _remove(self, path: Path) -> None:
        """Remove a file, or a folder with all that is in it."""
        if not path.is_dir():
            self._disk.remove(path)
            return
        for inside in path.iterdir():
            self._remove(inside)
        self._disk.remove_dir(path)

    def _prune(self, keep_days: int) -> None:
        """Keep the newest two, and the newest of each of the last `keep_days` days of event time."""
        paths = self._paths()
        of_day = {path.stem.partition("-")[2]: path for path in paths}
        kept = {*paths[-2:], *(of_day[day] for day in sorted(of_day)[-keep_days:])}
        for path in paths:
            if path not in kept:
                self._disk.remove(path)
        for path in self.folder.glob("*.tmp"):  # a kill's
            self._disk.remove(path)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[0])


def _read(path: Path) -> Checkpoint | None:
    data = path.read_bytes()
    digest, body = data[:32], data[32:]
    if hashlib.sha256(body).digest() != digest:
        return None
    return msgspec.msgpack.decode(body, type=Checkpoint)


def options_hash(options: Any) -> str:
    """A short hash of options, equal for equal options."""
    return hashlib.sha256(msgspec.json.encode(options, order="deterministic")).hexdigest()[:16]
