"""Power cuts, by two models of what a disk keeps.

Strict: a file's contents as of its last sync, a folder's entries as of the folder's last sync, and nothing else.
Journalled, as ext4 orders it: the names as they stood at some moment since the last sync of anything (a rename is in
both of its folders or in none), and of each file, by chance, what was synced or what was written.
"""

import os
import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from shared.disk import AppendFile
from shared.partitioning import Lake
from storage.published import log_paths, read_log
from tests.crash_figures import Record
from tests.ingestion.writers.lake_rows import StepClock, ready_files, ready_rows, writer
from tests.ingestion.writers.lives import live
from tests.stepped_disk import DyingDisk, Killed


class ForgetfulDisk(DyingDisk):
    """A real folder, and beside it the memory of what was synced. Dies before its n-th step."""

    def __init__(self, root: Path, steps: int, *, mutant: str = "") -> None:
        super().__init__(steps)
        self.root, self.mutant = root, mutant
        self.contents: dict[int, bytes] = {}  # by inode
        self.names: dict[Path, dict[str, int]] = {}
        self.moments: list[dict[Path, dict[str, int]]] = []  # all names, at each step since the last sync of anything
        self.kept = root.with_name(f"{root.name} kept")  # a link to each file ever seen: no inode is used twice
        self.kept.mkdir()
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):  # what a machine found is synced
            self.names[folder] = self._entries(folder)
            for path in folder.iterdir():
                if path.is_file():
                    self.contents[self._inode(path)] = path.read_bytes()

    def _inode(self, path: Path) -> int:
        ino = path.stat().st_ino
        if path.is_file() and not (self.kept / str(ino)).exists():
            os.link(path, self.kept / str(ino))
        return ino

    def make_dirs(self, path: Path) -> None:
        folder = path
        while not folder.exists():
            self.names[folder] = {}
            folder = folder.parent
        super().make_dirs(path)

    def before(self, kind: str, path: Path) -> None:
        self.moments.append(self._now())
        super().before(kind, path)

    def _now(self) -> dict[Path, dict[str, int]]:
        folders = [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]
        return {folder: self._entries(folder) for folder in folders}

    def _entries(self, folder: Path) -> dict[str, int]:
        return {entry.name: self._inode(entry) for entry in folder.iterdir()}

    def open_new(self, path: Path, *, reserve: bool = False) -> AppendFile:
        return self._remembered(super().open_new(path))

    def open_again(self, path: Path, *, after_bytes: int) -> AppendFile:
        return self._remembered(super().open_again(path, after_bytes=after_bytes))

    def _remembered(self, file: AppendFile) -> AppendFile:
        path, say = file.path, file.sync

        def sync() -> None:
            say()
            if self.mutant != "no fdatasync of the journal":
                self.contents[self._inode(path)] = path.read_bytes()
                self.moments.clear()

        file.sync = sync  # type: ignore[method-assign]
        return file

    def sync_file(self, path: Path) -> None:
        super().sync_file(path)
        if self.mutant != "no fsync of ready files":
            self.contents[self._inode(path)] = path.read_bytes()
            self.moments.clear()

    def sync_dir(self, path: Path) -> None:
        super().sync_dir(path)
        if self.mutant == "no fsync of folders":
            return
        self.names[path] = self._entries(path)
        self.moments.clear()

    def after_the_cut(self, to: Path, rng: random.Random | None) -> None:
        """Build the tree that a machine would find: by the strict model, or with `rng` by the journalled one."""
        names = rng.choice([*self.moments, self._now()]) if rng else self.names

        def build(folder: Path, copy: Path) -> None:
            copy.mkdir()
            for name, ino in names[folder].items():
                if folder / name in names:
                    build(folder / name, copy / name)
                    continue
                written = (self.kept / str(ino)).read_bytes()
                (copy / name).write_bytes(written if rng and rng.random() < 0.5 else self.contents.get(ino, b""))

        build(self.root, to)


def cut_everywhere(folder: Path, *, seed: int | None, mutant: str = "") -> list[str]:
    """Cut the power before every step of a life, restart, and say what is wrong."""
    wrong = []
    for steps in count():
        root, found = folder / str(steps) / "before", folder / str(steps) / "after"
        root.mkdir(parents=True)
        clock = StepClock()
        disk = ForgetfulDisk(root, steps, mutant=mutant)
        acknowledged = set[int]()
        lived = live(Lake.under(root), clock, disk, acknowledged, ends=Killed)
        disk.after_the_cut(found, random.Random(seed * 1000 + steps) if seed is not None else None)
        lake = Lake.under(found)
        clock.now_ns += 10**9
        try:
            writer(lake, clock, run=1).close()
            wrong += [f"step {steps}: {finding}" for finding in findings(lake, acknowledged)]
        except Exception as error:
            wrong.append(f"step {steps}: {error!r}")
        if lived:
            break
    assert steps > 40
    return wrong


def findings(lake: Lake, acknowledged: set[int]) -> Iterator[str]:
    """What a recovered lake has wrong."""
    stored = ready_rows(lake)["trade_seq"].to_list() if ready_files(lake) else []
    logged = {entry.path for path in log_paths(lake) for entry in read_log(path)[0]}
    present = {path.relative_to(lake.ready).as_posix() for path in ready_files(lake)}
    if acknowledged - set(stored):
        yield f"lost {sorted(acknowledged - set(stored))}"
    if len(stored) != len(set(stored)):
        yield "doubled"
    if present - logged:
        yield f"in ready and in no log: {sorted(present - logged)}"


@pytest.mark.parametrize("seed", [None, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 9))])
def test_a_power_cut_at_every_step_loses_no_acknowledged_row(
    tmp_path: Path, seed: int | None, crash_figures: Record
) -> None:
    assert cut_everywhere(tmp_path, seed=seed) == []
    crash_figures({"power cuts survived": sum(1 for _ in tmp_path.iterdir()) - 1})


def cut_twice(folder: Path, first: int, second: int, seed: int | None) -> tuple[list[str], bool]:
    """Cut the power in a life, and again in the recovery; what is wrong then, and whether the recovery lived."""
    folder.mkdir(parents=True)
    (folder / "before").mkdir()
    clock = StepClock()
    disk = ForgetfulDisk(folder / "before", first)
    acknowledged = set[int]()
    live(Lake.under(disk.root), clock, disk, acknowledged, ends=Killed)
    disk.after_the_cut(folder / "between", random.Random(seed) if seed is not None else None)
    clock.now_ns += 10**9
    again, w, lived = ForgetfulDisk(folder / "between", second), None, True
    try:
        w = writer(Lake.under(folder / "between"), clock, run=1, disk=again)
        w.close()
    except Killed:
        lived = False
        if w:
            w._lock.release()
    again.after_the_cut(folder / "after", random.Random(seed) if seed is not None else None)
    clock.now_ns += 10**9
    lake = Lake.under(folder / "after")
    writer(lake, clock, run=2).close()
    return [f"cuts at {first}, {second}: {finding}" for finding in findings(lake, acknowledged)], lived


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize(
    "first", [40, 71, *(pytest.param(first, marks=pytest.mark.slow) for first in range(5, 110, 5))]
)
def test_a_second_power_cut_at_every_step_of_the_recovery_loses_nothing_either(
    tmp_path: Path, first: int, seed: int | None, crash_figures: Record
) -> None:
    for second in count():
        wrong, lived = cut_twice(tmp_path / str(second), first, second, seed)
        assert wrong == []
        if lived:
            break
    assert second > 5
    crash_figures({"power cuts survived": 2 * second})


@pytest.mark.parametrize("mutant", ["no fdatasync of the journal", "no fsync of ready files", "no fsync of folders"])
def test_the_model_notices_when_a_sync_is_left_out(tmp_path: Path, mutant: str) -> None:
    assert cut_everywhere(tmp_path, seed=None, mutant=mutant)
