"""A reader of a stored l2 stream, and a session's output in the order in which a collector stores it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ingestion.exchanges.protocol import Break, Earlier, Fetch, Refused, Repeated, Request, Send, Session
from shared.errors import FrameMalformed
from shared.rows import L2Message, Row

Book = dict[str, dict[float, float]]  # side -> price -> size


@dataclass
class Stored:
    """What a collector would store of one connection, in order, and what it is asked to do."""

    session: Session
    rows: list[Row | Break] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)  # not yet answered
    sent: list[bytes] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)
    others: list[object] = field(default_factory=list)
    repeats: int = 0
    malformed: int = 0
    arrivals: list[int] = field(default_factory=list)  # of each row, mono_ns; a break has that of what revealed it

    def receive(self, frame: bytes, mono_ns: int = 0) -> None:
        """One frame from the socket."""
        try:
            rows: Sequence[Row] = self.session.receive(frame, 10**18 + mono_ns, mono_ns)
        except FrameMalformed:
            self.malformed += 1
            rows = []
        self._take(rows, mono_ns)

    def answer(self, body: bytes | None, mono_ns: int = 0, symbol: str | None = None) -> None:
        """The REST document that was asked for first (of one symbol)."""
        request = next(each for each in self.requests if symbol in (None, each.symbol))
        self.requests.remove(request)
        try:
            rows = self.session.fetched(request, body, 10**18 + mono_ns, mono_ns)
        except FrameMalformed:
            self.malformed += 1
            rows = self.session.fetched(request, None, 10**18 + mono_ns, mono_ns)
        self._take(rows, mono_ns)

    def settle(self) -> None:
        """Take the events that something else than a frame has caused."""
        self._take([], 0)

    def _take(self, rows: Sequence[Row], mono_ns: int) -> None:
        events, self.session.events = self.session.events, []
        for event in events:
            match event:
                case Earlier(earlier, _, moment):
                    self._store(earlier, moment)
                case Break():
                    self._store([event], mono_ns)
                case Fetch(request):
                    self.requests.append(request)
                case Send(frames):
                    self.sent += frames
                case Refused():
                    self.refusals.append(event)
                case Repeated():
                    self.repeats += 1
                case _:
                    self.others.append(event)
        self._store(rows, mono_ns)

    def _store(self, rows: Iterable[Row | Break], mono_ns: int) -> None:
        for row in rows:
            self.rows.append(row)
            self.arrivals.append(mono_ns)

    def of(self, kind: type, symbol: str | None = None) -> list:
        """The stored rows of a kind, of one symbol."""
        return [row for row in self.rows if type(row) is kind and symbol in (None, getattr(row, "symbol", None))]

    def breaks(self) -> list[Break]:
        """The breaks, in order."""
        return [row for row in self.rows if isinstance(row, Break)]


def rebuilt(
    rows: Iterable[Row | Break], symbol: str, check: Callable[[Book, int], None] = lambda book, version: None
) -> tuple[Book | None, int]:
    """The book by the rows alone, as the reader's rule has it, and its version; `check` sees it after each message."""
    book: Book | None = None
    version = 0
    for row in rows:
        if isinstance(row, Break) and row.symbols in (None, (symbol,)):
            book = None
        if not isinstance(row, L2Message) or row.symbol != symbol:
            continue
        if row.is_snapshot:
            book, version = {"bid": {}, "ask": {}}, 0
        if book is None:
            continue
        for side, price, size in zip(row.side, row.price, row.size, strict=True):
            if size:
                book[side][price] = size
            else:
                book[side].pop(price, None)
        version = max(version, row.update_id or 0)
        check(book, version)
    return book, version
