"""What two clocks say about each other, and what a time daemon says about ours: pure decisions and readings.

Slewing moves the wall clock and the monotonic clock alike (Linux disciplines both), so that their difference changes
by steps alone: somebody set the clock, a leap second, or the machine slept.
"""

import math
import re
import statistics
from collections import deque
from dataclasses import dataclass

_NS_PER_S = 1_000_000_000
_SOUND_NS = 10_000_000  # the three readings of a sample lie closer together, else the process was interrupted
WINDOW_NS = 600 * _NS_PER_S
WINDOW_ROWS_MAX = 1000


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was moved against the monotonic one between two samples."""

    before_ns: int  # wall minus monotonic
    after_ns: int
    last_wall_ns: int  # of the sample before
    wall_ns: int

    @property
    def by_s(self) -> float:
        """How far the wall clock was moved, in seconds; forward is positive."""
        return (self.after_ns - self.before_ns) / 1e9

    @property
    def evidence(self) -> str:
        """The step in words, for the gaps table."""
        way = "forward" if self.by_s > 0 else "back"
        offsets = f"wall minus monotonic went from {self.before_ns} to {self.after_ns} ns"
        return f"the clock went {way} by {abs(self.by_s):.6f} s: {offsets}"


class StepDetector:
    """Compares the clocks' difference from sample to sample.

    Args:
        threshold_ns: a larger change within a second is a step. Where a system slews the wall clock alone, that must
            lie above its fastest slew (chrony: 83 ms in a second).
    """

    def __init__(self, threshold_ns: int) -> None:
        if threshold_ns <= 0:
            raise ValueError(f"the threshold of a clock step must be positive, was {threshold_ns} ns")
        self._threshold_ns = threshold_ns
        self._before: tuple[int, int] | None = None  # wall, monotonic

    def sample(self, mono_before_ns: int, wall_ns: int, mono_after_ns: int) -> ClockStep | None:
        """The step since the last sample, if there was one.

        Args:
            mono_before_ns: the monotonic clock just before the wall clock was read.
            wall_ns: the wall clock.
            mono_after_ns: the monotonic clock just after.
        """
        if mono_after_ns - mono_before_ns > _SOUND_NS:
            return None  # interrupted between the readings: nobody knows which moment the wall clock shows
        mono_ns = (mono_before_ns + mono_after_ns) // 2
        before, self._before = self._before, (wall_ns, mono_ns)
        if before is None:
            return None
        offset_before_ns, offset_ns = before[0] - before[1], wall_ns - mono_ns
        allowed_ns = self._threshold_ns * max(1.0, (mono_ns - before[1]) / _NS_PER_S)
        if abs(offset_ns - offset_before_ns) <= allowed_ns:
            return None
        return ClockStep(offset_before_ns, offset_ns, before[0], wall_ns)


class LatencyWindow:
    """How long after the exchange's own time its rows arrive, over the last ten minutes, bounded in memory.

    The smallest latency bounds the skew between the exchange's clock and ours: negative means that the exchange's
    clock is ahead by at least that much. What the network takes cannot be told apart from skew by listening alone.
    """

    def __init__(self) -> None:
        self._rows: deque[tuple[int, int]] = deque(maxlen=WINDOW_ROWS_MAX)  # monotonic ns, latency in us

    def add(self, mono_ns: int, latency_us: int) -> None:
        """Take one row's latency."""
        self._rows.append((mono_ns, latency_us))

    def forget(self) -> None:
        """Drop everything: the clock was set, and what was measured by it means nothing any more."""
        self._rows.clear()

    def measured(self, mono_ns: int) -> tuple[int, int] | None:
        """The smallest and the median latency of the window that ends now, in microseconds; None of an empty one."""
        while self._rows and self._rows[0][0] < mono_ns - WINDOW_NS:
            self._rows.popleft()
        latencies = [latency for _, latency in self._rows]
        return (min(latencies), round(statistics.median(latencies))) if latencies else None


@dataclass(frozen=True, slots=True)
class ClockSample:
    """What a time daemon says about the machine's clock."""

    daemon: str  # chrony | timesyncd
    offset_s: float  # our clock minus true time; positive: ours is ahead
    stratum: int | None = None
    error_max_s: float | None = None  # root dispersion and half the root delay


def chrony_sample(tracking: str) -> ClockSample | None:
    """What `chronyc -c tracking` printed; None where it is not synchronised or says something else.

    >>> line = "C0248F82,ntp.example,2,1780000000.1,0.000123,-0.00001,0.00002,-7.1,0.0,0.04,0.02,0.001,64.2,Normal"
    >>> chrony_sample(line)
    ClockSample(daemon='chrony', offset_s=-0.000123, stratum=2, error_max_s=0.011)

    Source: chrony client.c, `process_cmd_tracking`: a positive system time is a clock that is slow.
    """
    fields = tracking.strip().split(",")
    if len(fields) < 14 or fields[13] == "Not synchronised":
        return None
    numbers = [_number(fields[place]) for place in (4, 10, 11)]
    if None in numbers or not fields[2].isdecimal():
        return None
    slow_s, delay_s, dispersion_s = (number or 0.0 for number in numbers)
    return ClockSample("chrony", -slow_s, int(fields[2]), round(dispersion_s + delay_s / 2, 9))


_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(us|ms|min|s|h)")


def timesyncd_sample(status: str) -> ClockSample | None:
    r"""What `timedatectl timesync-status` printed; None where no server has answered yet.

    >>> timesyncd_sample("  Server: 1.2.3.4\n  Stratum: 2\n  Offset: -1min 2.5ms\n")
    ClockSample(daemon='timesyncd', offset_s=60.0025, stratum=2, error_max_s=None)

    Source: systemd timedatectl.c, `print_ntp_status_info`: a positive offset is a clock that is behind.
    """
    lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in status.splitlines())}
    text, stratum = lines.get("Offset", ""), lines.get("Stratum", "")
    spans = _SPAN.findall(text)
    if not spans:
        return None
    behind_s = sum(float(number) * _UNITS_S[unit] for number, unit in spans) * (-1 if text.startswith("-") else 1)
    if not math.isfinite(behind_s):
        return None
    return ClockSample("timesyncd", round(-behind_s, 9), int(stratum) if stratum.isdecimal() else None)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
