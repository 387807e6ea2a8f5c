"""Rebuilt = streamed = batch, for every kind of bars; what a rebuild says, refuses, and leaves alone."""

import hashlib
import random
import shutil
from datetime import timedelta
from itertools import count
from pathlib import Path

import msgspec
import polars as pl
import pytest

from etl.bars import bar_set_id, bar_types
from etl.core.checkpoints import Checkpoint
from etl.core.config import BarSet, EtlOptions
from etl.core.executor import TransformExecutor
from etl.core.rebuild import Rebuilding, Rebuilt
from etl.core.silver import SilverMissing
from scripts.cli import main
from shared.clock import utc_from_us
from shared.disk import Disk
from shared.errors import LakeLocked, StateMismatch
from shared.partitioning import Lake
from tests.etl.core.test_streams import Recorder, cut, gold, market, silver_of, tables
from tests.ingestion.writers.lake_rows import START_NS
from tests.stepped_disk import DyingDisk, Killed

DIGEST_BYTES = hashlib.sha256().digest_size
EVERY_KIND = (
    BarSet("time", {"interval": "1m"}),
    BarSet("tick", {"threshold": 7}),
    BarSet("volume", {"threshold": "25"}),
    BarSet("dollar", {"threshold": "2500"}),
    *(BarSet(f"{what}_imbalance", {"expected_ticks_init": 9}) for what in ("tick", "volume", "dollar")),
    *(BarSet(f"{what}_run", {"expected_ticks_init": 9}) for what in ("tick", "volume", "dollar")),
    BarSet("streak", {"threshold": 3}),
)
SETTINGS = """
etl:
  bars: [{{type: tick, threshold: 7}}, {{type: dollar, threshold: "2500"}}]
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
"""


def options(lake: Lake, *, disk: Disk | None = None, bars: tuple[BarSet, ...] = EVERY_KIND[:4]) -> EtlOptions:
    """Settings of few rows a step, so that everything takes several."""
    return EtlOptions(lake, bars=bars, disk=disk or Disk(durable=False), rows_per_step=50)


def run(lake: Lake, *, end_of_data: bool = False, **other: object) -> None:
    executor = TransformExecutor(options(lake, **other))  # type: ignore[arg-type]
    try:
        executor.run(end_of_data=end_of_data)
    finally:
        executor.close()


def rebuilt(lake: Lake, **how: object) -> list[Rebuilt]:
    wanted = options(lake)
    return list(Rebuilding(wanted, wanted.bars, **how).run())  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three hours of trades, refined as they came."""
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    trades = market(21, exchange="kraken", trades=400)
    for part in cut(trades, random.Random(2)):
        recorder.record([part])
        run(lake)
    return lake


def stored(lake: Lake) -> dict[str, bytes]:
    """Every file that silver, gold and their checkpoints are."""
    folders = (lake.processed / "silver", lake.processed / "gold", lake.state)
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if path.suffix not in {".lock", ".owner"}}


@pytest.mark.parametrize("exchange", ["kraken", "bitfinex"], ids=["ids-contiguous", "ids-opaque"])
def test_rebuilt_is_streamed_is_batch_for_every_kind_of_bars(tmp_path: Path, exchange: str) -> None:
    assert {bar_set.type for bar_set in EVERY_KIND} == set(bar_types())
    lake, rng = Lake.under(tmp_path / "lake"), random.Random(5)
    trades = market(22, exchange=exchange, trades=300)
    late = sorted(rng.sample(range(300), 5))
    recorder = Recorder(lake, exchange)
    for number, part in enumerate(cut([t for n, t in enumerate(trades) if n not in late], rng)):
        recorder.record([[*part, *(trades[n] for n in late[number - 3 : number - 2] if number >= 3)]])
        run(lake, bars=EVERY_KIND)
    recorder.record([[trades[n] for n in late]])
    run(lake, bars=EVERY_KIND)
    run(lake, bars=EVERY_KIND, end_of_data=True)
    other = Lake(lake.raw, tmp_path / "batch", tmp_path / "batch_state")
    run(other, bars=EVERY_KIND, end_of_data=True)
    expected = tables(other)
    assert tables(lake) == expected
    middle = utc_from_us(START_NS // 1000) + timedelta(minutes=3)
    for since in (middle, None):
        wanted = options(lake, bars=EVERY_KIND)
        done = list(Rebuilding(wanted, wanted.bars, since=since).run())
        assert len(done) == len(EVERY_KIND)
        assert not any(each.files.replaced or each.files.added or each.files.removed for each in done)
        assert tables(lake) == expected
    assert any(each.first == 0 for each in done)


def test_a_rebuild_goes_back_to_the_state_before_the_moment_and_no_further(lake: Lake) -> None:
    bars = gold(lake, "tick")
    since = bars["time_start"][bars.height // 2]
    done = next(each for each in rebuilt(lake, since=since) if each.bar_set.startswith("tick"))
    assert 0 < done.first <= bars.height // 2
    assert (done.before, done.after) == (bars.height, bars.height)


def test_what_was_spoilt_is_made_good_and_told(lake: Lake) -> None:
    expected = tables(lake)
    spoilt = next(lake.processed.glob("gold/bars/bar_set=dollar-*/**/*.parquet"))
    pl.read_parquet(spoilt, hive_partitioning=False).with_columns(close=0.0).write_parquet(spoilt)
    told = rebuilt(lake, is_dry=True)
    assert [len(each.files.replaced) for each in told] == [each.bar_set.startswith("dollar") for each in told]
    assert tables(lake) != expected
    assert [len(each.files.replaced) for each in rebuilt(lake)] == [len(each.files.replaced) for each in told]
    assert tables(lake) == expected


def test_a_dry_run_changes_no_file(lake: Lake) -> None:
    before = stored(lake)
    assert len(rebuilt(lake, is_dry=True)) == 4
    assert stored(lake) == before


def test_silver_that_is_missing_is_named_by_its_day_and_bars_stay(lake: Lake) -> None:
    expected = tables(lake)
    hour = min(lake.silver("trades").glob("**/*.parquet"))
    day = hour.stem.partition("_")[2][:8]
    hour.unlink()
    before = stored(lake)
    with pytest.raises(SilverMissing, match=f"{day[:4]}-{day[4:6]}-{day[6:]}"):
        rebuilt(lake)
    assert stored(lake) == before
    rebuilt(lake, with_silver=True)
    assert tables(lake) == expected


def test_silver_made_anew_still_ends_where_its_end_was_declared(lake: Lake) -> None:
    run(lake, end_of_data=True)
    expected, ended = tables(lake), silver_of(lake).height
    done = rebuilt(lake, with_silver=True)
    assert silver_of(lake).height == ended == 400
    assert not any(each.files.replaced or each.files.added or each.files.removed for each in done)
    assert tables(lake) == expected


def test_a_rebuild_beside_a_watcher_is_refused(lake: Lake) -> None:
    watcher = TransformExecutor(options(lake))
    with pytest.raises(LakeLocked, match="pid") as error:
        rebuilt(lake)
    watcher.close()
    assert "Stop the watcher" in error.value.line()
    assert len(rebuilt(lake)) == 4


def test_the_command_says_what_it_did(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SETTINGS.format(root=tmp_path))
    silver = silver_of(lake).height
    for arguments in (["--bar-set", "tick"], ["--from", "2026-01-01", "--dry-run"], ["--silver"]):
        with pytest.raises(SystemExit) as ended:
            main(["bars", "rebuild", "-c", str(config), *arguments])
        said = capsys.readouterr().out
        assert ended.value.code in (0, None)
        assert "kraken BTC-USD tick-7" in said
        assert "all equal; no file replaced" in said
    assert silver_of(lake).height == silver
    with pytest.raises(SystemExit) as ended:
        main(["bars", "rebuild", "-c", str(config), "--bar-set", "volume"])
    assert ended.value.code == 2
    assert "there are: tick-7" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["bars", "rebuild", "-c", str(config), "--symbol", "BTC$USD"])
    assert ended.value.code == 2
    assert "cannot name a partition" in capsys.readouterr().err


def test_checkpoints_that_cannot_be_read_leave_what_stands_until_it_is_made_again(tmp_path: Path) -> None:
    """However it dies on the way. The newest of each chain is cut short, one chain has none left to read."""
    source = Lake.under(tmp_path / "source")
    recorder = Recorder(source, "kraken")
    for part in cut(market(23, exchange="kraken", trades=60), random.Random(4)):
        recorder.record([part])
        run(source)
    expected = tables(source)
    for chain in sorted((source.state / "etl").glob("*/kraken/BTC-USD")):
        newest = sorted(chain.glob("*.checkpoint"))
        for path in newest if "tick" in str(chain) else newest[-1:]:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for steps in count(0, 3):
        root = tmp_path / str(steps)
        shutil.copytree(tmp_path / "source", root)
        lake = Lake.under(root)
        try:
            run(lake, disk=DyingDisk(steps))
            lived = True
        except Killed:
            lived = False
        assert tables(lake) == expected
        run(lake)
        assert tables(lake) == expected
        shutil.rmtree(root)
        if lived:
            break
    assert steps > 20


def test_a_checkpoint_of_another_bar_set_is_refused_by_name_and_nothing_is_written(lake: Lake) -> None:
    tick, dollar = (
        lake.state / "etl" / f"bars-{bar_set_id(bar_set.type, bar_set.params)}" / "kraken" / "BTC-USD"
        for bar_set in (EVERY_KIND[1], EVERY_KIND[3])
    )
    for path in dollar.glob("*.checkpoint"):
        path.unlink()
    shutil.copy(max(tick.glob("*.checkpoint")), dollar)
    before = stored(lake)
    with pytest.raises(ExceptionGroup) as error:
        run(lake)
    assert isinstance(error.value.exceptions[0], StateMismatch)
    assert str(dollar) in str(error.value.exceptions[0])
    assert stored(lake) == before


def test_a_state_that_cannot_be_read_is_told_with_its_chain_and_its_hint_is_true(tmp_path: Path) -> None:
    lake, trades = Lake.under(tmp_path), market(21, exchange="kraken", trades=200)
    recorder = Recorder(lake, "kraken")
    recorder.record([trades[:100]])
    run(lake)
    chain = f"bars-{bar_set_id(EVERY_KIND[1].type, EVERY_KIND[1].params)}"
    folder = lake.state / "etl" / chain / "kraken" / "BTC-USD"
    newest = max(folder.glob("*.checkpoint"))
    checkpoint = msgspec.msgpack.decode(newest.read_bytes()[DIGEST_BYTES:], type=Checkpoint)
    body = msgspec.msgpack.encode(msgspec.structs.replace(checkpoint, state=checkpoint.state[:-3]))
    newest.write_bytes(hashlib.sha256(body).digest() + body)
    recorder.record([trades[100:]])
    with pytest.raises(ExceptionGroup) as error:
        run(lake)
    (told,) = error.value.exceptions
    assert isinstance(told, StateMismatch)
    assert str(told).startswith(f"{chain} of kraken BTC-USD: ")
    assert told.hint == f"Remove {folder}: rows are made anew"
    shutil.rmtree(folder)
    run(lake)
    other = Lake(lake.raw, tmp_path / "batch", tmp_path / "batch_state")
    run(other)
    assert tables(lake) == tables(other)
