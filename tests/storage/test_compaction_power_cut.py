"""The power is cut before every step of a compaction; what the disk kept, by two models, has every row once."""

import random
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from shared.partitioning import Lake
from tests.ingestion.writers.test_power_cut import ForgetfulDisk
from tests.stepped_disk import Killed
from tests.storage.many_files import RULES, compacted, files, many_files, same, scanned

DURING = replace(RULES, now=datetime(2026, 5, 28, 23, 30, tzinfo=UTC), with_hours=True)


def one_stream(folder: Path) -> Lake:
    lake = many_files(folder, hours=2, files_an_hour=2, rows=2)
    for other in ("ticker", "gaps", "rejects", "trades/exchange=coinbaseadvanced/symbol=ETH-USD"):
        shutil.rmtree(lake.ready / "native" / other)
    return lake


def findings(original: Lake, folder: Path, seed: int | None, *, mutant: str = "") -> list[str]:
    """Cut before each step, compact what was found once more, and say what is wrong."""
    expected, wrong = scanned(original), []
    for steps in count():
        root, found = folder / str(steps) / "before", folder / str(steps) / "after"
        shutil.copytree(original.raw, root / "raw")
        disk, ended = ForgetfulDisk(root, steps, mutant=mutant), False
        try:
            compacted(Lake.under(root), DURING, disk=disk)
            compacted(Lake.under(root), disk=disk)
            ended = True
        except Killed:
            pass
        disk.after_the_cut(found, random.Random(seed * 1000 + steps) if seed is not None else None)
        lake = Lake.under(found)
        try:
            if not same(expected, scanned(lake)):
                wrong.append(f"step {steps}: rows lost or doubled")
            compacted(lake, DURING)
            compacted(lake)
            if not same(expected, scanned(lake)) or any(name.startswith("ready") for name in files(lake)):
                wrong.append(f"step {steps}: not mended")
        except Exception as error:
            wrong.append(f"step {steps}: {error!r}")
        shutil.rmtree(folder / str(steps))
        if ended:
            assert steps > 20
            return wrong
    raise AssertionError("unreachable")


@pytest.mark.parametrize("seed", [None, 1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_power_cut_at_every_step_loses_and_doubles_nothing(tmp_path: Path, seed: int | None) -> None:
    assert findings(one_stream(tmp_path / "original"), tmp_path, seed) == []


def test_a_compaction_that_did_not_wait_for_the_disk_would_be_found(tmp_path: Path) -> None:
    assert findings(one_stream(tmp_path / "original"), tmp_path, None, mutant="no fsync of ready files")
