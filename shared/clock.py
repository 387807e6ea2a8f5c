"""Two clocks, never mixed: wall time names a moment, monotonic time measures a wait."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """The port through which anything outside the pure rooms learns the time."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC; may step when the machine's clock is set."""

    def mono_ns(self) -> int:
        """Nanoseconds since some moment of this boot; never steps."""


class SystemClock:
    """The machine's clocks; the functions themselves, because they are read for each message."""

    wall_ns = staticmethod(time.time_ns)
    mono_ns = staticmethod(time.monotonic_ns)


def boot_id() -> str:
    """The kernel's id of this boot, so that monotonic times of two boots are never compared."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "unknown"


def utc_from_us(us: int) -> datetime:
    """The UTC moment of `us` microseconds since 1970, exact.

    >>> utc_from_us(1_700_000_000_123_456).isoformat()
    '2023-11-14T22:13:20.123456+00:00'
    """
    seconds, micros = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


def us_from_utc(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact (a float timestamp is not).

    >>> us_from_utc(utc_from_us(1_700_000_000_123_456))
    1700000000123456
    """
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
