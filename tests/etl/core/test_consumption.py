"""What counts as used can be taken away: the watcher goes on, and gives what it would have given."""

import random
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from etl.core.bronze import BronzeMissing
from etl.core.chains import trades_chain
from etl.core.config import BarSet, EtlOptions, FeatureConfig, StreamKey
from etl.core.consumption import consumption, following
from etl.core.executor import TransformExecutor
from etl.core.outputs import SilverMissing
from etl.features.options import FeatureOptions
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Row, Ticker
from storage.holdings import holdings
from storage.retention import NEVER, Held
from tests.etl.core.test_book_streams import day
from tests.etl.core.test_streams import BARS, CANDLES, Recorder, market, silver_of, tables
from tests.ingestion.writers.lake_rows import START_NS
from tests.stepped_disk import DyingDisk, Killed, SteppedDisk

HOUR_US = 3_600_000_000
KEY = StreamKey("kraken", "BTC-USD")
FEATURES = FeatureConfig(
    trades=True, ticker=True, orderbook=True, options=FeatureOptions(max_levels=2, ofi_levels=1, bar_durations=(10,))
)


def options(lake: Lake, *, disk: Disk | None = None, features: FeatureConfig = FEATURES) -> EtlOptions:
    return EtlOptions(
        lake,
        lateness_s=5,
        candles=CANDLES[:2],
        bars=BARS[:2],
        features=features,
        disk=disk or Disk(durable=False),
        rows_per_step=40,
        silver_unit="hour",
    )


def run(lake: Lake, *, disk: Disk | None = None, end_of_data: bool = False, given: EtlOptions | None = None) -> None:
    executor = TransformExecutor(given or options(lake, disk=disk))
    try:
        executor.run(end_of_data=end_of_data)
    finally:
        executor.close()


def rows(seed: int, table: str) -> list[Row]:
    """Trades, books and tickers of some minutes, as they came."""
    traded = day(seed, trades=60, table=table)
    tickers = [Ticker("BTC-USD", START_NS // 1000 + at * 2_500_000, bid=100.0 + at % 3) for at in range(40)]
    return sorted([*traded, *tickers], key=lambda row: row.timestamp or 0)


def journals(all_rows: Sequence[Row], rng: random.Random) -> list[Sequence[Row]]:
    places = sorted(rng.sample(range(1, len(all_rows)), 5))
    return [all_rows[a:b] for a, b in zip([0, *places], [*places, len(all_rows)], strict=True)]


def bronze(lake: Lake) -> list[Held]:
    return [file for file in holdings(lake) if file.tier == "bronze" and file.channel not in NEVER]


def used(lake: Lake, given: EtlOptions | None = None) -> list[Path]:
    is_used = consumption(given or options(lake))
    return [file.path for file in bronze(lake) if is_used(file.path.relative_to(lake.ready))]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_used_can_go_and_nobody_can_tell(tmp_path: Path, seed: int) -> None:
    """Random histories of two sources, polls, kills and removals, against a watcher whose bronze all stays."""
    rng = random.Random(seed)
    lake, whole = Lake.under(tmp_path / "lake"), Lake.under(tmp_path / "whole")
    native, ccxt = Recorder(lake, "kraken"), Recorder(lake, "kraken", source="ccxt")
    begins_native = rng.randint(0, 3)  # of another source before: the feed changes
    removed = 0
    for number, part in enumerate(journals(rows(seed, rng.choice(("l2", "orderbook"))), rng)):
        recorder = native if number >= begins_native else ccxt
        recorder.clock.now_ns = max(native.clock.now_ns, ccxt.clock.now_ns)
        recorder.record([part[: len(part) // 2], part[len(part) // 2 :]])
        for each in (lake, whole):
            if each is whole:
                shutil.copytree(lake.raw, whole.raw, dirs_exist_ok=True)
            if number % 2 == seed % 2:
                run(each)
        if rng.random() < 0.3:
            with suppress(Killed, BaseExceptionGroup):
                run(lake, disk=DyingDisk(rng.randint(1, 60)))
        for path in used(lake):
            if rng.random() < 0.8:
                path.unlink()
                removed += 1
    for each in (lake, whole):
        run(each, end_of_data=True)
    assert removed
    assert tables(lake) == tables(whole)


def test_a_stream_that_never_ran_has_used_nothing_but_what_no_chain_reads(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([rows(1, "l2")])
    assert used(lake) == []
    unread = FeatureConfig(trades=True)
    assert {path.relative_to(lake.ready).parts[1] for path in used(lake, options(lake, features=unread))} == {
        "l2",
        "ticker",
    }


def test_of_two_sources_of_books_the_one_that_is_not_read_is_used_at_once(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    books = [row for row in rows(1, "l2") if type(row).__name__ == "L2Message"]
    Recorder(lake, "kraken").record([books[:50]])
    ccxt = Recorder(lake, "kraken", source="ccxt")
    ccxt.clock.now_ns += 10**12
    ccxt.record([books[:50]])
    assert {path.relative_to(lake.ready).parts[0] for path in used(lake)} == {"ccxt"}


def test_when_another_source_is_read_from_now_on_what_the_one_before_had_used_does_not_count(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    books = [row for row in rows(1, "l2") if type(row).__name__ == "L2Message"]
    ccxt, native = Recorder(lake, "kraken", source="ccxt"), Recorder(lake, "kraken")
    ccxt.record([books[:50]])
    run(lake)
    assert len(used(lake)) == 1
    native.clock.now_ns = ccxt.clock.now_ns
    native.record([books[50:90]])
    assert {path.relative_to(lake.ready).parts[0] for path in used(lake)} == {"ccxt"}  # it is not read any more
    run(lake)
    assert len(used(lake)) == 2


@pytest.mark.parametrize("chain", ["trades", "orderbook", "ticker"])
def test_a_file_is_used_when_the_last_of_those_that_read_it_has_committed(tmp_path: Path, chain: str) -> None:
    """Silver trades commit first, then tickers, then books; books are read by the first as well."""
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record(journals(rows(4, "l2"), random.Random(4)))
    with suppress(Killed, BaseExceptionGroup):
        run(lake, disk=DiesInChain(chain))
    found = {path.relative_to(lake.ready).parts[1] for path in used(lake)}
    assert found == {"trades": set(), "ticker": {"trades"}, "orderbook": {"trades", "ticker"}}[chain]
    run(lake)
    assert {path.relative_to(lake.ready).parts[1] for path in used(lake)} == {"trades", "ticker", "l2"}


class DiesInChain(SteppedDisk):
    """The disk under a process that is killed before the first commit of a chain counts."""

    def __init__(self, chain: str) -> None:
        super().__init__()
        self._chain, self._is_dead = chain, False

    def before(self, kind: str, path: Path) -> None:
        if self._is_dead or (kind == "rename" and f"/etl/{self._chain}/" in path.as_posix()):
            self._is_dead = True
            raise Killed


def test_looking_beside_a_watcher_changes_nothing(tmp_path: Path) -> None:
    """Whatever a kill left staged, or unreadable, is left to the watcher."""
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    parts = journals(rows(3, "l2"), random.Random(3))
    recorder.record(parts[:2])
    run(lake)
    recorder.record(parts[2:4])
    before = len(used(lake))
    with pytest.raises(BaseException):  # noqa: B017 - Killed, or a group of it
        run(lake, disk=DyingDisk(25))
    newest = max((lake.state / "etl" / "trades").rglob("*.checkpoint"))
    newest.write_bytes(b"torn")
    found = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert len(used(lake)) <= before
    following(options(lake))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == found


def test_late_rows_ask_for_what_was_removed_and_go_on_when_it_is_back(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path / "lake")
    trades = market(5, exchange="kraken", trades=120)
    recorder = Recorder(lake, "kraken")
    late = trades[30:34]
    recorder.record([trades[:30], trades[34:80]])
    run(lake)
    shutil.copytree(lake.raw, tmp_path / "archive")
    for path in used(lake):
        path.unlink()
    recorder.record([late, trades[80:]])
    with pytest.raises(ExceptionGroup) as missing:
        run(lake)
    assert all(isinstance(error, BronzeMissing) for error in missing.value.exceptions)
    assert "sync --direction down" in missing.value.exceptions[0].line()  # type: ignore[attr-defined]
    shutil.copytree(tmp_path / "archive", lake.raw, dirs_exist_ok=True)
    run(lake, end_of_data=True)
    whole = Lake(lake.raw, tmp_path / "processed", tmp_path / "state")
    run(whole, end_of_data=True)
    assert silver_of(lake)["trade_id"].to_list() == silver_of(whole)["trade_id"].to_list()


def spread_market(seed: int, *, hours: int) -> list[Row]:
    """Trades of several hours, some in each."""
    return [
        replace_us(trade, START_NS // 1000 + at * HOUR_US // 10)
        for at, trade in enumerate(market(seed, exchange="kraken", trades=hours * 10))
    ]


def replace_us(trade: Row, us: int) -> Row:
    return msgspec.structs.replace(trade, timestamp=us)


def test_silver_is_used_when_every_chain_that_follows_has_passed_it(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    trades = spread_market(2, hours=30)
    recorder = Recorder(lake, "kraken")
    recorder.record([trades[:150]])
    given = options(lake, features=FeatureConfig(trades=True))
    run(lake, given=given)

    def files(tier: str) -> list[Held]:
        return [file for file in holdings(lake) if file.tier == tier and file.channel == "trades"]

    is_used = following(given)
    assert sum(is_used(file.path, file.end) for file in files("silver")) >= 3
    wanted = replace(given, bars=(*given.bars, BarSet("tick", {"threshold": 3})))
    is_used = following(wanted)
    assert not any(is_used(file.path, file.end) for file in files("silver"))  # the new set has read nothing
    strangers = Lake.under(tmp_path / "other")
    path = strangers.silver("trades") / "exchange=kraken/symbol=BTC-USD/year=2026/month=5/x.parquet"
    assert not following(options(strangers))(path, files("silver")[0].end)


def test_removed_silver_is_told_in_a_line_and_nothing_is_published_with_a_hole(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    trades = spread_market(2, hours=6)
    recorder = Recorder(lake, "kraken")
    recorder.record([trades])
    given = options(lake, features=FeatureConfig(trades=True))
    run(lake, given=given)
    silver = sorted(lake.silver("trades").rglob("*.parquet"))
    silver[0].unlink()
    later = replace(given, bars=(BarSet("tick", {"threshold": 3}),))
    with pytest.raises(ExceptionGroup) as missing:
        run(lake, given=later)
    assert isinstance(missing.value.exceptions[0], SilverMissing)
    assert "sync --direction down" in missing.value.exceptions[0].line()
    chain = trades_chain(KEY, given)
    assert chain.current.rows_out
