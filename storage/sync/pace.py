"""How fast bytes may go: a bucket of tokens that fills at the bandwidth's rate, shared by all who send and receive."""

import threading
from dataclasses import dataclass

from shared.clock import Clock

_BURST_S = 0.25  # of the rate may go at once
_NS = 1_000_000_000


class Interrupted(Exception):  # not a failure of the world: we were told to stop
    """A transfer was given up half-way because the process is to end."""


@dataclass
class TokenBucket:
    """Says how long to wait before `size_bytes` more may go.

    >>> bucket = TokenBucket(bytes_per_s=1000.0)
    >>> bucket.take(250, 0), bucket.take(500, 0), bucket.take(0, 1_000_000_000)
    (0.0, 0.5, 0.0)
    """

    bytes_per_s: float
    _left: float | None = None
    _at_ns: int = 0

    def take(self, size_bytes: int, mono_ns: int) -> float:
        """Seconds from `mono_ns` until these bytes are within the rate; they count as gone."""
        full = self.bytes_per_s * _BURST_S
        filled = 0.0 if self._left is None else (mono_ns - self._at_ns) / _NS * self.bytes_per_s
        self._left = min(full, (full if self._left is None else self._left) + filled) - size_bytes
        self._at_ns = mono_ns
        return max(0.0, -self._left / self.bytes_per_s)


class Pace:
    """Lets threads pass on bytes at a rate, and ends them when the process is to end."""

    def __init__(self, bytes_per_s: float | None, *, clock: Clock, stopped: threading.Event) -> None:
        self._bucket = TokenBucket(bytes_per_s) if bytes_per_s else None
        self._clock, self._stopped, self._lock = clock, stopped, threading.Lock()

    def pass_on(self, size_bytes: int) -> None:
        """Wait until so many bytes may go. Raises: Interrupted."""
        delay_s = 0.0
        if self._bucket:
            with self._lock:
                delay_s = self._bucket.take(size_bytes, self._clock.mono_ns())
        if self._stopped.wait(delay_s) if delay_s else self._stopped.is_set():
            raise Interrupted
