"""Real kills of a compacting process, and readers that look all the while: never a hole, never a row twice."""

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from scripts.check import examine
from shared.partitioning import Lake
from storage.compaction_plan import Rules
from storage.inspection import Scope
from storage.lake import plan, scan
from tests.storage.many_files import RULES, compacted, files, many_files, view

KILLS = 4
HOURS = replace(RULES, now=datetime(2026, 5, 28, 23, 30, tzinfo=UTC), with_hours=True)


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


_meanwhile: list[Callable[[], None]] = []


@sys.addaudithook
def _between_two_listings(event: str, _: tuple[Any, ...]) -> None:
    if event == "os.scandir" and _meanwhile:
        _meanwhile[0]()


@pytest.mark.parametrize("rules", [RULES, HOURS], ids=["days", "hours"])
def test_a_compaction_between_any_two_listings_of_a_plan_makes_no_hole_and_no_double(
    tmp_path: Path, rules: Rules
) -> None:
    original = many_files(tmp_path / "original", hours=2, files_an_hour=2, rows=2)
    shutil.rmtree(original.ready / "native" / "ticker")
    expected = _with_polars(original)
    for at in count():
        lake, left = Lake.under(tmp_path / str(at)), iter(range(at))
        shutil.copytree(original.raw, lake.raw)

        def compact_in_time(lake: Lake = lake, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                _meanwhile.clear()
                compacted(lake, rules)

        _meanwhile.append(compact_in_time)
        try:
            found = _with_polars(lake)
        except FileNotFoundError:  # planned, and then compacted
            found = _with_polars(lake)
        assert found == expected, f"compacted before listing {at}"
        if _meanwhile:  # the plan was over before it
            _meanwhile.clear()
            break
    assert at > 10
