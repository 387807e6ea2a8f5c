"""What the watcher has not read, and how fast bronze grows: both from the logs of published names, read in part."""

from pathlib import Path
from typing import NamedTuple

from scripts.health.facts import WatcherLag
from shared.clock import us_from_utc
from shared.partitioning import Lake
from storage.published import Published, log_paths, read_log, started_at

_READ_BYTES_MAX = 4 << 20  # of what is unread: what lies behind is counted as more, a look stays cheap
_TAIL_BYTES_MAX = 2 << 20  # of each log, for its growth
_TAIL_LOGS_MAX = 50
_GROWTH_DAYS = 3
_GROWTH_SPAN_S_MIN = 3600.0
_DAY_S = 86_400.0


class Publication(NamedTuple):
    """When something was published, about, and how large it was."""

    at_us: int
    size_bytes: int


def watcher_lag(lake: Lake, positions: dict[str, int], *, now_us: int) -> WatcherLag:
    """What is published behind these positions, in bytes of each log by its name."""
    files, is_more, oldest_us, logs = 0, False, now_us, _logs(lake)
    for path in logs:
        start, size_bytes = positions.get(path.name, 0), _size(path)
        if size_bytes <= start:
            continue
        entries, _ = read_log(path, start=start, bytes_about=_READ_BYTES_MAX)
        is_more = is_more or size_bytes - start > _READ_BYTES_MAX
        files += len(entries)
        oldest_us = min([oldest_us, *(_published_us(path, entry) for entry in entries)])
    return WatcherLag(is_any=bool(logs), files=files, is_more=is_more, lag_s=(now_us - oldest_us) / 1e6)


def publications(lake: Lake, *, now_us: int) -> list[Publication]:
    """What was published of late: of each log its end, of many logs the newest."""
    since_us = now_us - round(_GROWTH_DAYS * _DAY_S * 1e6)
    found: list[Publication] = []
    for path in reversed(_logs(lake)[-_TAIL_LOGS_MAX:]):
        entries = _tail_of(path)
        found += [Publication(_published_us(path, entry), entry.bytes) for entry in entries]
        if found and min(found).at_us < since_us:
            break
    return found


def growth_bytes_per_day(published: list[Publication], *, now_us: int) -> float | None:
    """How much was published a day, over the last three at most; None where less than an hour is known.

    >>> hourly = [Publication(hour * 3_600_000_000, 1_000) for hour in range(24)]
    >>> growth_bytes_per_day(hourly, now_us=24 * 3_600_000_000)
    24000.0
    """
    since_us = now_us - round(_GROWTH_DAYS * _DAY_S * 1e6)
    recent = [each for each in published if since_us <= each.at_us <= now_us]
    if not recent:
        return None
    is_whole = any(each.at_us < since_us for each in published)  # nothing of these days is missing
    span_s = (now_us - (since_us if is_whole else min(recent).at_us)) / 1e6
    if span_s < _GROWTH_SPAN_S_MIN:
        return None
    return sum(each.size_bytes for each in recent) * _DAY_S / span_s


def days_left(free_bytes: int, *, reserve_bytes: int, growth_bytes_per_day: float | None) -> float | None:
    """Days until only the reserve is free, at which capture pauses; None where that is not foreseeable.

    >>> days_left(11_000, reserve_bytes=1_000, growth_bytes_per_day=2_000.0)
    5.0
    """
    if growth_bytes_per_day is None or growth_bytes_per_day <= 0:
        return None
    return max(0.0, (free_bytes - reserve_bytes) / growth_bytes_per_day)


def _logs(lake: Lake) -> list[Path]:
    """The logs, oldest run first; a file of another's beside them is none."""
    return [path for path in log_paths(lake) if _is_log(path)]


def _is_log(path: Path) -> bool:
    try:
        started_at(path)
    except ValueError:
        return False
    return path.is_file()


def _published_us(log: Path, entry: Published) -> int:
    """About when: its last row was captured before, and what recovery publishes was captured before the log began."""
    return max(entry.tail.capture_us, us_from_utc(started_at(log)))


def _tail_of(path: Path) -> list[Published]:
    """The newest entries of a log."""
    size_bytes = _size(path)
    start = max(0, size_bytes - _TAIL_BYTES_MAX)
    if start:
        with path.open("rb") as file:
            file.seek(start)
            start += len(file.readline())
    return read_log(path, start=start)[0]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
