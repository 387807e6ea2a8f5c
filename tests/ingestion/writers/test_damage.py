"""Journals that are damaged, poisoned or not ours: the start goes on, and what cannot be stored is declared."""

from pathlib import Path

import pytest

from ingestion.capture import Capture
from ingestion.continuity import Feed
from ingestion.writers import frames
from ingestion.writers.parquet_writer import StreamingParquetWriter
from shared.partitioning import Lake
from shared.rows import Gap, Row, Ticker
from tests.ingestion.writers.lake_rows import StepClock, ready_rows, trade, writer


class Captured:
    """Captures as a collector hands them on, gap rows included."""

    def __init__(self, clock: StepClock) -> None:
        self._feed, self._clock = Feed("native", "coinbaseadvanced", "e"), clock

    def __call__(self, *rows: Row) -> Capture:
        wall_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
        numbered, seqs = self._feed.number(rows, wall_ns // 1000)
        return Capture("native", "coinbaseadvanced", wall_ns, mono_ns, numbered, seqs)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.under(tmp_path)


def tickers(count: int) -> list[Row]:
    return [Ticker("BTC-USD", 1, bid=1.0)] * count


def spoil(path: Path, at: int, size: int = 16) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)


def declared(w: StreamingParquetWriter) -> list[Gap]:
    return [each.gap for commit in w.recovered.damaged for each in commit.gaps]


@pytest.mark.parametrize("symbol", ["..", "", "BTC/USD", "A" * 300])
def test_a_journal_that_cannot_be_sealed_is_declared_kept_and_does_not_stop_the_start(lake: Lake, symbol: str) -> None:
    clock = StepClock()
    captured = Captured(clock)
    w = writer(lake, clock)
    w.append([captured(trade(1)), captured(trade(1, symbol)), captured(trade(2))])
    w.abandon()
    (journal,) = lake.active.glob("*.journal")
    again = writer(lake, clock, run=1)
    assert [(gap.symbol, gap.prev_seq, gap.next_seq, gap.rows_lost) for gap in declared(again)] == [
        ("BTC-USD", -1, 2, 2),
        ("unknown", -1, 1, 1),
    ]
    gaps = declared(again)
    again.abandon()  # dies before the gaps are stored: the next run must be told again
    third = writer(lake, clock, run=2)
    assert declared(third) == gaps
    third.append([Captured(clock)(*gaps)])
    third.sync()
    third.forget_damage()
    third.close()
    assert [path.name for path in lake.quarantine.iterdir()] == [journal.name]
    assert sorted(ready_rows(lake, "gaps")["rows_lost"]) == [1, 2]
    assert list(lake.active.iterdir()) == list(lake.staging.iterdir()) == []


def test_the_next_journal_does_not_declare_again_what_an_unsealable_one_held(lake: Lake) -> None:
    clock = StepClock()
    captured = Captured(clock)
    w = writer(lake, clock)
    w.append([captured(trade(1)), captured(trade(1, ".."))])
    w.rotate()
    w.append([captured(trade(2))])
    w.abandon()
    again = writer(lake, clock, run=1)
    assert sum(gap.rows_lost or 0 for gap in declared(again)) == 2
    assert ready_rows(lake)["seq"].to_list() == [1]
    again.close()


def test_holes_of_two_symbols_in_one_block_have_two_ids(lake: Lake) -> None:
    clock = StepClock()
    captured = Captured(clock)
    w = writer(lake, clock)
    edges = []
    for number in range(3):
        w.append([captured(trade(number), trade(number, "ETH-USD"))])
        edges.append(w.journal_bytes)
    w.abandon()
    (journal,) = lake.active.glob("*.journal")
    spoil(journal, edges[0] + 40)
    again = writer(lake, clock, run=1)
    assert {gap.symbol for gap in declared(again)} == {"BTC-USD", "ETH-USD"}
    assert len({gap.gap_id for gap in declared(again)}) == 2
    again.close()


@pytest.mark.parametrize("cut", [False, True])
def test_a_lost_end_of_a_journal_that_was_gone_on_from_is_a_hole_and_kept(lake: Lake, cut: bool) -> None:
    """The stream is silent afterwards: only the next journal's header knows of the rows."""
    clock = StepClock()
    captured = Captured(clock)
    w = writer(lake, clock)
    w.append([captured(*tickers(10))])
    edge = w.journal_bytes
    w.append([captured(*tickers(5))])
    journal = w.rotate()
    assert journal
    w.abandon()
    if cut:
        journal.write_bytes(journal.read_bytes()[:edge])
    else:
        spoil(journal, edge + 40)
    again = writer(lake, clock, run=1)
    assert [(gap.channel, gap.prev_seq, gap.next_seq, gap.rows_lost) for gap in declared(again)] == [
        ("ticker", 9, 15, 5)
    ]
    again.forget_damage()
    again.close()
    assert cut or journal.name in {path.name for path in lake.quarantine.iterdir()}


def test_a_torn_end_of_the_last_journal_is_no_damage(lake: Lake) -> None:
    clock = StepClock()
    captured = Captured(clock)
    w = writer(lake, clock)
    w.append([captured(*tickers(10))])
    edge = w.journal_bytes
    w.append([captured(*tickers(5))])
    w.abandon()
    (journal,) = lake.active.glob("*.journal")
    journal.write_bytes(journal.read_bytes()[: edge + 50])
    again = writer(lake, clock, run=1)
    assert again.recovered.damaged == []
    assert again.recovered.torn_tail_bytes == 50
    again.close()


def test_a_damaged_header_makes_no_hole_of_rows_that_were_sealed_before(lake: Lake) -> None:
    clock = StepClock()
    captured = Captured(clock)
    w = writer(lake, clock)
    w.append([captured(*tickers(100))])
    journal = w.rotate()
    assert journal
    w.seal(journal)
    w.append([captured(*tickers(10))])
    w.abandon()
    (journal,) = lake.active.glob("*.journal")
    spoil(journal, 60)
    again = writer(lake, clock, run=1)
    assert declared(again) == []
    assert len(again.recovered.damaged) == 1
    assert ready_rows(lake, "ticker").height == 110
    again.close()


def test_files_that_are_not_ours_are_left_alone(lake: Lake) -> None:
    clock = StepClock()
    w = writer(lake, clock)
    w.append([Captured(clock)(trade(1))])
    w.abandon()
    foreign = [
        *(lake.active / name for name in ("foo.journal", "foo.commit", ".DS_Store")),
        *(lake.staging / name for name in (".DS_Store", "notes")),
    ]
    for path in foreign:
        path.write_text("not ours")
    again = writer(lake, clock, run=1)
    assert again.recovered.rows == 1
    again.close()
    assert all(path.read_text() == "not ours" for path in foreign)


def test_a_gap_is_not_narrowed_by_trades_that_a_torn_write_lost(tmp_path: Path) -> None:
    """Trades 1 and 5 are stored, 2, 3, 4 come late in one block, which is cut behind each of its frames."""
    for frames_kept in range(4):
        lake, clock = Lake.under(tmp_path / str(frames_kept)), StepClock()
        captured = Captured(clock)
        w = writer(lake, clock)
        w.append([captured(trade(1))])
        w.append([captured(trade(5))])
        start = w.journal_bytes
        w.append([captured(trade(number)) for number in (2, 3, 4)] + [captured(trade(7))])
        w.abandon()
        (journal,) = lake.active.glob("*.journal")
        data = journal.read_bytes()
        ends = [start]
        for frame in frames.scan(data[start:]):
            assert isinstance(frame, frames.Frame)
            ends.append(ends[-1] + frames.HEAD_BYTES + len(frame.payload))
        assert len(ends) == 4
        journal.write_bytes(data[: ends[frames_kept]])
        writer(lake, clock, run=1).close()
        stored = set(ready_rows(lake)["trade_seq"])
        latest = ready_rows(lake, "gaps").filter(channel="trades").sort("revision").unique("gap_id", keep="last")
        told = {
            number
            for gap in latest.filter(status="open").iter_rows(named=True)
            for number in range(int(gap["prev_id"]) + 1, int(gap["next_id"]))
        }
        assert {1, 2, 3, 4, 5} <= stored | told
        assert 7 not in stored or 6 in told
        if frames_kept == 3:
            assert (stored, told) == ({1, 2, 3, 4, 5, 7}, {6})


def test_a_new_run_goes_on_behind_the_largest_id_however_late_others_came(lake: Lake) -> None:
    clock = StepClock()
    captured = Captured(clock)
    w = writer(lake, clock)
    w.append([captured(trade(1), trade(2), trade(4)), captured(trade(3))])
    w.close()
    again = writer(lake, clock, run=1)
    (tail,) = [tail for stream, tail in again.tails.items() if stream.table == "trades"]
    assert (tail.seq, tail.trade_seq, tail.trade_id) == (3, 4, "4")
    again.close()
