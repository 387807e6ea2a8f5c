"""The judge of the kill runs notices what it is there for: each damage done to a sound lake shows in its own figure."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ingestion.simulator import Truth, read_truth
from shared.partitioning import Lake
from tests.crash.lives import Lives, live_and_die
from tests.crash.verdict import MUST_BE_ZERO, figures


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lives]:
    folder = tmp_path_factory.mktemp("sound")
    return folder, live_and_die(folder, kills=3, seed=9)


def files(lake: Lake, table: str) -> list[Path]:
    return sorted(lake.ready.glob(f"native/{table}/**/*.parquet"), key=lambda path: path.stat().st_size)


def nothing(_: Lake, __: Truth) -> None:
    return


def a_file_goes(lake: Lake, _: Truth) -> None:
    files(lake, "trades")[-1].unlink()


def gaps_go(lake: Lake, _: Truth) -> None:
    for path in files(lake, "gaps"):
        path.unlink()


def a_file_comes_twice(lake: Lake, _: Truth) -> None:
    path = files(lake, "l2")[-1]
    shutil.copy(path, path.with_name(f"again_{path.name}"))


def a_price_was_another(_: Lake, truth: Truth) -> None:
    for trades in truth._trades.values():
        trades[:] = [msgspec.structs.replace(trade, price="1") for trade in trades]


def nothing_was_dropped(_: Lake, truth: Truth) -> None:
    truth.altered.clear()


def something_is_left(lake: Lake, _: Truth) -> None:
    (lake.active / "left.journal").touch()


@pytest.mark.parametrize(
    ("damage", "shows"),
    [
        (nothing, ()),
        (a_file_goes, ("rows lost",)),
        (gaps_go, ("rows lost", "losses undeclared")),
        (a_file_comes_twice, ("rows twice",)),
        (a_price_was_another, ("values other than the exchange's",)),
        (nothing_was_dropped, ("false gaps",)),
        (something_is_left, ("left over in active or staging",)),
    ],
)
def test_each_damage_shows(
    tmp_path: Path, sound: tuple[Path, Lives], damage: Callable[[Lake, Truth], None], shows: tuple[str, ...]
) -> None:
    folder, lives = sound
    shutil.copytree(folder, tmp_path / "lake")
    lake, truth = Lake.under(tmp_path / "lake"), read_truth(folder / "truth.ndjson")
    damage(lake, truth)
    found: Counter[str] = figures(lake, lives, truth)
    wrong = {name for name in MUST_BE_ZERO if found[name]}
    assert set(shows) <= wrong
    assert bool(shows) == bool(wrong)
