"""What must hold of everything an exchange module gives, whatever it was sent."""

import math
from collections.abc import Sequence
from typing import Any

from ingestion.capture import Capture
from ingestion.exchanges.protocol import (
    Break,
    Earlier,
    Exchange,
    Fetch,
    Leaving,
    Refused,
    Repeated,
    Request,
    Send,
    Session,
    Subscription,
)
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL, is_plain_symbol
from ingestion.writers.encoding import batches
from shared.errors import FrameMalformed
from shared.rows import GAP_CAUSES, TABLE_OF, L2Message, Row
from tests.conformance.sampling import Sample
from tests.levels import row_count

YEAR_1_US, YEAR_10000_US = -62_135_596_800_000_000, 253_402_300_800_000_000
WALL_NS = 1_700_000_000_000_000_000
PURPOSES = {"book", "look", "poll", "instruments"}


def assert_row_is_sound(row: Row) -> None:
    """No row may stop the sealing of others, or hold what no market says."""
    assert is_plain_symbol(row.symbol) or row.symbol == UNKNOWN_SYMBOL, row
    for name in ("timestamp", "settles_at"):
        moment = getattr(row, name, None)
        assert moment is None or YEAR_1_US <= moment < YEAR_10000_US, row
    if isinstance(row, L2Message):
        assert len(row.side) == len(row.price) == len(row.size) > 0, row
        assert set(row.side) <= {"bid", "ask"}, row
        assert min(row.price) > 0, row
        assert min(row.size) >= 0, row
        assert math.isfinite(sum(row.price) + sum(row.size)), row
        assert row.timestamps is None or len(row.timestamps) == len(row), row
        assert all(each is None or YEAR_1_US <= each < YEAR_10000_US for each in row.timestamps or ()), row
        return
    for name in row.__struct_fields__:
        value = getattr(row, name)
        assert not isinstance(value, float) or math.isfinite(value), row


def assert_rows_are_sealed(name: str, rows: Sequence[Row]) -> None:
    """The rows become Arrow columns as the journal writes them."""
    capture = Capture("native", name, 1_700_000_000_000_000_000, 1, rows, list(range(len(rows))))
    for _, batch in batches([capture]):
        batch.validate(full=True)


def assert_event_is_sound(event: Any) -> Sequence[Row]:
    """The event is one of the contract's; the rows that it carries."""
    match event:
        case Break(cause, evidence, symbols, _):
            assert cause in GAP_CAUSES, event
            assert 0 < len(evidence) < 500, event
            assert symbols is None or all(map(is_plain_symbol, symbols)), event
        case Send(frames):
            assert frames, event
            assert all(isinstance(frame, bytes) for frame in frames), event
        case Fetch(request):
            assert isinstance(request, Request), event
            assert request.purpose in PURPOSES, event
        case Refused(reason, subscription):
            assert reason, event
            assert subscription is None or isinstance(subscription, Subscription), event
        case Leaving(evidence):
            assert evidence, event
        case Earlier(rows, _, _):
            return rows
        case _:
            assert isinstance(event, Repeated), event
    return ()


def received(
    session: Session, frame: bytes, mono_ns: int = 0, *, fetches: list[Request] | None = None
) -> list[Row] | None:
    """The rows of a frame, each looked at, those of its events first; None where it is malformed.

    REST documents that the session asks for are added to `fetches`.
    """
    try:
        own = session.receive(frame, WALL_NS + mono_ns, mono_ns)
    except FrameMalformed:
        own = None
    rows = _with_events(session, own or (), fetches)
    return None if own is None and not rows else rows


def fetched(session: Session, request: Request, body: bytes | None, mono_ns: int = 0) -> list[Row]:
    """The rows of a REST document that the session asked for, each looked at; none where it is malformed."""
    try:
        own = session.fetched(request, body, WALL_NS + mono_ns, mono_ns)
    except FrameMalformed:
        own = ()
    return _with_events(session, own, None)


def _with_events(session: Session, own: Sequence[Row], fetches: list[Request] | None) -> list[Row]:
    rows: list[Row] = []
    events, session.events = session.events, []
    for event in events:
        rows += assert_event_is_sound(event)
        if isinstance(event, Fetch) and fetches is not None:
            fetches.append(event.request)
    rows += own
    for row in rows:
        assert_row_is_sound(row)
    return rows


def answered(exchange: Exchange, session: Session, sample: Sample, body: bytes) -> list[Row] | None:
    """The rows of a REST document, each looked at; None where it is malformed."""
    stream = next(each for each in sorted(session.wanted) if each.symbol == stored(sample.symbol))
    stream = stream._replace(table=sample.table)
    rows: list[Row] = []
    try:
        if sample.rest == "look":
            newest = exchange.newest(stream, body)
            assert newest.trade_seq is None or 0 <= newest.trade_seq < 2**63, newest
            assert newest.timestamp_us is None or YEAR_1_US <= newest.timestamp_us < YEAR_10000_US, newest
        elif sample.rest == "poll":
            rows += exchange.polled(stream, body)
        elif sample.rest == "instruments":
            rows += exchange.instruments(body, session.wanted)
        else:
            request = Request("", 1, "book", stream.table, stream.symbol)
            rows += session.fetched(request, body, WALL_NS, 0)
    except FrameMalformed:
        return None
    return _with_events(session, rows, None)


def table_rows(rows: Sequence[Row], sample: Sample) -> int:
    """How many rows there are of the sample's table, of a document of instruments: instruments."""
    table = "instruments" if sample.rest == "instruments" else sample.table
    return row_count([row for row in rows if TABLE_OF[type(row)] == table])


def stored(symbol: str) -> str:
    """The symbol as the lake names it."""
    return symbol.replace("/", "-").replace(":", "_")
