"""The watcher dies again and again over a day of two markets, with every bar set on; it leaves what a batch run does.

`DAEDALUS_KILLS` is how often collectors are killed; the watcher is killed a twentieth as often, at least 6 times, and
then over a day of few trades. `DAEDALUS_CRASH_SEED` says which day and which moments.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from config.config import load_config
from etl.core.executor import TransformExecutor
from etl.features.options import FeatureOptions
from scripts.watch import etl_options
from shared.disk import Disk
from shared.partitioning import Lake
from tests.crash.market_day import BARS, CANDLES, Day, write_settings
from tests.crash_figures import Record
from tests.stepped_disk import DyingDisk, Killed

ROOT = Path(__file__).parents[2]
KILLS = max(6, int(os.environ.get("DAEDALUS_KILLS", "0")) // 20)
SEED = int(os.environ.get("DAEDALUS_CRASH_SEED", "1"))
IS_SHORT = KILLS == 6
TRADES = 1500 if IS_SHORT else 30_000  # of each market
FEW = BARS[::4]
SILVER = ("trades", "trade_features", "ticker", "orderbook")
RUNS = 8 if IS_SHORT else 48  # of each market's collector


def refine(root: Path, lake: Lake, *, disk: Disk | None = None, end_of_data: bool = False) -> None:
    """One look of the watcher in this process, by the settings of `root`."""
    options = replace(etl_options(load_config(root / "config.yaml")), lake=lake, disk=disk or Disk(durable=False))
    executor = TransformExecutor(options)
    try:
        executor.run(end_of_data=end_of_data)
    finally:
        executor.close()


def files(lake: Lake) -> dict[str, pl.DataFrame]:
    """What silver and gold hold, by path without the number that tells how often rows were replaced."""
    found: dict[str, pl.DataFrame] = {}
    for path in sorted(path for path in lake.processed.rglob("*") if path.is_file()):
        whole = path.relative_to(lake.processed).as_posix()
        name = re.sub(r"/r\d+(?=/)", "", whole)
        assert name not in found, f"{whole}: its hour or day has two files"
        if not whole.startswith("staging/"):
            found[name] = pl.read_parquet(path, hive_partitioning=False)
    return dict(sorted(found.items()))


def batch(root: Path, day: Day, bars: Sequence[str] = BARS) -> dict[str, pl.DataFrame]:
    """What one uninterrupted run over the bronze of `root` leaves: each trade once, and every bar set."""
    lake = Lake(Lake.under(root).raw, root / "batch", root / "batch_state")
    refine(root, lake, end_of_data=True)
    found = files(lake)
    for exchange, ids in day.delivered.items():
        silver = pl.concat(
            rows for path, rows in found.items() if path.startswith(f"silver/trades/exchange={exchange}/")
        )
        assert silver.sort("ordinal")["ordinal"].to_list() == list(range(len(ids)))
        assert set(silver["trade_id"]) == ids
    gold = {path.split("/")[2] for path in found if path.startswith("gold/")}
    book_bars = {name for name in gold if name.startswith("bar_duration_sec")}
    assert len(gold - book_bars) == len(bars) + len(CANDLES)
    if day.has_books:
        assert len(book_bars) == len(FeatureOptions().bar_durations)
        tables = {tuple(path.split("/")[1:3]) for path in found if path.startswith("silver/")}
        assert tables == {(name, f"exchange={each}") for name in SILVER for each in day.delivered}
    return found


def assert_equal(got: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> dict[str, int]:
    """The same files, and in each the same rows, every column of them; how many were compared."""
    assert list(got) == list(expected)
    compared: Counter[str] = Counter()
    for path, rows in expected.items():
        assert rows.schema == got[path].schema, path
        differing = [name for name in rows.columns if not rows[name].equals(got[path][name], null_equal=True)]
        assert not differing, f"{path}: {differing}"
        compared[f"watcher: {path.partition('/')[0]} rows compared"] += rows.height
    return compared


class Watcher:
    """A real `daedalus watch`."""

    def __init__(self, root: Path) -> None:
        self._lake = Lake.under(root)
        self._before = self._checkpoints()
        command = [sys.executable, "-m", "scripts.cli", "watch", "-c", str(root / "config.yaml")]
        self._process = subprocess.Popen(command, cwd=ROOT)

    def has_committed(self) -> bool:
        """Whether this life has."""
        return not self._checkpoints() <= self._before

    def is_in_a_commit(self) -> bool:
        """Whether files wait for their commit."""
        return any((self._lake.processed / "staging").glob("*/*/*/*.parquet"))

    def wait(self, happened: Callable[[], bool], *, at_most_s: float) -> bool:
        """Wait for something that it does; False where it did not."""
        until = time.monotonic() + at_most_s
        while not happened():
            assert self._process.poll() is None
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def kill(self) -> str:
        """End it; says whether a commit was half done."""
        assert self._process.poll() is None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return "with a commit half done" if self.is_in_a_commit() else "between commits"

    def _checkpoints(self) -> set[Path]:
        return set((self._lake.state / "etl").glob("*/*/*/*.checkpoint"))


@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize(("bars", "books"), [(BARS, 0), (FEW[:1], TRADES)], ids=["every kind of bar", "features"])
def test_a_watcher_killed_at_random_over_a_day_leaves_what_one_batch_run_leaves(
    tmp_path: Path, crash_figures: Record, bars: Sequence[str], books: int
) -> None:
    """Each life finds more of the day. One dies at any moment, one behind its first commit, one in a commit."""
    rng, lake = random.Random(SEED), Lake.under(tmp_path)
    day = Day(lake, seed=SEED, trades=TRADES // (3 if books else 1), runs=RUNS, books=books)
    write_settings(tmp_path, bars=bars)
    recording, recorded = day.record(), 0
    for life in range(1, KILLS + 1):
        recorded = record_until(recording, len(day.runs) * (2 * life - 1) // (2 * KILLS), recorded)
        watcher = Watcher(tmp_path)
        if life % 3:
            assert watcher.wait(watcher.has_committed, at_most_s=120), "the watcher does nothing"
        recorded = record_until(recording, len(day.runs) * life // KILLS, recorded)
        if life % 3 == 2:
            watcher.wait(watcher.is_in_a_commit, at_most_s=2)
        else:
            time.sleep(rng.uniform(0, 1.0 if life % 3 else 3.0))
        crash_figures({"watcher: kills": 1, f"watcher: kills, of them {watcher.kill()}": 1})
    assert recorded == len(day.runs)
    refine(tmp_path, lake, end_of_data=True)
    crash_figures(assert_equal(files(lake), batch(tmp_path, day, bars)))


def record_until(recording: Iterator[int], wanted: int, recorded: int) -> int:
    while recorded < wanted:
        recorded = next(recording)
    return recorded


@pytest.mark.parametrize(("bars", "books"), [(BARS, 0), (FEW[:1], TRADES // 2)], ids=["every kind of bar", "features"])
def test_a_day_of_deaths_before_random_steps_of_the_disk(
    tmp_path: Path, crash_figures: Record, bars: Sequence[str], books: int
) -> None:
    """A look takes some hundred steps and may die before any of them; one that lives is given the next hours."""
    rng, lake = random.Random(SEED), Lake.under(tmp_path)
    day = Day(lake, seed=SEED + 10, trades=TRADES // 2, runs=RUNS // 2, books=books)
    write_settings(tmp_path, bars=bars)
    deaths: Counter[str] = Counter()
    for recorded in day.record():
        while died_at := dies(tmp_path, rng.randrange(200), end_of_data=recorded == len(day.runs)):
            deaths[died_at] += 1
    assert len(deaths) > 2
    crash_figures({"watcher: deaths before a random step of the disk": deaths.total()})
    crash_figures(assert_equal(files(lake), batch(tmp_path, day, bars)))


class NamingDisk(DyingDisk):
    """A disk that knows before which kind of step it died."""

    died_at = ""

    def before(self, kind: str, path: Path) -> None:
        self.died_at = kind
        super().before(kind, path)


def dies(root: Path, steps: int, *, end_of_data: bool = False) -> str:
    """The kind of step before which a look dies; empty where it is done within so many."""
    disk = NamingDisk(steps)
    try:
        refine(root, Lake.under(root), disk=disk, end_of_data=end_of_data)
    except Killed:
        return disk.died_at
    return ""


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_a_death_before_each_step_of_the_disk_in_turn(tmp_path: Path, crash_figures: Record) -> None:
    """In a look that goes back for late trades; with a bar set of each family, for there are hundreds of steps."""
    source = tmp_path / "source"
    day = Day(Lake.under(source), seed=SEED + 20, trades=240, runs=6)
    write_settings(source, bars=FEW)
    recording = day.record()
    recorded = record_until(recording, len(day.runs) // 2, 0)
    refine(source, Lake.under(source))
    record_until(recording, len(day.runs), recorded)
    expected = batch(source, day, bars=FEW)
    for steps in count():
        root = tmp_path / str(steps)
        shutil.copytree(source, root, ignore=shutil.ignore_patterns("batch*"))
        write_settings(root, bars=FEW)
        has_died = bool(dies(root, steps))
        refine(root, Lake.under(root), end_of_data=True)
        crash_figures(assert_equal(files(Lake.under(root)), expected))
        shutil.rmtree(root)
        if not has_died:
            break
    crash_figures({"watcher: deaths before each step in turn": steps})
    assert steps > 10 * len(FEW)
