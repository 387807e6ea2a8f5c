"""Every native exchange: what was recorded of a session, spoilt frames among it, decodes to the same rows again."""

from collections.abc import Sequence
from random import Random

import pytest

from ingestion.capture import Capture
from ingestion.collectors.frame_record import recorded
from ingestion.continuity import Feed
from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.protocol import Earlier, Fetch, Request, Session
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.redecoding import Replay
from shared.clock import SystemClock
from shared.errors import FrameMalformed
from shared.rows import Frame, Gap, Reject, Row
from tests.conformance.mutation import mutated
from tests.conformance.sampling import recorded as recorded_frames
from tests.conformance.sampling import samples, session_of

EPOCH = "20260101T000000Z-0000"
FRAMES_MAX = 2_000


class Collecting:
    """A connection without a socket: it tells a recorded session everything, and keeps the rows."""

    def __init__(self, name: str) -> None:
        self._intake = Intake(bytes_max=1 << 40, rows_max=1 << 40)
        inlet = Inlet(Feed("native", name, EPOCH), self._intake, SystemClock())
        self.session: Session = recorded(session_of(name), 1, inlet)
        self.rows: list[Row] = []
        self.requests: list[Request] = []
        self.session.opening()

    def receive(self, content: bytes, at_ns: int) -> None:
        try:
            rows = self.session.receive(content, at_ns, at_ns)
        except FrameMalformed as error:
            rows = [Reject("unknown", None, "frames", error.reason, content.decode(errors="backslashreplace"))]
        self._keep(rows)

    def answer(self, content: bytes, at_ns: int) -> None:
        """Give a document to whoever waits for one."""
        request = self.requests.pop(0)
        rows: Sequence[Row]
        try:
            rows = self.session.fetched(request, content, at_ns, at_ns)
        except FrameMalformed as error:
            text = content.decode(errors="backslashreplace")
            self.rows.append(Reject(request.symbol, None, request.table or "l2", error.reason, text))
            rows = self.session.fetched(request, None, at_ns, at_ns)
        self._keep(rows)

    def _keep(self, rows: Sequence[Row]) -> None:
        events, self.session.events = self.session.events, []
        for event in events:
            if isinstance(event, Earlier):
                self.rows += event.rows
            elif isinstance(event, Fetch):
                self.requests.append(event.request)
        self.rows += rows

    def frames(self) -> list[Capture]:
        return self._intake.take(rows=1 << 40)


@pytest.mark.parametrize("name", sorted(native_exchanges()))
def test_a_recorded_session_decodes_to_the_same_rows_again(name: str) -> None:
    rng, collecting, at_ns = Random(f"replay {name}"), Collecting(name), 10**18
    books = sorted({each.symbol for each in collecting.session.wanted if each.table == "l2"})
    for sample in samples(name):
        at_ns += 10**9
        if sample.rest is None:
            collecting.receive(sample.content, at_ns)
            collecting.receive(mutated(sample.content, sample.content, rng), at_ns)
        elif sample.rest == "book" and collecting.requests:
            collecting.answer(mutated(sample.content, sample.content, rng), at_ns)
            if collecting.requests:
                collecting.answer(sample.content, at_ns)
    for number, content in enumerate(recorded_frames(name)[:FRAMES_MAX]):
        collecting.receive(content if number % 10 else mutated(content, content, rng), at_ns + number * 1_000_000)
        if books and number % 500 == 250:
            collecting.session.resync(rng.choice(books))
    replay = Replay(native_exchanges()[name], Feed("native", name, EPOCH))
    again: list[Row] = []
    for capture in collecting.frames():
        for row in capture.rows:
            assert isinstance(row, Frame)
            for one in replay.take(row, capture.wall_ns, capture.mono_ns):
                again += [each for each in one.rows if not isinstance(each, Gap)]
    assert again == collecting.rows
    assert len(again) > 5
    assert (replay.report.missing, replay.report.undecodable) == (0, 0)
    assert replay.report.received > 5
