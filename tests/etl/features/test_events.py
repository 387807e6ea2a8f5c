"""Books and trades become rows as the specification says, however they are cut."""

from dataclasses import fields

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features.events import BookEvents
from etl.features.options import FeatureOptions
from etl.features.rows import Rows
from shared.errors import InputUnreadable
from tests.etl.features.event_frames import EVERY_EVENT, Book, assert_same, rows_of, snapshots, trades
from tests.etl.features.made_rows import S0, S1, TRADES, made_rows

S = 1_000_000_000
NARROW = FeatureOptions(hf_emit_interval=0, max_levels=4, ofi_levels=2)
GRID = FeatureOptions(hf_emit_interval=1, max_levels=4, ofi_levels=2)


def kept(rows: Rows, keep: np.ndarray) -> Rows:
    """Some of the rows; trades as they are."""
    arrays = {f.name: getattr(rows, f.name)[keep] for f in fields(rows) if f.name not in ("trades", "columns")}
    return Rows(**arrays, trades=rows.trades)


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        ((100.5, 2), (101, 4), 2),
        ((100, 7), (101, 4), 2),
        ((99, 3), (101, 4), -5),
        ((100, 5), (100.9, 6), -6),
        ((100, 5), (101, 1), 3),
        ((100, 5), (102, 9), 4),
    ],
)
def test_order_flow_of_the_best_level_by_its_truth_table(bid, ask, expected) -> None:  # type: ignore[no-untyped-def]
    rows, _ = rows_of(snapshots([(0, [(100, 5)], [(101, 4)]), (S, [bid], [ask])]))
    assert rows.event_ofi[1, 0] == expected
    mirrored = snapshots([(0, [(99, 4)], [(100, 5)]), (S, [(200 - ask[0], ask[1])], [(200 - bid[0], bid[1])])])
    assert rows_of(mirrored)[0].event_ofi[1, 0] == -expected


def test_order_flow_by_level_of_the_running_example() -> None:
    rows, _ = rows_of(snapshots([(round(t * S), bids, asks) for t, bids, asks in (S0, S1)]))
    assert rows.event_ofi[1].tolist() == [5, 4, 3, 2, 0, 0, 0, 0, 0, 0]
    assert rows.event_log_gofi[1] == pytest.approx(2.014903021, rel=1e-9)
    assert np.isnan(rows.event_ofi[0]).all()
    assert rows.is_reset.tolist() == [True, False]


def test_a_level_that_comes_or_goes_is_infinitely_far_when_it_is_not_there() -> None:
    wide, thin = (0, [(100, 5), (99, 3)], [(101, 4), (102, 2)]), (S, [(100, 5)], [(101, 4)])
    gone, _ = rows_of(snapshots([wide, thin]))
    assert gone.event_ofi[1, :3].tolist() == [0, -3 + 2, 0]
    new, _ = rows_of(snapshots([(0, *thin[1:]), (S, *wide[1:])]))
    assert new.event_ofi[1, :3].tolist() == [0, 3 - 2, 0]


def test_flow_of_events_is_not_that_of_the_books_at_the_ends() -> None:
    ask = [(100.05, 1)]
    books = [(S, [(100.00, 5)], ask), (S + 1, [(100.01, 2)], ask), (S + 2, [(100.00, 4)], ask)]
    every, _ = rows_of(snapshots(books), options=GRID)
    ends, _ = rows_of(snapshots([books[0], books[2]]), options=GRID)
    assert (every.event_ofi[1, 0], ends.event_ofi[1, 0]) == (0, -1)
    assert every.n_updates.tolist() == [1, 2]


def test_the_hand_made_rows_of_other_tests_are_those_of_events() -> None:
    books = [S0, S1, (2.5, S0[1], S1[2]), (2.75, S1[1][:3], S1[2])]
    frame = snapshots([(round(t * S), bids, asks) for t, bids, asks in books])
    sides = {1: "buy", -1: "sell"}
    given_trades = trades([(round(t * S), price, amount, sides[sign]) for t, price, amount, sign in TRADES])
    rows, by_hand = rows_of(frame, given_trades)[0], made_rows(books, TRADES)
    assert_same(rows, by_hand, but=("event_log_gofi",))
    assert rows.event_log_gofi == pytest.approx(by_hand.event_log_gofi, rel=1e-12, nan_ok=True)


def test_rows_lie_on_the_grid_and_show_the_last_valid_book_of_their_cell() -> None:
    ask, bid = [(101.0, 1.0)], [(100.0, 1.0)]
    books: list[Book] = [
        (2 * S, bid, ask),  # ends its cell
        (2 * S + 1, [(100.5, 1)], ask),
        (3 * S - 1, [(102, 1)], ask),  # crossed
        (5 * S, [], ask),
        (7 * S - 5, [(101, 1)], ask),  # locked
    ]
    rows, counts = rows_of(snapshots(books), options=GRID)
    assert rows.t_ns.tolist() == [2 * S, 3 * S, 5 * S, 7 * S]
    assert rows.book_ns.tolist() == [2 * S, 2 * S + 1, 5 * S, 7 * S - 5]
    assert rows.known_ns.tolist() == [2 * S, 3 * S - 1, 5 * S, 7 * S - 5]
    assert rows.is_valid.tolist() == [True, True, False, True]
    assert rows.is_one_sided.tolist() == [False, False, True, False]
    assert rows.is_locked.tolist() == [False, False, False, True]
    assert rows.n_crossed.tolist() == [0, 1, 0, 0]
    assert rows.levels_bid.tolist() == [1, 1, 0, 1]
    assert rows.ask_price[2, 0] == 101
    assert rows.event_ofi[3, 0] == 1  # of the book two rows before
    assert (counts["crossed"], counts["one_sided"], counts["locked"], counts["events"]) == (1, 1, 1, 5)


def test_a_crossed_book_has_no_levels_but_their_number() -> None:
    rows, _ = rows_of(snapshots([(S, [(102, 1), (100, 2)], [(101, 4)])]))
    assert (rows.is_crossed[0], rows.levels_bid[0], rows.levels_ask[0]) == (True, 2, 1)
    for matrix in (rows.bid_price, rows.bid_size, rows.ask_price, rows.ask_size, rows.event_ofi):
        assert np.isnan(matrix).all()


def test_cleaning_counts_what_it_drops_and_keeps_the_last_of_equal_prices() -> None:
    nan, inf = float("nan"), float("inf")
    bids = [(99, 1), (100, 2), (98, 0), (nan, 1), (100, 3), (97, inf), (-1, 2), (96, 1), (95, 1), (94, 1)]
    rows, counts = rows_of(snapshots([(S, bids, [(101, 1)])]), options=NARROW)
    assert rows.bid_price[0].tolist() == [100, 99, 96, 95]
    assert rows.bid_size[0].tolist() == [3, 1, 1, 1]
    assert (counts["invalid_levels"], counts["joined_levels"]) == (4, 1)


def test_books_of_pairs_and_with_nulls_are_read_as_those_of_structs() -> None:
    pairs = pl.DataFrame(
        {
            "timestamp": pl.Series([None, 5], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "capture_ts": pl.Series([3, 7], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "bids": [[[100.0, 1.0], [99.0, 2.0]], None],
            "asks": [[[101.0, 1.0]], [[101.0, 3.0]]],
        }
    )
    rows, _ = rows_of(pairs)
    assert rows.bid_price[0, :2].tolist() == [100, 99]
    assert rows.t_ns.tolist() == [3000, 5000]
    assert rows.known_ns.tolist() == [3000, 7000]
    assert rows.is_one_sided.tolist() == [False, True]


def test_trades_belong_to_the_first_row_at_or_after_them_and_see_the_book_before_them() -> None:
    frame = snapshots([(k * S, [(100.0 + k, 1)], [(101.0 + k, 1)]) for k in (1, 2, 3)])
    given_trades = trades(
        [(S - 1, 9, 1, "buy"), (S, 9, 1, "sell"), (S + 1, 9, 1, None), (3 * S, 10, 1, None), (3 * S + 1, 10, 1, None)]
    )
    rows, counts = rows_of(frame, given_trades)
    assert rows.trades.row.tolist() == [0, 0, 1, 2]
    assert rows.trades.is_dropped.tolist() == [True, True, False, False]
    assert rows.trades.sign.tolist() == [1, -1, -1, 1]
    assert np.array_equal(rows.trades.bid_before, [np.nan, np.nan, 101.0, 102.0], equal_nan=True)
    assert np.array_equal(rows.trades.ask_before, [np.nan, np.nan, 102.0, 103.0], equal_nan=True)
    assert rows.has_trades.tolist() == [True, True, True]
    assert counts["trades"] == 5


def test_a_hole_in_the_trades_marks_the_row_that_takes_them() -> None:
    frame = snapshots([(k * S, [(100.0, 1)], [(101.0, 1)]) for k in (1, 2, 3)])
    holed = trades([(S, 9, 1, "buy"), (2 * S, 9, 1, "sell")]).with_columns(gap_before=pl.Series([False, True]))
    rows, _ = rows_of(frame, holed)
    assert rows.has_gap.tolist() == [False, True, False]
    assert rows.is_reset.tolist() == [True, False, False]


def test_a_hole_in_the_books_begins_anew_even_where_a_crossed_book_shows_it() -> None:
    books: list[Book] = [(k * S, [(100.0 + 5 * (k == 2), 1)], [(101.0, 1)]) for k in (1, 2, 3, 4)]
    rows, counts = rows_of(snapshots(books, gaps=[1]))
    assert rows.is_reset.tolist() == [True, False, True, False]
    assert rows.has_gap.tolist() == [False, True, True, False]
    assert (counts["gaps"], counts["resets"]) == (1, 1)


def test_a_hole_marks_the_row_after_it_and_not_the_one_that_is_still_open() -> None:
    frame = snapshots([(k * S // 2, [(100.0, k)], [(101.0, 1)]) for k in range(1, 6)], gaps=[2])
    rows, _ = rows_of(frame, options=GRID)
    assert rows.t_ns.tolist() == [S, 2 * S, 3 * S]
    assert rows.has_gap.tolist() == [False, True, False]


def test_a_row_is_known_when_all_that_it_depends_on_had_arrived() -> None:
    arrived = pl.Series([5 * S, 3 * S, 6 * S]).cast(pl.Datetime("ns", "UTC"))
    frame = snapshots([(k * S, [(100.0, k)], [(101.0, 1)]) for k in (1, 2, 3)]).with_columns(capture_ts=arrived)
    late = trades([(2 * S, 100, 1, "buy")]).with_columns(known_at=pl.Series([9 * S]).cast(pl.Datetime("ns", "UTC")))
    rows, _ = rows_of(frame, late)
    assert rows.known_ns.tolist() == [5 * S, 9 * S, 9 * S]


def test_a_silence_of_exactly_the_staleness_is_bridged_and_a_nanosecond_more_is_not() -> None:  # F10
    for more, is_reset in ((0, False), (1, True)):
        rows, _ = rows_of(snapshots([(5, *S0[1:]), (5 + 300 * S + more, *S1[1:])]))
        assert rows.is_reset.tolist() == [True, is_reset]
        assert np.isnan(rows.event_ofi[1, 0]) == is_reset


def test_snapshots_that_go_back_in_time_are_dropped_and_repeated_ones_too() -> None:  # F12
    books: list[Book] = [(2 * S, *S0[1:]), (S, *S1[1:]), (2 * S, *S0[1:]), (2 * S, *S1[1:]), (2 * S, *S0[1:])]
    rows, counts = rows_of(snapshots(books))
    assert rows.t_ns.tolist() == [2 * S] * 3
    assert (counts["out_of_order"], counts["duplicates"]) == (1, 1)
    assert rows.event_ofi[1, 0] == 5


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (pl.DataFrame({"timestamp": [1]}), "books have the columns timestamp"),
        (snapshots([(1, [], [])]).with_columns(timestamp=pl.lit(5)), "column 'timestamp' of books is Int32"),
        (snapshots([(1, [], [])]).with_columns(bids=pl.lit("[]")), "column 'bids' of books is String"),
        (snapshots([(1, [], [])]).with_columns(timestamp=pl.lit(None).cast(pl.Datetime("us", "UTC"))), "is null"),
    ],
)
def test_a_frame_that_is_no_book_is_refused(frame: pl.DataFrame, problem: str) -> None:
    with pytest.raises(InputUnreadable, match=problem):
        BookEvents(EVERY_EVENT).update(frame, None)


prices = st.integers(min_value=95, max_value=105).map(float)
sizes = st.sampled_from([1.0, 2.0, 0.5, 7.0])


@st.composite
def some_books(draw: st.DrawFn) -> list[Book]:
    """Books of which some are crossed, locked, one-sided, repeated, or at the same time as the one before."""
    made: list[Book] = []
    t = draw(st.integers(min_value=1, max_value=3 * S))
    for _ in range(draw(st.integers(min_value=1, max_value=12))):
        t += draw(st.sampled_from([0, 0, 1, S // 3, S, 2 * S + 1, 301 * S]))
        if made and draw(st.integers(0, 5)) == 0:
            made.append((t, *made[-1][1:]))
            continue
        middle = draw(prices)
        bids = draw(st.dictionaries(prices.map(lambda p: p - 4), sizes, max_size=6))
        asks = draw(st.dictionaries(prices.map(lambda p: p + 4), sizes, max_size=6))
        if draw(st.booleans()):
            bids = {p: q for p, q in bids.items() if p <= middle}
            asks = {p: q for p, q in asks.items() if p >= middle}
        made.append((t, sorted(bids.items(), reverse=True), sorted(asks.items())))
    return made


some_trades = st.lists(
    st.tuples(st.integers(1, 30 * S), prices, sizes, st.sampled_from(["buy", "sell", None])), max_size=12
).map(lambda given: sorted(given, key=lambda trade: trade[0]))
options = st.sampled_from([NARROW, GRID])


@settings(max_examples=60, deadline=None)
@given(some_books(), some_trades, options, st.data())
def test_how_input_is_cut_and_where_it_is_restarted_changes_no_bit(books, deals, made_with, data) -> None:  # type: ignore[no-untyped-def]
    gaps = data.draw(st.sets(st.integers(0, len(books) - 1), max_size=2))
    frame, deals = snapshots(books, gaps=sorted(gaps)), trades(deals)
    whole, counts = rows_of(frame, deals, options=made_with)
    for cuts in ([k] for k in range(len(books) + 1)):
        parts, also = rows_of(frame, deals, options=made_with, cuts=cuts)
        assert_same(whole, parts)
        assert counts == also
    assert_same(whole, rows_of(frame, deals, options=made_with, cuts=range(len(books)))[0])


@settings(max_examples=60, deadline=None)
@given(some_books(), some_trades, options, st.data())
def test_a_level_beyond_those_that_are_used_changes_nothing(books, deals, made_with, data) -> None:  # type: ignore[no-untyped-def]
    plain = [(t, bids[:4], asks[:4]) for t, bids, asks in books]
    k = data.draw(st.integers(0, len(books) - 1))
    t, bids, asks = plain[k]
    deeper = ([*bids, (50.0, 3.0)] if len(bids) == 4 else bids), ([*asks, (500.0, 3.0)] if len(asks) == 4 else asks)
    changed = [*plain[:k], (t, *deeper), *plain[k + 1 :]]
    deals = trades(deals)
    rows = rows_of(snapshots(plain), deals, options=made_with)[0]
    assert_same(rows, rows_of(snapshots(changed), deals, options=made_with)[0])


@settings(max_examples=60, deadline=None)
@given(some_books(), some_trades, options, st.data())
def test_a_crossed_book_anywhere_changes_no_other_row(books, deals, made_with, data) -> None:  # type: ignore[no-untyped-def]
    k = data.draw(st.integers(0, len(books) - 1))
    crossed = (books[k][0], [(200.0, 1.0)], [(150.0, 1.0)])
    deals = trades(deals)
    rows, _ = rows_of(snapshots(books), deals, options=made_with)
    more, _ = rows_of(snapshots([*books[: k + 1], crossed, *books[k + 1 :]]), deals, options=made_with)
    assert_same(kept(rows, rows.is_valid), kept(more, more.is_valid), but=("n_crossed", "known_ns"))


@settings(max_examples=60, deadline=None)
@given(some_books(), options, st.data())
def test_a_level_without_size_anywhere_changes_nothing(books, made_with, data) -> None:  # type: ignore[no-untyped-def]
    k, place, price = data.draw(st.integers(0, len(books) - 1)), data.draw(st.integers(0, 6)), data.draw(prices)
    t, bids, asks = books[k]
    changed = [*books[:k], (t, [*bids[:place], (price, 0.0), *bids[place:]], asks), *books[k + 1 :]]
    rows = rows_of(snapshots(books), options=made_with)[0]
    assert_same(rows, rows_of(snapshots(changed), options=made_with)[0])


@settings(max_examples=60, deadline=None)
@given(some_books(), options, st.randoms())
def test_levels_may_come_in_any_order(books, made_with, random) -> None:  # type: ignore[no-untyped-def]
    mixed = [(t, random.sample(bids, len(bids)), random.sample(asks, len(asks))) for t, bids, asks in books]
    assert_same(rows_of(snapshots(books), options=made_with)[0], rows_of(snapshots(mixed), options=made_with)[0])


@settings(max_examples=60, deadline=None)
@given(some_books(), some_trades, options, st.integers(0, 12))
def test_what_comes_later_changes_no_earlier_row(books, deals, made_with, stop) -> None:  # type: ignore[no-untyped-def]
    frame, deals = snapshots(books), trades(deals)
    whole = BookEvents(made_with).update(frame, deals)
    upto = BookEvents(made_with).update(frame[:stop], deals)
    for name in ("t_ns", "is_valid", "is_reset", "has_gap", "event_ofi", "bid_price", "n_updates", "has_trades"):
        early, late = getattr(upto, name), getattr(whole, name)
        assert np.array_equal(early, late[: len(early)], equal_nan=early.dtype.kind == "f"), name
