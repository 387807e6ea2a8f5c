"""One collector's way in: continuity is checked, gaps are put before their rows, all of it is counted."""

from collections.abc import Iterable, Sequence

from ingestion.capture import Capture
from ingestion.continuity import Feed, Interruption, Standing
from ingestion.heartbeat import Channel, FeedStatistics
from ingestion.intake import Intake
from ingestion.pressure import LEVEL_MAX, Shedder
from ingestion.timekeeping import LatencyWindow
from shared.clock import Clock
from shared.log import get_log
from shared.rows import LIFECYCLE_CAUSES, Gap, L2Message, OrderBook, Reject, Row, Ticker, Trade

_TIMED = (Trade, L2Message, OrderBook, Ticker)  # rows whose exchange time is that of their sending


class Inlet:
    """Where a collector puts rows and reports interruptions."""

    def __init__(self, feed: Feed, intake: Intake, clock: Clock) -> None:
        self._feed, self._intake, self.clock = feed, intake, clock
        self.statistics = FeedStatistics()
        self._log = get_log("collector").bind(feed=self.name)
        self.stale_books: set[str] = set()  # whose updates were given up and come again: to be begun anew
        self._shedder = Shedder(feed.new_gap_id)
        self.latency = LatencyWindow()
        self._newest: Capture | None = None

    @property
    def name(self) -> str:
        """Source and exchange, for people."""
        return f"{self._feed.source}:{self._feed.exchange}"

    async def put(self, rows: Sequence[Row], *, wall_ns: int, mono_ns: int, frame_bytes: int = 0) -> None:
        """Take the rows of one message, waiting while the queue is full."""
        if self.full:
            await self.room()
        self.take(rows, wall_ns, mono_ns, frame_bytes)

    @property
    def full(self) -> bool:
        """Whether `room` must be awaited before `take`."""
        return self._intake.full

    async def room(self) -> None:
        """Return when the queue has room."""
        await self._intake.room()

    def take(
        self,
        rows: Sequence[Row],
        wall_ns: int,
        mono_ns: int,
        frame_bytes: int,
        *,
        frames: int = 1,
        origin: str = "ws",
    ) -> None:
        """Take the rows of one message, or of several that came together. Not a coroutine: it runs for each.

        All rows of one stream have one `origin`: recovery reads a stream's count batch by batch.
        """
        statistics, feed = self.statistics, self._feed
        statistics.frames += frames
        if not rows:
            return
        numbered, seqs = feed.number(rows, wall_ns // 1000)
        statistics.last_row_wall_ns = wall_ns
        if self._intake.level or self._shedder.is_open:
            numbered, seqs = self._shed(numbered, seqs, wall_ns // 1000)
            if not numbered:
                return
        if numbered is not rows or Reject in set(map(type, rows)):
            self._count(numbered)
        capture = Capture(feed.source, feed.exchange, wall_ns, mono_ns, numbered, seqs, frame_bytes, origin)
        statistics.rows += capture.count
        self._newest = capture
        self._intake.append(capture)

    def standing(self, table: str, symbol: str) -> Standing:
        """How far a stream of this feed has come."""
        return self._feed.standing(table, symbol)

    def channels(self) -> dict[str, Channel]:
        """How each table is doing."""
        return self._feed.channels()

    def expect(self, table: str, symbol: str) -> None:
        """Let an interruption of this stream be told even if it has never had a row."""
        self._feed.expect(table, symbol)

    def tell(self, cause: str, evidence: str, *, start_us: int | None = None) -> None:
        """Put a row of what happened to the collector: start, stop, connect, clock_step. Takes no room, is never late.

        Args:
            cause: one of `LIFECYCLE_CAUSES`.
            evidence: which connection, which step.
            start_us: where it lasted from, if not just now.
        """
        assert cause in LIFECYCLE_CAUSES, cause
        if cause == "connect":
            self.statistics.connects += 1
            self._log.info("connected", where=evidence)
        now_us = self.clock.wall_ns() // 1000
        self._put([self._feed.event(cause, evidence, at_us=now_us, start_us=start_us)])

    def tell_unwritten(self, *, everything: bool = False) -> None:
        """Put the rows that are due without a row of the exchange: holes that nothing ends, sums of rejects."""
        if rows := self._feed.unwritten(self.clock.wall_ns() // 1000, everything=everything):
            self._put(rows)

    def measure(self) -> None:
        """Take the newest row's latency into the statistics."""
        newest, self._newest, mono_ns = self._newest, None, self.clock.mono_ns()
        row = newest.rows[-1] if newest else None
        if newest and isinstance(row, _TIMED) and row.timestamp is not None:
            self.latency.add(newest.mono_ns, newest.wall_ns // 1000 - row.timestamp)
        found = self.latency.measured(mono_ns)
        self.statistics.latency_min_us, self.statistics.latency_median_us = found or (None, None)

    def _put(self, rows: Sequence[Row]) -> None:
        """Rows of our own making; they are no rows of the exchange, so `statistics.rows` knows nothing of them."""
        wall_ns = self.clock.wall_ns()
        numbered, seqs = self._feed.number(rows, wall_ns // 1000)
        self.statistics.gaps += sum(isinstance(row, Gap) and row.cause not in LIFECYCLE_CAUSES for row in rows)
        feed = self._feed
        self._intake.append(Capture(feed.source, feed.exchange, wall_ns, self.clock.mono_ns(), numbered, seqs))

    def interrupt(
        self, cause: str, evidence: str, *, symbols: Iterable[str] | None = None, tables: Iterable[str] | None = None
    ) -> None:
        """Say that what comes next (of these symbols and tables, else of all) may not follow on what came before."""
        interruption = Interruption(cause, self.clock.wall_ns() // 1000, evidence)
        self._feed.interrupt(interruption, symbols=symbols, tables=tables)

    def interrupt_streams(self, cause: str, evidence: str, keys: Iterable[tuple[str, str]]) -> None:
        """Say the same of single streams, each a table and a symbol."""
        symbols: dict[str, list[str]] = {}
        for table, symbol in keys:
            symbols.setdefault(table, []).append(symbol)
        for table, some in symbols.items():
            self.interrupt(cause, evidence, symbols=some, tables=(table,))

    def relieve(self, level: int) -> None:
        """Say how what was given up ended, of all that this level does not give up; 0 says all."""
        if gaps := self._shedder.end(level=level, capture_us=self.clock.wall_ns() // 1000):
            self._put(gaps)
        if level < LEVEL_MAX:
            self.stale_books |= self._shedder.books_lost
            self._shedder.books_lost = set()

    def take_stale_books(self, symbols: Iterable[str]) -> set[str]:
        """Those of these symbols whose books must be begun anew, once; the caller asks the exchange for them."""
        stale = self.stale_books.intersection(symbols)
        self.stale_books -= stale
        return stale

    def _shed(self, rows: Sequence[Row], seqs: list[int], now_us: int) -> tuple[Sequence[Row], list[int]]:
        kept, kept_seqs, gaps = self._shedder.shed(rows, seqs, level=self._intake.level, capture_us=now_us)
        self.statistics.rows_given_up = self._shedder.rows_given_up
        if not gaps:
            return kept, kept_seqs
        numbered, gap_seqs = self._feed.number(gaps, now_us)
        return [*numbered, *kept], [*gap_seqs, *kept_seqs]

    def _count(self, rows: Sequence[Row]) -> None:
        self.statistics.gaps += sum(isinstance(row, Gap) for row in rows)
        self.statistics.rejects += sum(isinstance(row, Reject) for row in rows)
