"""Stored frames to rows, by today's decoders: each connection is replayed through a fresh session. Pure.

What a collector did between frames (asked, left, replaced a connection) was stored as sent frames and notes, so that
the session is told the same in the same order, and rows carry the times at which their frames came.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from ingestion.capture import Capture
from ingestion.continuity import Feed, Interruption
from ingestion.exchanges.protocol import Break, Earlier, Exchange, Fetch, Request, Session, SessionOptions, Subscription
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from ingestion.frame_subjects import Subject, asked_of, subject_of
from ingestion.handover import Handover, Key
from shared.errors import FrameMalformed
from shared.rows import Frame, Reject, Row


@dataclass
class ReplayReport:
    """What a replay met."""

    received: int = 0
    missing: int = 0  # received and not stored: raw frames are given up when the disk cannot keep up
    undecodable: int = 0  # of connections whose opening is not stored, or whose subject cannot be read
    unanswered: int = 0  # REST documents that today's decoder asks for and the recording does not have


@dataclass
class _Replayed:
    """One connection of the recording."""

    session: Session
    next_number: int = 0
    asked: set[Request] = field(default_factory=set)


class Replay:
    """Decodes the frames of one feed. Give it a run's frames in the order of their `seq`, run after run.

    `keeps` chooses the rows that are numbered and handed on. The captures of a frame must be stored in their order.
    """

    def __init__(self, exchange: type[Exchange], feed: Feed, keeps: Callable[[Row, int], bool] | None = None) -> None:
        self._exchange, self._feed, self._keeps = exchange, feed, keeps
        self.report = ReplayReport()
        self._connections: dict[int, _Replayed] = {}
        self._handover: Handover | None = None
        self._new = self._old = 0  # the connections of the handover
        self._now_us = 0

    def next_run(self, evidence: str) -> None:
        """Say that the frames of another run follow."""
        self._forget()
        self._feed.interrupt(Interruption("restart", self._now_us, evidence))

    def take(self, frame: Frame, wall_ns: int, mono_ns: int) -> Iterator[Capture]:
        """The captures that one stored frame makes, oldest first."""
        self._now_us = wall_ns // 1000
        if frame.direction == "received":
            yield from self._received(frame, wall_ns, mono_ns)
        elif frame.subject is not None:  # else a sent frame behind one that says why
            try:
                if frame.direction == "rest":
                    yield from self._answered(frame, wall_ns, mono_ns)
                else:
                    yield from self._told(frame.connection, subject_of(frame.subject))
            except msgspec.DecodeError:
                self.report.undecodable += 1

    def end(self) -> Iterator[Capture]:
        """What is left to say when nothing follows."""
        self._forget()
        rows = self._feed.unwritten(self._now_us, everything=True)
        yield from self._numbered(rows, self._now_us * 1000, 0)

    def _forget(self) -> None:
        for each in self._connections.values():
            self.report.unanswered += len(each.asked)
        self._connections, self._handover = {}, None

    def _received(self, frame: Frame, wall_ns: int, mono_ns: int) -> Iterator[Capture]:
        self.report.received += 1
        replayed = self._connections.get(frame.connection)
        if replayed is None:
            self.report.undecodable += 1
            return
        if lost := frame.number - replayed.next_number:
            self.report.missing += lost
            self._interrupt("overflow", f"{lost} frames are not stored", self._keys(replayed))
        replayed.next_number = frame.number + 1
        rows: Sequence[Row]
        try:
            rows = replayed.session.receive(frame.payload, wall_ns, mono_ns)
        except FrameMalformed as error:
            payload = frame.payload.decode(errors="backslashreplace")
            rows = [Reject(UNKNOWN_SYMBOL, None, "frames", error.reason, payload)]
        yield from self._follow(frame.connection, replayed)
        yield from self._store(frame.connection, rows, wall_ns, mono_ns)

    def _answered(self, frame: Frame, wall_ns: int, mono_ns: int) -> Iterator[Capture]:
        replayed, asked = self._connections.get(frame.connection), asked_of(frame.subject or "")
        if replayed is None:
            self.report.undecodable += 1
            return
        request = asked.request
        replayed.asked.discard(request)
        rows: Sequence[Row]
        try:
            rows = replayed.session.fetched(request, frame.payload if asked.came else None, wall_ns, mono_ns)
        except FrameMalformed as error:
            text = frame.payload.decode(errors="backslashreplace")
            reject = Reject(request.symbol, None, request.table or "l2", error.reason, text)
            yield from self._numbered([reject], wall_ns, mono_ns)
            rows = replayed.session.fetched(request, None, wall_ns, mono_ns)
        yield from self._follow(frame.connection, replayed)
        yield from self._store(frame.connection, rows, wall_ns, mono_ns)

    def _told(self, number: int, subject: Subject) -> Iterator[Capture]:
        match subject.call:
            case "open":
                exchange = self._exchange(subject.options or SessionOptions())
                self._connections[number] = _Replayed(exchange.session(subject.wanted))
            case "end":
                self._ended(number, subject)
            case "replaces":
                self._handover, self._new, self._old = Handover(self._next_trade), number, subject.number
            case "replaced":
                yield from self._release(everything=True)
                self._handover = None
            case _:
                yield from self._asked(number, subject)

    def _asked(self, number: int, subject: Subject) -> Iterator[Capture]:
        """Let the session do what it did; the frames that it makes were sent long ago."""
        replayed = self._connections.get(number)
        if replayed is None:
            self.report.undecodable += 1
            return
        session, wanted = replayed.session, set(subject.wanted)
        session.want(wanted - session.wanted)
        session.forget(session.wanted - wanted)
        match subject.call:
            case "opening":
                session.opening()
            case "subscribe":
                session.unconfirmed.update(subject.subscriptions)
                session.subscribe(subject.subscriptions)
            case "unsubscribe":
                session.unsubscribe(subject.subscriptions)
            case "resync":
                session.resync(subject.symbol)
        yield from self._follow(number, replayed)

    def _ended(self, number: int, subject: Subject) -> None:
        replayed = self._connections.pop(number, None)
        if replayed is None:
            return
        self.report.unanswered += len(replayed.asked)
        keys = self._keys(replayed)
        if self._handover is not None and number in (self._old, self._new):
            switched, is_new = self._handover.switched, number == self._new
            keys = [key for key in keys if (key in switched) is is_new or (key[0] == "trades" and not is_new)]
        if subject.cause:
            self._interrupt("disconnect" if subject.cause == "refused" else subject.cause, subject.evidence, keys)

    def _follow(self, number: int, replayed: _Replayed) -> Iterator[Capture]:
        """Heed what the session says of its rows; what it wants sent was sent, or never will be."""
        events, replayed.session.events = replayed.session.events, []
        for event in events:
            match event:
                case Earlier(rows, wall_ns, mono_ns):
                    yield from self._store(number, rows, wall_ns, mono_ns)
                case Break():
                    self._broken(number, replayed, event)
                case Fetch(request):
                    replayed.asked.add(request)

    def _broken(self, number: int, replayed: _Replayed, event: Break) -> None:
        keys = self._keys(replayed)
        if self._handover is not None and number in (self._old, self._new):
            switched, is_new = self._handover.switched, number == self._new
            keys = [key for key in keys if key[0] == "trades" or (key in switched) is is_new]
        wanted = [
            key
            for key in keys
            if (event.tables is None or key[0] in event.tables) and (event.symbols is None or key[1] in event.symbols)
        ]
        self._interrupt(event.cause, event.evidence, wanted)

    def _store(self, number: int, rows: Sequence[Row], wall_ns: int, mono_ns: int) -> Iterator[Capture]:
        if self._handover is not None and number == self._new:
            rows = self._handover.new(rows, wall_ns, mono_ns)
        elif self._handover is not None and number == self._old:
            rows = self._handover.old(rows)
        yield from self._numbered(rows, wall_ns, mono_ns)
        yield from self._release()

    def _release(self, *, everything: bool = False) -> Iterator[Capture]:
        if self._handover is not None:
            for row, wall_ns, mono_ns in self._handover.released(everything=everything):
                yield from self._numbered([row], wall_ns, mono_ns)

    def _numbered(self, rows: Sequence[Row], wall_ns: int, mono_ns: int) -> Iterator[Capture]:
        if self._keeps is not None:
            rows = [row for row in rows if self._keeps(row, wall_ns)]
        if rows:
            numbered, seqs = self._feed.number(rows, wall_ns // 1000)
            yield Capture(self._feed.source, self._feed.exchange, wall_ns, mono_ns, numbered, seqs)

    def _next_trade(self, symbol: str) -> int | None:
        last = self._feed.standing("trades", symbol).trade_seq
        return None if last is None else last + 1

    def _interrupt(self, cause: str, evidence: str, keys: Iterable[Key]) -> None:
        for name, symbol in keys:
            interruption = Interruption(cause, self._now_us, evidence)
            self._feed.interrupt(interruption, symbols=[symbol], tables=[name])

    def _keys(self, replayed: _Replayed) -> list[Key]:
        wanted: set[Subscription] = replayed.session.wanted
        return [(each.table, each.symbol) for each in sorted(wanted)]
