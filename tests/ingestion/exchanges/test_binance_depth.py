"""However a snapshot and the updates interleave, the rows give the true book, and nothing that came is dropped."""

import itertools
import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.exchanges import binance_depth
from ingestion.exchanges.binance import Binance
from ingestion.exchanges.binance_session import PING_ID
from ingestion.exchanges.binanceusdm import BinanceUsdm
from ingestion.exchanges.protocol import Subscription
from shared.rows import L2Message
from tests.ingestion.exchanges.book_reading import Book, Stored, rebuilt

SYMBOL = "ETH-USDT"
SPOT = [Subscription("l2", SYMBOL, "ETHUSDT")]
PONG = json.dumps({"id": PING_ID, "result": []}).encode()
FIRST_ID = 1000


@dataclass(frozen=True)
class Change:
    """One change of the true book, which makes version `id` of it."""

    id: int
    side: str
    price: float
    size: float


@dataclass(frozen=True)
class Update:
    """Some changes together, as they are sent."""

    prev: int
    changes: tuple[Change, ...]

    def frame(self, *, futures: bool) -> bytes:
        """The stream's message: of each level its last size."""
        levels = {(each.side, each.price): str(each.size) for each in self.changes}
        data = {
            "e": "depthUpdate",
            "E": 1723161255308,
            "s": "ETHUSDT",
            "U": self.changes[0].id,
            "u": self.changes[-1].id,
            "b": [[str(price), size] for (side, price), size in levels.items() if side == "bid"],
            "a": [[str(price), size] for (side, price), size in levels.items() if side == "ask"],
        }
        more = {"T": 1723161255300, "pu": self.prev} if futures else {}
        return json.dumps({"stream": "ethusdt@depth@100ms", "data": data | more}, separators=(",", ":")).encode()


@dataclass(frozen=True)
class World:
    """The true book at every version, how it is sent, and what becomes of it on the way."""

    futures: bool
    changes: list[Change]
    updates: list[Update]
    lost: list[bool]
    doubled: list[bool]
    answers: list[int | None]  # after each update: not now, or the number of the change that the snapshot has seen
    fails: list[bool]

    def book(self, version: int) -> Book:
        """The true book of a version."""
        book: Book = {"bid": {1.0: 1.0}, "ask": {99.0: 1.0}}
        for each in self.changes:
            if each.id <= version:
                book[each.side][each.price] = each.size
        return {side: {price: size for price, size in levels.items() if size} for side, levels in book.items()}

    def snapshot(self, version: int) -> bytes:
        """The REST document of a version."""
        book = self.book(version)
        sides = {"bids": book["bid"], "asks": book["ask"]}
        levels = {name: [[str(price), str(size)] for price, size in side.items()] for name, side in sides.items()}
        return json.dumps({"lastUpdateId": version, **levels}).encode()


@st.composite
def worlds(draw: st.DrawFn) -> World:
    futures = draw(st.booleans())
    level = st.tuples(
        st.sampled_from([("bid", 8.0), ("bid", 9.0), ("ask", 10.0), ("ask", 11.0)]), st.sampled_from([0.0, 1.0, 2.0])
    )
    drawn = draw(st.lists(st.tuples(level, st.integers(1, 3 if futures else 1)), min_size=1, max_size=40))
    changes, number = [], FIRST_ID
    for ((side, price), size), step in drawn:
        number += step
        changes.append(Change(number, side, price, size))
    updates, prev, rest = [], FIRST_ID, changes
    while rest:
        count = draw(st.integers(1, 4))
        updates.append(Update(prev, tuple(rest[:count])))
        prev, rest = rest[:count][-1].id, rest[count:]

    def each(strategy: st.SearchStrategy) -> list:
        return draw(st.lists(strategy, min_size=len(updates), max_size=len(updates)))

    rarely = st.sampled_from([False] * 7 + [True])
    answers = each(st.none() | st.integers(-1, len(changes) - 1))
    return World(futures, changes, updates, each(rarely), each(rarely), answers, each(rarely))


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_the_rows_give_the_true_book_and_nothing_is_dropped(world: World) -> None:
    exchange = BinanceUsdm() if world.futures else Binance()
    stored = Stored(exchange.session(SPOT))
    came: list[Update] = []
    for number, update in enumerate(world.updates):
        if not world.lost[number]:
            stored.receive(update.frame(futures=world.futures), number)
            came.append(update)
            if world.doubled[number]:
                stored.receive(update.frame(futures=world.futures), number)
        seen = world.answers[number]
        if seen is not None and stored.requests:
            version = world.changes[seen].id if seen >= 0 else FIRST_ID
            stored.answer(None if world.fails[number] else world.snapshot(version), number)
        assert len(stored.requests) <= 1  # one snapshot at a time
    last = world.changes[-1].id
    while stored.requests:
        stored.answer(world.snapshot(last), len(world.updates))
    stored.receive(PONG, 10**12)

    def check(book: Book, version: int) -> None:
        assert book == world.book(version)

    book, _ = rebuilt(stored.rows, SYMBOL, check)
    assert book is not None or not came
    messages = [row for row in stored.of(L2Message) if not row.is_snapshot]
    assert [row.update_id for row in messages] == [update.changes[-1].id for update in came]
    assert [row.prev_update_id for row in messages] == [
        update.prev if world.futures else update.changes[0].id - 1 for update in came
    ]
    holes = sum(update.prev != before.changes[-1].id for before, update in itertools.pairwise(came))
    assert [each.cause for each in stored.breaks()] == ["sequence_break"] * holes
    assert {each.symbols for each in stored.breaks()} <= {(SYMBOL,)}
    assert stored.repeats == sum(double and not lost for double, lost in zip(world.doubled, world.lost, strict=True))


def chain(count: int, *, first: int = FIRST_ID) -> list[Update]:
    """Updates of one change each, one after the other."""
    return [
        Update(number - 1, (Change(number, "bid", 9.0, 1.0 + number),))
        for number in range(first + 1, first + count + 1)
    ]


def world_of(updates: list[Update]) -> World:
    return World(False, [change for update in updates for change in update.changes], updates, [], [], [], [])


def test_rows_from_before_the_snapshot_keep_their_own_arrival_times() -> None:
    updates = chain(4)
    world = world_of(updates)
    stored = Stored(Binance().session(SPOT))
    for number, update in enumerate(updates[:3]):
        stored.receive(update.frame(futures=False), 10 + number)
    assert stored.rows == []
    stored.answer(world.snapshot(FIRST_ID + 2), 50)
    assert [(row.update_id, row.is_snapshot) for row in stored.of(L2Message)] == [
        (FIRST_ID + 1, False),
        (FIRST_ID + 2, False),
        (FIRST_ID + 2, True),
        (FIRST_ID + 3, False),
    ]
    assert stored.arrivals == [10, 11, 50, 12]
    stored.receive(updates[3].frame(futures=False), 60)
    assert stored.arrivals[-1] == 60


def test_a_snapshot_older_than_the_first_update_is_fetched_again() -> None:
    updates = chain(3)
    stored = Stored(Binance().session(SPOT))
    stored.receive(updates[1].frame(futures=False))
    stored.answer(world_of(updates).snapshot(FIRST_ID))
    assert (stored.rows, len(stored.requests)) == ([], 1)
    stored.answer(world_of(updates).snapshot(FIRST_ID + 1))
    assert len(stored.of(L2Message)) == 2
    assert stored.breaks() == []


def test_a_snapshot_that_turns_out_too_old_for_the_first_update_is_no_break() -> None:
    """It was fetched before anything came; the first update shows that it lacks some."""
    updates = chain(3)
    stored = Stored(Binance().session(SPOT))
    stored.session.opening()
    stored.receive(json.dumps({"result": None, "id": 1}).encode())
    stored.answer(world_of(updates).snapshot(FIRST_ID))
    stored.receive(updates[1].frame(futures=False))
    assert (stored.rows, len(stored.requests)) == ([], 1)
    stored.answer(world_of(updates).snapshot(FIRST_ID + 1))
    assert [row.is_snapshot for row in stored.of(L2Message)] == [True, False]


@pytest.mark.parametrize("body", [None, b"", b"<html>503</html>", b"{}", b'{"lastUpdateId":5,"bids":[],"asks":[]}'])
def test_a_snapshot_that_cannot_be_had_is_asked_for_again(body: bytes | None) -> None:
    updates = chain(2)
    stored = Stored(Binance().session(SPOT))
    stored.receive(updates[0].frame(futures=False))
    stored.answer(body)
    assert (stored.rows, len(stored.requests)) == ([], 1)
    stored.answer(world_of(updates).snapshot(FIRST_ID + 1))
    stored.receive(updates[1].frame(futures=False))
    assert [row.is_snapshot for row in stored.of(L2Message)] == [False, True, False]


def test_when_too_much_is_held_back_it_is_released_and_the_book_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_depth, "HELD_LEVELS_MAX", 3)
    updates = chain(6)
    stored = Stored(Binance().session(SPOT))
    for update in updates[:5]:
        stored.receive(update.frame(futures=False))
    assert [row.update_id for row in stored.of(L2Message)] == [FIRST_ID + 1 + n for n in range(4)]
    assert [each.cause for each in stored.breaks()] == ["overflow"]
    assert len(stored.requests) == 1  # the one that is under way serves
    stored.answer(world_of(updates).snapshot(FIRST_ID + 3))  # older than what is held now
    stored.answer(world_of(updates).snapshot(FIRST_ID + 5))
    stored.receive(updates[5].frame(futures=False))
    book, version = rebuilt(stored.rows, SYMBOL)
    assert (book, version) == (world_of(updates).book(FIRST_ID + 6), FIRST_ID + 6)
    assert len(stored.breaks()) == 1


def test_a_quiet_market_has_its_book_without_any_update() -> None:
    stored = Stored(Binance().session(SPOT))
    stored.session.opening()
    stored.receive(json.dumps({"result": None, "id": 1}).encode())
    stored.answer(world_of([]).snapshot(FIRST_ID), 5)
    stored.receive(PONG, 10**9)
    assert stored.rows == []
    stored.receive(PONG, 6 * 10**9)
    assert [row.update_id for row in stored.of(L2Message)] == [FIRST_ID]
    assert stored.arrivals == [5]
    stored.receive(chain(1)[0].frame(futures=False), 12 * 10**9)
    assert [row.is_snapshot for row in stored.of(L2Message)] == [True, False]
    assert (stored.breaks(), stored.requests) == ([], [])


@pytest.mark.parametrize(
    ("update", "breaks", "repeats"),
    [
        (Update(FIRST_ID + 2, (Change(FIRST_ID + 3, "bid", 9.0, 1.0),)), 1, 0),  # two are missing
        (Update(FIRST_ID - 1, (Change(FIRST_ID, "bid", 9.0, 1.0),)), 0, 1),  # the snapshot has it
        (Update(FIRST_ID - 1, (Change(FIRST_ID, "bid", 9.0, 1.0), Change(FIRST_ID + 1, "bid", 9.0, 2.0))), 0, 0),
    ],
)
def test_what_comes_after_a_quiet_market_s_book(update: Update, breaks: int, repeats: int) -> None:
    stored = Stored(Binance().session(SPOT))
    stored.session.opening()
    stored.receive(json.dumps({"result": None, "id": 1}).encode())
    stored.answer(world_of([]).snapshot(FIRST_ID), 5)
    stored.receive(PONG, 11 * 10**9)
    stored.receive(update.frame(futures=False), 12 * 10**9)
    assert (len(stored.breaks()), stored.repeats, len(stored.requests)) == (breaks, repeats, breaks)
    assert len(stored.of(L2Message)) == 2 - breaks - repeats


def test_numbers_that_begin_anew_are_not_taken_for_repeats_for_ever() -> None:
    stored = Stored(Binance().session(SPOT))
    old = chain(2, first=10**6)
    stored.receive(old[0].frame(futures=False))
    stored.answer(world_of(old).snapshot(10**6 + 1))
    stored.receive(old[1].frame(futures=False))
    fresh = chain(binance_depth.REPEATS_MAX + 5)
    for update in fresh:
        stored.receive(update.frame(futures=False))
    assert stored.repeats == binance_depth.REPEATS_MAX
    assert [each.cause for each in stored.breaks()] == ["sequence_break"]
    stored.answer(world_of(fresh).snapshot(fresh[-1].changes[-1].id))
    stored.receive(PONG, 10**12)
    assert rebuilt(stored.rows, SYMBOL)[0] == world_of(fresh).book(fresh[-1].changes[-1].id)


def test_an_update_without_levels_is_no_row_and_no_break() -> None:
    updates = chain(1)
    stored = Stored(Binance().session(SPOT))
    stored.receive(updates[0].frame(futures=False))
    stored.answer(world_of(updates).snapshot(FIRST_ID))
    empty = {"e": "depthUpdate", "E": 1, "s": "ETHUSDT", "U": FIRST_ID + 2, "u": FIRST_ID + 4, "b": [], "a": []}
    stored.receive(json.dumps({"stream": "ethusdt@depth@100ms", "data": empty}).encode())
    stored.receive(Update(FIRST_ID + 4, (Change(FIRST_ID + 5, "ask", 10.0, 1.0),)).frame(futures=False))
    assert [row.update_id for row in stored.of(L2Message)] == [FIRST_ID, FIRST_ID + 1, FIRST_ID + 5]
    assert stored.breaks() == []


@pytest.mark.parametrize(
    "level", [["nan", "1"], ["inf", "1"], ["-1", "1"], ["1", "-1"], ["1e300", "1"], ["1"], ["a", "1"]]
)
def test_a_book_message_with_an_impossible_level_is_refused_whole_and_the_next_one_shows_the_hole(
    level: list[str],
) -> None:
    updates = chain(3)
    stored = Stored(Binance().session(SPOT))
    stored.receive(updates[0].frame(futures=False))
    stored.answer(world_of(updates).snapshot(FIRST_ID))
    spoilt = json.loads(updates[1].frame(futures=False))
    spoilt["data"]["b"].append(level)
    stored.receive(json.dumps(spoilt, separators=(",", ":")).encode())
    assert (stored.malformed, stored.breaks()) == (1, [])
    stored.receive(updates[2].frame(futures=False))
    assert len(stored.breaks()) == len(stored.requests) == 1
