"""Books rebuilt from table `l2` are those that the exchange had, and are not trusted where a message is missing."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features import book_levels
from etl.features.book_levels import kept, levels_of, load, set_level, show
from etl.features.events import BookEvents
from etl.features.options import FeatureOptions
from ingestion.exchanges.protocol import Break
from shared.errors import InputUnreadable
from shared.rows import L2, L2Message
from tests.conformance.sampling import DATA
from tests.etl.features.event_frames import EVERY_EVENT, NS, assert_same, rows_of, snapshots, trades
from tests.etl.features.recorded_books import RECORDINGS
from tests.ingestion.exchanges.book_reading import Book, rebuilt
from tests.levels import by_level

S = 1_000_000_000
NOTHING = np.empty((2, 0))
NARROW = FeatureOptions(hf_emit_interval=0, max_levels=4, ofi_levels=2)
GRID = FeatureOptions(hf_emit_interval=1, max_levels=4, ofi_levels=2)
COLUMNS = {
    "timestamp": pl.Int64,
    "msg_seq": pl.Int64,
    "is_snapshot": pl.Boolean,
    "is_last": pl.Boolean,
    "side": pl.String,
    "price": pl.Float64,
    "size": pl.Float64,
    "update_id": pl.Int64,
    "prev_update_id": pl.Int64,
    "checksum": pl.Int64,
}


def frame_of(rows: Sequence[L2], *, gaps: Sequence[int] = (), unit: int = 1) -> pl.DataFrame:
    """Rows as table l2 has them; before the rows at `gaps` something is missing."""
    made = pl.DataFrame([[getattr(row, name) for name in COLUMNS] for row in rows], schema=COLUMNS, orient="row")
    marks = pl.Series([place in gaps for place in range(len(rows))], dtype=pl.Boolean)
    return made.with_columns((pl.col("timestamp") * unit).cast(NS), gap_before=marks)


def message(
    t_ns: int,
    number: int,
    levels: Sequence[tuple[str, float, float]],
    ids: tuple[int | None, int | None] = (None, None),
) -> list[L2]:
    """One message; its number 0 is a snapshot."""
    sides, prices, sizes = (list(each) for each in zip(*levels, strict=True))
    return by_level(L2Message("X", t_ns, number, number == 0, sides, prices, sizes, *ids))


BOOK = [("bid", 100.0, 1.0), ("ask", 101.0, 2.0)]


def chain(*ids: tuple[int | None, int | None]) -> pl.DataFrame:
    """A snapshot with version 10 and messages with these (update_id, prev_update_id), one a second."""
    rows = message(S, 0, BOOK, (10, None))
    for k, each in enumerate(ids):
        rows += message((k + 2) * S, k + 1, [("bid", 100.0, k + 2.0)], each)
    return frame_of(rows)


@pytest.mark.parametrize(
    ("ids", "sizes", "told"),
    [
        ([(11, 10), (15, 11)], [1, 2, 3], {}),
        ([(12, 8), (13, 12)], [1, 2, 3], {}),  # the first after a fetched snapshot begins before it
        ([(9, 8), (11, 10)], [1, 3], {"repeated_messages": 1}),
        ([(11, 10), (14, 12), (15, 14)], [1, 2], {"sequence_breaks": 1, "untrusted_messages": 2}),
        ([(11, 10), (3, 11), (4, 3)], [1, 2, 3, 4], {}),  # numbers that begin anew, where the chain is whole
        ([(None, None), (None, None)], [1, 2, 3], {}),
    ],
)
def test_messages_apply_to_the_version_that_they_name(ids, sizes, told) -> None:  # type: ignore[no-untyped-def]
    rows, counts = rows_of(chain(*ids))
    assert rows.bid_size[:, 0].tolist() == sizes
    expected = dict.fromkeys(("sequence_breaks", "untrusted_messages", "repeated_messages"), 0) | told
    assert {name: counts[name] for name in expected} == expected


def test_after_a_break_the_next_snapshot_begins_anew() -> None:
    rows = [*message(S, 0, BOOK, (10, None)), *message(2 * S, 1, BOOK, (13, 12)), *message(3 * S, 0, BOOK, (20, None))]
    made, _ = rows_of(frame_of(rows))
    assert made.t_ns.tolist() == [S, 3 * S]
    assert (made.is_reset.tolist(), made.has_gap.tolist()) == ([True, True], [False, True])


def test_a_declared_hole_is_a_break_unless_a_snapshot_follows_it() -> None:
    rows = [*message(S, 0, BOOK), *message(2 * S, 1, BOOK), *message(3 * S, 0, BOOK), *message(4 * S, 2, BOOK)]
    lost, counts = rows_of(frame_of(rows, gaps=[2]))
    assert lost.t_ns.tolist() == [S, 3 * S, 4 * S]
    assert (lost.is_reset.tolist(), lost.has_gap.tolist()) == ([True, True, False], [False, True, False])
    assert (counts["gaps"], counts["untrusted_messages"], counts["resets"]) == (1, 1, 1)
    anew, _ = rows_of(frame_of(rows, gaps=[4]))
    assert anew.is_reset.tolist() == [True, False, True, False]


def test_a_message_without_its_end_is_a_break() -> None:
    frame = frame_of([*message(S, 0, BOOK), *message(2 * S, 1, BOOK), *message(3 * S, 2, BOOK)])
    rows, counts = rows_of(pl.concat([frame[:3], frame[4:]]))
    assert rows.t_ns.tolist() == [S]
    assert (counts["cut_messages"], counts["untrusted_messages"]) == (1, 1)


def test_a_message_that_goes_back_in_time_applies_at_the_time_reached() -> None:
    rows, counts = rows_of(frame_of([*message(2 * S, 0, BOOK), *message(S, 1, [("bid", 100.5, 1.0)])]))
    assert rows.t_ns.tolist() == [2 * S, 2 * S]
    assert rows.event_ofi[1, 0] == 1
    assert counts["out_of_order"] == 1


def test_impossible_levels_are_left_out_and_removing_what_is_not_there_is_normal() -> None:
    nan = float("nan")
    change = [("bid", 99.0, 0.0), ("bid", nan, 1.0), ("ask", 102.0, -1.0), ("ask", 101.0, nan), ("ask", 101.0, 0.0)]
    rows, counts = rows_of(frame_of([*message(S, 0, [*BOOK, ("ask", 103.0, 1.0)]), *message(2 * S, 1, change)]))
    assert (rows.ask_price[1, 0], rows.bid_size[1, 0], rows.levels_ask[1]) == (103, 1, 1)
    assert counts["invalid_levels"] == 3


def test_order_flow_is_of_every_message_and_says_so() -> None:
    rows = [*message(S + 1, 0, [("bid", 100.0, 5.0), ("ask", 100.05, 1.0)])]
    rows += message(S + 2, 1, [("bid", 100.01, 2.0)])
    rows += message(S + 3, 2, [("bid", 100.01, 0.0), ("bid", 100.0, 4.0)])
    rows += message(2 * S + 1, 3, [("bid", 100.0, 5.0)])
    events = BookEvents(GRID)
    made = events.update(frame_of(rows), None)
    assert (events.source, made.n_updates.tolist()) == ("event", [3])
    flushed = events.flush()
    assert flushed.event_ofi[0, 0] == 1
    with pytest.raises(InputUnreadable, match="cannot be mixed"):
        events.update(snapshots([(9 * S, [(1, 1)], [(2, 1)])]), None)


def test_a_side_that_is_none_is_refused() -> None:
    with pytest.raises(InputUnreadable, match="side of l2 is 'buy'"):
        BookEvents(EVERY_EVENT).update(frame_of(message(S, 0, [("buy", 1.0, 1.0)])), None)


prices = st.integers(min_value=90, max_value=110).map(float)
sizes = st.sampled_from([0.0, 1.0, 2.0, 0.5])


@st.composite
def hidden_book(draw: st.DrawFn) -> tuple[list[L2], list[tuple[int, list, list]]]:
    """Messages, and the whole book after each."""
    book: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
    rows, states, t = [], [], draw(st.integers(min_value=1, max_value=2 * S))
    for number in range(draw(st.integers(min_value=1, max_value=10))):
        t += draw(st.sampled_from([0, 1, S // 2, S, 301 * S]))
        is_snapshot = number == 0 or draw(st.integers(0, 6)) == 0
        middle = draw(prices)
        bid = st.tuples(st.just("bid"), prices.map(lambda p: p - 5), sizes)
        ask = st.tuples(st.just("ask"), prices.map(lambda p: p + 5), sizes)
        wanted = draw(st.lists(bid | ask, min_size=1, max_size=8))
        if draw(st.booleans()):
            wanted = [each for each in wanted if (each[1] < middle) == (each[0] == "bid")] or wanted[:1]
        if is_snapshot:
            book = {"bid": {}, "ask": {}}
        for at, price, size in wanted:
            if size:
                book[at][price] = size
            elif not is_snapshot:
                book[at].pop(price, None)
        rows += message(t, 0 if is_snapshot else number, wanted)
        states.append((t, sorted(book["bid"].items(), reverse=True), sorted(book["ask"].items())))
    return rows, states


some_trades = st.lists(
    st.tuples(st.integers(1, 30 * S), prices, st.just(1.0), st.sampled_from(["buy", "sell", None])), max_size=8
).map(lambda given: sorted(given, key=lambda trade: trade[0]))


@settings(max_examples=80, deadline=None)
@given(hidden_book(), some_trades, st.sampled_from([NARROW, GRID]))
def test_rows_are_those_of_snapshots_of_the_same_book(hidden, deals, options) -> None:  # type: ignore[no-untyped-def]
    rows, states = hidden
    rebuilt_rows, _ = rows_of(frame_of(rows), trades(deals), options=options)
    assert_same(rebuilt_rows, rows_of(snapshots(states), trades(deals), options=options)[0])


@settings(max_examples=40, deadline=None)
@given(hidden_book(), some_trades, st.sampled_from([NARROW, GRID]), st.data())
def test_cuts_even_within_a_message_change_no_bit(hidden, deals, options, data) -> None:  # type: ignore[no-untyped-def]
    rows, _ = hidden
    gaps = data.draw(st.sets(st.integers(0, len(rows) - 1), max_size=2))
    frame, deals = frame_of(rows, gaps=sorted(gaps)), trades(deals)
    whole, counts = rows_of(frame, deals, options=options)
    for cuts in [*([k] for k in range(len(rows) + 1)), range(len(rows))]:
        parts, also = rows_of(frame, deals, options=options, cuts=cuts)
        assert_same(whole, parts)
        assert counts == also


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2)), max_size=90), st.sampled_from((4, 6, 128)))
def test_a_side_is_a_sorted_dict(changes: list[tuple[int, int]], near: int) -> None:
    levels, expected = levels_of(NOTHING, NOTHING, room=len(changes), near=near), {}
    prices, sizes = np.empty((2, 2))
    for number, (key, size) in enumerate(changes):
        assert set_level(levels, 0, float(key), float(size)) == 0
        expected[key] = size
        if number % 3 == 0:
            best = sorted(((key, size) for key, size in expected.items() if size), reverse=True)[:2]
            assert show(levels, 0, prices, sizes) == len(best)
            assert list(zip(prices.tolist(), sizes.tolist(), strict=True))[: len(best)] == best
        if number % 10 == 9:  # a restart
            levels = levels_of(kept(levels, 0), kept(levels, 1), room=len(changes), near=near)
    left = sorted((key, size) for key, size in expected.items() if size)
    assert list(map(tuple, kept(levels, 0).T.tolist())) == left
    keys, amounts = (np.array([pair[at] for pair in changes if pair[1]], dtype=float) for at in (0, 1))
    joined, gone = load(levels, 1, keys, amounts)
    assert (joined, gone) == (len(keys) - len(set(keys)), 0)
    last = dict(zip(keys.tolist(), amounts.tolist(), strict=True))
    assert list(map(tuple, kept(levels, 1).T.tolist())) == sorted(last.items())


def test_beyond_the_most_levels_the_deepest_are_let_go() -> None:
    most = book_levels.MOST_LEVELS
    levels = levels_of(NOTHING, NOTHING, room=most + 4)
    keys = np.arange(1.0, most + 3)
    assert load(levels, 0, keys[::-1].copy(), keys) == (0, 2)
    assert set_level(levels, 0, 1.0, 5.0) == 1  # deeper than all
    assert set_level(levels, 0, 4.5, 5.0) == 1
    assert kept(levels, 0)[0].tolist() == [4.0, 4.5, *keys[4:]]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}; set DAEDALUS_TEST_DATA")
@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_books_are_rebuilt_message_by_message(name: str) -> None:
    rows = RECORDINGS[name]().rows
    for symbol in sorted({row.symbol for row in rows if isinstance(row, L2Message)}):
        tops: list[list] = []

        def look(book: Book, _: int, tops: list[list] = tops) -> None:
            top = [sorted(book["bid"].items())[:-21:-1], sorted(book["ask"].items())[:20]]
            if not tops or top != tops[-1]:
                tops.append(top)

        rebuilt(rows, symbol, look)
        levels: list[L2] = []
        holes: list[int] = []
        for row in rows:
            if isinstance(row, Break) and row.symbols in (None, (symbol,)):
                holes.append(len(levels))
            elif isinstance(row, L2Message) and row.symbol == symbol:
                levels += by_level(row)
        frame = frame_of(levels, gaps=holes, unit=1000)
        arrived = pl.col("timestamp").fill_null(strategy="forward").fill_null(strategy="backward")
        events = BookEvents(EVERY_EVENT)
        made = events.update(frame.with_columns(capture_ts=arrived), None)
        assert events.counts["sequence_breaks"] == events.counts["cut_messages"] == 0
        assert (events.counts["checked_messages"], events.counts["checksum_breaks"]) == (509 * (name == "kraken"), 0)
        shown: list[list] = []
        for k in range(len(made)):
            sides = ((made.bid_price, made.bid_size), (made.ask_price, made.ask_size))
            book = [[(p, q) for p, q in zip(x[k], y[k], strict=True) if p == p] for x, y in sides]
            if not shown or book != shown[-1]:
                shown.append(book)
        assert made.is_valid.all()
        assert shown == tops
