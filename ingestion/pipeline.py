"""`IngestionPipeline`: collectors, queue and writer wired together; starts, stops, counts."""

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingestion.capture import Capture
from ingestion.channels import Pace
from ingestion.collectors.base_collector import Collector
from ingestion.continuity import Feed
from ingestion.disk_room import DiskRoom
from ingestion.drain import Cadence, Drain
from ingestion.guard import Guard
from ingestion.heartbeat import Channel, Heartbeat, Queue
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.pressure import Pressure, PressureOptions
from ingestion.rounds import Rounds
from ingestion.writers.parquet_writer import StreamingParquetWriter
from shared.clock import Clock, boot_id
from shared.errors import DaedalusError
from shared.log import get_log
from shared.partitioning import stored_exchange
from shared.rows import Stream
from shared.state_files import StateFile

log = get_log("pipeline")
_COLLECTED_AFTER = 50_000  # objects that a collection could free, made and not freed


@dataclass(frozen=True)
class PipelineOptions:
    """When rows move on."""

    batch_size: int = 1000  # rows per journal frame
    flush_interval_s: float = 0.25  # longest a row waits before it is written: what a kill can cost
    journal_sync_s: float = 1.0  # longest before it is synced: what a power cut can cost
    queue_bytes_max: int = 64 << 20
    queue_rows_max: int = 100_000
    heartbeat_s: float = 5.0
    pressure: PressureOptions = field(default_factory=PressureOptions)
    disk_reserve_bytes: int = 0  # capture pauses while less is free; 0: only when the disk refuses a write
    clock_step_ns: int = 100_000_000  # a larger change of wall minus monotonic time within a second is a step


class IngestionPipeline:
    """One process's capture: `run` returns when `stop` was called and everything is sealed."""

    def __init__(
        self,
        writer: StreamingParquetWriter,
        options: PipelineOptions,
        *,
        epoch: str,
        clock: Clock,
        on_synced: Callable[[dict[Stream, int]], None] | None = None,
    ) -> None:
        self._writer, self._options, self._epoch, self._clock = writer, options, epoch, clock
        self._intake = Intake(bytes_max=options.queue_bytes_max, rows_max=options.queue_rows_max)
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._inlets: list[Inlet] = []
        self._running: dict[Collector, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None  # of the collectors
        self._stopping = asyncio.Event()
        self._at_work = asyncio.Event()
        self._started_us = clock.wall_ns() // 1000
        self._pace = Pace()
        self._rounds = Rounds(self._inlets, clock, clock_step_ns=options.clock_step_ns)
        self._began = False
        room = DiskRoom(options.disk_reserve_bytes)
        self._guard = Guard(self._intake, self._inlets, Pressure(options.pressure), room, writer.folder)
        cadence = Cadence(options.batch_size, options.flush_interval_s, options.journal_sync_s, on_synced)
        self._drain = Drain(writer, self._intake, self._guard, cadence)

    def inlet(self, source: str, exchange: str) -> Inlet:
        """A way in for one collector, which goes on where an earlier run of the same feed stood."""
        inlet = Inlet(self._feed(source, stored_exchange(exchange)), self._intake, self._clock)
        self._inlets.append(inlet)
        if self._began:
            self._tell_start(inlet)
        return inlet

    def _tell_start(self, inlet: Inlet) -> None:
        inlet.tell("start", f"boot {boot_id()}, epoch {self._epoch}, process {os.getpid()}")

    def _feed(self, source: str, exchange: str) -> Feed:
        if (source, exchange) not in self._feeds:
            feed = self._feeds[source, exchange] = Feed(source, exchange, self._epoch)
            feed.resume(self._writer.tails, started_us=self._started_us)
        return self._feeds[source, exchange]

    def stop(self) -> None:
        """Ask `run` to end: collectors first, then everything queued is written, synced and sealed."""
        self._stopping.set()
        self._drain.hurry()

    async def at_work(self) -> None:
        """Return when what an earlier run left is stored and collectors run: before that none can be added."""
        await self._at_work.wait()

    @property
    def is_paused(self) -> bool:
        """Whether nothing is collected because the disk has no room; it goes on by itself."""
        return self._guard.room.is_short

    def add(self, collector: Collector) -> None:
        """Start one more collector while others run; what it is refused ends it alone."""
        if self._tasks is not None and not self._stopping.is_set():
            self._running[collector] = self._tasks.create_task(self._run_added(collector))

    def runs(self, collector: Collector) -> bool:
        """Whether a collector is at work: one that was added ends alone, and then only another can take its place."""
        task = self._running.get(collector)
        return task is not None and not task.done()

    async def remove(self, collector: Collector, *, cause: str, evidence: str) -> None:
        """End one collector; where its streams come back, this is why they were away."""
        task = self._running.pop(collector, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        collector.inlet.interrupt(cause, evidence)
        collector.inlet.relieve(0)
        collector.inlet.tell_unwritten(everything=True)  # nobody goes round this inlet any more
        collector.inlet.tell("stop", evidence)
        self._inlets.remove(collector.inlet)

    async def _run_added(self, collector: Collector) -> None:
        try:
            await self._guard.attend(collector.run)
        except* DaedalusError as group:
            error = _first(group)
            assert isinstance(error, DaedalusError), "of a group of them"
            log.error("not collected; the others go on", feed=collector.inlet.name, problem=error.line())  # noqa: TRY400

    async def run(self, collectors: Sequence[Collector], *, heartbeat: Path | None = None) -> None:
        """Collect until stopped, or until a collector fails: then everything is sealed first, and its error raised.

        An error of the writer ends all at once; the next start recovers what was synced.
        """
        with _rare_collections():
            await self._run(collectors, heartbeat)

    async def _run(self, collectors: Sequence[Collector], heartbeat: Path | None) -> None:
        try:
            await self._store_recovered_gaps()
            await self._guard.look_at_disk()
            async with asyncio.TaskGroup() as tasks:
                drain = tasks.create_task(self._drain.run())
                for inlet in self._inlets:
                    self._tell_start(inlet)
                self._began = True
                failure = await self._collect(collectors, heartbeat)
                for inlet in self._inlets:
                    inlet.relieve(0)
                    inlet.tell_unwritten(everything=True)
                    inlet.tell("stop", f"epoch {self._epoch}" + (f", because of {failure!r}" if failure else ""))
                self._drain.finish()
                await drain
            await self._drain.close()
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            self._drain.abandon()
        if failure:
            raise failure

    async def _collect(self, collectors: Sequence[Collector], heartbeat: Path | None) -> BaseException | None:
        """Run the collectors until asked to stop; the error that ended them, if one did. None of them runs any more."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for collector in collectors:
                    self._running[collector] = self._tasks.create_task(self._guard.attend(collector.run))
                self._at_work.set()
                beating = [self._tasks.create_task(self._beat(heartbeat))] if heartbeat else []
                beating += [self._tasks.create_task(each.run()) for each in (self._rounds, self._guard)]
                await self._stopping.wait()
                for task in [*self._running.values(), *beating]:
                    task.cancel()
        except BaseExceptionGroup as group:
            return _first(group)
        return None

    async def _store_recovered_gaps(self) -> None:
        """Sync the gaps of damaged journals into this run's own; only then may those journals go."""
        captures = []
        for commit in self._writer.recovered.damaged:
            for declared in commit.gaps:
                now_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
                rows, seqs = self._feed(declared.source, declared.exchange).number([declared.gap], now_ns // 1000)
                captures.append(Capture(declared.source, declared.exchange, now_ns, mono_ns, rows, seqs))
        await self._drain.store(captures)

    async def _beat(self, path: Path) -> None:
        """Keep a small file that says how capture is doing; rates belong there, not in the log."""
        file = StateFile(path, log=log)
        while True:
            rows = {(inlet.name, table): of.rows for inlet in self._inlets for table, of in inlet.channels().items()}
            self._pace.look(rows, now_s=self._clock.mono_ns() / 1e9)
            await asyncio.to_thread(file.write, self.statistics())
            await asyncio.sleep(self._options.heartbeat_s)

    def statistics(self) -> Heartbeat:
        """What has come in and where it stands, at this moment: nothing in it changes any more."""
        queue = self._intake
        return Heartbeat(
            pid=os.getpid(),
            boot=boot_id(),
            wall_ns=self._clock.wall_ns(),
            epoch=self._epoch,
            started_wall_ns=1000 * self._started_us,
            heartbeat_s=self._options.heartbeat_s,
            queue=Queue(rows=queue.rows, bytes=queue.bytes, fill=round(queue.fill, 4), full_count=queue.full_count),
            journal_bytes=self._writer.journal_bytes,
            journal_age_s=round(self._writer.journal_age_s, 1),
            rows_total=queue.rows_total,
            sacrifice=self._guard.sacrifice,
            disk=self._guard.disk,
            clock=self._rounds.statistics,
            feeds={inlet.name: replace(inlet.statistics) for inlet in self._inlets},
            channels={inlet.name: self._channels(inlet) for inlet in self._inlets},
            connections={each.inlet.name: each.report() for each in self._running},
        )

    def _channels(self, inlet: Inlet) -> dict[str, Channel]:
        synced: Counter[str] = Counter()
        for stream, rows in self._writer.acknowledged.items():
            if f"{stream.source}:{stream.exchange}" == inlet.name:
                synced[stream.table] += rows
        return {
            table: replace(channel, rows_synced=synced[table], rows_per_s=self._pace.rows_per_s(inlet.name, table))
            for table, channel in inlet.channels().items()
        }


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Garbage in circles is rare here, and what was imported lives for ever: looking for it costs a quarter of a book
    message at Python's usual rate.
    """
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that began it; the others are its consequences."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
