"""Real kills of a compacting process, and readers that look all the while: never a hole, never a row twice."""

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl

from scripts.check import examine
from shared.partitioning import Lake
from storage.inspection import Scope
from storage.lake import plan, scan
from tests.storage.many_files import files, many_files, view

KILLS = 4


def test_readers_beside_a_compaction_that_is_killed_see_every_row_once(tmp_path: Path) -> None:
    original = many_files(tmp_path / "original")
    lake, rng = Lake.under(tmp_path / "lake"), random.Random(5)
    shutil.copytree(original.raw, lake.raw)
    ends, seen, wrong = threading.Event(), [0, 0], list[str]()
    readers = [
        threading.Thread(target=_look, args=(look, original, lake, ends, seen, wrong))
        for look in (_with_polars, _with_duckdb)
    ]
    for reader in readers:
        reader.start()
    try:
        for _ in range(KILLS):
            with _compacting(lake) as process:
                time.sleep(rng.uniform(0, 0.8))
                process.kill()
        with _compacting(lake) as process:
            assert process.wait(timeout=120) == 0
    finally:
        ends.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert min(seen) > 10
    assert view(original).same(view(lake))
    assert examine(lake, Scope(), deep=True)[1] == []
    assert all(name.startswith("daily/") for name in files(lake))


def _compacting(lake: Lake) -> "subprocess.Popen[str]":
    """The process, when it is about to begin."""
    command = [sys.executable, "-m", "tests.storage.compacting", str(lake.raw.parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    return process


def _look(
    look: Callable[[Lake], list[int]],
    original: Lake,
    lake: Lake,
    ends: threading.Event,
    seen: list[int],
    wrong: list[str],
) -> None:
    expected, at = look(original), int(look is _with_duckdb)
    while not ends.is_set() and not wrong:
        try:
            found = look(lake)
        except FileNotFoundError:  # what was planned has become part of a made file: plan again
            continue
        seen[at] += 1
        if found != expected:
            wrong.append(f"{look.__name__} saw {len(found)} rows in place of {len(expected)}")


def _with_polars(lake: Lake) -> list[int]:
    rows = scan(lake, "trades").select("trade_seq", "symbol").collect()
    return sorted(rows.filter(pl.col("symbol") == "BTC-USD")["trade_seq"].to_list())


def _with_duckdb(lake: Lake) -> list[int]:
    names = [str(path) for path in plan(lake, "trades")]
    query = "select trade_seq from read_parquet($1, hive_partitioning=false) where symbol = 'BTC-USD' order by 1"
    try:
        return [seq for (seq,) in duckdb.connect().execute(query, [names]).fetchall()]
    except duckdb.IOException as error:
        raise FileNotFoundError(str(error)) from error
