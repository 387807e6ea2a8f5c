"""Where capture was interrupted, what that cost: pure rules that turn ids and interruptions into gap rows.

An interruption (restart, disconnect, silence, break in a connection's sequence) is only a suspicion. Where trade ids
are contiguous the next row proves what was lost, exactly; elsewhere the gap says that nobody knows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ingestion import lifecycle
from ingestion.channels import channels
from ingestion.exchanges.wire_values import ID_DIGITS_MAX
from ingestion.heartbeat import Channel
from shared.exchange_facts import ids_prove_loss
from shared.rows import ROW_TYPES, TABLE_OF, Gap, L2Message, Reject, Row, Stream, Trade
from storage.published import Tail

_KIND_OF = ROW_TYPES | {"l2": L2Message}  # how the rows of a table arrive
_UNBROKEN = frozenset({"gaps", "rejects", "frames", "instruments"})  # tables in which nothing can be missing
OPEN_GAPS_MAX = 1000  # per stream; older ones stay open in the data, they are only no longer watched for late ids
UNENDED_AFTER_US = 60_000_000  # a hole that nothing has ended by then is written without an end


@dataclass(frozen=True, slots=True)
class Interruption:
    """Why the rows after this moment may not follow on those before."""

    cause: str
    at_us: int
    evidence: str


class Standing(NamedTuple):
    """How far a stream has come, for whoever watches it."""

    rows: int  # in this epoch
    trade_seq: int | None  # the largest contiguous trade id, also of an earlier run


@dataclass(slots=True)
class _Place:
    """Where a stream stands."""

    count: int = 0  # rows numbered in this epoch
    seq: int | None = None  # of the last row of an earlier epoch, known at a restart alone
    next_id: int | None = None  # the trade id that must come next, where ids are contiguous
    last_id: str | None = None  # of the last trade, where they are not
    capture_us: int | None = None
    interruption: Interruption | None = None
    unended: Gap | None = None  # what has been written of the interruption while nothing followed on it
    open_gaps: list[Gap] = field(default_factory=list)
    holes_open: int = 0  # declared in this run, and not filled since

    @property
    def is_interrupted(self) -> bool:
        """Whether nothing has come since it was interrupted."""
        return self.interruption is not None


class Feed:
    """Every stream of one source and exchange in one run: numbers rows and finds what they prove to be missing."""

    def __init__(self, source: str, exchange: str, epoch: str) -> None:
        self.source, self.exchange = source, exchange
        self._epoch = epoch
        self._gap_count = 0
        self._contiguous = ids_prove_loss(exchange, source)
        self._places: dict[tuple[type[Row], str], _Place] = {}
        self._rejects = lifecycle.RejectTally()

    def resume(self, tails: dict[Stream, Tail], *, started_us: int) -> None:
        """Take over where an earlier run stood; what comes next on these streams follows a restart."""
        for stream, tail in tails.items():
            if (stream.source, stream.exchange) != (self.source, self.exchange) or stream.table in _UNBROKEN:
                continue
            evidence = f"epoch {tail.epoch} ended after seq {tail.seq}"
            self._places[_KIND_OF[stream.table], stream.symbol] = _Place(
                seq=tail.seq,
                next_id=None if tail.trade_seq is None else tail.trade_seq + 1,
                last_id=tail.trade_id,
                capture_us=tail.capture_us,
                interruption=Interruption("restart", started_us, evidence),
            )

    def expect(self, table: str, symbol: str) -> None:
        """Let an interruption of this stream be told even if it has never had a row."""
        self._place(_KIND_OF[table], symbol)

    def interrupt(
        self,
        interruption: Interruption,
        *,
        symbols: Iterable[str] | None = None,
        tables: Iterable[str] | None = None,
    ) -> None:
        """Remember that what comes next (of these symbols and tables, else of all) may not follow on what came."""
        wanted = None if symbols is None else set(symbols)
        affected = None if tables is None else set(tables)
        for (kind, symbol), place in self._places.items():
            table = TABLE_OF[kind]
            if table in _UNBROKEN or (affected is not None and table not in affected):
                continue
            if place.interruption is None and (wanted is None or symbol in wanted):
                place.interruption = interruption

    def standing(self, table: str, symbol: str) -> Standing:
        """How far a stream has come; it need not have begun."""
        place = self._places.get((_KIND_OF[table], symbol))
        if place is None:
            return Standing(0, None)
        return Standing(place.count, None if place.next_id is None else place.next_id - 1)

    def channels(self) -> dict[str, Channel]:
        """How each table is doing."""
        return channels((TABLE_OF[kind], place) for (kind, _), place in self._places.items())

    def event(self, cause: str, evidence: str, *, at_us: int, start_us: int | None = None) -> Gap:
        """The row that says what happened to the whole collector; nothing is lost by it."""
        began_us = at_us if start_us is None else start_us
        return lifecycle.event(cause, gap_id=self.new_gap_id(), start_us=began_us, end_us=at_us, evidence=evidence)

    def unwritten(self, now_us: int, *, everything: bool = False) -> list[Row]:
        """What no row has told yet: holes that nothing has ended, each once, and how much was rejected.

        Args:
            now_us: wall clock, microseconds since 1970.
            everything: at the end of a run; else only what is old enough.
        """
        out: list[Row] = []
        for (kind, symbol), place in self._places.items():
            pending = place.interruption
            if pending is None or place.unended is not None:
                continue
            if everything or abs(now_us - pending.at_us) >= UNENDED_AFTER_US:
                place.unended = self._gap(place, symbol, TABLE_OF[kind], pending)
                place.holes_open += 1
                out.append(place.unended)
        rejected = self._rejects.due(now_us, everything=everything)
        return [*out, *(msgspec.structs.replace(summary, gap_id=self.new_gap_id()) for summary in rejected)]

    def number(self, rows: Sequence[Row], capture_us: int) -> tuple[Sequence[Row], list[int]]:
        """The rows, with the gaps that they reveal put in front of them, and the `seq` of each.

        `seq` counts a stream's rows in this epoch. Rows are numbered when nothing can drop them any more before the
        journal, so every hole in the stored numbers is a loss to be explained.
        """
        gaps: list[Row] = []
        seqs: list[int] = []
        reached: list[_Place] = []  # places of trades: a gap inside begins where the stream stood before
        kind: type[Row] | None = None
        symbol = ""
        for row in rows:
            if type(row) is not kind or row.symbol != symbol:
                kind, symbol = type(row), row.symbol
                place = self._place(kind, symbol)
                if place.interruption and kind is not Trade:
                    gaps.append(self._resumed(row, place, capture_us))
                if kind is Trade:
                    reached.append(place)
                else:
                    place.capture_us = capture_us
            if kind is Trade:
                this = row.trade_seq  # type: ignore[attr-defined]
                if this is not None and this == place.next_id and place.interruption is None:
                    place.next_id = this + 1  # the usual case, and all there is to it
                else:
                    self._trade(place, row, this, capture_us, gaps)  # type: ignore[arg-type]
            elif kind is Reject:
                self._rejected(row, capture_us, gaps)  # type: ignore[arg-type]
            seqs.append(place.count)
            place.count += len(row) if kind is L2Message else 1  # type: ignore[arg-type]
        for place in reached:
            place.capture_us = capture_us
        if not gaps:
            return rows, seqs
        gap_seqs = []
        for gap in gaps:
            place = self._place(Gap, gap.symbol)
            gap_seqs.append(place.count)
            place.count += 1
        return [*gaps, *rows], [*gap_seqs, *seqs]

    def _place(self, kind: type[Row], symbol: str) -> _Place:
        place = self._places.get((kind, symbol))
        if place is None:
            place = self._places[kind, symbol] = _Place()
        return place

    def _rejected(self, reject: Reject, capture_us: int, gaps: list[Row]) -> None:
        """A trade that was kept as a reject is not missing, and those before it are no less missing for it."""
        self._rejects.add(reject, capture_us)
        number = reject.row_id or ""
        is_number = number.isascii() and number.isdecimal() and len(number) <= ID_DIGITS_MAX
        if self._contiguous and reject.channel == "trades" and is_number:
            self._trade(self._place(Trade, reject.symbol), reject, int(number), capture_us, gaps)

    def _trade(self, place: _Place, trade: Trade | Reject, this: int | None, capture_us: int, gaps: list[Row]) -> None:
        """A trade, or what was to be one, that may not simply follow on the one before."""
        wanted = place.next_id
        if not self._contiguous or this is None:
            if place.interruption:
                gaps.append(self._resumed(trade, place, capture_us))
            place.last_id = _id_of(trade)
            return
        if wanted is None:
            if place.interruption:
                gaps.append(self._resumed(trade, place, capture_us))
        elif this > wanted:
            gap = self._resumed(trade, place, capture_us, lost=this - wanted)
            gaps.append(gap)
            place.open_gaps = [*place.open_gaps, gap][-OPEN_GAPS_MAX:]
        elif place.interruption:
            gaps.append(self._resumed(trade, place, capture_us, lost=0))
        elif this < wanted and place.open_gaps:
            gaps.extend(self._late(place, this))
        place.next_id = max(this + 1, wanted or 0)
        place.capture_us = capture_us

    def _resumed(self, row: Row, place: _Place, capture_us: int, *, lost: int | None = None) -> Gap:
        """The gap between where the stream stood and the row that has come now."""
        interruption = place.interruption or Interruption("id_jump", capture_us, "trade ids are contiguous here")
        channel = row.channel if isinstance(row, Reject) else TABLE_OF[type(row)]
        gap = msgspec.structs.replace(
            place.unended or self._gap(place, row.symbol, channel, interruption),
            revision=0 if place.unended is None else 1,
            status="filled" if lost == 0 else "open",
            next_seq=place.count,
            next_id=_id_of(row),
            end_ts=capture_us,
            rows_lost=lost,
        )
        place.holes_open += (gap.status == "open") - (place.unended is not None)
        place.interruption = place.unended = place.seq = None
        return gap

    def _gap(self, place: _Place, symbol: str, channel: str, interruption: Interruption) -> Gap:
        """A hole behind where the stream stands, with no end yet."""
        return Gap(
            symbol=symbol,
            timestamp=None,
            gap_id=self.new_gap_id(),
            revision=0,
            channel=channel,
            cause=interruption.cause,
            status="open",
            prev_seq=place.seq if place.seq is not None else place.count - 1 if place.count else None,
            prev_id=place.last_id if place.next_id is None else str(place.next_id - 1),
            start_ts=place.capture_us,
            evidence=interruption.evidence,
        )

    def new_gap_id(self) -> str:
        """A name that no other gap has."""
        self._gap_count += 1
        return f"{self._epoch}:{self.source}:{self.exchange}:{self._gap_count}"

    def _late(self, place: _Place, trade_seq: int) -> list[Gap]:
        """A missing id has come after all: narrower revisions of its gap."""
        gap = next((g for g in place.open_gaps if _low(g) < trade_seq < _high(g)), None)
        if gap is None:
            return []
        low, high = _low(gap), _high(gap)
        index = place.open_gaps.index(gap)
        del place.open_gaps[index]
        revised = _between(msgspec.structs.replace(gap, revision=gap.revision + 1), low, trade_seq)
        out = [revised]
        if trade_seq + 1 < high:
            if revised.rows_lost:
                fresh = msgspec.structs.replace(gap, gap_id=self.new_gap_id(), revision=0)
                out.append(_between(fresh, trade_seq, high))
            else:
                out = [_between(revised, trade_seq, high)]
        still_open = [g for g in out if g.rows_lost]
        place.open_gaps[index:index] = still_open
        place.holes_open += len(still_open) - 1
        return out


def _id_of(row: Row) -> str | None:
    if isinstance(row, Reject):
        return row.row_id
    return row.trade_id if isinstance(row, Trade) else None


def _low(gap: Gap) -> int:
    return int(gap.prev_id or 0)


def _high(gap: Gap) -> int:
    return int(gap.next_id or 0)


def _between(gap: Gap, low: int, high: int) -> Gap:
    lost = high - low - 1
    status = "open" if lost else "filled"
    return msgspec.structs.replace(gap, prev_id=str(low), next_id=str(high), rows_lost=lost, status=status)
