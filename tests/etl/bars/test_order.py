"""The gate: which trades are new, repeated, late; and that batches do not matter to it."""

from decimal import Decimal

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.bars import TickBars, TimeBars, order
from tests.etl.bars.both import both
from tests.etl.bars.both import given as given_to
from tests.etl.bars.reference import Trade
from tests.etl.bars.trades_made import frame

US = pl.Datetime("us", "UTC")


def numbered(*seqs: int | None) -> pl.DataFrame:
    """Trades by number, all of one moment; None: a trade without one."""
    return pl.DataFrame(
        {
            "trade_id": [f"s{seq}" if seq is not None else f"o{row}" for row, seq in enumerate(seqs)],
            "trade_seq": pl.Series(seqs, dtype=pl.Int64),
            "timestamp": pl.Series([0] * len(seqs), dtype=pl.Int64).cast(US),
            "price": 1.0,
            "amount": 1.0,
        }
    )


def opaque(*trades: tuple[str, int, str, int]) -> pl.DataFrame:
    """Trades without numbers: id, time in us, epoch, seq."""
    ids, us, epochs, seqs = zip(*trades, strict=True)
    return pl.DataFrame(
        {
            "trade_id": ids, "timestamp": pl.Series(us, dtype=pl.Int64).cast(US), "epoch": epochs, "seq": seqs,
            "price": 1.0, "amount": 1.0,
        }
    )  # fmt: skip


def verdict(*batches: pl.DataFrame, **options: int) -> tuple[int, int, int]:
    """(used, repeated, late)"""
    bars = TickBars(threshold=10**9, late="drop", **options)
    for batch in batches:
        bars.update(batch)
    return bars.counters.n_trades, bars.counters.n_dup, bars.counters.n_late


@pytest.mark.parametrize(
    ("seqs", "expected"),
    [
        ([5, 6, 7], (3, 0, 0)),
        ([5, 6, 6, 5, 7], (3, 2, 0)),
        ([5, 9, 7, 10], (3, 0, 1)),  # 7 was passed over
        ([5, 9, 4, 10], (3, 0, 1)),  # 4 lies before the first
        ([5, 9, 7, 9, 5, 10], (3, 2, 1)),
        ([5, 9, 12, 10, 11, 8, 9], (3, 1, 3)),
        ([0, 2**63 - 1, 5], (2, 0, 1)),
    ],
)
def test_numbers_tell_repeated_from_late(seqs, expected):
    assert verdict(numbered(*seqs)) == expected
    assert verdict(*(numbered(seq) for seq in seqs)) == expected


def test_what_is_forgotten_is_called_late(monkeypatch):
    """Never a loss in silence: a late trade may cost a rebuild, a wrongly dropped one a trade."""
    monkeypatch.setattr(order, "HOLES_MAX", 2)
    seqs = [1, 3, 5, 7, 9]  # four holes, two remembered: 6 and 8
    for again, expected in ((7, (5, 1, 0)), (6, (5, 0, 1)), (5, (5, 1, 0)), (3, (5, 0, 1)), (2, (5, 0, 1))):
        assert verdict(numbered(*seqs, again)) == expected
        assert verdict(numbered(*seqs), numbered(again)) == expected


@given(seqs=st.lists(st.integers(0, 30) | st.none(), max_size=30), cut=st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_numbers_give_the_same_counts_for_any_cut(seqs, cut):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "HOLES_MAX", 3)
        whole, *parts = (TickBars(threshold=10**9, late="drop"), TickBars(threshold=10**9, late="drop"))
        trades = numbered(*seqs)
        whole.update(trades)
        parts[0].update(trades[:cut])
        parts[0].update(trades[cut:])
        assert parts[0].snapshot() == whole.snapshot()


@pytest.mark.parametrize(
    ("trades", "expected"),
    [
        ([("a", 1, "e1", 1), ("b", 1, "e1", 2), ("c", 2, "e1", 3)], (3, 0, 0)),
        ([("a", 1, "e1", 1), ("a", 2, "e1", 2)], (1, 1, 0)),
        ([("a", 1, "e1", 2), ("b", 1, "e1", 1)], (1, 0, 1)),  # one moment: arrival decides
        ([("a", 1, "e1", 9), ("b", 1, "e2", 1)], (2, 0, 0)),  # a later run of the collector
        ([("a", 1, "e2", 9), ("b", 1, "e1", 10)], (1, 0, 1)),
        ([("a", 5, "e1", 1), ("b", 4, "e1", 2), ("c", 5, "e1", 3)], (2, 0, 1)),
        ([("a", 1, "e1", 9), ("b", 2, "e1", 3), ("c", 3, "e1", 1)], (3, 0, 0)),  # time decides first
    ],
)
def test_opaque_ids_are_ordered_by_time_then_arrival(trades, expected):
    assert verdict(opaque(*trades)) == expected
    assert verdict(*(opaque(trade) for trade in trades)) == expected


@pytest.mark.parametrize("small_batch", [0, 10**9])
def test_ids_are_remembered_for_a_window(small_batch, monkeypatch):
    monkeypatch.setattr(order, "_SMALL_BATCH", small_batch)
    trades = [(f"t{n}", n, "e", n) for n in range(10)]
    for again, expected in (("t7", (10, 1, 0)), ("t6", (11, 0, 0))):
        repeated = opaque((again, 10, "e", 10))
        assert verdict(opaque(*trades), repeated, dedup_window=3) == expected
        assert verdict(pl.concat([opaque(*trades), repeated]), dedup_window=3) == expected
    assert len(TickBars(threshold=1, dedup_window=3).snapshot().memory.ids) == 0


def test_the_window_bounds_the_state():
    bars = TickBars(threshold=1, dedup_window=3)
    bars.update(opaque(*[(f"t{n}", n, "e", n) for n in range(10)]))
    assert bars.snapshot().memory.ids == ("t7", "t8", "t9")


def test_trades_with_and_without_numbers_keep_their_own_order():
    assert verdict(numbered(1, None, 2, None, 2, 5, None, 4)) == (6, 1, 1)


@both
@pytest.mark.parametrize(
    ("tape", "expected"),
    [
        ("1 2 4 |3 5 6", [False, False, False, True, False]),  # a hole before 3, which comes late: 5 tells of it
        ("1 2 4 |3 |3 5 6", [False, False, False, True, False]),
        ("1 2 4 |0 3 2 5 6", [False, False, False, True, False]),
        ("1 2 |2 3", [False, False, False]),  # 2 was used: given again, its hole is no new one
        ("1 |2 |2 3", [False, True, False]),
        ("1 2 4 |3 3", [False, False, False]),  # nothing came behind it yet
    ],
)
def test_a_hole_before_a_late_trade_is_told_by_the_next_one(make, tape, expected):
    trades = [
        Trade(f"t{seq}", 0, Decimal(1), Decimal(1), "buy", trade_seq=seq, gap_before=mark == "|")
        for mark, seq in ((each[0], int(each.strip("|"))) for each in tape.split())
    ]
    assert [bar["has_gap"] for bar in given_to(make("tick", threshold=1), trades)] == expected


def test_a_hole_that_is_still_to_be_told_is_kept_in_the_state():
    bars = TickBars(threshold=1, late="drop")
    bars.update(numbered(1, 3, 2).with_columns(gap_before=pl.Series([False, False, True])))
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(bars.snapshot()), type=TickBars.State)
    for later in (bars, TickBars(threshold=1, late="drop", state=state)):
        later.update(numbered(2, 1))
        assert later.update(numbered(4, 5))["has_gap"].to_list() == [True, False]


def test_a_hole_before_a_trade_of_a_past_bucket_is_told_by_the_next_one():
    bars = TimeBars(interval="1m", late="drop")
    tape = [Trade(str(s), s * 10**6, Decimal(1), Decimal(1), gap_before=s == 5) for s in (0, 70, 5, 75, 140)]
    for seq, trade in enumerate(tape):
        trade.trade_seq = seq
    assert bars.update(frame(tape))["has_gap"].to_list() == [False, True]
