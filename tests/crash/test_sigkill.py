"""SIGKILL for real: a collector under load is killed at random moments, a third of them while it seals or recovers.

`DAEDALUS_KILLS` is how often (20; `make crash` says 1000), `DAEDALUS_CRASH_SEED` which lives, `DAEDALUS_CRASH_JOBS` how
many lakes at a time.
"""

import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingestion.simulator import read_truth
from shared.partitioning import Lake
from tests.crash.lives import PHASES, live_and_die
from tests.crash.verdict import MUST_BE_ZERO, figures, frames_per_s
from tests.crash_figures import Record

KILLS = int(os.environ.get("DAEDALUS_KILLS", "20"))
SEED = int(os.environ.get("DAEDALUS_CRASH_SEED", "1"))
JOBS = int(os.environ.get("DAEDALUS_CRASH_JOBS", "1"))
KILLS_OF_A_LAKE = 50


def kill_many(folder: Path, kills: int, seed: int) -> Counter[str]:
    """One lake, its collectors killed so many times; what was found. The lake is kept where something is wrong."""
    folder.mkdir()
    lives = live_and_die(folder, kills, seed)
    lake = Lake.under(folder)
    found = figures(lake, lives, read_truth(folder / "truth.ndjson"))
    found["least messages a second while collecting"] = frames_per_s(lake)
    print(f"seed {seed}: {dict(found)}")
    if not any(found[name] for name in MUST_BE_ZERO):
        shutil.rmtree(folder)
    return found


@pytest.mark.timeout(6 * 3600)
def test_kills_lose_nothing_acknowledged_and_every_gap_is_true(tmp_path: Path, crash_figures: Record) -> None:
    sizes = [min(KILLS_OF_A_LAKE, KILLS - done) for done in range(0, KILLS, KILLS_OF_A_LAKE)]
    with ThreadPoolExecutor(JOBS) as pool:
        tasks = [
            pool.submit(kill_many, tmp_path / str(SEED + number), size, SEED + number)
            for number, size in enumerate(sizes)
        ]
        for task in tasks:
            crash_figures(task.result())
    found = crash_figures.total
    assert {name: found[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0), f"seeds from {SEED}"
    assert found["gaps found"] == found["gaps injected"] > 0
    assert sum(found[f"kills survived, of them in {phase}"] for phase in PHASES) >= KILLS // 5
    assert found["rows acknowledged"] > 0
