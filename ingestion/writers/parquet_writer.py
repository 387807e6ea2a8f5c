"""`StreamingParquetWriter`: rows go in, are safe when `sync` returns, and come out as files in `ready`.

Between the two stands the journal. No Parquet file is ever open while rows stream in: an unfinished one is lost whole.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.capture import Capture
from ingestion.writers.journal import SUFFIX, Journal, JournalId
from ingestion.writers.recovery import RecoveryReport, lock, prepare, recover
from ingestion.writers.seal import Commit, Sealer
from ingestion.writers.segments import SegmentOptions
from shared.clock import Clock
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import TABLE_OF, Gap, L2Message, Stream
from storage.published import PublishedLog, Tail

_NS_PER_HOUR = 3_600_000_000_000


@dataclass(frozen=True)
class WriterOptions:
    """When a journal is sealed, and how its files are written."""

    segment_max_mb: float = 50
    segment_max_seconds: float = 900
    segments: SegmentOptions = field(default_factory=SegmentOptions)


class StreamingParquetWriter:
    """The one writer of a lake's bronze, under an exclusive lock from construction to `close`.

    `append`, `sync` and `rotate` belong to one thread; `seal` may run in another, one at a time.
    """

    def __init__(self, lake: Lake, options: WriterOptions, *, epoch: str, clock: Clock, disk: Disk) -> None:
        self._lake, self._options, self._epoch = lake, options, epoch
        self._clock, self._disk = clock, disk
        prepare(lake, disk=disk)
        self._lock = lock(lake)
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            self._log = PublishedLog(lake, epoch, disk=disk)
            undo.callback(self._log.close)
            self._sealer = Sealer(lake, options.segments, disk=disk, log=self._log)
            self.recovered: RecoveryReport = recover(lake, self._sealer, disk=disk)
            undo.pop_all()
        self.tails: dict[Stream, Tail] = self._log.tails  # where each stream stood when this run began
        self._appended: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
        self._acknowledged: dict[Stream, int] = {}
        self._journals = 0
        self._journal: Journal | None = None
        self._opened_ns = self._opened_mono_ns = 0

    @property
    def folder(self) -> Path:
        """Where everything is written; all of it lies on one filesystem."""
        return self._lake.active

    @property
    def journal_bytes(self) -> int:
        """Size of the open journal."""
        return self._journal.size_bytes if self._journal else 0

    @property
    def journal_rows(self) -> int:
        """Rows in the open journal."""
        return self._journal.rows if self._journal else 0

    @property
    def journal_age_s(self) -> float:
        """Seconds since the open journal was opened; 0 where none is."""
        return (self._clock.mono_ns() - self._opened_mono_ns) / 1e9 if self._journal else 0.0

    @property
    def acknowledged(self) -> Mapping[Stream, int]:
        """Rows of this epoch that are on the disk, per stream, as the last `sync` or `rotate` left them."""
        return self._acknowledged

    def append(self, captures: list[Capture]) -> None:
        """Write rows to the journal: from here a kill cannot lose them. Opens a journal where there is none."""
        if self._journal is None:
            self._journal = self._open()
        self._journal.append(captures)
        for capture in captures:
            counts = self._appended.setdefault((capture.source, capture.exchange), {})
            for row, seq in zip(capture.rows, capture.seqs, strict=True):
                counts[TABLE_OF[type(row)], row.symbol] = seq + (len(row) if type(row) is L2Message else 1)
                if type(row) is Gap and row.cause == "overflow" and row.next_seq is not None:
                    stream = (row.channel, row.symbol)  # has come as far as rows that were given up in good order
                    counts[stream] = max(counts.get(stream, 0), row.next_seq)

    def sync(self) -> dict[Stream, int]:
        """Wait until everything appended is on the disk; rows acknowledged in this epoch, per stream."""
        if self._journal:
            self._journal.sync()
        self._acknowledged = self._counts()
        return self._acknowledged

    def due(self) -> bool:
        """Whether the journal should be sealed: its size, its age or the hour says so."""
        if self._journal is None or not self._journal.rows:
            return False
        now_ns = self._clock.wall_ns()
        return (
            self._journal.size_bytes >= self._options.segment_max_mb * 2**20
            or self._clock.mono_ns() - self._opened_mono_ns >= self._options.segment_max_seconds * 1e9
            or now_ns // _NS_PER_HOUR != self._opened_ns // _NS_PER_HOUR
        )

    def rotate(self, *, reopen: bool = True) -> Path | None:
        """End the journal, the next one open before the old is sealed; the closed journal's path, if there was one."""
        closed = self._journal
        if closed is None:
            return None
        self._journal = self._open() if reopen else None
        closed.close()
        self._acknowledged = self._counts()
        return self._lake.active / f"{closed.id}{SUFFIX}"

    def seal(self, journal: Path) -> Commit:
        """Publish a closed journal's rows as ready files and drop it."""
        return self._sealer.seal(journal)

    def forget_damage(self) -> None:
        """Put recovered, damaged journals into quarantine; call when the gaps they left are synced."""
        while self.recovered.damaged:
            self._sealer.discard(self.recovered.damaged.pop())

    def close(self) -> None:
        """Seal what is open and give the lake free."""
        journal = self.rotate(reopen=False)
        if journal:
            self.seal(journal)
        self.abandon()

    def abandon(self) -> None:
        """Give the lake free without sealing; the next start recovers what was synced."""
        if self._journal:
            self._journal.close()
            self._journal = None
        self._log.close()
        self._lock.release()

    def _open(self) -> Journal:
        journal_id = JournalId(self._epoch, self._journals)
        self._journals += 1
        self._opened_ns, self._opened_mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
        return Journal(self._lake, journal_id, disk=self._disk, counts=self._counts())

    def _counts(self) -> dict[Stream, int]:
        return {
            Stream(source, exchange, name, symbol): count
            for (source, exchange), counts in self._appended.items()
            for (name, symbol), count in counts.items()
        }
