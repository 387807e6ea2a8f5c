"""One collector's way in: continuity is checked, gaps are put before their rows, all of it is counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingestion.capture import Capture
from ingestion.continuity import Feed, Interruption, Standing
from ingestion.intake import Intake
from shared.clock import Clock
from shared.rows import Gap, Reject, Row


@dataclass
class FeedStatistics:
    """What one collector has seen in this run."""

    frames: int = 0
    rows: int = 0
    rejects: int = 0
    gaps: int = 0
    sessions: int = 0
    sequence_breaks: int = 0
    repeated_frames: int = 0
    silence_looks: int = 0  # REST looks at streams that fell silent
    silences: int = 0  # streams found dead by them
    last_row_wall_ns: int = 0


class Inlet:
    """Where a collector puts rows and reports interruptions."""

    def __init__(self, feed: Feed, intake: Intake, clock: Clock) -> None:
        self._feed, self._intake, self.clock = feed, intake, clock
        self.statistics = FeedStatistics()

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

    def take(self, rows: Sequence[Row], wall_ns: int, mono_ns: int, frame_bytes: int, *, frames: int = 1) -> None:
        """Take the rows of one message, or of several that came together. Not a coroutine: it runs for each."""
        statistics, feed = self.statistics, self._feed
        statistics.frames += frames
        if not rows:
            return
        numbered, seqs = feed.number(rows, wall_ns // 1000)
        statistics.last_row_wall_ns = wall_ns
        if numbered is not rows or Reject in set(map(type, rows)):
            self._count(numbered)
        capture = Capture(feed.source, feed.exchange, wall_ns, mono_ns, numbered, seqs, frame_bytes)
        statistics.rows += capture.count
        self._intake.append(capture)

    def standing(self, table: str, symbol: str) -> Standing:
        """How far a stream of this feed has come."""
        return self._feed.standing(table, symbol)

    def expect(self, table: str, symbol: str) -> None:
        """Let an interruption of this stream be told even if it has never had a row."""
        self._feed.expect(table, symbol)

    def interrupt(
        self, cause: str, evidence: str, *, symbols: Iterable[str] | None = None, tables: Iterable[str] | None = None
    ) -> None:
        """Say that what comes next (of these symbols and tables, else of all) may not follow on what came before."""
        interruption = Interruption(cause, self.clock.wall_ns() // 1000, evidence)
        self._feed.interrupt(interruption, symbols=symbols, tables=tables)

    def _count(self, rows: Sequence[Row]) -> None:
        self.statistics.gaps += sum(isinstance(row, Gap) for row in rows)
        self.statistics.rejects += sum(isinstance(row, Reject) for row in rows)
