"""`daedalus features orderbook`, `trades` and `ticker`, through the real commands."""

import io
import subprocess
import sys
import zlib
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.features import stateful
from etl.features.options import FeatureOptions
from etl.features.tables import TABLES
from scripts.cli import main
from scripts.features.state import RunState
from tests.scripts.features_lake import features_lake

ROOT = Path(__file__).parents[2]
KRAKEN = ("--exchange", "kraken")
OTHER = "of-another-kind.csv"
DAY = ("--year", 2026, "--month", 5, "--day", 28)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings of a lake that no test changes."""
    return features_lake(tmp_path_factory.mktemp("features"))


def ran(*args: object, cwd: Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["features", *map(str, args)])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def done(*args: object, cwd: Path) -> list[str]:
    """The lines that the command prints."""
    code, out, err = ran(*args, cwd=cwd)
    assert (code, err) == (0, "")
    return out.splitlines()


def refused(*args: object, cwd: Path) -> str:
    """The one line of an error; nothing is left behind, and what was there has not changed."""
    before = {path: path.read_bytes() for path in cwd.rglob("*") if path.is_file()}
    code, out, err = ran(*args, cwd=cwd)
    assert (code, out) == (2, "")
    assert {path: path.read_bytes() for path in cwd.rglob("*") if path.is_file()} == before
    (line,) = err.splitlines()
    return line


def rows_of(folder: Path, *, table: str, exchange: str) -> pl.DataFrame:
    """What runs left for a stream, file after file."""
    files = sorted((folder / "features" / table / f"exchange={exchange}").rglob("*.parquet"))
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in files])


@pytest.mark.parametrize(
    ("command", "table", "exchanges"),
    [
        ("orderbook", "orderbook", ["bitfinex", "kraken", "okx"]),
        ("trades", "trade_features", ["bitfinex", "kraken"]),
        ("ticker", "ticker", ["bitfinex", "kraken"]),
    ],
)
def test_every_stream_has_a_file_with_the_columns_that_are_declared(
    tmp_path: Path, lake: Path, command: str, table: str, exchanges: Sequence[str]
):
    lines = done(command, "-c", lake, cwd=tmp_path)
    assert [line.split()[0] for line in lines] == exchanges
    (declared,) = (each for each in TABLES if each.name == table)
    for exchange in exchanges:
        rows = rows_of(tmp_path, table=table, exchange=exchange)
        assert set(rows.columns) == {"exchange", "symbol", *declared.columns(FeatureOptions())}
        assert rows["exchange"].unique().to_list() == [exchange]
        assert len(rows) >= 60
    assert not list(tmp_path.rglob("*.part"))


def test_the_closing_line_counts_what_was_left_out(tmp_path: Path, lake: Path):
    kraken, okx = done("orderbook", "-c", lake, *KRAKEN, "--exchange", "okx", cwd=tmp_path)
    for words in ("121 books of native/orderbook in", "60 rows out", "0 crossed", "0 one sided", "1 out of order"):
        assert words in kraken
    assert "111 trades of silver beside them" in kraken
    assert "no trades of silver beside them" in okx


def test_changes_of_books_are_taken_before_snapshots_and_make_the_same_prices(tmp_path: Path, lake: Path):
    done("orderbook", "-c", lake, cwd=tmp_path)
    snapshots, changes = (rows_of(tmp_path, table="orderbook", exchange=name) for name in ("kraken", "bitfinex"))
    assert changes["ofi_source"].unique().to_list() == ["event"]
    same = ["timestamp", "mid_price", "total_imbalance", "tfi"]
    assert_frame_equal(snapshots.select(same), changes.select(same))
    line = refused("orderbook", "-c", lake, *KRAKEN, "--source", "l2", cwd=tmp_path)
    assert "no books of exchange kraken in this lake. There are bitfinex BTC-USD" in line


def test_rows_are_those_that_the_watcher_makes(tmp_path: Path):
    config = features_lake(tmp_path)
    with chdir(tmp_path), redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as ended:
        main(["watch", "--config", str(config), "--once", "--end-of-data"])
    assert not ended.value.code
    for command, table in (("orderbook", "orderbook"), ("trades", "trade_features"), ("ticker", "ticker")):
        done(command, "-c", config, cwd=tmp_path)
        for exchange in ("kraken", "bitfinex"):
            files = sorted((tmp_path / "lake/processed/silver" / table / f"exchange={exchange}").rglob("*.parquet"))
            silver = pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in files])
            rows = rows_of(tmp_path, table=table, exchange=exchange)
            assert_frame_equal(rows, silver.select(rows.columns), check_exact=True)


def test_runs_with_a_state_make_the_rows_of_one_run(tmp_path: Path, lake: Path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for table, command in (("orderbook", "orderbook"), ("trade_features", "trades"), ("ticker", "ticker")):
        for folder in (whole, parts):
            folder.mkdir(exist_ok=True)
        done(command, "-c", lake, *KRAKEN, cwd=whole)
        for _ in range(4):
            done(command, "-c", lake, *KRAKEN, "--state-path", f"{table}.state", "--limit", 23, cwd=parts)
        done(command, "-c", lake, *KRAKEN, "--state-path", f"{table}.state", cwd=parts)
        expected = rows_of(whole, table=table, exchange="kraken")
        actual = rows_of(parts, table=table, exchange="kraken")
        still_open = table == "orderbook"  # the last row waits in the state
        assert_frame_equal(actual, expected.head(len(expected) - still_open), check_exact=True)
        (line,) = done(command, "-c", lake, *KRAKEN, "--state-path", f"{table}.state", cwd=parts)
        assert "behind the state's position; nothing was written" in line


def test_a_run_again_replaces_its_own_file(tmp_path: Path, lake: Path):
    done("orderbook", "-c", lake, *KRAKEN, "--limit", 50, cwd=tmp_path)
    done("orderbook", "-c", lake, *KRAKEN, cwd=tmp_path)
    assert len(rows_of(tmp_path, table="orderbook", exchange="kraken")) == 60


def test_trades_of_a_file_are_those_of_silver(tmp_path: Path, lake: Path):
    silver = pl.scan_parquet(lake.parent / "lake/processed/silver/trades/exchange=kraken", hive_partitioning=False)
    silver.select("timestamp", "price", "amount", "side").collect().write_csv(tmp_path / "trades.csv")
    done("orderbook", "-c", lake, *KRAKEN, "--out", "silver.parquet", cwd=tmp_path)
    (line,) = done("orderbook", "-c", lake, *KRAKEN, "--trades", "trades.csv", "--out", "file.parquet", cwd=tmp_path)
    assert "111 trades of trades.csv beside them" in line
    one, other = (pl.read_parquet(tmp_path / f"{name}.parquet").drop("known_at") for name in ("silver", "file"))
    assert_frame_equal(one, other, check_exact=True)
    done("trades", "-c", lake, *KRAKEN, "--symbol", "BTC-USD", "--trades", "trades.csv", cwd=tmp_path)
    assert len(rows_of(tmp_path, table="trade_features", exchange="kraken")) == 111


def test_hours_are_those_of_the_lake(tmp_path: Path, lake: Path):
    (line,) = done("orderbook", "-c", lake, *KRAKEN, *DAY, "--hour", 20, "--dry-run", cwd=tmp_path)
    assert "would read 121 books of native/orderbook" in line
    assert list(tmp_path.iterdir()) == []
    line = refused("orderbook", "-c", lake, *KRAKEN, *DAY, "--hour", 21, cwd=tmp_path)
    assert "no books of exchange kraken, year 2026, month 5, day 28, hour 21 in this lake" in line
    assert "no trades" in refused("trades", "-c", lake, *KRAKEN, *DAY, "--hour", 21, cwd=tmp_path)
    assert "--day is missing" in refused("ticker", "-c", lake, "--year", 2026, "--month", 5, "--hour", 3, cwd=tmp_path)
    assert "out of range" in refused("ticker", "-c", lake, "--year", 2026, "--month", 2, "--day", 31, cwd=tmp_path)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("orderbook", "--trades", "none.csv"), "none.csv: there is no such file"),
        (("trades", *KRAKEN, "--symbol", "BTC-USD", "--trades", "none.csv"), "none.csv: there is no such file"),
        (("orderbook", "--trades", "."), "is a folder"),
        (("orderbook", "--trades", OTHER), "no column 'timestamp'; there are time, p. Trades have timestamp, price"),
        (("trades", *KRAKEN, "--symbol", "BTC-USD", "--trades", OTHER), "rename the file's columns"),
        (("orderbook", "--symbol", "ETH-USD"), "no symbol 'ETH-USD' in this lake; there are BTC-USD"),
        (("trades", "--exchange", "krakn"), "no exchange 'krakn'"),
        (("trades", "--trades", "t.csv"), "t.csv"),
        (("orderbook", "--state-path", "s"), "is of one stream; there are bitfinex BTC-USD, "),
        (("orderbook", "--out", "rows.parquet"), "is of one stream"),
        (("orderbook", *KRAKEN, "--out", "rows.csv"), "name a .parquet file or a folder"),
        (("orderbook", "--limit", 0), "--limit"),
        (("ticker", "--hour", 24), "--hour"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, lake: Path, args: tuple[object, ...], words: str):
    (tmp_path / OTHER).write_text("time,p\n1,2\n")
    assert words in refused(*args, "-c", lake, cwd=tmp_path)


def test_the_watchers_tables_are_not_written_to(tmp_path: Path, lake: Path):
    silver = lake.parent / "lake/processed/silver"
    assert "kept by `daedalus watch`" in refused("ticker", "-c", lake, "--out", silver, cwd=tmp_path)


def test_an_option_of_the_settings_that_does_not_exist(tmp_path: Path, lake: Path):
    config = tmp_path / "config.yaml"
    options = "etl: {channels: {orderbook: {processor_options: {max_level: 5}}}}\n"
    config.write_text(lake.read_text() + "\n" + options)
    line = refused("orderbook", "-c", config, cwd=tmp_path)
    assert "etl.channels.orderbook.processor_options.max_level" in line
    assert "did you mean max_levels?" in line


def test_a_state_of_anything_else_is_refused(tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch):
    run = ("orderbook", "-c", lake, *KRAKEN, "--limit", 30, "--state-path", "s")
    done(*run, cwd=tmp_path)
    state = (tmp_path / "s").read_bytes()
    line = refused("orderbook", "-c", lake, "--exchange", "okx", "--state-path", "s", cwd=tmp_path)
    assert "s: is a state of orderbook of kraken BTC-USD from native/orderbook, not of" in line
    with monkeypatch.context() as patched:
        patched.setattr(stateful, "VERSION", 9999)
        assert "this is version 9999" in refused(*run, cwd=tmp_path)
    config = tmp_path / "config.yaml"
    options = "etl: {channels: {orderbook: {processor_options: {max_levels: 30}}}}\n"
    config.write_text(lake.read_text() + "\n" + options)
    line = refused("orderbook", "-c", config, *KRAKEN, "--state-path", "s", cwd=tmp_path)
    assert "s: the state was made with max_levels 20, here it is 30" in line
    line = refused("trades", "-c", lake, *KRAKEN, "--state-path", "s", cwd=tmp_path)
    assert "s: is a state of orderbook of kraken BTC-USD from native/orderbook, not of trade_features of" in line
    other = msgspec.structs.replace(msgspec.msgpack.decode(state[:-4], type=RunState), version=9)
    flipped = bytearray(state)
    flipped[len(state) // 2] ^= 1
    for spoilt, words in (
        (_with_crc(msgspec.msgpack.encode(other)), "is a state of version 9, this is version 1"),
        (bytes(flipped), "s: is damaged"),
        (state[:-10], "is damaged, or no state of features"),
        (b"", "no state of features"),
        (b"nothing", "no state of features"),
    ):
        (tmp_path / "s").write_bytes(spoilt)
        assert words in refused(*run, cwd=tmp_path)


def _with_crc(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4)


def test_a_damaged_file_of_the_lake_is_named_and_leaves_nothing(tmp_path: Path):
    config = features_lake(tmp_path)
    files = sorted((tmp_path / "lake/raw/ready/native/orderbook/exchange=kraken").rglob("*.parquet"))
    files[-1].write_bytes(files[-1].read_bytes()[:500])
    assert files[-1].name in refused("orderbook", "-c", config, *KRAKEN, "--state-path", "s", cwd=tmp_path)


@pytest.mark.parametrize("name", ["orderbook", "trades", "ticker"])
def test_the_scripts_are_the_commands(tmp_path: Path, lake: Path, name: str):
    script = ROOT / "scripts" / "etl" / f"run_{name}_features.py"
    command = [sys.executable, str(script), "-c", str(lake), *KRAKEN, "--dry-run"]
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": str(ROOT)}
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "would read" in ended.stdout
