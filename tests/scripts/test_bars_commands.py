"""`daedalus bars build`, `list` and `export`, through the real command."""

import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from etl.bars import bar_set_id, build_bars
from etl.core.config import BarSet, EtlOptions
from etl.core.executor import TransformExecutor
from etl.tapes import readers
from scripts.cli import main
from shared.disk import Disk
from shared.partitioning import Lake
from tests.etl.core.test_streams import Recorder, market

ROOT = Path(__file__).parents[2]
START = datetime(2026, 1, 30, tzinfo=UTC)
DATA = os.environ.get("DAEDALUS_TEST_DATA")


class Ran(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


def bars(*args: object, cwd: Path) -> Ran:
    """`daedalus bars`, as its console script would run it."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["bars", *map(str, args)])
    return Ran(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def done(*args: object, cwd: Path) -> str:
    ran = bars(*args, cwd=cwd)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def refused(*args: object, cwd: Path) -> str:
    """The one line of an error; nothing new is left in `cwd`."""
    before = {path: path.stat().st_mtime_ns for path in cwd.rglob("*") if path.is_file()}
    ran = bars(*args, cwd=cwd)
    assert (ran.code, ran.out) == (2, "")
    assert {path: path.stat().st_mtime_ns for path in cwd.rglob("*") if path.is_file()} == before
    return " ".join(ran.err.replace("│", " ").split())


def built(folder: Path, name: str, bar_set: str, *options: str) -> str:
    """What `bars build` says of a file whose bars go to b.parquet."""
    return done("build", "--type", *bar_set.split(), "--input", name, "--output", "b.parquet", *options, cwd=folder)


def tape(count: int = 500, *, seed: int = 1) -> pl.DataFrame:
    """Trades of two days around the end of a month."""
    rng = random.Random(seed)
    ms = sorted(rng.randrange(4 * 86_400_000) for _ in range(count))
    return pl.DataFrame(
        {
            "trade_id": [f"t{number}" for number in range(count)],
            "timestamp": pl.Series(
                [START + timedelta(milliseconds=each) for each in ms], dtype=pl.Datetime("us", "UTC")
            ),
            "price": [rng.randrange(9_000, 11_000) / 100 for _ in range(count)],
            "amount": [rng.randrange(1, 500) / 1000 for _ in range(count)],
            "side": [rng.choice(("buy", "sell")) for _ in range(count)],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def written(folder: Path, trades: pl.DataFrame, name: str) -> Path:
    path = folder / name
    if ".csv" in name:
        data = trades.write_csv().encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    elif name.endswith(".arrow"):
        trades.write_ipc(path)
    else:
        trades.write_parquet(path, row_group_size=64)
    return path


def of_file(path: Path) -> pl.DataFrame:
    """The bars of a file, without the columns that say whose they are."""
    return pl.read_parquet(path).drop("bar_set", "exchange", "symbol", "year", "month", strict=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a lake with silver, bars and bronze of two streams."""
    lake = Lake.under(tmp_path / "lake")
    Recorder(lake, "kraken").record([market(1, exchange="kraken", trades=300), []])
    Recorder(lake, "bitfinex").record([market(2, exchange="bitfinex", trades=200)])
    sets = (BarSet("time", {"interval": "1m"}), BarSet("tick", {"threshold": 7}))
    executor = TransformExecutor(EtlOptions(lake, bars=sets, disk=Disk(durable=False)))
    executor.run(end_of_data=True)
    executor.close()
    path = tmp_path / "config.yaml"
    path.write_text(
        f'storage: {{paths: {{raw_dir: "{lake.raw}", processed_dir: "{lake.processed}", state_dir: "{lake.state}"}}}}'
    )
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz", "a.arrow"])
@pytest.mark.parametrize("options", [["dollar", "--threshold", "500"], ["time", "--interval", "1h"]])
def test_a_file_of_any_kind_gives_the_bars_that_a_notebook_would_make(tmp_path, name, options):
    kind, option, value = options
    trades = tape()
    written(tmp_path, trades, name)
    said = done("build", "--type", *options, "--input", name, "--output", "bars.parquet", "--keep-open", cwd=tmp_path)
    expected = build_bars(trades, kind, keep_open=True, **{option.removeprefix("--"): value})
    assert of_file(tmp_path / "bars.parquet").equals(expected)
    assert said.startswith(f"{name}: 500 trades in, {len(expected)} bars {kind}-")
    assert "0 rejected, 0 duplicate, 0 late; open bar of " in said


def test_the_last_bar_is_left_out_kept_or_ended(tmp_path):
    written(tmp_path, tape(25), "a.parquet")
    for option, count, reasons in (
        ((), 2, ["threshold"]),
        (("--keep-open",), 3, ["threshold", "open"]),
        (("--flush",), 3, ["threshold", "flush"]),
    ):
        built(tmp_path, "a.parquet", "tick --threshold 10", *option)
        found = pl.read_parquet(tmp_path / "b.parquet")
        assert len(found) == count
        assert found["close_reason"].unique(maintain_order=True).to_list() == reasons


def test_trades_before_the_first_threshold_are_told(tmp_path):
    trades = tape(400)
    written(tmp_path, trades, "a.parquet")
    said = built(tmp_path, "a.parquet", "dollar --threshold adv_fraction")
    first_day = len(trades.filter(pl.col("timestamp") < START + timedelta(days=1)))
    assert f"{first_day} before the first bar; 0 rejected" in said
    assert said.startswith(f"a.parquet: {400 - first_day} trades in")


def test_trades_that_all_came_before_the_first_bar_are_told_why(tmp_path, config):
    written(tmp_path, tape(400)[:9], "a.parquet")
    build = ("build", "--output", "b.parquet", "--type")
    dollar = (*build, "dollar", "--threshold", "adv_fraction")
    why = "all 9 trades came before a UTC day was over, and with it the first threshold known. Give one until then "
    assert refused(*dollar, "--input", "a.parquet", cwd=tmp_path).endswith(f"{why}with --param threshold_init=...")
    assert "came before a UTC day was over" in refused(*dollar, "-c", config, cwd=tmp_path)
    time_bars = (*build, "time", "--interval", "1w", "--param", "skip_first_partial=true", "--input", "a.parquet")
    assert "all 9 trades lie in the first bucket" in refused(*time_bars, cwd=tmp_path)


@pytest.mark.parametrize("kind", ["tib", "vib", "dib", "trb", "vrb", "drb"])
def test_short_names_and_free_parameters_are_taken(tmp_path, kind):
    trades = tape(300)
    written(tmp_path, trades, "a.parquet")
    built(tmp_path, "a.parquet", f"{kind} --expected-ticks-init 20 --param bounds=[10,40] --param preset=mlfinlab_like")
    options = {"expected_ticks_init": 20, "preset": "mlfinlab_like", "bounds": (10, 40)}
    assert of_file(tmp_path / "b.parquet").equals(build_bars(trades, kind, **options))


def test_columns_have_any_name_and_times_any_unit(tmp_path):
    trades = tape()
    us = trades["timestamp"].dt.timestamp("us")
    expected = build_bars(trades, "volume", threshold="3.5")
    for unit, factor in (("us", 1), ("ms", 1000), ("s", 1_000_000)):
        other = trades.select(
            pl.Series("T", us / factor if unit == "s" else us // factor),
            px="price",
            q="amount",
            id="trade_id",
            side="side",
        )
        written(tmp_path, other, "a.csv")
        columns = [f"--column={pair}" for pair in ("timestamp=T", "price=px", "amount=q", "trade_id=id")]
        built(tmp_path, "a.csv", "volume --threshold 3.5", *columns)
        assert of_file(tmp_path / "b.parquet").equals(expected), unit


def test_numbers_of_text_are_exact_beyond_float64(tmp_path):
    (tmp_path / "a.csv").write_text("timestamp,price,amount\n1780977600,100,0.1\n1780977601,100,0.123456789012345678\n")
    built(tmp_path, "a.csv", "tick --threshold 2")
    (bar,) = pl.read_parquet(tmp_path / "b.parquet").to_dicts()
    assert str(bar["volume_exact"]) == "0.223456789012345678"
    assert bar["first_trade_id"] == "1"


def test_buyers_who_made_the_market_and_makers_sides_are_turned(tmp_path):
    trades = tape(50)
    expected = build_bars(trades, "tick", threshold=10)
    is_sell = trades["side"] == "sell"
    other = trades.drop("side").with_columns(is_buyer_maker=is_sell)
    maker = trades.with_columns(side=pl.Series(["B" if sell else "S" for sell in is_sell]))
    for frame, option in ((other, ()), (maker, ("--side-names", "maker"))):
        written(tmp_path, frame, "a.csv")
        built(tmp_path, "a.csv", "tick --threshold 10", *option)
        assert of_file(tmp_path / "b.parquet").equals(expected)


def test_repeated_trades_are_counted_and_out_of_order_ones_refused_sorted_or_dropped(tmp_path):
    trades = tape(60)
    twice = pl.concat([trades[:30], trades[25:]])
    written(tmp_path, twice, "a.parquet")
    build = ("build", "--type", "tick", "--threshold", 10, "--input", "a.parquet", "--output", "b.parquet")
    line = refused(*build, cwd=tmp_path)
    assert "a.parquet: row 31 is out of order: 2026-" in line
    assert "--sort" in line
    for option in (("--sort",), ("--late", "drop")):
        said = done(*build, *option, cwd=tmp_path)
        assert "60 trades in, 6 bars" in said
        assert "5 duplicate, 0 late" in said
        assert of_file(tmp_path / "b.parquet").equals(build_bars(trades, "tick", threshold=10))
    written(tmp_path, pl.concat([trades[1:], trades[:1]]), "a.parquet")
    assert "0 duplicate, 1 late" in done(*build, "--late", "drop", cwd=tmp_path)


def test_trades_without_ids_are_held_to_the_order_that_the_file_gives(tmp_path):
    trades = tape(60).drop("trade_id").with_columns(trade_seq=pl.int_range(60))
    expected = build_bars(trades, "tick", threshold=10)
    shuffled = pl.concat([trades[:20], trades[30:], trades[15:30]])
    written(tmp_path, shuffled, "a.parquet")
    refused("build", "--type", "tick", "--threshold", 10, "--input", "a.parquet", cwd=tmp_path)
    assert "5 duplicate, 0 late" in built(tmp_path, "a.parquet", "tick --threshold 10", "--sort")
    assert of_file(tmp_path / "b.parquet").equals(expected)
    assert "5 duplicate, 10 late" in built(tmp_path, "a.parquet", "tick --threshold 10", "--late", "drop")
    for number, part in enumerate((trades[1:40], trades[40:], trades[:1])):
        written(tmp_path, part.drop("trade_seq"), f"t-{number}.csv")
    for kind in ("tick --threshold 10", "time --interval 1h"):
        assert "0 duplicate, 1 late" in built(tmp_path, "t-*.csv", kind, "--late", "drop")


def test_several_files_are_one_tape_in_the_order_of_their_numbers(tmp_path):
    trades = tape(300)
    for number, start in ((1, 0), (2, 100), (10, 200)):
        written(tmp_path, trades[start : start + 100], f"t-{number}.csv")
    built(tmp_path, "t-*.csv", "tick --threshold 7")
    assert of_file(tmp_path / "b.parquet").equals(build_bars(trades, "tick", threshold=7))


def test_bad_rows_are_refused_by_their_number_or_left_out_and_counted(tmp_path):
    trades = tape(40)
    price = trades["price"].to_list()
    price[7], price[9] = float("nan"), -1.0
    bad = trades.with_columns(price=pl.Series(price))
    build = ("build", "--type", "tick", "--threshold", 5, "--output", "b.parquet", "--input")
    for name in ("a.parquet", "a.csv"):
        written(tmp_path, bad, name)
        assert f"{name}: row 8: price is" in refused(*build, name, cwd=tmp_path)
        assert "38 trades in" in (said := done(*build, name, "--skip-bad", cwd=tmp_path))
        assert "2 rejected" in said
        (tmp_path / "b.parquet").unlink()


HEADER = "timestamp,price,amount,side\n"
GOOD = "1780977600,100,1,buy\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "34200000,100,1,buy\n",
            "row 1: timestamp is '34200000', expected a time after 1989; read in s it would be 1971",
        ),
        ("300000000000,100,1,buy\n", "row 1: timestamp is '300000000000', expected a time after 1989; read in ms"),
        (f"{GOOD}12345,100,1,buy\n", "row 2: timestamp is '12345', expected a time after 1989; read in s"),
        (
            f"{GOOD}1780977601,100,1,purchase\n",
            "row 2: side is 'purchase', expected buy, b, 1, sell, s, -1, unknown, any or",
        ),
        (f"{GOOD}1780977601,1e300,1,buy\n", "row 2: price is '1e300', expected a number above 0 and below 10^20"),
        (f"{GOOD}1780977601,1,0.{'1' * 19},buy\n", "row 2: amount is '0.1111111111111111111', expected a number"),
    ],
)
def test_a_row_that_would_be_misread_is_refused_or_left_out_and_counted(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(HEADER + text)
    build = ("build", "--type", "tick", "--threshold", 1, "--input", "a.csv", "--output", "b.parquet")
    for options in ((), ("--sort",)):
        line = refused(*build, *options, cwd=tmp_path)
        assert line.startswith(f"error: a.csv: {words}")
        assert "--skip-bad" in line
        assert "timestamp" not in words or "--time-unit" in line
    if text.startswith(GOOD):
        assert "1 trades in, 1 bars" in (said := done(*build, "--skip-bad", cwd=tmp_path))
        assert "1 rejected" in said
    else:
        assert "no trades; 1 rows were left out as bad" in refused(*build, "--skip-bad", cwd=tmp_path)


def test_an_early_time_is_taken_in_the_unit_that_is_said(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "300000000000,100,1,UNKNOWN\n")
    built(tmp_path, "a.csv", "tick --threshold 1", "--time-unit", "ms")
    assert pl.read_parquet(tmp_path / "b.parquet")["first_ts"].to_list() == [datetime(1979, 7, 5, 5, 20, tzinfo=UTC)]


def test_rows_of_a_file_are_counted_from_1_where_a_builder_refuses_them(tmp_path):
    rows = ["1780977600,1e12,1,a,7", "1780977601,1e12,1e9,b,8"]
    (tmp_path / "a.csv").write_text("timestamp,price,amount,trade_id,trade_seq\n" + "\n".join(rows))
    build = ("build", "--type", "tick", "--threshold", 1, "--input", "a.csv")
    for options in ((), ("--sort",)):
        line = refused(*build, *options, cwd=tmp_path)
        assert line.startswith(
            "error: a.csv: price x amount of row 2 (trade_id 'b') is 1000000000000000000000: bars hold"
        )


def test_what_holds_no_trades_is_told_with_the_next_step(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "more.csv").write_text(f"{HEADER}{GOOD}1780977601,100,1,sell,7\n")
    (tmp_path / "none").mkdir()
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "a.csv").write_text(HEADER + GOOD)
    pl.DataFrame({"timestamp": [time(9, 30)], "price": [1.0], "amount": [1.0]}).write_parquet(tmp_path / "day.parquet")
    for name, line in {
        "empty.csv": "is empty. Name a file that holds trades",
        "none": "is a folder. It holds no Parquet, CSV or Arrow file; name a file of trades",
        "some": "is a folder. Name its files, as 'some/*.csv'",
        "more.csv": "row 2: has 5 columns, expected 4. Correct it; a text with ',' in it needs quotes",
        "day.parquet": "column 'timestamp' is Time, expected times or numbers. A time of day needs its date: write "
        "times as 2026-06-09T04:00:00Z or 1780977600",
    }.items():
        said = refused("build", "--type", "tick", "--threshold", 1, "--input", name, cwd=tmp_path)
        assert said == f"error: {name}: {line}"


def test_a_failure_leaves_the_output_as_it_was(tmp_path):
    trades = tape(40)
    build = ("build", "--type", "tick", "--threshold", 5, "--input", "a.parquet", "--output")
    written(tmp_path, trades, "a.parquet")
    done(*build, "b.parquet", cwd=tmp_path)
    done(*build, "folder", "--exchange", "kraken", "--symbol", "BTC/USD", cwd=tmp_path)
    written(tmp_path, trades[::-1], "a.parquet")
    refused(*build, "b.parquet", cwd=tmp_path)
    refused(*build, "folder", "--exchange", "kraken", "--symbol", "BTC/USD", cwd=tmp_path)
    assert not list(tmp_path.rglob(".*"))
    assert len(pl.read_parquet(tmp_path / "b.parquet")) == 8
    assert len(pl.read_parquet(tmp_path / "folder")) == 8


def test_only_one_stream_of_a_file_at_a_time(tmp_path):
    both = tape(20).with_columns(symbol=pl.Series(["BTC/USD", "ETH/USD"] * 10), exchange=pl.lit("kraken"))
    written(tmp_path, both, "a.parquet")
    build = ("build", "--type", "tick", "--threshold", 5, "--input", "a.parquet", "--output", "b.parquet")
    assert "a.parquet: row 2: symbol ETH/USD after BTC/USD" in refused(*build, cwd=tmp_path)
    said = done(*build, "--symbol", "ETH-USD", cwd=tmp_path)
    assert said.startswith("kraken ETH-USD: 10 trades in, 2 bars")
    found = pl.read_parquet(tmp_path / "b.parquet")
    assert found["symbol"].to_list() == ["ETH-USD"] * 2
    assert found["first_trade_id"][0] == "t1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--type", "renko"], "--type: found the text 'renko', expected one of"),
        (["--type", "dollar"], "--threshold: found nothing, expected a value"),
        (["--type", "dollar", "--threshold", "0"], "--threshold: found 0, expected positive and finite"),
        (["--type", "tick", "--threshold", "1.5"], "--threshold: found 1.5, expected a whole number of trades"),
        (["--type", "tick", "--threshold", "5", "--param", "x=1"], "--param x: unknown key for `type: tick`"),
        (["--type", "tick", "--threshold", "5", "--param", "x"], "--param x: expected name=value"),
        (["--type", "tick", "--threshold", "5", "--column", "pric=px"], "did you mean price?"),
        (["--type", "tick", "--threshold", "5", "--column", "price=pix"], "no column 'pix' for price"),
        (["--type", "tick", "--threshold", "5", "--input", "none.csv"], "none.csv: there is no such file"),
        (["--type", "tick", "--threshold", "5", "--input", "note.doc"], "note.doc: unknown kind of file. Known are"),
        (["--type", "tick", "--threshold", "5", "--input", "cut.parquet"], "cut.parquet: cannot be read"),
        (["--type", "tick", "--threshold", "5", "--input", "px.csv"], "If 'px' is it, add --column price=px"),
        (["--type", "tick", "--threshold", "5", "--input", "bare.csv"], "--names timestamp,price,amount"),
        (["--type", "tick", "--threshold", "5", "--input", "mixed.csv"], "row 2: timestamp 1780977600000 is not in s"),
        (["--type", "tick", "--threshold", "5", "--input", "none-yet.csv"], "none-yet.csv: no trades"),
        (["--type", "tick", "--threshold", "5", "--output", "b.csv"], "bars are built as Parquet"),
        (["--type", "tick", "--threshold", "5", "--output", "b"], "a folder needs --exchange and --symbol"),
        (["--type", "tick", "--threshold", "5", "--since", "2027-01-01"], ""),
        (["--type", "tick", "--threshold", "5", "--symbol", "B D"], "'B D' cannot name a partition"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, options, words):
    written(tmp_path, tape(10), "a.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-100])
    (tmp_path / "note.doc").write_text("x")
    (tmp_path / "px.csv").write_text("timestamp,px,amount\n1780977600,1,1\n")
    (tmp_path / "bare.csv").write_text("1780977600,1,1\n")
    (tmp_path / "mixed.csv").write_text("timestamp,price,amount\n1780977600,1,1\n1780977600000,1,1\n")
    (tmp_path / "none-yet.csv").write_text("timestamp,price,amount\n")
    given = options if "--input" in options else [*options, "--input", "a.parquet"]
    assert words in refused("build", *given, cwd=tmp_path)


@pytest.mark.parametrize("source", ["silver", "bronze"])
def test_the_bars_of_the_lake_are_those_of_the_watcher(tmp_path, config, source):
    gold = Lake.under(tmp_path / "lake").bars("any").parent
    for kind, option, value in (("tick", "threshold", "7"), ("time", "interval", "1m")):
        said = done(
            "build", "--type", kind, f"--{option}", value, "--from", source, "--flush", "-c", config, cwd=tmp_path
        )
        assert [line.partition(":")[0] for line in said.splitlines()] == ["bitfinex BTC-USD", "kraken BTC-USD"]
        name = f"bar_set={bar_set_id(kind, {option: value})}"
        mine, theirs = (
            pl.read_parquet(folder / name).sort("exchange", "bar_seq") for folder in (tmp_path / "bars", gold)
        )
        assert len(mine) > 5
        assert mine.equals(theirs)
    paths = {path.parent.name for path in (tmp_path / "bars").rglob("*.parquet")}
    assert all(name.startswith("month=") for name in paths)


def test_a_stream_of_the_lake_can_be_chosen_and_goes_into_one_file(tmp_path, config):
    build = ("build", "--type", "tick", "--threshold", 7, "-c", config)
    done(*build, "--exchange", "kraken", "--output", "one.parquet", cwd=tmp_path)
    assert pl.read_parquet(tmp_path / "one.parquet")["exchange"].unique().to_list() == ["kraken"]
    done(*build, "--output", "both.parquet", cwd=tmp_path)
    both = pl.read_parquet(tmp_path / "both.parquet")
    assert both["exchange"].unique(maintain_order=True).to_list() == ["bitfinex", "kraken"]
    assert pl.read_parquet_metadata(tmp_path / "both.parquet")["daedalus.bar_set"] == both["bar_set"][0]
    assert "no exchange 'krakn' in this lake" in refused(*build, "--exchange", "krakn", cwd=tmp_path)
    inside = tmp_path / "lake" / "processed" / "gold" / "bars"
    assert "kept by `daedalus watch`" in refused(*build, "--output", inside, cwd=tmp_path)


@pytest.mark.parametrize("missing", [(0, 10), (10, 20)], ids=["first", "between"])
def test_silver_with_a_hole_is_refused_and_what_was_built_before_stays(tmp_path, config, missing):
    build = ("build", "--type", "tick", "--threshold", 7, "-c", config)
    done(*build, cwd=tmp_path)
    (hour,) = Lake.under(tmp_path / "lake").silver("trades").glob("exchange=kraken/**/*.parquet")
    trades = pl.read_parquet(hour, hive_partitioning=False)
    trades[: missing[0]].write_parquet(hour) if missing[0] else hour.unlink()
    trades[missing[1] :].write_parquet(hour.with_name(f"{hour.stem[:-2]}23.parquet"))
    told = refused(*build, cwd=tmp_path)
    assert f"begins with trade {missing[1]}, expected {missing[0]}: silver before it is missing" in told
    assert "--silver" in told
    for path in hour.parent.glob("*.parquet"):
        path.unlink()
    assert "kraken" not in done(*build, cwd=tmp_path)
    assert list((tmp_path / "bars").glob("bar_set=*/exchange=kraken/**/*.parquet"))


def test_a_folder_in_the_place_of_the_output_is_told_in_a_line(tmp_path, config):
    (tmp_path / "x.parquet" / "inside").mkdir(parents=True)
    for command in (("build", "--type", "tick", "--threshold", 7), ("export", "--bar-set", "tick")):
        told = refused(*command, "--output", "x.parquet", "-c", config, cwd=tmp_path)
        assert "x.parquet" in told
        assert "a folder stands where a file should" in told
        assert not list(tmp_path.glob(".x*"))


def test_list_says_what_the_sets_of_the_lake_are(tmp_path, config):
    shown = done("list", "-c", config, cwd=tmp_path)
    for name, said in (("tick", "threshold=7"), ("time", "interval=60s")):
        (line,) = [line for line in shown.splitlines() if line.startswith(f"{name}-")]
        assert said in line
        assert "bitfinex BTC-USD, kraken BTC-USD" in line
    tick, time = json.loads(done("list", "--json", "-c", config, cwd=tmp_path))
    gold = pl.read_parquet(Lake.under(tmp_path / "lake").bars(tick["bar_set"]))
    assert tick["bars"] == len(gold)
    assert tick["streams"] == ["bitfinex BTC-USD", "kraken BTC-USD"]
    assert datetime.fromisoformat(tick["first"]) == gold["time_start"].min()
    assert datetime.fromisoformat(tick["last"]) == gold["time_end"].max()
    assert tick["parameters"]["threshold"] == "7"
    assert time["parameters"]["interval"] == "60s"
    assert tick["size_bytes"] > 1000


def test_list_and_export_of_a_lake_without_bars_say_so(tmp_path, config):
    shutil.rmtree(tmp_path / "lake" / "processed")
    assert "no bars yet" in refused("list", "-c", config, cwd=tmp_path)
    assert "no bars yet" in refused("export", "--bar-set", "tick", "--output", "x.csv", "-c", config, cwd=tmp_path)


@pytest.mark.parametrize("kept", [0, 100, -100], ids=["empty", "cut", "no footer"])
def test_a_damaged_file_of_bars_is_told_in_a_line(tmp_path, config, kept):
    file = next((tmp_path / "lake/processed/gold/bars").glob("bar_set=tick-*/exchange=kraken/**/*.parquet"))
    file.write_bytes(file.read_bytes()[:kept])
    assert "cannot be read: " in refused("list", "-c", config, cwd=tmp_path)
    assert "cannot be read: " in refused("export", "--bar-set", "tick", "--output", "x.csv", "-c", config, cwd=tmp_path)


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.arrow"])
def test_export_writes_the_bars_of_the_set(tmp_path, config, name):
    said = done("export", "--bar-set", "tick", "--exchange", "kraken", "--output", name, "-c", config, cwd=tmp_path)
    gold = pl.read_parquet(next((tmp_path / "lake/processed/gold/bars").glob("bar_set=tick-*")))
    gold = gold.filter(exchange="kraken").sort("bar_seq")
    read = {"x.parquet": pl.read_parquet, "x.csv": pl.read_csv, "x.arrow": pl.read_ipc}[name]
    found = read(tmp_path / name)
    assert f"kraken BTC-USD: {len(gold):,} rows" in said
    if name == "x.csv":
        assert (
            found["volume_exact"].cast(pl.String).str.to_decimal(scale=18).to_list() == gold["volume_exact"].to_list()
        )
        assert found["time_start"].str.to_datetime(time_unit="us").to_list() == gold["time_start"].to_list()
        found, gold = found.select("bar_seq", "close", "volume"), gold.select("bar_seq", "close", "volume")
    assert found.equals(gold)
    if name == "x.parquet":
        assert pl.read_parquet_metadata(tmp_path / name)["daedalus.bar_type"] == "tick"


def test_export_fills_empty_minutes_on_request(tmp_path, config):
    export = ("export", "--bar-set", "time-60s", "--symbol", "BTC/USD", "-c", config)
    done(*export, "--output", "plain.parquet", cwd=tmp_path)
    done(*export, "--output", "filled.parquet", "--fill", "ffill", cwd=tmp_path)
    plain, whole = (pl.read_parquet(tmp_path / name) for name in ("plain.parquet", "filled.parquet"))
    assert whole.filter(~pl.col("is_filled")).drop("is_filled").equals(plain)
    for (_,), of_stream in whole.group_by("exchange"):
        assert of_stream["time_start"].diff().drop_nulls().unique().to_list() == [timedelta(minutes=1)]
    assert "are no time bars" in refused(
        "export", "--bar-set", "tick", "--fill", "ffill", "--output", "y.csv", "-c", config, cwd=tmp_path
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bar-set", "dollar", "--output", "x.csv"], "no bar set 'dollar' in this lake"),
        (["--bar-set", "tick", "--output", "x.doc"], "say --format, or end it with .parquet"),
        (["--bar-set", "tick", "--output", "x.csv", "--until", "2001-01-01"], "no bars in that period"),
        (["--bar-set", "tick", "--output", "x.csv", "--exchange", "krakn"], "no exchange 'krakn'"),
    ],
)
def test_a_mistake_in_an_export_is_one_line(tmp_path, config, options, words):
    assert words in refused("export", *options, "-c", config, cwd=tmp_path)


def test_the_script_is_the_same_command(tmp_path):
    written(tmp_path, tape(30), "a.parquet")
    script = [sys.executable, ROOT / "scripts/etl/run_bars.py", "--type", "tick", "--threshold", "7"]
    subprocess.run([*script, "--input", "a.parquet", "--output", "b.parquet"], cwd=tmp_path, check=True, timeout=120)
    assert len(pl.read_parquet(tmp_path / "b.parquet")) == 4


@pytest.mark.skipif(not DATA, reason="DAEDALUS_TEST_DATA names no folder of recorded data")
@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("pyalgotrade/bitstampUSD.csv", ["--names", "timestamp,price,amount", "--skip-bad"], 9_998),
        (
            "gocryptotrader/testdata/binance_BTCUSDT_24h-trades_2020_11_16.csv",
            ["--names", "timestamp,price,amount,side"],
            1_000,
        ),
        ("questdb-sample-datasets/btc_trades.older-version.csv", [], 13_197),
        ("pyalgotrade/trades-mgtox-usd-2013-01-01.csv", ["--column", "timestamp=id", "--column", "trade_id=id"], 2_331),
    ],
)
def test_recorded_tapes_of_others_are_read(tmp_path, name, options, count):
    said = built(tmp_path, f"{DATA}/{name}", "tick --threshold 100", *options)  # fmt: skip
    assert f"{count:,} trades in, {count // 100:,} bars" in said


def test_rows_without_ids_are_named_by_their_place_over_portions(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "ROWS", 10)
    trades = tape(40).drop("trade_id")
    written(tmp_path, trades, "a.parquet")
    built(tmp_path, "a.parquet", "tick --threshold 7", "--late", "drop")
    assert of_file(tmp_path / "b.parquet").equals(build_bars(trades, "tick", threshold=7))
