"""The demo as a user runs it: real processes, a real kill, and a last line that tells the truth."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import polars as pl
import psutil
import pytest
from rich.console import Console

from config.config import load_config
from scripts.demo.demo import judge, show
from scripts.demo.folder import MARKER, DemoFolder, fresh_folder
from scripts.demo.processes import ChildFailed, Children
from scripts.demo.run import OUTAGE_TRADES, Story
from scripts.demo.screen import Screen
from scripts.demo.svg import clock, path, ticks, time_ticks
from scripts.demo.tables import queries
from shared.errors import LakeUnusable

DEMO = [sys.executable, "-m", "scripts.cli", "demo"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One demo of 12 seconds: the directory it was started in, and what it printed."""
    where = tmp_path_factory.mktemp("demo")
    done = subprocess.run([*DEMO, "--seconds", "12"], cwd=where, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return where, done.stdout


def folder_of(run):
    return DemoFolder(run[0] / "demo-lake")


def story_of(folder):
    return msgspec.json.decode(folder.story.read_bytes(), type=Story)


def test_the_last_line_says_that_nothing_was_lost(run):
    last = run[1].splitlines()[-1]
    sent, bronze, in_gaps, silver, bars = (
        int(re.search(pattern, last)[1].replace(",", ""))
        for pattern in (
            r"([\d,]+) trades sent",
            r"= ([\d,]+)",
            r"\+ ([\d,]+)",
            r"; ([\d,]+) in silver",
            r"once; ([\d,]+)",
        )
    )
    assert last.startswith("NOTHING LOST: ")
    assert sent == bronze + in_gaps
    assert silver == bronze > 500
    assert bars > 50


def test_the_kill_cost_something_that_a_gap_declares(run):
    story = story_of(folder_of(run))
    assert story.busiest[1] >= OUTAGE_TRADES
    assert story.began_us < story.killed_us < story.restarted_us < story.closed_us
    assert re.search(r"inside [1-6] declared gap", run[1])
    assert len(list(folder_of(run).lake.published.glob("*.log"))) == 2


def test_a_plain_output_has_a_line_per_stage_and_no_control_codes(run):
    stages = [line for line in run[1].splitlines() if re.match(r" *\d+\.\d s  ", line)]
    assert len(stages) == 9
    assert "\x1b" not in run[1]
    assert "kill -9 to the collector" in run[1]


def test_the_printed_queries_run_as_they_are_printed(run):
    where, out = run
    relative = [query.command for query in _queries_in(where)]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in relative:
        assert command in out
        done = subprocess.run(
            command, shell=True, cwd=where, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert "BTC-USD" in done.stdout


def _queries_in(where):
    before = Path.cwd()
    os.chdir(where)
    try:
        return queries(DemoFolder(Path("demo-lake")))
    finally:
        os.chdir(before)


def test_the_settings_can_be_used_again(run):
    settings = load_config(folder_of(run).config, environment={})
    assert settings.notices == ()
    assert settings.lake() == folder_of(run).lake


def test_the_report_needs_no_network_and_tells_the_same(run):
    page = folder_of(run).report.read_text(encoding="utf-8")
    assert "Nothing lost" in page
    assert not re.search(r"https?://|<script|@import|src=", page)
    assert "nan" not in page.lower().replace("finance", "")
    for symbol in ("BTC-USD", "ETH-USD", "SOL-USD"):
        assert f"kraken {symbol}" in page
        assert f"coinbaseadvanced {symbol}" in page


def copied(run, tmp_path):
    shutil.copytree(run[0] / "demo-lake", tmp_path / "lake")
    return DemoFolder(tmp_path / "lake")


def last_line(folder):
    """What the user would read last."""
    story, out = story_of(folder), io.StringIO()
    found = judge(folder, story)
    show(Console(file=out, width=120), folder, story=story, found=found)
    return out.getvalue().splitlines()[-1]


def rewrite(path, change):
    change(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)


def test_one_bronze_row_less_is_lost(run, tmp_path):
    folder = copied(run, tmp_path)
    segment = min(folder.lake.ready.glob("native/trades/*/symbol=BTC-USD/**/*.parquet"))
    gone = pl.read_parquet(segment, hive_partitioning=False)["trade_id"][5]
    rewrite(segment, lambda rows: rows.filter(pl.col("trade_id") != gone))
    line = last_line(folder)
    expected = f"LOST: 1 trade in neither bronze nor a declared gap (coinbaseadvanced BTC-USD: trade {gone})"
    assert line.startswith(expected)
    assert "1 hole in our own count" in line
    assert "Lost" in folder.report.read_text(encoding="utf-8")


def test_a_whole_segment_less_is_lost(run, tmp_path):
    folder = copied(run, tmp_path)
    min(folder.lake.ready.glob("ccxt/trades/*/symbol=BTC-USD/**/*.parquet")).unlink()
    assert re.match(r"LOST: \d+ trades in neither bronze nor a declared gap \(kraken BTC-USD", last_line(folder))


def test_an_altered_price_is_seen(run, tmp_path):
    folder = copied(run, tmp_path)
    segment = min(folder.lake.ready.glob("ccxt/trades/*/symbol=ETH-USD/**/*.parquet"))
    price = pl.when(pl.int_range(pl.len()) == 3).then(pl.col("price") + 0.01).otherwise("price").alias("price")
    rewrite(segment, lambda rows: rows.with_columns(price))
    assert re.match(r"LOST: 1 trade altered in bronze \(kraken ETH-USD: trade \d+\)$", last_line(folder))


def test_a_doubled_silver_row_is_seen(run, tmp_path):
    folder = copied(run, tmp_path)
    file = min(folder.lake.silver("trades").glob("exchange=kraken/symbol=SOL-USD/**/*.parquet"))
    rewrite(file, lambda rows: pl.concat([rows, rows.head(1)]))
    line = last_line(folder)
    assert line.startswith("LOST: 1 trade in silver more than once (kraken SOL-USD")
    assert "bars" in line  # their sums are no longer silver's


def test_a_removed_bar_is_seen(run, tmp_path):
    folder = copied(run, tmp_path)
    files = folder.lake.bars("any").parent.glob("bar_set=dollar-*/exchange=kraken/symbol=BTC-USD/**/*.parquet")
    rewrite(min(files), lambda rows: rows.tail(-1))
    assert re.match(
        r"LOST: bars dollar-10000-\w+ hold [\d.]+ of silver's [\d.]+ volume \(kraken BTC-USD\)$", last_line(folder)
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_demo(tmp_path, number):
    if number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells a child of its parent's death")
    demo = subprocess.Popen(
        DEMO,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    with demo:
        try:
            assert any("collector and watcher are at work" in line for line in demo.stdout)
            children = psutil.Process(demo.pid).children(recursive=True)
            assert len(children) >= 3
            demo.send_signal(number)
            rest = demo.communicate(timeout=60)[0]
        finally:
            demo.kill()
    assert demo.returncode == (-number if number == signal.SIGKILL else 130), rest
    assert "Traceback" not in rest
    assert not psutil.wait_procs(children, timeout=30 if number == signal.SIGKILL else 1)[1]


def test_a_child_that_ends_by_itself_is_named_with_its_last_words(tmp_path):
    folder = fresh_folder(tmp_path / "demo")
    with Children(folder, while_waiting=lambda: None) as children:
        children.start("collector", "ingest", "-c", str(tmp_path / "nowhere.yaml"), log="ingest")
        with pytest.raises(ChildFailed) as failed:
            children.wait(lambda: False, within_s=60)
    line = failed.value.line()
    assert line.startswith("the collector ended by itself; its last lines: error: ")
    assert "nowhere.yaml" in line
    assert line.endswith(f"Read {folder.log('ingest')}")


def test_leaving_ends_every_child(tmp_path):
    folder = fresh_folder(tmp_path / "demo")
    with Children(folder, while_waiting=lambda: None) as children:
        exchange = children.start("exchange", "simulate", "--ready-file", str(folder.ready_file), log="exchange")
        assert children.wait(folder.ready_file.exists, within_s=60)
    assert exchange.code == 0


def test_an_earlier_demo_is_replaced(tmp_path):
    first = fresh_folder(tmp_path / "demo")
    first.report.write_text("old")
    assert not fresh_folder(tmp_path / "demo").report.exists()
    assert (tmp_path / "demo" / MARKER).exists()


def test_what_no_demo_made_is_not_touched(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    (tmp_path / "link").symlink_to(fresh_folder(tmp_path / "demo").root)
    (tmp_path / "file").write_text("x")
    for name in ("mine", "link", "file"):
        with pytest.raises(LakeUnusable, match="nothing was touched"):
            fresh_folder(tmp_path / name)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
    assert (tmp_path / "demo" / MARKER).exists()


def test_an_empty_folder_will_do(tmp_path):
    (tmp_path / "new").mkdir()
    assert (fresh_folder(tmp_path / "new").root / MARKER).exists()


def test_a_terminal_sees_what_is_going_on(run):
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=True, width=100), folder_of(run))
    with screen.shown():
        screen.stage("capturing", length_s=30)
        time.sleep(0.3)
        screen.tick()
        time.sleep(0.3)
    assert re.search(r"\d+ s left", out.getvalue())
    assert re.search(r"[\d,]+ rows captured · \d+ files ready · \d+ bars", out.getvalue())


def test_axes_are_round():
    assert ticks(0.0, 10.0, count=5) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert ticks(76.985, 77.015, count=4) == [76.99, 77.0, 77.01]
    assert ticks(5.0, 5.0, count=4) == [5.0]
    assert [clock(us) for us in time_ticks(0, 61_000_000, count=5)] == [
        "00:00:00",
        "00:00:15",
        "00:00:30",
        "00:00:45",
        "00:01:00",
    ]


def test_a_line_is_thinned_without_losing_its_extremes():
    points = [(index / 1000, float(index % 7)) for index in range(1000)] + [(5.0, 99.0)]
    drawn = path(points, style="price")
    assert drawn.count("L") < 10
    assert "5.0 99.0" in drawn
    assert path([], style="price") == ""
