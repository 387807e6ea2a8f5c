"""The watch over queue and disk: gives up rows in their order, and closes the sockets while there is no room to write.

Sockets are closed and not left waiting: what has waited in one for hours would be stamped with the moment it was read.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from ingestion.disk_room import DiskRoom
from ingestion.heartbeat import Room, Sacrifice
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.pressure import Pressure
from shared.errors import DiskFull
from shared.log import get_log

log = get_log("guard")
_LOOK_S = 0.25
_DISK_LOOKS = 4  # one look at the disk for so many at the queue


class Guard:
    """What `run` sees decides what is stored, and whether anything is."""

    def __init__(
        self, intake: Intake, inlets: Sequence[Inlet], pressure: Pressure, room: DiskRoom, folder: Path
    ) -> None:
        self._intake, self._inlets, self._folder = intake, inlets, folder
        self._pressure, self.room = pressure, room
        self._open, self._shut = asyncio.Event(), asyncio.Event()
        self._open.set()

    async def run(self) -> None:
        """Look at queue and disk until cancelled."""
        looks = 0
        while True:
            self._look_at_queue()
            if looks % _DISK_LOOKS == 0:
                await self.look_at_disk()
            looks += 1
            await asyncio.sleep(_LOOK_S)

    def _look_at_queue(self) -> None:
        if self._pressure.look(self._intake.fill, now_s=time.monotonic()):
            self._intake.level = self._pressure.level
            log.warning("order of sacrifice", level=self._pressure.level, queue_fill=round(self._intake.fill, 2))
            for inlet in self._inlets:
                inlet.relieve(self._pressure.level)

    async def look_at_disk(self) -> None:
        """Ask how much is free, and pause or resume by it."""
        found = await asyncio.to_thread(os.statvfs, self._folder)
        if self.room.look(found.f_bavail * found.f_frsize, now_s=time.monotonic()):
            free_mb, reserve_mb = (self.room.free_bytes or 0) >> 20, self.room.reserve_bytes >> 20
            reason = f"{free_mb:,} MB free, ingestion.disk_reserve_mb is {reserve_mb:,}"
            self._pause(reason) if self.room.is_short else self._resume()

    def refused(self, error: DiskFull) -> None:
        """Pause: the disk has refused a write."""
        if self.room.refused(now_s=time.monotonic()):
            self._pause(error.line())

    def _pause(self, reason: str) -> None:
        log.error("capture pauses: no room on the disk; it resumes by itself", reason=reason)
        self._open.clear()
        self._shut.set()
        for inlet in self._inlets:
            inlet.interrupt("disk_full", reason)

    def _resume(self) -> None:
        log.info("capture resumes: there is room on the disk", free_bytes=self.room.free_bytes)
        self._shut.clear()
        self._open.set()

    async def opened(self) -> None:
        """Return when there is room."""
        await self._open.wait()

    async def attend(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a collector whenever there is room; it is cancelled while there is none."""
        while True:
            await self._open.wait()
            running, shut = asyncio.ensure_future(run()), asyncio.ensure_future(self._shut.wait())
            try:
                await asyncio.wait({running, shut}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                shut.cancel()
                running.cancel()
                await asyncio.wait({running, shut})
                if not running.cancelled():
                    running.result()  # its error, if that ended it
            if not running.cancelled():
                return

    @property
    def sacrifice(self) -> Sacrifice:
        """What is given up."""
        return Sacrifice(level=self._pressure.level, changes=self._pressure.changes)

    @property
    def disk(self) -> Room:
        """Whether there is room."""
        room = self.room
        return Room(
            free_bytes=room.free_bytes, reserve_bytes=room.reserve_bytes, is_paused=room.is_short, pauses=room.pauses
        )
