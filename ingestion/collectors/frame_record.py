"""Raw frames: what goes over a connection is stored as it was, so that a decoder's mistake can be repaired later.

A session that is recorded is wrapped, and one that is not pays nothing. What the session answers by itself (`Send`)
is not stored: it follows from what it received.
"""

from collections.abc import Sequence
from typing import Any, cast

from ingestion.exchanges.protocol import Event, Request, Session, Subscription
from ingestion.frame_subjects import Asked, Subject, encoded
from ingestion.inlet import Inlet
from shared.rows import ALL, Frame, Row


class RecordedSession:
    """A session, and before each thing that it is told a row of table `frames`."""

    def __init__(self, session: Session, number: int, inlet: Inlet) -> None:
        self._session, self._number, self._inlet = session, number, inlet
        self._has_begun = False
        self._received = 0
        self._refused: Request | None = None  # whose document was malformed: the session is told None next

    def __getattr__(self, name: str) -> Any:
        """Everything else is the session's own."""
        return getattr(self._session, name)

    @property
    def events(self) -> list[Event]:
        """The session's."""
        return self._session.events

    @events.setter
    def events(self, events: list[Event]) -> None:
        self._session.events = events

    def receive(self, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """Store a frame, then decode it. Raises: FrameMalformed."""
        if not self._has_begun:
            self._begin()
        row = Frame(ALL, None, self._number, self._received, "received", None, frame)
        self._received += 1
        self._inlet.take((row,), wall_ns, mono_ns, len(frame), frames=0)
        return self._session.receive(frame, wall_ns, mono_ns)

    def fetched(self, request: Request, body: bytes | None, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """Store a document, then decode it. Raises: FrameMalformed."""
        if request is not self._refused:
            self._store("rest", Asked(request, body is not None), [body or b""], (wall_ns, mono_ns))
        self._refused = request if body is not None else None
        rows = self._session.fetched(request, body, wall_ns, mono_ns)
        self._refused = None
        return rows

    def opening(self) -> list[bytes]:
        """The frames to send on a new connection."""
        return self._sent("opening", self._session.opening())

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """The frames that ask for these."""
        return self._sent("subscribe", self._session.subscribe(subscriptions), subscriptions)

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """The frames that end these."""
        return self._sent("unsubscribe", self._session.unsubscribe(subscriptions), subscriptions)

    def resync(self, symbol: str) -> list[bytes]:
        """The frames that bring one symbol's book anew."""
        return self._sent("resync", self._session.resync(symbol), symbol=symbol)

    def note(self, subject: Subject) -> None:
        """Store what happened to the connection; no end of one that never began."""
        if self._has_begun or subject.call != "end":
            self._store("note", subject, [b""])

    def _begin(self) -> None:
        self._has_begun = True
        wanted = tuple(sorted(self._session.wanted))
        self._store("note", Subject("open", wanted, options=self._session.options), [b""])

    def _sent(
        self, call: str, frames: list[bytes], subscriptions: Sequence[Subscription] = (), symbol: str = ""
    ) -> list[bytes]:
        if not self._has_begun:
            self._begin()
        wanted = tuple(sorted(self._session.wanted))
        self._store("sent", Subject(call, wanted, tuple(subscriptions), symbol), frames or [b""])
        return frames

    def _store(
        self, direction: str, subject: Subject | Asked, payloads: Sequence[bytes], at: tuple[int, int] | None = None
    ) -> None:
        """One row for each payload; the first one bears the subject."""
        clock = self._inlet.clock
        wall_ns, mono_ns = at or (clock.wall_ns(), clock.mono_ns())
        rows = [
            Frame(ALL, None, self._number, self._received, direction, None if place else encoded(subject), payload)
            for place, payload in enumerate(payloads)
        ]
        self._inlet.take(rows, wall_ns, mono_ns, sum(map(len, payloads)), frames=0)


def recorded(session: Session, number: int, inlet: Inlet) -> Session:
    """The session of connection `number`, with everything that it is told stored in table `frames`."""
    return cast(Session, RecordedSession(session, number, inlet))


def note(session: Session, call: str, *, number: int = 0, cause: str = "", evidence: str = "") -> None:
    """Store what happened to a session's connection, where it is recorded."""
    if isinstance(session, RecordedSession):  # which for mypy no session is
        session.note(Subject(call, number=number, cause=cause, evidence=evidence))
