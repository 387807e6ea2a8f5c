"""The order of sacrifice: what is given up is declared to the row, trades never are, no journal is damaged."""

import asyncio
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ingestion.pressure import LEVEL_MAX, SPARSE_US, Pressure, PressureOptions, Shedder
from shared.partitioning import Lake
from shared.rows import Frame, Gap, L2Message, OrderBook, Row, Ticker, Trade
from tests.ingestion.collecting import Run, bronze
from tests.levels import row_count

START_US = 1_780_000_000_000_000


def book(size: int = 2) -> L2Message:
    return L2Message("BTC-USD", 1, 1, False, ["bid"] * size, [1.0] * size, [1.0] * size)


def snapshot() -> OrderBook:
    return OrderBook("BTC-USD", 1, None, 1.0, 1.0, 2.0, 1.0, [(1.0, 1.0)], [(2.0, 1.0)])


def trade(number: int) -> Trade:
    return Trade("BTC-USD", 1, str(number), number, "buy", "BUY", 1.0, 1.0)


def frame(direction: str) -> Frame:
    return Frame("all", None, 1, 0, direction, None, b"x")


def levels(fills: list[tuple[float, float]]) -> list[int]:
    pressure = Pressure(PressureOptions(after_s=5, calm_s=10))
    out = []
    for now_s, fill in fills:
        pressure.look(fill, now_s=now_s)
        out.append(pressure.level)
    return out


def test_a_burst_costs_nothing_and_a_standing_queue_costs_one_step_after_another() -> None:
    assert levels([(0, 1.0), (4, 1.0), (4.5, 0.4), (5, 1.0), (9, 1.0)]) == [0] * 5
    assert levels([(0, 1.0), (5, 1.0), (5.1, 1.0), (10.1, 1.0), (10.2, 1.0), (15.2, 1.0), (99, 1.0)]) == [
        0, 1, 1, 2, 2, 3, 3,
    ]  # fmt: skip
    assert levels([(0, 0.6), (5, 0.6), (6, 0.6), (20, 0.6)]) == [0, 1, 1, 1]  # the next step begins at 0.65


def test_a_level_is_left_after_a_calm_and_not_between_the_two_bounds() -> None:
    up = [(0.0, 0.6), (5.0, 0.6)]
    assert levels([*up, (6, 0.4), (60, 0.4)])[-1] == 1  # neither high nor low
    assert levels([*up, (6, 0.1), (15.9, 0.1), (16, 0.1)])[-2:] == [1, 0]
    assert levels([*up, (6, 0.1), (15, 0.3), (16, 0.1), (25, 0.1)])[-1] == 1  # the calm began anew


ROWS = st.lists(
    st.tuples(
        st.sampled_from(
            [book(), book(3), snapshot(), Ticker("BTC-USD", 1, bid=1.0), trade(1), frame("received"), frame("sent")]
        ),
        st.integers(0, 3),
    )
)


@given(steps=ROWS)
def test_received_is_kept_and_declared_whatever_comes_at_which_level(steps: list[tuple[Row, int]]) -> None:
    ids = iter(range(10**6))
    shedder = Shedder(lambda: str(next(ids)))
    counts: dict[type[Row], int] = {}
    stored: dict[str, set[int]] = {}
    gaps: list[Gap] = []
    for number, (row, level) in enumerate(steps):
        seq = counts.get(type(row), 0)
        counts[type(row)] = seq + row_count([row])
        kept, seqs, told = shedder.shed([row], [seq], level=level, capture_us=START_US + number * SPARSE_US // 4)
        gaps += told
        if isinstance(row, Trade) or (isinstance(row, Frame) and row.direction == "sent"):
            assert kept == [row]
        for one, first in zip(kept, seqs, strict=True):
            name = type(one).__name__
            stored.setdefault(name, set()).update(range(first, first + row_count([one])))
        gaps += shedder.end(level=level, capture_us=START_US)
    gaps += shedder.end(level=0, capture_us=START_US)
    assert not shedder.is_open
    latest = {gap.gap_id: gap for gap in gaps}
    names = {"l2": "L2Message", "orderbook": "OrderBook", "ticker": "Ticker", "frames": "Frame"}
    for gap in latest.values():
        assert gap.prev_seq is not None
        assert gap.next_seq is not None
        missing = set(range(gap.prev_seq + 1, gap.next_seq))
        assert gap.rows_lost == len(missing)
        assert not missing & stored.get(names[gap.channel], set())
        stored.setdefault(names[gap.channel], set()).update(missing)
    for kind, count in counts.items():
        assert stored.get(kind.__name__, set()) == set(range(count))


async def test_given_up_rows_are_gaps_in_the_lake_and_the_journal_is_not_damaged(tmp_path: Path) -> None:
    """The levels rise and fall over several journals; books are to be begun anew; a second run finds no hole."""
    run = Run(Lake.under(tmp_path))
    pipeline, inlet, writer = run.pipeline, run.inlet, run.pipeline._writer
    received = dict.fromkeys(("trades", "ticker", "orderbook", "l2"), 0)
    number = 0
    for level in (0, 2, 3, 3, 1, 0, 3):
        pipeline._intake.level = level
        inlet.relieve(level)
        for _ in range(7):
            number += 1
            rows: list[Row] = [trade(number), Ticker("BTC-USD", 1, bid=1.0), snapshot(), book()]
            inlet.take(rows, inlet.clock.wall_ns(), inlet.clock.mono_ns(), 100)
            received = {table: count + (2 if table == "l2" else 1) for table, count in received.items()}
        writer.append(pipeline._intake.take(rows=10**6))
        journal = writer.rotate()
        assert journal
        assert not writer.seal(journal).damaged
    assert inlet.stale_books == {"BTC-USD"}
    pipeline._intake.level = 0
    inlet.relieve(0)
    writer.append(pipeline._intake.take(rows=10**6))
    writer.abandon()
    again = Run(run.lake, number=1)
    assert again.pipeline._writer.recovered.damaged == []
    again.pipeline._writer.close()
    gaps = bronze(run.lake, "gaps").sort("revision").unique("gap_id", keep="last").filter(cause="overflow")
    for table, count in received.items():
        lost = gaps.filter(channel=table)["rows_lost"].sum()
        assert bronze(run.lake, table).height + lost == count
        assert (lost > 0) == (table != "trades")
    assert gaps["rows_lost"].null_count() == 0
    assert gaps["rows_lost"].sum() == inlet.statistics.rows_given_up
    assert bronze(run.lake, "gaps").filter(pl.col("revision") == 0, pl.col("rows_lost").is_null()).height >= 3


async def test_a_full_queue_of_trades_makes_the_socket_wait_at_the_highest_level(tmp_path: Path) -> None:
    run = Run(Lake.under(tmp_path))
    intake, inlet = run.pipeline._intake, run.inlet
    intake.level, number = LEVEL_MAX, 0
    while not inlet.full:
        inlet.take([trade(number := number + 1)] * 1000, inlet.clock.wall_ns(), 0, 0)
    waiting = asyncio.create_task(inlet.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    while intake.rows:
        intake.take(rows=1000)
    await waiting
    run.pipeline._writer.close()
