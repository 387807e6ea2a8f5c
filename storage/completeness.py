"""Is everything there? A pure sum per stream and run: received = stored + journalled + rejected + declared.

Numbers that collectors give to rows run from 0 in each run (epoch) and stream, and a row is numbered when nothing can
drop it any more. So a number that is nowhere and inside no gap row is a loss that nobody declared; so is a trade id
that is missing where an exchange's ids are contiguous.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, pairwise

import polars as pl

from shared.rows import Stream
from storage.spans import Numbers, Spans

UNBROKEN = frozenset({"gaps", "rejects", "frames", "instruments"})  # a new run of them follows on nothing
LIVE_SOURCES = frozenset({"native", "ccxt"})
_RANGES_NAMED = 3


@dataclass
class HourSum:
    """What `ready` holds of one stream in one hour."""

    files: int = 0
    rows: int = 0
    rejected: int = 0
    declared: int = 0  # our numbers that a gap row names as lost, before a row of this hour
    undeclared: int = 0


@dataclass
class _Run:
    """One stream in one epoch."""

    floor: int = 0  # numbers below were not asked about
    top: int = 0  # numbers up to here were stored at one time, as a later run's log says
    stored: Spans = field(default_factory=Spans)
    journalled: Spans = field(default_factory=Spans)
    given_up: Spans = field(default_factory=Spans)  # removed from here, and in no archive
    is_asked: bool = False
    starts: list[tuple[int, datetime]] = field(default_factory=list)  # where each file begins, and its hour

    def hour_of(self, number: int) -> datetime | None:
        """The hour of the file that a number lies in or before."""
        starts = sorted(self.starts)
        at = bisect_right(starts, number, key=lambda start: start[0]) - 1
        return starts[max(at, 0)][1] if starts else None


@dataclass
class _Ledger:
    """Everything known of one stream; its size follows the holes and the hours, not the rows."""

    runs: dict[str, _Run] = field(default_factory=dict)  # by epoch
    ids: Spans = field(default_factory=Spans)
    rejected_ids: Spans = field(default_factory=Spans)  # and those that were given up
    rejected: int = 0
    hours: dict[datetime, HourSum] = field(default_factory=dict)
    twice: int = 0


@dataclass(frozen=True)
class StreamSum:
    """One stream's account."""

    stream: Stream
    runs: int
    stored: int  # rows in `ready`, each number once
    journalled: int  # rows in a journal that is not sealed yet
    rejected: int  # rows that the exchange sent and that are kept in `rejects`
    declared: int  # our numbers that a gap row names as lost
    ids_declared: int  # trade ids that never came and that a gap row names
    undeclared: int  # numbers and ids that are nowhere
    twice: int  # rows that are stored more than once
    hours: dict[datetime, HourSum]

    @property
    def received(self) -> int:
        """Rows that were received, by our own count."""
        return self.stored + self.journalled + self.rejected + self.declared


class Account:
    """Takes what files, journals and gap rows say, in the order of the log; `judge` draws the sum."""

    def __init__(self) -> None:
        self._ledgers: defaultdict[Stream, _Ledger] = defaultdict(_Ledger)

    def before(self, stream: Stream, epoch: str, first: int, last: int) -> None:
        """A file that lies outside of what is asked: its numbers count as there."""
        run = self._run(stream, epoch)
        if run.is_asked:
            run.stored.add(first, last + 1)
        else:
            run.floor = max(run.floor, last + 1)

    def began_earlier(self, stream: Stream, epoch: str, first: int) -> None:
        """The run's earlier files were not even looked up: it is only followed from here."""
        run = self._run(stream, epoch)
        if not run.is_asked:
            run.floor = max(run.floor, first)

    def reached(self, stream: Stream, epoch: str, last: int) -> None:
        """A later run's log names the last row of this one that was stored."""
        run = self._run(stream, epoch)
        run.top = max(run.top, last + 1)

    def stored(self, stream: Stream, epoch: str, numbers: Numbers | tuple[int, int], hour: datetime) -> int:
        """The numbers in a file, or its first and one past its last if they are whole; how many stand twice."""
        ledger, run = self._ledgers[stream], self._run(stream, epoch)
        run.is_asked = True
        total = ledger.hours.setdefault(hour, HourSum())
        total.files += 1
        if len(numbers):
            run.starts.append((numbers[0] if isinstance(numbers, tuple) else int(numbers.min()), hour))
        if isinstance(numbers, tuple):
            total.rows += numbers[1] - numbers[0]
            twice = run.stored.add(*numbers)
        else:
            total.rows += len(numbers)
            twice = run.stored.add_all(numbers)
        ledger.twice += twice
        return twice

    def journalled(self, stream: Stream, epoch: str, numbers: Spans) -> None:
        """Numbers in a journal; some may be in `ready` by now."""
        for begin, end in numbers:
            self._run(stream, epoch).journalled.add(begin, end)

    def trade_ids(self, stream: Stream, ids: Numbers) -> None:
        """Ids of stored trades, where they are contiguous; none elsewhere."""
        self._ledgers[stream].ids.add_all(ids)

    def rejected(self, stream: Stream, count: int, ids: Numbers, hour: datetime) -> None:
        """Rows of this stream that are kept as rejects, and the ids of those that have one."""
        ledger = self._ledgers[stream]
        ledger.hours.setdefault(hour, HourSum()).rejected += count
        ledger.rejected += count
        ledger.rejected_ids.add_all(ids)

    def given_up(self, stream: Stream, epoch: str, numbers: Spans, ids: Spans) -> None:
        """Numbers and trade ids that were stored, and removed although no archive holds them: declared lost."""
        ledger, run = self._ledgers[stream], self._run(stream, epoch)
        run.is_asked, run.given_up = True, Spans([*run.given_up, *numbers])
        ledger.rejected_ids = Spans([*ledger.rejected_ids, *ids])

    def judge(self, gaps: pl.DataFrame) -> tuple[list[StreamSum], list[str]]:
        """Every stream's sum, and what is not proven, in words.

        Args:
            gaps: the latest revision of each gap.
        """
        sums, problems = [], []
        declared = _by_stream(gaps)
        for stream in sorted(self._ledgers):
            ledger, rows = self._ledgers[stream], declared.get(stream, [])
            found = _Judgement(stream, ledger, rows)
            runs = ledger.runs.values()
            if not any(run.is_asked or run.journalled or run.top > run.floor for run in runs) and not ledger.rejected:
                continue
            problems += found.problems
            sums.append(found.sum())
        return sums, problems

    def _run(self, stream: Stream, epoch: str) -> _Run:
        runs = self._ledgers[stream].runs
        if epoch not in runs:
            runs[epoch] = _Run()
        return runs[epoch]


@dataclass(frozen=True)
class _Declared:
    """What a gap row says about numbers."""

    epoch: str  # whose count its numbers are
    status: str
    prev_seq: int | None
    next_seq: int | None
    prev_id: int | None
    next_id: int | None


def _by_stream(gaps: pl.DataFrame) -> dict[Stream, list[_Declared]]:
    found: defaultdict[Stream, list[_Declared]] = defaultdict(list)
    ids = [pl.col(name).cast(pl.Int64, strict=False) for name in ("prev_id", "next_id")]
    for gap in gaps.with_columns(ids).iter_rows(named=True):
        epoch = gap["gap_id"].partition(":")[0]
        stream = Stream(gap["source"], gap["exchange"], gap["channel"], gap["symbol"])
        numbers = (gap["prev_seq"], gap["next_seq"], gap["prev_id"], gap["next_id"])
        found[stream].append(_Declared(epoch, gap["status"], *numbers))
    return found


class _Judgement:
    """One stream, its numbers and ids held against its gap rows."""

    def __init__(self, stream: Stream, ledger: _Ledger, gaps: list[_Declared]) -> None:
        self._stream, self._ledger, self._gaps = stream, ledger, gaps
        self.problems: list[str] = []
        self._name = f"{stream.source} {stream.exchange} {stream.table} {stream.symbol}"
        self._stored = self._journalled = self._declared = self._undeclared = 0
        for epoch, run in sorted(ledger.runs.items()):
            self._follow(epoch, run)
        self._hand_overs()
        self._ids_declared = self._ids()
        if ledger.twice:
            self.problems.append(f"{ledger.twice:,} rows stored twice ({self._name})")

    def sum(self) -> StreamSum:
        """The account."""
        ledger = self._ledger
        return StreamSum(
            self._stream,
            len(ledger.runs),
            self._stored,
            self._journalled,
            ledger.rejected,
            self._declared,
            self._ids_declared,
            self._undeclared,
            ledger.twice,
            ledger.hours,
        )

    def _follow(self, epoch: str, run: _Run) -> None:
        """One run's numbers: from its floor to the last known one, each is stored, journalled or declared."""
        journalled = run.journalled.without(run.stored)
        self._journalled += len(journalled)
        self._stored += len(run.stored)
        known = Spans([*run.stored, *journalled])
        if not known and not run.top and not run.given_up:
            return
        told = Spans(
            (gap.prev_seq + 1, gap.next_seq)
            for gap in self._gaps
            if gap.epoch == epoch and gap.prev_seq is not None and gap.next_seq is not None
        )
        told = Spans([*told, *run.given_up])
        top = max([run.top, *(end for _, end in [*known, *told])])
        missing = Spans([(run.floor, top)]).without(known)
        silent = missing.without(told)
        self._declared += len(missing) - len(silent)
        self._undeclared += len(silent)
        self._by_hour(run, missing, silent)
        if silent:
            self.problems.append(f"seq {_named(silent)} of {epoch} are nowhere ({self._name})")

    def _by_hour(self, run: _Run, missing: Spans, silent: Spans) -> None:
        for spans, name, sign in ((missing, "declared", 1), (silent, "declared", -1), (silent, "undeclared", 1)):
            for begin, end in spans:
                hour = run.hour_of(end)
                if hour is not None:
                    total = self._ledger.hours[hour]
                    setattr(total, name, getattr(total, name) + sign * (end - begin))

    def _hand_overs(self) -> None:
        """A run that goes on with a stream of an earlier one declares what may lie between."""
        if self._stream.table in UNBROKEN or self._stream.source not in LIVE_SOURCES:
            return
        told = {gap.epoch for gap in self._gaps}
        for (before, _), (epoch, run) in pairwise(sorted(self._ledger.runs.items())):
            if run.floor == 0 and run.is_asked and epoch not in told:
                self.problems.append(f"no gap row tells what lies between {before} and {epoch} ({self._name})")

    def _ids(self) -> int:
        """Missing trade ids that gap rows declare; the others become a problem."""
        ledger = self._ledger
        missing = Spans(ledger.ids.holes()).without(ledger.rejected_ids)
        told = Spans(
            (gap.prev_id + 1, gap.next_id)
            for gap in self._gaps
            if gap.status != "filled" and gap.prev_id is not None and gap.next_id is not None
        )
        silent = missing.without(told)
        self._undeclared += len(silent)
        if silent:
            self.problems.append(f"trade ids {_named(silent)} are nowhere ({self._name})")
        return len(missing) - len(silent)


def _named(spans: Spans) -> str:
    ranges = [str(begin) if end == begin + 1 else f"{begin}..{end - 1}" for begin, end in islice(spans, _RANGES_NAMED)]
    more = len(list(spans)) - len(ranges)
    return ", ".join(ranges) + (f" and {more:,} more ranges" if more else "")
