"""From the queue to the journal and on to sealed files: the one task that writes, in two threads."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingestion.capture import Capture
from ingestion.guard import Guard
from ingestion.intake import Intake
from ingestion.writers.parquet_writer import StreamingParquetWriter
from shared.errors import DiskFull
from shared.rows import Stream

_BATCHES_MAX = 8  # that are written as one where more than one waits: a frame has its price, whatever is in it
_NICE_SEAL = 10  # sealing yields to capture


@dataclass(frozen=True)
class Cadence:
    """When rows move on."""

    batch_size: int
    flush_interval_s: float
    journal_sync_s: float
    on_synced: Callable[[dict[Stream, int]], None] | None = None


class Drain:
    """Writes by size or time, syncs by time, seals when due; waits where the disk is full.

    A sync that fails ends the process, full disk or not: what the kernel has then forgotten cannot be written again.
    """

    def __init__(self, writer: StreamingParquetWriter, intake: Intake, guard: Guard, cadence: Cadence) -> None:
        self._writer, self._intake, self._guard, self._cadence = writer, intake, guard, cadence
        self._write_thread = ThreadPoolExecutor(1, "writer")
        self._seal_thread = ThreadPoolExecutor(1, "seal", initializer=_lower_priority)
        self._sealing: asyncio.Future[Any] | None = None
        self._unsealed: Path | None = None  # a closed journal: being sealed, or waiting for room
        self._collecting = True
        self._ending = asyncio.Event()

    def hurry(self) -> None:
        """Wait for room on the disk no more: the run is to end."""
        self._ending.set()

    def finish(self) -> None:
        """Let `run` return when the queue is empty: nothing more will come."""
        self._collecting = False
        self.hurry()

    async def run(self) -> None:
        """Write until `finish`, and then all that is left. Raises: DiskFull where the run is to end on a full disk."""
        cadence = self._cadence
        wait_s = min(cadence.flush_interval_s, cadence.journal_sync_s)
        synced_s, unsynced = time.monotonic(), False
        while self._collecting or self._intake.rows:
            if self._collecting:
                await self._intake.wait(rows=cadence.batch_size, timeout_s=wait_s)
            captures = self._intake.take(rows=cadence.batch_size * _BATCHES_MAX)
            if captures:
                await self._append(captures)
                unsynced = True
            now_s = time.monotonic()
            if unsynced and now_s - synced_s >= cadence.journal_sync_s:
                await self._sync()
                synced_s, unsynced = now_s, False
            await self._seal_if_due()
        await self._sync()
        if self._sealing:
            with suppress(DiskFull):  # tried once more below
                await self._sealing
                self._unsealed = None
        if self._unsealed:
            await self._in(self._seal_thread, self._writer.seal, self._unsealed)

    async def store(self, captures: list[Capture]) -> None:
        """Write and sync these before anything else; then damaged journals may go."""
        if captures:
            await self._in(self._write_thread, self._writer.append, captures)
            await self._sync()
        await self._in(self._seal_thread, self._writer.forget_damage)

    async def close(self) -> None:
        """Seal what is open."""
        await self._in(self._seal_thread, self._writer.close)

    def abandon(self) -> None:
        """End the threads, and give the lake free."""
        self._write_thread.shutdown()
        self._seal_thread.shutdown()
        self._writer.abandon()

    async def _append(self, captures: list[Capture]) -> None:
        """Write to the journal, again and again while the disk is full: what is numbered is not let go."""
        while True:
            try:
                await self._in(self._write_thread, self._writer.append, captures)
            except DiskFull as error:
                await self._sync()
                self._guard.refused(error)
                await self._room_or_end()
                if self._ending.is_set():
                    raise
            else:
                return

    async def _room_or_end(self) -> None:
        waits = {asyncio.ensure_future(self._ending.wait()), asyncio.ensure_future(self._guard.opened())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _sync(self) -> None:
        counts = await self._in(self._write_thread, self._writer.sync)
        if self._cadence.on_synced:
            self._cadence.on_synced(counts)

    async def _seal_if_due(self) -> None:
        if self._sealing and self._sealing.done():
            sealing, self._sealing = self._sealing, None
            try:
                sealing.result()
                self._unsealed = None
            except DiskFull as error:
                self._guard.refused(error)
        is_due = self._unsealed or self._writer.due() or self._is_last_before_pause
        if self._sealing or not is_due:
            return
        size_bytes = self._unsealed.stat().st_size if self._unsealed else self._writer.journal_bytes
        if not self._guard.room.has_for(size_bytes, now_s=time.monotonic()):
            return
        try:
            self._unsealed = self._unsealed or await self._in(self._write_thread, self._writer.rotate)
        except DiskFull as error:
            self._guard.refused(error)
            return
        loop = asyncio.get_running_loop()
        self._sealing = loop.run_in_executor(self._seal_thread, self._writer.seal, self._unsealed)

    @property
    def _is_last_before_pause(self) -> bool:
        """Whether everything is written that came before capture paused, and can be sealed."""
        return self._guard.room.is_short and not self._intake.rows and self._writer.journal_rows > 0

    async def _in(self, thread: ThreadPoolExecutor, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(thread, call, *args)


def _lower_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + _NICE_SEAL))
