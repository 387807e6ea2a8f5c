"""The bounded queue between collectors and writer. Full means that collectors wait, and with them the socket."""

import asyncio
from collections import deque

from ingestion.capture import Capture


class Intake:
    """Captures on their way to the journal, bounded in bytes and, second, in rows.

    A collector asks for room before it numbers its rows, so that nothing numbered can be dropped.
    """

    def __init__(self, *, bytes_max: int, rows_max: int) -> None:
        if bytes_max <= 0 or rows_max <= 0:
            raise ValueError(f"the queue's bounds must be positive, were {bytes_max} bytes and {rows_max} rows")
        self._bytes_max, self._rows_max = bytes_max, rows_max
        self._waiting: deque[Capture] = deque()
        self._room = asyncio.Event()
        self._enough = asyncio.Event()
        self._room.set()
        self._wanted_rows = rows_max
        self.rows = 0
        self.bytes = 0
        self.rows_total = 0
        self.level = 0  # what is given up, see `ingestion.pressure`
        self.full_count = 0  # how often a collector had to wait

    @property
    def full(self) -> bool:
        """Whether a collector has to wait; a single capture may pass the bound, two may not."""
        return self.bytes >= self._bytes_max or self.rows >= self._rows_max

    @property
    def fill(self) -> float:
        """How full the queue is, 0 to 1 and a little more."""
        return max(self.bytes / self._bytes_max, self.rows / self._rows_max)

    async def room(self) -> None:
        """Return when the queue is not full."""
        while self.full:
            self.full_count += 1
            self._room.clear()
            self._enough.set()
            await self._room.wait()

    def append(self, capture: Capture) -> None:
        """Take a capture; ask for `room` first."""
        self._waiting.append(capture)
        self.rows += capture.count
        self.rows_total += capture.count
        self.bytes += capture.weight_bytes
        if self.rows >= self._wanted_rows:
            self._enough.set()

    async def wait(self, *, rows: int, timeout_s: float) -> None:
        """Return when `rows` are waiting or the queue is full, and at the latest after `timeout_s`."""
        self._wanted_rows = rows
        if self.rows >= rows:
            return
        self._enough.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._enough.wait()
        except TimeoutError:
            pass

    def take(self, *, rows: int) -> list[Capture]:
        """The oldest captures, about `rows` rows of them and never a part of one."""
        out: list[Capture] = []
        taken = 0
        while self._waiting and taken < rows:
            capture = self._waiting.popleft()
            taken += capture.count
            self.bytes -= capture.weight_bytes
            out.append(capture)
        self.rows -= taken
        self._room.set()
        return out
