"""Batch = stream: whatever the watcher's polls, kills and late rows, silver and gold are those of one batch run."""

import random
import re
import shutil
from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
import polars as pl
import pytest
from structlog.testing import capture_logs

from etl.bars import new_bars
from etl.core.config import BarSet, EtlOptions, FilterSpec, StreamKey
from etl.core.executor import TransformExecutor
from etl.transforms.trades import TradesTransform
from ingestion.capture import Capture
from ingestion.continuity import Feed
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from ingestion.writers.segments import SegmentOptions
from shared.disk import Disk
from shared.errors import LakeLocked, StateMismatch
from shared.partitioning import Lake
from shared.rows import Row, Trade
from storage.published import next_epoch
from tests.ingestion.writers.lake_rows import START_NS, StepClock
from tests.stepped_disk import DyingDisk, Killed

_Row = TypeVar("_Row", bound=Row)
Tables: TypeAlias = dict[str, list[dict[str, object]]]
Batch: TypeAlias = tuple[str, list[Trade], Tables]
BARS = (
    BarSet("time", {"interval": "1m"}),
    BarSet("tick", {"threshold": 7}),
    BarSet("volume", {"threshold": "25"}),
    BarSet("dollar", {"threshold": "2500"}),
)

CANDLES = ("5s", "15s", "1m")


def market(seed: int, *, exchange: str, trades: int) -> list[Trade]:
    """Trades of a seeded walk, in the exchange's order; ids have no hole."""
    rng = random.Random(seed)
    us, price, out = START_NS // 1000, Decimal(100), []
    for number in range(1, trades + 1):
        us += rng.choice((0, 0, 1000, 400_000, 3_000_000))
        price += rng.choice((Decimal("-0.5"), Decimal(0), Decimal("0.5")))
        size = rng.randint(1, 40) / 8
        seq = number if exchange != "bitfinex" else None
        side = rng.choice(("buy", "sell"))
        out.append(Trade("BTC-USD", us, str(number), seq, side, side, float(price), size))
    return out


class Recorder:
    """Writes bronze as collectors would: captures, sealed now and then."""

    def __init__(
        self, lake: Lake, exchange: str, options: WriterOptions | None = None, *, source: str = "native"
    ) -> None:
        self.lake, self.exchange, self.clock, self.source = lake, exchange, StepClock(), source
        self.options = options or WriterOptions()
        self.runs = 0

    def record(self, journals: Sequence[Sequence[Row]], *, until_ns: int = 2**62) -> None:
        """One collector run that seals after each of these lists; it goes on where the run before stood."""
        epoch = next_epoch(self.lake, self.clock.wall_ns(), self.runs)
        self.runs += 1
        writer = StreamingParquetWriter(
            self.lake, self.options, epoch=epoch, clock=self.clock, disk=Disk(durable=False)
        )
        feed = Feed(self.source, self.exchange, epoch)
        feed.resume(writer.tails, started_us=self.clock.wall_ns() // 1000)
        for trades in journals:
            for trade in trades:
                self.clock.now_ns = max(self.clock.now_ns + 1_000_000, min((trade.timestamp or 0) * 1000, until_ns))
                rows, seqs = feed.number([trade], self.clock.wall_ns() // 1000)
                writer.append([Capture(self.source, self.exchange, self.clock.wall_ns(), 0, rows, seqs)])
            journal = writer.rotate()
            if journal:
                writer.seal(journal)
        writer.close()
        self.clock.now_ns += 10**9


def options(lake: Lake, disk: Disk | None = None) -> EtlOptions:
    return EtlOptions(
        lake, lateness_s=10, candles=CANDLES, bars=BARS, disk=disk or Disk(durable=False), rows_per_step=50
    )


def run(lake: Lake, *, end_of_data: bool = False, disk: Disk | None = None) -> None:
    executor = TransformExecutor(options(lake, disk))
    try:
        executor.run(end_of_data=end_of_data)
    finally:
        executor.close()


def tables(lake: Lake) -> Tables:
    """Every output file's rows, by path, without what tells in which run a row was captured."""
    out = {}
    for path in sorted(lake.processed.glob("[sg]*/**/*.parquet")):
        if "staging" in path.parts:
            continue
        rows = pl.read_parquet(path, hive_partitioning=False)
        name = re.sub(r"/r\d+(?=/)", "", path.relative_to(lake.processed).as_posix())
        assert name not in out, "two files of one day"
        out[name] = rows.drop("epoch", "seq", "known_at", strict=False).to_dicts()
    return out


def at_once(lake: Lake, folder: Path) -> Lake:
    """The same bronze, refined in one uninterrupted run."""
    other = Lake(lake.raw, folder / "at_once", folder / "at_once_state")
    run(other, end_of_data=True)
    return other


def gold(lake: Lake, kind: str) -> pl.DataFrame:
    """The bars of one set, in order."""
    files = list(lake.processed.glob(f"gold/bars/bar_set={kind}-*/**/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).sort("bar_seq")


def silver_of(lake: Lake) -> pl.DataFrame:
    """A stream's silver trades, in order."""
    files = list(lake.silver("trades").glob("**/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).sort("ordinal")


def cut(rows: list[_Row], rng: random.Random) -> list[list[_Row]]:
    places = sorted(rng.sample(range(len(rows)), 5))
    return [rows[a:b] for a, b in zip([0, *places], [*places, len(rows)], strict=True)]


@pytest.fixture(scope="module", params=["kraken", "bitfinex"], ids=["ids-contiguous", "ids-opaque"])
def batch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """One uninterrupted run over everything."""
    trades = market(1, exchange=request.param, trades=300)
    lake = Lake.under(tmp_path_factory.mktemp("batch"))
    Recorder(lake, request.param).record([trades])
    run(lake, end_of_data=True)
    return request.param, trades, tables(lake)


def test_silver_is_every_trade_once_and_bars_add_up(
    batch: Batch,
) -> None:
    _, trades, out = batch
    silver = [row for path, rows in out.items() if path.startswith("silver") for row in rows]
    assert [row["trade_id"] for row in silver] == [trade.trade_id for trade in trades]
    assert [row["ordinal"] for row in silver] == list(range(300))
    total = sum(Decimal(str(trade.amount)) for trade in trades)
    for bar_set in ("time", "tick", "volume", "dollar"):
        bars = [row for path, rows in out.items() if f"bar_set={bar_set}-" in path for row in rows]
        assert sum(row["volume_exact"] for row in bars) == total  # type: ignore[misc]
        assert [row["bar_seq"] for row in bars] == list(range(len(bars)))


@pytest.mark.parametrize("seed", range(4))
def test_polls_between_seals_and_collector_restarts_change_nothing(tmp_path: Path, batch: Batch, seed: int) -> None:
    exchange, trades, expected = batch
    lake, rng = Lake.under(tmp_path), random.Random(seed)
    recorder = Recorder(lake, exchange)
    for journals in cut(trades, rng):
        recorder.record(cut(journals, rng) if len(journals) > 6 else [journals])
        run(lake)
    run(lake, end_of_data=True)
    assert tables(lake) == tables(at_once(lake, tmp_path))
    if exchange == "kraken":  # where ids prove that a restart cost nothing, it does not show at all
        assert tables(lake) == expected


@pytest.mark.parametrize("seed", range(4))
def test_duplicates_and_late_trades_change_nothing(tmp_path: Path, batch: Batch, seed: int) -> None:
    exchange, trades, expected = batch
    lake, rng = Lake.under(tmp_path), random.Random(seed)
    recorder = Recorder(lake, exchange)
    late = sorted(rng.sample(range(300), 6))
    on_time = [trade for index, trade in enumerate(trades) if index not in late]
    recorder.record(cut(on_time[:150], rng))
    run(lake)
    recorder.record([on_time[120:], [trades[index] for index in late[:3]]])
    run(lake)
    recorder.record([[trades[index] for index in late], trades[:40]])
    run(lake)
    run(lake, end_of_data=True)
    assert tables(lake) == tables(at_once(lake, tmp_path))
    if exchange == "kraken":  # where ids order the trades, the order of arrival does not show at all
        assert tables(lake) == expected


def test_a_kill_at_every_step_of_a_run_changes_nothing(tmp_path: Path) -> None:
    """Also of a run that has to go back for a late trade."""
    trades = market(3, exchange="kraken", trades=60)
    reference = Lake.under(tmp_path / "reference")
    Recorder(reference, "kraken").record([trades])
    run(reference, end_of_data=True)
    expected = tables(reference)
    before = Lake.under(tmp_path / "before")
    recorder = Recorder(before, "kraken")
    recorder.record([trades[:10] + trades[11:40]])
    run(before)
    recorder.record([trades[40:], trades[10:11]])
    for steps in count():
        lake = Lake.under(shutil.copytree(tmp_path / "before", tmp_path / str(steps)))
        try:
            run(lake, disk=DyingDisk(steps))
            lived = True
        except Killed:
            lived = False
        run(lake, end_of_data=True)
        assert tables(lake) == expected, f"after a kill at step {steps}"
        if lived:
            break
    assert steps > 30


def test_a_hole_in_the_ids_is_marked_and_a_later_fill_unmarks_it(tmp_path: Path) -> None:
    trades = market(5, exchange="kraken", trades=80)
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([trades[:30] + trades[33:]])
    run(lake)
    silver = pl.read_parquet(list(lake.silver("trades").glob("**/*.parquet")), hive_partitioning=False).sort("ordinal")
    assert silver.filter("gap_before")["trade_seq"].to_list() == [34]
    bars = pl.read_parquet(list(lake.processed.glob("gold/bars/bar_set=tick-*/**/*.parquet")), hive_partitioning=False)
    assert bars.filter("has_gap")["first_trade_id"].len() == 1
    recorder.record([trades[30:33]])
    run(lake)
    bars = pl.read_parquet(list(lake.processed.glob("gold/bars/bar_set=tick-*/**/*.parquet")), hive_partitioning=False)
    assert not bars["has_gap"].any()


def test_a_bar_set_added_later_begins_at_the_beginning(tmp_path: Path) -> None:
    trades = market(6, exchange="kraken", trades=100)
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([trades])
    TransformExecutor(EtlOptions(lake, bars=(), disk=Disk(durable=False))).close()
    first = TransformExecutor(EtlOptions(lake, bars=(), disk=Disk(durable=False)))
    first.run()
    first.close()
    run(lake, end_of_data=True)
    bars = pl.read_parquet(list(lake.processed.glob("gold/bars/bar_set=tick-*/**/*.parquet")), hive_partitioning=False)
    assert bars["tick_count"].sum() == 100


def test_trades_without_ids_are_all_different(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    same = Trade("BTC-USD", START_NS // 1000, "", None, "buy", "buy", 100.0, 1.0)
    Recorder(lake, "bitfinex").record([[same, same], [same]])
    run(lake, end_of_data=True)
    silver = pl.read_parquet(list(lake.silver("trades").glob("**/*.parquet")), hive_partitioning=False)
    assert silver.height == 3
    bars = gold(lake, "volume")
    assert bars["tick_count"].sum() == 3


@pytest.mark.parametrize("back_s", [0.2, 120, 3 * 3600])
@pytest.mark.parametrize("rows_per_step", [1, 50])
def test_exchange_times_that_go_back_lose_no_trade_of_any_bar_set(
    tmp_path: Path, rows_per_step: int, back_s: float
) -> None:
    """The exchange's sequence is the order; its clock went back in the middle."""
    trades = market(4, exchange="kraken", trades=60)
    back = [msgspec.structs.replace(t, timestamp=t.timestamp - round(back_s * 1e6)) for t in trades[30:40]]  # type: ignore[operator]
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([[*trades[:30], *back[:5]], [*back[5:], *trades[40:]]])
    executor = TransformExecutor(
        EtlOptions(lake, bars=BARS, disk=Disk(durable=False), rows_per_step=rows_per_step, lateness_s=300)
    )
    executor.run(end_of_data=True)
    executor.close()
    for bar_set in ("time", "tick", "volume", "dollar"):
        bars = pl.read_parquet(
            list(lake.processed.glob(f"gold/bars/bar_set={bar_set}-*/**/*.parquet")), hive_partitioning=False
        )
        assert bars["tick_count"].sum() == 60


def test_one_failing_stream_does_not_stop_the_others(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([market(1, exchange="kraken", trades=20)])
    Recorder(lake, "bitfinex").record([market(1, exchange="bitfinex", trades=20)])
    next(lake.ready.glob("native/trades/exchange=kraken/**/*.parquet")).unlink()
    executor = TransformExecutor(options(lake))
    with pytest.raises(ExceptionGroup) as error:
        executor.run()
    executor.close()
    assert "missing" in str(error.value.exceptions[0])
    assert list(lake.silver("trades").glob("exchange=bitfinex/**/*.parquet"))


def test_ndjson_segments_give_the_same_rows(tmp_path: Path) -> None:
    trades = market(2, exchange="bitfinex", trades=60)
    out = []
    for raw_format in ("parquet", "ndjson"):
        lake = Lake.under(tmp_path / raw_format)
        segments = SegmentOptions(raw_format=raw_format)
        Recorder(lake, "bitfinex", WriterOptions(segments=segments)).record([trades[:30], trades[30:]])
        run(lake, end_of_data=True)
        out.append(tables(lake))
    assert out[0] == out[1]


def test_folders_by_another_unit_are_refused_and_not_mixed(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([market(8, exchange="kraken", trades=50)])
    run(lake)
    executor = TransformExecutor(EtlOptions(lake, silver_unit="month", disk=Disk(durable=False)))
    with pytest.raises(ExceptionGroup) as error:
        executor.run()
    executor.close()
    assert isinstance(error.value.exceptions[0], StateMismatch)


def test_a_checkpoint_that_cannot_be_read_means_the_beginning_and_no_row_less(tmp_path: Path) -> None:
    trades = market(4, exchange="kraken", trades=90)
    lake, reference = Lake.under(tmp_path / "a"), Lake.under(tmp_path / "b")
    Recorder(reference, "kraken").record([trades])
    run(reference, end_of_data=True)
    recorder = Recorder(lake, "kraken")
    for number in range(3):
        recorder.record([trades[number * 30 : number * 30 + 30]])
        if number == 2:
            for chain in sorted((lake.state / "etl").glob("*/kraken/BTC-USD")):
                newest = max(chain.glob("*.checkpoint"))
                newest.write_bytes(newest.read_bytes()[:-10])
        run(lake)
    run(lake, end_of_data=True)
    assert tables(lake) == tables(reference)


def test_another_version_of_a_transform_leaves_no_row_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = market(4, exchange="kraken", trades=90)
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([trades])
    with capture_logs() as told_before:
        run(lake)
        run(lake)
    monkeypatch.setattr(TradesTransform, "version", 2)
    monkeypatch.setattr(TradesTransform, "_is_trade", lambda self: pl.col("trade_seq") <= 40)
    with capture_logs() as told:
        run(lake, end_of_data=True)
        run(lake)
    assert told_before == []
    assert [(line["log_level"], line["chain"]) for line in told if "all rows are made anew" in line["event"]] == [
        ("warning", "trades of kraken BTC-USD")
    ]
    assert silver_of(lake)["trade_seq"].to_list() == list(range(1, 41))
    assert gold(lake, "tick")["tick_count"].sum() == 40


def test_an_end_that_was_not_the_end_leaves_no_trace(tmp_path: Path) -> None:
    trades = market(4, exchange="kraken", trades=90)
    lake, reference = Lake.under(tmp_path / "a"), Lake.under(tmp_path / "b")
    Recorder(reference, "kraken").record([trades])
    run(reference, end_of_data=True)
    recorder = Recorder(lake, "kraken")
    recorder.record([trades[:50]])
    run(lake, end_of_data=True)
    recorder.record([trades[50:]])
    run(lake)
    run(lake, end_of_data=True)
    assert tables(lake) == tables(reference)


def test_ids_that_begin_again_are_other_trades_however_polls_cut(tmp_path: Path) -> None:
    trades = market(4, exchange="bitfinex", trades=80)
    again = [msgspec.structs.replace(t, trade_id=str(int(t.trade_id) % 40)) for t in trades]
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "bitfinex")
    for start in range(0, 80, 20):
        recorder.record([again[start : start + 20]])
        options = EtlOptions(lake, candles=CANDLES, bars=BARS, disk=Disk(durable=False), trades={"dedup_window": 10})
        executor = TransformExecutor(options)
        executor.run(end_of_data=start == 60)
        executor.close()
    assert silver_of(lake).height == 80
    assert tables(lake) == tables(at_once(lake, tmp_path))


def test_a_time_far_ahead_of_its_capture_is_no_trade_and_freezes_nothing(tmp_path: Path) -> None:
    trades = market(4, exchange="kraken", trades=60)
    trades[30] = msgspec.structs.replace(trades[30], timestamp=START_NS // 1000 + 10**14)
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([trades], until_ns=START_NS + 10**12)
    run(lake, end_of_data=True)
    assert silver_of(lake).height == 59


@pytest.mark.parametrize("replayed", [0, 3])
def test_an_opaque_stream_marks_its_hole_once_on_the_first_trade_behind_it(tmp_path: Path, replayed: int) -> None:
    """Also where the exchange sends old trades again, newest first, before the new ones."""
    trades = market(4, exchange="bitfinex", trades=60)
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "bitfinex")
    recorder.record([trades[:30]])
    recorder.record([[*trades[30 - replayed : 30][::-1], *trades[33:]]])
    run(lake, end_of_data=True)
    assert silver_of(lake).filter("gap_before")["trade_id"].to_list() == ["34"]
    assert gold(lake, "tick")["has_gap"].sum() == 1


def test_no_row_knows_the_future(tmp_path: Path) -> None:
    """Rows stamped up to T are the same whether or not anything came after T."""
    trades = market(7, exchange="kraken", trades=200)
    short, long = Lake.under(tmp_path / "short"), Lake.under(tmp_path / "long")
    Recorder(short, "kraken").record([trades[:100]])
    Recorder(long, "kraken").record([trades])
    run(short)
    run(long)
    for path in sorted(short.processed.glob("**/*.parquet")):
        early = pl.read_parquet(path, hive_partitioning=False)
        late = pl.read_parquet(long.processed / path.relative_to(short.processed), hive_partitioning=False)
        assert late.head(early.height).drop("epoch", strict=False).equals(early.drop("epoch", strict=False))


def test_a_filtered_run_leaves_the_rest_new_and_two_executors_exclude_each_other(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([market(8, exchange="kraken", trades=50)])
    only = TransformExecutor(EtlOptions(lake, only=FilterSpec(symbols=("ETH/USD",)), disk=Disk(durable=False)))
    assert only.run() == []
    with pytest.raises(LakeLocked, match="pid"):
        TransformExecutor(options(lake))
    only.close()
    everything = TransformExecutor(options(lake))
    assert [result.key for result in everything.run()] == [StreamKey("kraken", "BTC-USD")]
    everything.close()


def test_a_bar_file_says_what_it_is(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path / "lake")
    Recorder(lake, "kraken").record([market(1, exchange="kraken", trades=60)])
    run(lake, end_of_data=True)
    for bar_set in BARS:
        (path, *_) = sorted(lake.processed.glob(f"gold/bars/bar_set={bar_set.type}-*/**/*.parquet"))
        facts = pl.read_parquet_metadata(path)
        rows = pl.read_parquet(path, hive_partitioning=False)
        assert facts["daedalus.bar_set"] == rows["bar_set"][0]
        assert facts["daedalus.bar_type"] == bar_set.type
        bars = new_bars(bar_set.type, **bar_set.params)
        assert msgspec.json.decode(facts["daedalus.parameters"]) == bars.params
        assert facts["daedalus.parameters_hash"] == bars.params_hash()
