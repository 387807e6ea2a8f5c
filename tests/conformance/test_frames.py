"""Every native exchange, found by discovery: what its frames give, and what spoilt frames may do."""

import os
from random import Random

import pytest

from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.protocol import SessionOptions
from shared.rows import Row
from tests.conformance.mutation import mutated
from tests.conformance.sampling import Sample, recorded, samples, session_of
from tests.conformance.soundness import answered, assert_rows_are_sealed, received, table_rows

NAMES = sorted(native_exchanges())
INPUTS_SHORT = 4_000  # over all exchanges
PREFIX_BYTES_MAX = 1_500  # longer frames are cut at this many places, evenly
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


@pytest.mark.parametrize("name", NAMES)
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
def test_every_prefix_of_a_frame_is_malformed_or_gives_sound_rows(name: str) -> None:
    rows: list[Row] = []
    for sample in samples(name):
        session = session_of(name, options=KEEPING)
        for content in _prefixes(sample.content):
            rows += _rows(session, sample, content)
    session = session_of(name, options=KEEPING)
    for frame in recorded(name)[:: max(1, len(recorded(name)) // 20)]:
        for content in _prefixes(frame):
            rows += received(session, content) or ()
    assert_rows_are_sealed(name, rows)


def _prefixes(content: bytes) -> list[bytes]:
    step = max(1, len(content) // PREFIX_BYTES_MAX)
    return [content[:length] for length in range(0, len(content), step)]


def _rows(session, sample: Sample, content: bytes) -> list[Row]:  # type: ignore[no-untyped-def]
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
    count = _fuzz(name, -(-INPUTS_LONG // len(NAMES)), seed=seed)
    print(f"{name}: {count} spoilt frames, seed {seed}, nothing ended")


def _fuzz(name: str, inputs: int, *, seed: int) -> int:
    """Sessions that are sent sound frames and spoilt ones in turn, so that the spoilt ones meet every state."""
    random = Random(f"{seed}{name}")
    material = [*samples(name), *(Sample("", "", frame) for frame in recorded(name) if len(frame) < 3_000)]
    for first in range(0, inputs, INPUTS_OF_A_SESSION):
        session = session_of(name, options=KEEPING if random.random() < 0.5 else None)
        history: list[bytes] = []
        rows: list[Row] = []
        try:
            for number in range(min(INPUTS_OF_A_SESSION, inputs - first)):
                sample = random.choice(material)
                if random.random() < 0.3:
                    rows += _rows(session, sample, sample.content)
                    history.append(sample.content)
                content = mutated(sample.content, random.choice(material).content, random)
                history.append(content)
                rows += _rows(session, sample, content)
                if number % 50 == 49 and session.wanted:
                    session.resync(random.choice(sorted(session.wanted)).symbol)
            assert_rows_are_sealed(name, rows)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {name}, inputs {first}..; last: {history[-1]!r}") from error
    return inputs
