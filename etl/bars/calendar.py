"""Where the buckets of an interval begin and end."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from etl.bars.kernels import bucket_stops, punctual
from etl.bars.threshold import Number, interval_us, seconds_text
from etl.bars.trades import Int64s

_WEEK_US = 604_800_000_000
_MONDAY_US = 4 * 86_400_000_000  # 1970-01-05


class Calendar(ABC):
    """Buckets [start, end) that follow one another without a hole; times are us since 1970 UTC."""

    text: str  # the interval's one text

    @abstractmethod
    def starts(self, us: Int64s) -> Int64s:
        """Where the buckets that hold these moments begin."""

    @abstractmethod
    def ends(self, us: Int64s) -> Int64s:
        """Where they end."""

    @abstractmethod
    def stops(self, ts: Int64s, end_us: int) -> Int64s:
        """The rows that are the first of a later bucket; `end_us` is where the bucket before the first row ends.

        No row lies in an earlier bucket than one before it.
        """

    @abstractmethod
    def punctual(self, ts: Int64s, floor_us: int) -> npt.NDArray[np.bool_]:
        """Which rows lie in the newest bucket so far or in a newer one; the first of them begins at `floor_us`."""

    def start_us(self, us: int) -> int:
        """Where the bucket that holds this moment begins."""
        return int(self.starts(np.array([us]))[0])

    def end_us(self, us: int) -> int:
        """Where it ends."""
        return int(self.ends(np.array([us]))[0])


def calendar_of(interval: Number) -> Calendar:
    """The buckets of an interval. Raises: ValueError.

    >>> calendar_of("1m").text, calendar_of("3mo").text, calendar_of("1y").text
    ('60s', '3mo', '12mo')
    """
    match = re.fullmatch(r"\s*([1-9][0-9]{0,3})\s*(mo|y)\s*", interval) if isinstance(interval, str) else None
    if match:
        return Months(int(match[1]) * (12 if match[2] == "y" else 1))
    return Steps(interval_us(interval))


@dataclass(frozen=True)
class Steps(Calendar):
    """Buckets of one length, counted from 1970; of whole weeks, from a Monday."""

    step_us: int

    @property
    def text(self) -> str:  # type: ignore[override]
        """Seconds."""
        return seconds_text(self.step_us)

    @property
    def _origin_us(self) -> int:
        return _MONDAY_US if self.step_us % _WEEK_US == 0 else 0

    def starts(self, us: Int64s) -> Int64s:
        """As of `Calendar`."""
        return (us - self._origin_us) // self.step_us * self.step_us + self._origin_us

    def ends(self, us: Int64s) -> Int64s:
        """As of `Calendar`."""
        return self.starts(us) + self.step_us

    def stops(self, ts: Int64s, end_us: int) -> Int64s:
        """As of `Calendar`."""
        stops = np.empty(len(ts), dtype=np.int64)
        return stops[: bucket_stops(ts, end_us, self.step_us, stops)]

    def punctual(self, ts: Int64s, floor_us: int) -> npt.NDArray[np.bool_]:
        """As of `Calendar`."""
        keep = np.empty(len(ts), dtype=np.bool_)
        punctual(ts, floor_us + self.step_us, self.step_us, keep)
        return keep


@dataclass(frozen=True)
class Months(Calendar):
    """Buckets of whole calendar months, counted from January 1970."""

    months: int

    @property
    def text(self) -> str:  # type: ignore[override]
        """Months."""
        return f"{self.months}mo"

    def starts(self, us: Int64s) -> Int64s:
        """As of `Calendar`."""
        return self._begin(self._number(us))

    def ends(self, us: Int64s) -> Int64s:
        """As of `Calendar`."""
        return self._begin(self._number(us) + 1)

    def stops(self, ts: Int64s, end_us: int) -> Int64s:
        """As of `Calendar`."""
        numbers = self._number(np.concatenate(([end_us - 1], ts)))
        return np.flatnonzero(np.diff(numbers))

    def punctual(self, ts: Int64s, floor_us: int) -> npt.NDArray[np.bool_]:
        """As of `Calendar`."""
        numbers = self._number(ts)
        newest = np.maximum.accumulate(np.concatenate((self._number(np.array([floor_us])), numbers[:-1])))
        return numbers >= newest

    def _number(self, us: Int64s) -> Int64s:
        return us.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) // self.months

    def _begin(self, number: Int64s) -> Int64s:
        begin: Int64s = (number * self.months).astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
        return begin
