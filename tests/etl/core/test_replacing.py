"""Readers with no code of ours see the old rows or the new ones, whatever is replaced and whenever it is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from shared.partitioning import Lake
from tests.etl.core.marked_set import marked_chain, mixture, rows_of, step
from tests.etl.core.plain_reader import ENGINES
from tests.stepped_disk import DyingDisk, Killed

ROOT = Path(__file__).parents[3]
KILLS = 6


def test_readers_beside_a_writer_that_replaces_and_is_killed_never_see_a_mixture(tmp_path: Path) -> None:
    lake, rng, stop = Lake.under(tmp_path), random.Random(3), tmp_path / "stop"
    chain = marked_chain(lake)
    for _ in range(20):
        step(chain, rng)
    python = [sys.executable, "-m"]
    readers = [
        subprocess.Popen(
            [*python, "tests.etl.core.plain_reader", engine, str(lake.bars("marked")), str(stop)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
        )
        for engine in sorted(ENGINES)
    ]
    for _ in range(KILLS):
        with subprocess.Popen(
            [*python, "tests.etl.core.marked_set", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout
            for _ in range(rng.randint(3, 12)):
                assert writer.stdout.readline()
            time.sleep(rng.uniform(0, 0.3))
            writer.send_signal(signal.SIGKILL)
    stop.touch()
    for reader in readers:
        saw = json.loads(reader.communicate()[0])
        assert saw["wrong"] == ""
        assert saw["read"] > 0


def seen(lake: Lake) -> pl.DataFrame:
    """What a reader sees who has no code of ours, whole or not."""
    rows = pl.read_parquet(f"{lake.bars('marked')}/**/*.parquet").sort("bar_seq")
    assert mixture(rows) == ""
    return rows


@pytest.mark.parametrize("first", [0, 30, 61, 90], ids=["all", "over the month", "few days", "one day"])
def test_a_kill_at_every_step_of_a_replacement_leaves_the_old_rows_or_the_new(tmp_path: Path, first: int) -> None:
    """Rows 0..92 lie in two months. Staged by three steps, seen by one."""
    for steps in count():
        lake = Lake.under(tmp_path / str(steps))
        chain = marked_chain(lake)
        for rows in filter(None, (first, 93 - first)):
            chain.add(rows_of(chain, rows), position={})
            chain.commit(b"none")
        old = seen(lake)
        chain = marked_chain(lake, disk=DyingDisk(steps))
        chain.go_back(next(chain.earlier(lambda checkpoint: checkpoint.rows_out == first)))
        lived, number = False, chain.current.number
        new = pl.concat([old.head(first), rows_of(chain, 120 - first)], how="diagonal")
        try:
            for rows in (10, 10, 100 - first):
                chain.add(rows_of(chain, rows), position={})
            chain.commit(b"none")
            lived = True
        except Killed:
            pass
        columns = ["bar_seq", "generation", "cut"]
        killed = seen(lake).select(columns)
        assert killed.equals(old.select(columns)) or killed.equals(new.select(columns))
        after = marked_chain(lake).current
        expected = new if after.number > number else old
        assert after.rows_out == expected.height
        assert seen(lake).select(columns).equals(expected.select(columns))
        if lived:
            break
    assert steps > 10


def test_what_kills_leave_of_checkpoints_half_written_goes_with_the_next_commit(tmp_path: Path) -> None:
    lake, litter = Lake.under(tmp_path), 0
    for steps in range(12):
        chain = marked_chain(lake, disk=DyingDisk(steps))
        with suppress(Killed):
            chain.add(rows_of(chain, 3), position={})
            chain.commit(b"none")
        left = list(lake.state.rglob("*.tmp"))
        litter += len(left)
        chain = marked_chain(lake)
        chain.add(rows_of(chain, 30), position={})  # of another day, and so under another name
        chain.commit(b"none")
        assert list(lake.state.rglob("*.tmp")) == []
    assert litter
