"""What the writer promises: rows in = rows in ready, once, readable by anything, whatever step a crash falls on."""

from itertools import count
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from ingestion.writers.parquet_writer import WriterOptions
from ingestion.writers.segments import SegmentOptions
from shared.content_hash import content_hash
from shared.disk import Disk
from shared.errors import LakeLocked, LakeUnusable
from shared.partitioning import Lake, Partition, SegmentName
from shared.rows import Gap, OrderBook, Reject, Row, Ticker
from storage.published import log_paths, read_log
from tests.crash_figures import Record
from tests.ingestion.writers.lake_rows import START_NS, Feed, StepClock, ready_files, ready_rows, trade, writer
from tests.ingestion.writers.lives import live
from tests.stepped_disk import DyingDisk, Killed


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.under(tmp_path)


def test_rows_come_out_once_with_path_columns_and_facts_that_agree(lake: Lake) -> None:
    clock = StepClock()
    feed = Feed(clock)
    w = writer(lake, clock)
    w.append(feed.captures(50))
    w.append(feed.captures(50, symbol="ETH-USD"))
    w.close()
    rows = ready_rows(lake)
    assert sorted(rows["trade_seq"]) == list(range(1, 101))
    for path in ready_files(lake):
        file = pq.ParquetFile(path)
        table, facts = file.read(), file.schema_arrow.metadata or file.metadata.metadata
        partition = Partition.parse(path)
        assert table.select(["exchange", "symbol", "year", "month", "day", "hour"]).to_pylist()[0] == vars(partition)
        assert int(facts[b"daedalus.rows"]) == table.num_rows == 50
        assert facts[b"daedalus.content_hash"].decode() == f"{content_hash(table):016x}"
        assert (int(facts[b"daedalus.first_seq"]), int(facts[b"daedalus.last_seq"])) == (0, 49)
        assert SegmentName.parse(path.name).hour == f"{partition.start():%Y%m%dT%H}"


def test_polars_duckdb_and_pyarrow_open_every_table_with_hive_columns(lake: Lake) -> None:
    clock = StepClock()
    w = writer(lake, clock)
    rows: list[Row] = [
        trade(1),
        Ticker("BTC-USD", None, bid=1.0, ask=2.0),
        OrderBook("BTC-USD", START_NS // 1000, None, 1.0, 2.0, 3.0, 4.0, [(1.0, 2.0)], [(3.0, 4.0), (5.0, 6.0)]),
        Gap("BTC-USD", None, "g1", 0, "trades", "restart", "open"),
        Reject("BTC-USD", None, "trades", "price is negative", '{"price":"-1"}'),
    ]
    w.append([Feed(clock).capture(rows)])
    w.close()
    for table in ("trades", "ticker", "orderbook", "gaps", "rejects"):
        glob = f"{lake.ready}/native/{table}/**/*.parquet"
        assert pl.scan_parquet(glob, hive_partitioning=True).collect().height == 1
        assert duckdb.sql(f"select count(*) from read_parquet('{glob}', hive_partitioning=true)").fetchall() == [(1,)]
        assert ds.dataset(lake.ready / "native" / table, partitioning="hive").to_table().num_rows == 1
    book = pl.read_parquet(ready_files(lake, "orderbook")[0])
    assert book["asks"].to_list() == [[{"price": 3.0, "size": 4.0}, {"price": 5.0, "size": 6.0}]]


def test_the_hour_the_size_and_the_age_seal_a_journal(lake: Lake) -> None:
    clock = StepClock()
    feed = Feed(clock)
    w = writer(lake, clock, options=WriterOptions(segment_max_seconds=60))
    assert not w.due()
    w.append(feed.captures(1))
    assert not w.due()
    clock.now_ns += 60 * 10**9
    assert w.due()
    journal = w.rotate()
    assert journal
    w.append(feed.captures(1))
    w.seal(journal)
    clock.now_ns += 3600 * 10**9
    w.append(feed.captures(1))
    assert w.due()
    w.close()
    assert sorted(ready_rows(lake)["trade_seq"]) == [1, 2, 3]
    assert len({path.parent for path in ready_files(lake)}) == 2  # two hours, two folders
    small = writer(lake, clock, run=1, options=WriterOptions(segment_max_mb=0.01))
    small.append(Feed(clock).captures(1))
    assert small.due()  # the header alone is larger than this bound
    small.close()


def test_rows_spilled_in_small_pieces_are_the_same_rows(lake: Lake) -> None:
    clock = StepClock()
    feed = Feed(clock)
    w = writer(lake, clock, options=WriterOptions(segments=SegmentOptions(buffer_mb=0)))
    for _ in range(5):
        w.append(feed.captures(20))
    w.close()
    (path,) = ready_files(lake)
    assert pq.ParquetFile(path).num_row_groups == 5
    assert content_hash(pq.read_table(path, partitioning=None)) == int(
        pq.ParquetFile(path).metadata.metadata[b"daedalus.content_hash"], 16
    )


def test_a_finished_file_keeps_no_memory(lake: Lake) -> None:
    allocated = list[int]()

    class Watched(Disk):
        def sync_file(self, path: Path) -> None:
            allocated.append(pa.total_allocated_bytes())
            super().sync_file(path)

    clock = StepClock()
    feed = Feed(clock)
    w = writer(lake, clock, disk=Watched(durable=False))
    for number in range(100):
        w.append(feed.captures(1, symbol=f"S{number}-USD"))
    w.close()
    assert len(ready_files(lake)) == 100
    assert max(allocated) - min(allocated) < 4 << 20


def test_ndjson_holds_the_same_rows_in_text(lake: Lake, tmp_path: Path) -> None:
    clock = StepClock()
    w = writer(lake, clock, options=WriterOptions(segments=SegmentOptions(raw_format="ndjson")))
    w.append(Feed(clock).captures(10))
    w.close()
    (path,) = ready_files(lake)
    assert path.suffix == ".ndjson"
    assert [row["trade_id"] for row in pl.read_ndjson(path).to_dicts()] == [str(n) for n in range(1, 11)]


def test_a_second_writer_is_refused_and_told_who_holds_the_lake(lake: Lake) -> None:
    clock = StepClock()
    first = writer(lake, clock)
    with pytest.raises(LakeLocked, match="pid"):
        writer(lake, clock, run=1)
    first.close()
    writer(lake, clock, run=1).close()


def test_a_new_run_knows_where_every_stream_stood(lake: Lake) -> None:
    clock = StepClock()
    feed = Feed(clock)
    w = writer(lake, clock)
    w.append(feed.captures(7))
    w.sync()
    w.abandon()
    again = writer(lake, clock, run=1)
    ((stream, tail),) = again.tails.items()
    assert (stream.table, stream.symbol, tail.seq, tail.trade_seq) == ("trades", "BTC-USD", 6, 7)
    again.close()
    third = writer(lake, StepClock(START_NS + 10**12), run=2)
    assert third.tails[stream].trade_seq == 7  # carried over, although the second run stored nothing
    third.close()


def test_a_damaged_middle_is_declared_counted_and_kept(lake: Lake) -> None:
    clock = StepClock()
    feed = Feed(clock)
    w = writer(lake, clock)
    edges = []
    for _ in range(3):
        w.append(feed.captures(10))
        edges.append(w.journal_bytes)
    w.abandon()
    (journal,) = lake.active.glob("*.journal")
    data = bytearray(journal.read_bytes())
    data[edges[0] + 60 : edges[1] - 20] = bytes(edges[1] - 20 - edges[0] - 60)
    journal.write_bytes(data)
    again = writer(lake, clock, run=1)
    assert sorted(ready_rows(lake)["seq"]) == [*range(10), *range(20, 30)]
    (commit,) = again.recovered.damaged
    (declared,) = commit.gaps
    assert (declared.gap.prev_seq, declared.gap.next_seq, declared.gap.rows_lost) == (9, 20, 10)
    assert commit.damaged_bytes > 0
    again.abandon()  # dies before the gap is stored: the next run must be told again
    third = writer(lake, clock, run=2)
    assert [c.gaps for c in third.recovered.damaged] == [[declared]]
    third.forget_damage()
    assert [path.name for path in lake.quarantine.iterdir()] == [journal.name]
    third.close()
    assert sorted(ready_rows(lake)["seq"]) == [*range(10), *range(20, 30)]


EVERY_SECOND = [pytest.param(step, marks=pytest.mark.slow) for step in range(60)]


@pytest.mark.parametrize("second", [None, 3, 9, 17, 29, *EVERY_SECOND])
def test_a_kill_at_every_step_loses_no_acknowledged_row_and_doubles_none(
    tmp_path: Path, second: int | None, crash_figures: Record
) -> None:
    """Every step of a life is died on, `second` also on a step of the recovery; a last run finds everything."""
    lived = False
    for steps in count():
        lake, clock, acknowledged = Lake.under(tmp_path / str(steps)), StepClock(), set[int]()
        lived = live(lake, clock, DyingDisk(steps), acknowledged, ends=Killed)
        clock.now_ns += 10**9
        if second is not None:
            live(lake, clock, DyingDisk(second), acknowledged, ends=Killed, run=1)
            clock.now_ns += 10**9
        writer(lake, clock, run=2).close()
        stored = ready_rows(lake)["trade_seq"].to_list() if ready_files(lake) else []
        assert len(stored) == len(set(stored)), f"doubled after a kill at step {steps}"
        assert acknowledged <= set(stored), f"lost after a kill at step {steps}"
        logged = {entry.path for path in log_paths(lake) for entry in read_log(path)[0]}
        assert logged == {path.relative_to(lake.ready).as_posix() for path in ready_files(lake)}
        left = [p.name for p in (*lake.active.iterdir(), *lake.staging.iterdir())]
        assert left == [], f"left over after a kill at step {steps}"
        if lived:
            break
    assert lived
    assert steps > 40
    crash_figures({"deaths between two steps of seal or recovery survived": steps * (1 if second is None else 2)})


def test_a_folder_that_compaction_takes_away_while_it_is_empty_is_made_again(lake: Lake) -> None:
    taken = iter(("hour", "day"))

    class Beside(Disk):
        def rename(self, source: Path, target: Path) -> None:
            if lake.ready in target.parents and (what := next(taken, None)):
                target.parent.rmdir()
                if what == "day":
                    target.parent.parent.rmdir()
            super().rename(source, target)

    clock = StepClock()
    w = writer(lake, clock, disk=Beside(durable=False))
    w.append(Feed(clock).captures(5))
    w.close()
    assert ready_rows(lake).height == 5
    assert next(taken, None) is None


def test_a_file_where_the_lake_should_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("not a folder")
    with pytest.raises(LakeUnusable, match="file stands where a folder should") as error:
        writer(Lake.under(tmp_path), StepClock())
    assert "storage.paths" in error.value.line()
