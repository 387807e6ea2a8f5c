"""A folder of bars that is written anew: the old ones or the new, whenever it stops."""

from pathlib import Path

import polars as pl
import pytest

from etl.core.bar_files import BarsOutput
from shared.disk import Disk

STREAM = ("kraken", "BTC-USD.P")


def bars(number: int) -> pl.DataFrame:
    return pl.DataFrame({"bar_seq": [number], "year": [2026], "month": [1]})


def written(target: Path, *made: pl.DataFrame, disk: Disk | None = None) -> None:
    with BarsOutput(target, {}, disk=disk) as output:
        output.begin(*STREAM)
        for part in made:
            output.add(part)
        output.publish(bars(0).clear())


def there(target: Path) -> list[int]:
    return [number for file in target.rglob("*.parquet") for number in pl.read_parquet(file)["bar_seq"]]


def test_bars_made_anew_take_the_place_of_the_old_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    target = tmp_path / "bars"
    for number in (1, 2):
        written(target, bars(number))
        assert there(target) == [number]
    written(target)
    assert there(target) == []
    assert list(tmp_path.iterdir()) == [target]


def test_where_folders_change_places_in_two_steps_a_stop_between_them_is_undone(tmp_path: Path) -> None:
    class Killed(Disk):
        def exchange(self, new: Path, current: Path) -> None:
            current.rename(new.with_name(new.name + ".old"))
            raise KeyboardInterrupt

    target = tmp_path / "bars"
    written(target, bars(1))
    killed = BarsOutput(target, {}, disk=Killed()).__enter__()  # whose end nobody sees to
    killed.begin(*STREAM)
    killed.add(bars(2))
    with pytest.raises(KeyboardInterrupt):
        killed.publish(bars(0).clear())
    assert there(target) == []
    with BarsOutput(target, {}):
        assert there(target) == [1]
    with pytest.raises(KeyboardInterrupt):
        written(target, bars(2), disk=Killed())
    assert there(target) == [1]
    assert list(tmp_path.iterdir()) == [target]
