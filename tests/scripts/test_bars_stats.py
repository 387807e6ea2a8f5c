"""`daedalus bars stats` as a person calls it."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from etl.bars.statistics import STATISTICS_SCHEMA, bar_statistics
from shared.partitioning import Lake
from storage.bar_sets import bar_streams
from tests.scripts.bars_lake import STREAMS, bars_lake
from tests.scripts.terminal import on_a_terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    return bars_lake(tmp_path_factory.mktemp("lake"))


def stats(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.cli", "bars", "stats", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def rows(config: str, *arguments: str) -> list[dict[str, object]]:
    done = stats("-c", config, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_every_set_of_every_stream_is_told(config: str) -> None:
    found = rows(config)
    assert len(found) == 9
    assert {(row["exchange"], row["symbol"]) for row in found} == set(STREAMS)
    assert {tuple(row) for row in found} == {tuple(STATISTICS_SCHEMA)}
    for stream in bar_streams(Lake.under(Path(config).parent)):
        (row,) = [
            row
            for row in found
            if (row["bar_set"], row["exchange"], row["symbol"]) == (stream.bar_set, stream.exchange, stream.symbol)
        ]
        (expected,) = bar_statistics(stream.scan().collect(), period="1m").to_dicts()
        assert {name: row[name] for name in row if name not in {"first", "last"}} == {
            name: value for name, value in expected.items() if name not in {"first", "last"}
        }
        assert row["first"] == f"{expected['first']:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_sets_and_streams_and_periods_can_be_chosen(config: str) -> None:
    found = rows(config, "--bar-set", "tick", "--bar-set", "dollar-20000", "--exchange", "coinbase", "--period", "10m")
    assert [str(row["bar_set"]).partition("-")[0] for row in found] == ["tick", "dollar"]
    assert {row["period"] for row in found} == {"10m"}
    (whole,), (part,) = (
        rows(config, "--bar-set", "time", "--symbol", "ETH/USD", *more)
        for more in ((), ("--since", "2026-06-09T04:02", "--until", "2026-06-09T04:12"))
    )
    assert (part["n_bars"], part["first"], part["last"]) == (
        10,
        "2026-06-09T04:02:00.000000Z",
        "2026-06-09T04:12:00.000000Z",
    )
    assert whole["n_bars"] > 40  # type: ignore[operator]


@pytest.mark.parametrize("columns", [80, 160])
def test_the_table_is_no_wider_than_the_terminal(config: str, columns: int) -> None:
    shown = on_a_terminal("bars", "stats", "-c", config, "--symbol", "BTC-USD", columns=columns)
    assert max(map(len, shown.splitlines())) <= columns
    assert shown.count("Jarque-Bera ") == 3  # two streams, and the line below
    for words in ("kraken BTC-USD  2026-06-09 04:00:0", "dollar", "20000", "60s", "trades per bar", "whole minutes"):
        assert words in shown


def test_sets_that_do_not_fit_side_by_side_stand_below_each_other(config: str) -> None:
    shown = on_a_terminal("bars", "stats", "-c", config, "--symbol", "ETH-USD", columns=50)
    assert max(map(len, shown.splitlines())) <= 50
    assert shown.count("trades per bar") == 2


def test_numbers_of_the_table_are_those_of_the_json(config: str) -> None:
    done = stats("-c", config, "--symbol", "ETH-USD")
    cells = {line[:24].strip(): line[24:].split() for line in done.stdout.splitlines()}
    for title, name, factor in (
        ("bars", "n_bars", 1),
        ("std, bp", "return_std", 1e4),
        ("Jarque-Bera", "jarque_bera", 1),
    ):
        expected = [float(row[name]) * factor for row in rows(config, "--symbol", "ETH-USD")]  # type: ignore[arg-type]
        shown = [float(text.replace(",", "").rstrip("*")) for text in cells[title]]
        assert shown == pytest.approx(expected, rel=1e-3)
    assert sum(text.endswith("*") for text in cells["Jarque-Bera"]) == 1


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_a_file_of_bars_says_the_same(config: str, tmp_path: Path, suffix: str) -> None:
    stream = bar_streams(Lake.under(Path(config).parent))[0]
    bars, path = stream.scan().collect(), tmp_path / f"bars.{suffix}"
    if suffix == "parquet":
        bars.write_parquet(path)
    elif suffix == "csv":
        bars.write_csv(path)
    else:
        bars.write_ipc(path)
    (of_file,) = json.loads(stats("-i", str(path), "--json").stdout)
    (of_lake,) = rows(config, "--bar-set", stream.bar_set, "--exchange", stream.exchange, "--symbol", stream.symbol)
    assert of_file == pytest.approx(of_lake)


def test_a_file_without_names_is_called_by_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pl.DataFrame(
        {"time_start": [0, 1, 2], "close": [1.0, 2.0, 3.0], "tick_count": 1, "volume": 1.0, "dollar_volume": 1.0}
    ).with_columns(
        pl.col("time_start").cast(pl.Datetime("ns")), time_end=pl.col("time_start").cast(pl.Datetime("ns"))
    ).write_parquet(path)
    done = stats("-i", str(path))
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout


def test_mistakes_get_one_line(config: str, tmp_path: Path) -> None:
    trades, torn = tmp_path / "trades.parquet", tmp_path / "torn.parquet"
    pl.DataFrame({"timestamp": [1], "price": [1.0]}).write_parquet(trades)
    torn.write_bytes(trades.read_bytes()[:-9])
    empty = tmp_path / "config.yaml"
    empty.write_text(f'storage: {{paths: {{raw_dir: "{tmp_path}/raw", processed_dir: "{tmp_path}/processed"}}}}\n')
    for arguments, *words in (
        (["-c", config, "--bar-set", "dolar-20000"], "no bar set 'dolar-20000'", "nearest: dollar-20000-"),
        (["-c", config, "--symbol", "SOL-USD"], "no symbol 'SOL-USD'", "BTC-USD, ETH-USD"),
        (["-c", config, "--until", "2026-06-01"], "no bars until 2026-06-01"),
        (["-c", str(empty)], "no bars yet", "daedalus watch"),
        (["-i", str(trades)], "trades.parquet", "no column 'time_start'"),
        (["-i", str(torn)], "torn.parquet", "cannot be read"),
        (["-i", str(tmp_path / "none.parquet")], "none.parquet: no such file"),
        (["-i", "bars.txt"], "bars.txt", ".parquet, .csv"),
    ):
        done = stats(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert all(word in line for word in words), line


def test_a_torn_file_of_the_lake_is_named(tmp_path: Path) -> None:
    config = bars_lake(tmp_path, trades=2000)
    path = next(tmp_path.rglob("bar_set=tick*/**/*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    done = stats("-c", config)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: tick-100-")
    assert "cannot be read" in line
