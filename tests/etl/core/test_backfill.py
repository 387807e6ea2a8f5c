"""A hole that is filled later leaves no trace in silver and bars: trades come to their place, marks are taken back."""

import random
from pathlib import Path

import msgspec
import polars as pl
import pytest

from ingestion.capture import Capture
from ingestion.continuity import Feed
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Gap, Row, Trade
from storage.gaps import latest, read_gaps
from storage.published import log_paths, next_epoch, read_log
from tests.etl.core.test_streams import Recorder, cut, gold, run, silver_of, tables
from tests.etl.core.test_streams import market as one_market

EXCHANGES = pytest.mark.parametrize("exchange", ["kraken", "bitfinex"], ids=["ids-contiguous", "ids-opaque"])


def market(seed: int, *, exchange: str) -> list[Trade]:
    """Trades of which no two are of one moment: where ids are opaque, those are in the order of their arrival."""
    trades = one_market(seed, exchange=exchange, trades=160)
    return [msgspec.structs.replace(t, timestamp=(t.timestamp or 0) + n) for n, t in enumerate(trades)]


def fill(recorder: Recorder, rows: list[Row]) -> None:
    """One run of a tool that fetched what was missing: files of their own, long after the hole."""
    clock = recorder.clock
    epoch = next_epoch(recorder.lake, clock.wall_ns(), 77)
    writer = StreamingParquetWriter(recorder.lake, WriterOptions(), epoch=epoch, clock=clock, disk=Disk(durable=False))
    numbered, seqs = Feed("rest", recorder.exchange, epoch).number(rows, clock.wall_ns() // 1000)
    writer.append([Capture("rest", recorder.exchange, clock.wall_ns(), 0, numbered, seqs, origin="rest")])
    journal = writer.rotate()
    assert journal
    writer.seal(journal)
    writer.close()
    clock.now_ns += 10**9


def verdicts(lake: Lake, status: str) -> list[Row]:
    """What such a tool says of each hole of the trades: one more revision of it."""
    entries = [entry for path in log_paths(lake) for entry in read_log(path)[0] if entry.table == "gaps"]
    gaps = latest(read_gaps(lake, entries)[0]).filter(pl.col("channel") == "trades", pl.col("status") == "open")
    return [
        Gap(
            row["symbol"], None, row["gap_id"], row["revision"] + 1, "trades", row["cause"], status,
            start_ts=None, end_ts=None, rows_lost=0 if status == "filled" else None, next_seq=row["next_seq"],
        )
        for row in gaps.rows(named=True)
    ]  # fmt: skip


def holed(lake: Lake, exchange: str, trades: list[Trade], missing: range) -> Recorder:
    """A lake whose collector was down for some trades, refined as it grew."""
    recorder = Recorder(lake, exchange)
    recorder.record([trades[: missing.start]])
    run(lake)
    recorder.record([trades[missing.stop : missing.stop + 40], trades[missing.stop + 40 :]])
    run(lake)
    return recorder


@EXCHANGES
@pytest.mark.parametrize("missing", [range(30, 45), range(1, 90), range(100, 101)], ids=["some", "many", "one"])
def test_a_filled_hole_leaves_no_trace(tmp_path: Path, exchange: str, missing: range) -> None:
    trades = market(11, exchange=exchange)
    whole, lake = Lake.under(tmp_path / "whole"), Lake.under(tmp_path / "holed")
    Recorder(whole, exchange).record([trades])
    run(whole, end_of_data=True)
    recorder = holed(lake, exchange, trades, missing)
    assert silver_of(lake)["gap_before"].sum() == 1
    assert gold(lake, "tick")["has_gap"].any()
    half = len(missing) // 2
    fill(recorder, list(trades[missing.start : missing.start + half]))
    run(lake)
    fill(recorder, list(trades[missing.start + half - 1 : missing.stop + 2]))
    run(lake)
    fill(recorder, verdicts(lake, "filled"))
    run(lake)
    run(lake, end_of_data=True)
    assert not silver_of(lake)["gap_before"].any()
    assert tables(lake) == tables(whole)


@EXCHANGES
def test_a_hole_that_cannot_be_filled_stays_marked_and_nothing_else_is(tmp_path: Path, exchange: str) -> None:
    trades = market(12, exchange=exchange)
    lake = Lake.under(tmp_path)
    recorder = holed(lake, exchange, trades, range(30, 45))
    before = tables(lake)
    fill(recorder, verdicts(lake, "unrecoverable"))
    run(lake)
    assert tables(lake) == before
    recorder.record([trades[-1:]])
    run(lake)
    assert silver_of(lake).filter("gap_before")["trade_id"].to_list() == [trades[45].trade_id]


@EXCHANGES
@pytest.mark.parametrize("seed", range(3))
def test_a_filled_hole_is_the_same_however_polls_cut(tmp_path: Path, exchange: str, seed: int) -> None:
    """Streamed with the fill in any portions = all of it at once."""
    trades, rng = market(13, exchange=exchange), random.Random(seed)
    lake = Lake.under(tmp_path / "lake")
    recorder = holed(lake, exchange, trades, range(30, 60))
    for part in cut(trades[30:60], rng):
        fill(recorder, [*part, *verdicts(lake, "filled")])
        if rng.random() < 0.5:
            run(lake)
    run(lake, end_of_data=True)
    at_once = Lake(lake.raw, tmp_path / "at_once", tmp_path / "at_once_state")
    run(at_once, end_of_data=True)
    assert tables(lake) == tables(at_once)
    assert not silver_of(lake)["gap_before"].any()
    assert silver_of(lake)["trade_id"].to_list() == [trade.trade_id for trade in trades]
