"""`daedalus redecode` at the command line: what it refuses, what it says, and that it touches nothing."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.exchanges.coinbase import Coinbase
from ingestion.exchanges.protocol import SessionOptions, Subscription
from ingestion.simulator import LocalExchange, SeededMarket
from scripts.cli import main
from shared.partitioning import Lake
from storage.comparison import Difference, Unit, difference
from tests.ingestion.collecting import QUICK, Run
from tests.ingestion.recording import settings_of


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What the command complains of, in one line; it ends with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main(["redecode", *args])
    assert done.value.code == 2
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


async def capture(lake: Lake) -> None:
    market = SeededMarket(seed=1, symbols=["BTC-USD"], rate=500, trade_share=0.5)
    async with LocalExchange(market, venues=["coinbase"]) as local:
        run = Run(lake)
        streams = tuple(Subscription(table, "BTC-USD", "BTC-USD") for table in ("trades", "ticker"))
        exchange = Coinbase(SessionOptions(ws_url=local.coinbase_ws_url, rest_url=local.coinbase_rest_url))
        options = NativeOptions(exchange, streams, 5.0, store_frames=True)
        collector = NativeCollector(options, run.inlet, QUICK)
        running = asyncio.create_task(run.pipeline.run([collector]))
        while run.inlet.statistics.frames < 200:
            await asyncio.sleep(0.01)
        run.pipeline.stop()
        await running


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.under(tmp_path_factory.mktemp("lake"))
    asyncio.run(capture(lake))
    return lake


def files_in(lake: Lake) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in lake.raw.rglob("*") if path.is_file()}


def test_a_lake_without_frames_is_told_how_to_have_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = settings_of(Lake.under(tmp_path / "none"), tmp_path)
    said = refused(capsys, "--exchange", "kraken", "--config", config, "--dry-run")
    assert "no frames of kraken" in said
    assert "ingestion.store_frames: true" in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--exchange", "mtgox", "--dry-run"), ("mtgox", "coinbaseadvanced", "kraken")),
        (("--exchange", "../x", "--dry-run"), ("no native collector",)),
        (("--exchange", "coinbase", "--since", "yesterday", "--dry-run"), ("yesterday", "no moment")),
        (("--exchange", "coinbase", "--since", "2026-06-02", "--until", "2026-06-01", "--dry-run"), ("not before",)),
        (("--exchange", "coinbase", "--table", "gaps", "--dry-run"), ("gaps", "trades")),
        (("--exchange", "coinbase", "--symbol", "a b", "--dry-run"), ("a b",)),
        (("--exchange", "coinbase"), ("--output", "--dry-run")),
        (("--exchange", "coinbase", "--since", "2099-01-01", "--dry-run"), ("no frames of coinbaseadvanced",)),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: tuple[str, ...]
) -> None:
    said = refused(capsys, *args, "--config", settings_of(lake, tmp_path))
    for word in words:
        assert word in said


def test_a_folder_with_something_in_it_or_in_the_lake_is_refused(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings_of(lake, tmp_path)
    before = files_in(lake)
    common = ("--exchange", "coinbase", "--config", config, "--output")
    assert "not an empty folder" in refused(capsys, *common, str(tmp_path))
    for inside in (lake.raw, lake.raw / "new", lake.raw.parent):
        assert "name another folder" in refused(capsys, *common, str(inside))
    assert files_in(lake) == before


def test_a_dry_run_says_what_would_differ_and_keeps_nothing(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(lake)
    with pytest.raises(SystemExit) as done:
        main(["redecode", "--exchange", "coinbase", "--dry-run", "--config", settings_of(lake, tmp_path)])
    assert not done.value.code
    said = capsys.readouterr().out
    (line,) = [line.split() for line in said.splitlines() if line.startswith("trades")]
    assert int(line[1]) > 0
    assert line[2:] == ["0", "0", "0"]
    assert "nothing was kept" in said
    assert files_in(lake) == before


def test_everything_received_is_proven_with_frames_too(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main(["check", "--deep", "--json", "--config", settings_of(lake, tmp_path)])
    said = json.loads(capsys.readouterr().out)
    assert not done.value.code, said["problems"]
    (frames,) = [each for each in said["streams"] if each["table"] == "frames"]
    assert frames["stored"] == frames["received"] > 200


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)))
)
def test_every_row_of_both_sides_is_counted_once(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    old = [Unit(at, at, content) for at, content in before]
    new = [Unit(at, at, content) for at, content in after]
    found = difference(old, new)
    assert found.equal + found.changed + found.missing == len(old)
    assert found.equal + found.changed + found.new == len(new)
    assert difference(old, old) == Difference(equal=len(old))
