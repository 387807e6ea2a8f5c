"""Every native exchange, found by discovery: what its frames give, and what spoilt frames may do."""

import os
from collections import Counter
from random import Random

import pytest

from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.protocol import Request, Session, SessionOptions
from shared.rows import L2Message, OrderBook, Reject, Row
from tests.conformance.mutation import mutated
from tests.conformance.sampling import RECORDED, Sample, recorded, samples, session_of
from tests.conformance.soundness import answered, assert_rows_are_sealed, fetched, received, table_rows

NAMES = sorted(native_exchanges())
INPUTS_SHORT = 4_000  # over all exchanges
PREFIXES_MAX = 3_000  # about: of a longer frame, evenly spread
INPUTS_LONG = int(os.environ.get("DAEDALUS_FUZZ_INPUTS", "1000000"))
INPUTS_OF_A_SESSION = 200
KEEPING = SessionOptions(keep_info=True, orderbook_depth=5, orderbook_interval_ns=0)


@pytest.mark.parametrize("name", NAMES)
def test_samples_give_the_rows_that_were_counted_by_hand(name: str) -> None:
    session = session_of(name, options=SessionOptions(orderbook_interval_ns=0))
    exchange = session.exchange
    assert samples(name), f"write tests/conformance/samples/{name}.jsonl, see sampling.py"
    for number, sample in enumerate(samples(name)):
        rows = (
            received(session, sample.content)
            if sample.rest is None
            else answered(exchange, session, sample, sample.content)
        )
        assert rows is not None, (number, sample)
        assert sample.rows is None or table_rows(rows, sample) == sample.rows, (number, sample, rows)
        assert_rows_are_sealed(name, rows)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_recorded_frames_give_sound_rows(name: str) -> None:
    frames = recorded(name)
    if not frames:
        pytest.skip(f"no recording of {name}; set DAEDALUS_TEST_DATA")
    session = session_of(name)
    rows: list[Row] = []
    for number, frame in enumerate(frames):
        own = received(session, frame, number * 10**9)
        assert own is not None, frame[:300]
        rows += own
    assert rows
    assert_rows_are_sealed(name, rows)


@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_of_a_sample_is_malformed_or_gives_sound_rows(name: str) -> None:
    rows: list[Row] = []
    for sample in samples(name):
        session = session_of(name, options=KEEPING)
        for content in _prefixes(sample.content):
            rows += _rows(session, sample, content)
    assert_rows_are_sealed(name, rows)
    _cut_recorded(name, every=max(1, len(recorded(name)) // 20))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_of_every_recorded_frame_is_malformed_or_gives_sound_rows(name: str) -> None:
    print(f"{name}: {_cut_recorded(name, every=1):,} prefixes of {len(recorded(name)):,} recorded frames")


def _cut_recorded(name: str, *, every: int) -> int:
    """Receive prefixes of recorded frames, between whole frames; how many there were."""
    session, count = session_of(name, options=KEEPING), 0
    for frame in recorded(name)[::every]:
        rows = [row for content in _prefixes(frame) for row in received(session, content) or ()]
        rows += received(session, frame) or ()
        count += len(_prefixes(frame))
        assert_rows_are_sealed(name, rows)
    return count


@pytest.mark.parametrize("name", NAMES)
def test_who_applies_level_2_in_its_order_has_the_book(name: str) -> None:
    """Who knows nothing of the exchange rebuilds every snapshot from the rows of l2 before it, level by level."""
    depth, compared = 50, 0
    step_ns = 10_000_000  # between frames; of a recording about every fiftieth snapshot is compared
    sessions = [
        session_of(name, options=SessionOptions(orderbook_depth=depth, orderbook_interval_ns=interval_ns))
        for interval_ns in (0, 50 * step_ns)
    ]
    sampled = [(sessions[0], each) for each in samples(name)]
    frames = [(sessions[1], Sample("", "", frame)) for frame in recorded(name)]
    books: dict[tuple[int, str], dict[str, dict[float, float]]] = {}
    for number, (session, sample) in enumerate(sampled + frames):
        if sample.rest is None:
            rows = received(session, sample.content, number * step_ns)
        elif sample.rest == "book":
            rows = answered(session.exchange, session, sample, sample.content)
        else:
            continue
        for row in rows or ():
            if isinstance(row, L2Message):
                if row.is_snapshot:
                    books[id(session), row.symbol] = {"bid": {}, "ask": {}}
                levels = zip(row.side, row.price, row.size, strict=True)
                for side, price, size in levels if (id(session), row.symbol) in books else ():
                    books[id(session), row.symbol][side][price] = size
            elif isinstance(row, OrderBook):
                book = books[id(session), row.symbol]
                for side, levels in (("bid", row.bids), ("ask", row.asks)):
                    standing = sorted((each for each in book[side].items() if each[1]), reverse=side == "bid")
                    assert standing[:depth] == levels, (number, row.symbol, side)
                compared += 1
    assert compared, "no sample gives a snapshot of a book that is known"


def _prefixes(content: bytes) -> list[bytes]:
    step = max(1, len(content) // PREFIXES_MAX)
    return [content[:length] for length in range(0, len(content), step)]


def _rows(session: Session, sample: Sample, content: bytes) -> list[Row]:
    found = received(session, content) if sample.rest is None else answered(session.exchange, session, sample, content)
    return found or []


@pytest.mark.parametrize("name", NAMES)
def test_spoilt_frames_end_nothing(name: str) -> None:
    _fuzz(name, INPUTS_SHORT // len(NAMES), seed=20261121)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", NAMES)
def test_spoilt_frames_end_nothing_in_a_long_run(name: str) -> None:
    seed = int(os.environ.get("DAEDALUS_FUZZ_SEED", "0")) or Random().randrange(2**32)
    counted = _fuzz(name, -(-INPUTS_LONG // len(NAMES)), seed=seed)
    print(f"{name}: seed {seed}: " + ", ".join(f"{count:,} {what}" for what, count in counted.items()))


def _fuzz(name: str, inputs: int, *, seed: int) -> Counter[str]:
    """Sessions that are sent sound frames and spoilt ones in turn, so that the spoilt ones meet every state. What came
    of the spoilt ones is counted.
    """
    random = Random(f"{seed}{name}")
    material = [*samples(name), *(Sample("", "", frame) for frame in recorded(name) if len(frame) < 3_000)]
    counted: Counter[str] = Counter({"spoilt inputs": inputs})
    for first in range(0, inputs, INPUTS_OF_A_SESSION):
        session = session_of(name, options=KEEPING if random.random() < 0.5 else None)
        session.opening()
        fuzzed = _Fuzzed(name, session, random, counted)
        try:
            for number in range(min(INPUTS_OF_A_SESSION, inputs - first)):
                sample = random.choice(material)
                if random.random() < 0.3:
                    fuzzed.send(sample, sample.content)
                content = mutated(sample.content, random.choice(material).content, random)
                rows = fuzzed.send(sample, content)
                counted["malformed" if rows is None else "with rows" if rows else "without"] += 1
                if number % 50 == 49:
                    fuzzed.turn_over()
            assert_rows_are_sealed(name, fuzzed.rows)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {name}, inputs {first}..; last: {fuzzed.last!r}") from error
        counted["rejects"] += sum(isinstance(row, Reject) for row in fuzzed.rows)
    return counted


class _Fuzzed:
    """A session, and an exchange around it that answers what it asks for, soundly or not."""

    def __init__(self, name: str, session: Session, random: Random, counted: Counter[str]) -> None:
        self._session, self._random, self._counted = session, random, counted
        self._books = [each.content for each in samples(name) if each.rest == "book"]
        self._now_ns = 0
        self.rows: list[Row] = []
        self.last = b""

    def send(self, sample: Sample, content: bytes) -> list[Row] | None:
        """The rows that came of one frame or document, and of what was fetched for it."""
        session, random = self._session, self._random
        self._now_ns += random.choice((1_000_000, 50_000_000, 5_000_000_000))
        self.last = content
        fetches: list[Request] = []
        if sample.rest is None:
            rows = received(session, content, self._now_ns, fetches=fetches)
        else:
            rows = answered(session.exchange, session, sample, content)
        self.rows += rows or ()
        for request in fetches:
            body = random.choice([None, *self._books])
            if body is not None and random.random() < 0.5:
                body = mutated(body, content, random)
            self.rows += fetched(session, request, body, self._now_ns)
        return rows

    def turn_over(self) -> None:
        """A book is brought anew, or a stream is given up and wanted again."""
        stream = self._random.choice(sorted(self._session.wanted))
        if self._random.random() < 0.5:
            self._session.resync(stream.symbol)
        else:
            self._session.forget([stream])
            self._session.unsubscribe([stream])
            self._session.want([stream])
            self._session.subscribe([stream])
