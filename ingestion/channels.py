"""How each channel of a feed is doing, for whoever looks after capture: sums of what the feed counts anyway."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from ingestion.heartbeat import Channel

_WINDOW_S = 60.0
Counts: TypeAlias = Mapping[tuple[str, str], int]  # rows by feed and table


class Place(Protocol):
    """Where one stream stands."""

    count: int
    holes_open: int
    capture_us: int | None

    @property
    def is_interrupted(self) -> bool:
        """Whether nothing has come since it was interrupted."""


def channels(places: Iterable[tuple[str, Place]]) -> dict[str, Channel]:
    """The channels of a feed by table, from its streams, each with its table."""
    found: dict[str, Channel] = {}
    for table, place in places:
        channel = found.setdefault(table, Channel())
        channel.streams += 1
        channel.rows += place.count
        channel.last_row_wall_ns = max(channel.last_row_wall_ns, 1000 * (place.capture_us or 0))
        channel.interrupted += place.is_interrupted
        channel.gaps_open += place.holes_open
    return found


class Pace:
    """Rows a second over the last minute, from counts that are looked at now and then."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Counts]] = deque()

    def look(self, counts: Counts, *, now_s: float) -> None:
        """Remember the counts of this moment of a clock that never steps."""
        self._seen.append((now_s, counts))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()

    def rows_per_s(self, feed: str, table: str) -> float:
        """Rows of a channel a second; 0 before the second look."""
        if len(self._seen) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        key = feed, table
        return round((last.get(key, 0) - first.get(key, 0)) / max(last_s - first_s, 1e-9), 2)
