"""The bars of a lake are found by set and stream, and read in the order in which they were cut."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from scripts.bars.choice import chosen_streams
from shared.errors import InputUnreadable
from shared.partitioning import Lake, Partition
from storage.bar_sets import bar_streams

FIRST = datetime(2026, 9, 29, tzinfo=UTC)


def a_lake(root: Path, *names: tuple[str, str, str], days: int = 1) -> Lake:
    """A lake with one bar a day in each of these sets and streams."""
    lake = Lake.under(root)
    for bar_set, exchange, symbol in names:
        for number in range(days):
            moment = FIRST + timedelta(days=number)
            day = Partition(exchange, symbol, moment.year, moment.month)
            path = lake.bars(bar_set) / day.path() / f"bars_{moment:%Y%m%d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pl.DataFrame({"bar_seq": [number], "time_start": [moment]}).write_parquet(path)
    return lake


def test_bars_come_in_order_over_months_whose_folders_do_not_sort(tmp_path: Path) -> None:
    (stream,) = bar_streams(a_lake(tmp_path, ("tick-50-aaaaaa", "kraken", "BTC-USD"), days=120))
    assert stream.scan().collect()["bar_seq"].to_list() == list(range(120))
    inside = stream.scan(FIRST + timedelta(days=5), FIRST + timedelta(days=8)).collect()
    assert inside["bar_seq"].to_list() == [5, 6, 7]


def test_sets_and_streams_are_chosen_by_name_and_by_beginning(tmp_path: Path) -> None:
    lake = a_lake(
        tmp_path,
        ("dollar-10000-5994e4", "kraken", "BTC-USD"),
        ("dollar-10000-5994e4", "coinbaseadvanced", "BTC-USD"),
        ("dollar-100000-1234ab", "kraken", "BTC-USD"),
        ("tick-50-768eeb", "kraken", "ETH-USD"),
    )

    def chosen(*bar_sets: str, exchanges: tuple[str, ...] = (), symbols: tuple[str, ...] = ()) -> list[str]:
        found = chosen_streams(lake, bar_sets, exchanges=exchanges, symbols=symbols)
        return [f"{each.bar_set.split('-')[1]} {each.exchange[0]} {each.symbol[:3]}" for each in found]

    assert chosen() == ["10000 c BTC", "10000 k BTC", "100000 k BTC", "50 k ETH"]
    assert chosen("dollar-10000") == ["10000 c BTC", "10000 k BTC"]
    assert chosen("tick", "dollar-10000-5994e4", exchanges=("kraken",)) == ["50 k ETH", "10000 k BTC"]
    assert chosen(exchanges=("coinbase",), symbols=("BTC/USD",)) == ["10000 c BTC"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"bar_sets": ["dolar-10000"]}, "no bar set 'dolar-10000' in this lake; nearest: dollar-10000-5994e4"),
        ({"bar_sets": ["zzz"]}, "no bar set 'zzz' in this lake; there are dollar-10000-5994e4, tick-50-768eeb"),
        ({"symbols": ["SOL-USD"]}, "no symbol 'SOL-USD' in this lake; there are BTC-USD, ETH-USD"),
        ({"symbols": ["BTC USD"]}, "'BTC USD' cannot name a partition"),
        ({"exchanges": ["coinbase"], "symbols": ["ETH-USD"]}, "no bars of ETH-USD on coinbaseadvanced"),
    ],
)
def test_a_name_that_is_not_there_is_refused(tmp_path: Path, asked: dict[str, list[str]], words: str) -> None:
    lake = a_lake(
        tmp_path, ("dollar-10000-5994e4", "coinbaseadvanced", "BTC-USD"), ("tick-50-768eeb", "kraken", "ETH-USD")
    )
    with pytest.raises(InputUnreadable) as refusal:
        chosen_streams(lake, **asked)
    assert words in refusal.value.line()


def test_a_lake_without_bars_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="no bars yet"):
        chosen_streams(Lake.under(tmp_path))
