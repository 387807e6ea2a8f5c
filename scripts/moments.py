"""Moments and durations as people write and read them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str | None) -> datetime | None:
    """The UTC moment that an option names: ISO 8601, without a zone UTC, or how long ago, as 90m, 24h or 7d.

    Raises: typer.BadParameter.

    >>> moment("2026-06-09T04:00").isoformat(), moment("2026-06-09T04:00+02:00").isoformat()
    ('2026-06-09T04:00:00+00:00', '2026-06-09T02:00:00+00:00')
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no moment; write 2026-06-09, 2026-06-09T04:30 or 24h") from None


def period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """The moments that `--since` and `--until` name.

    Raises: typer.BadParameter: one is no moment, or no time lies between them: of that, everything would be true.
    """
    first, last = moment(since), moment(until)
    if first is not None and first > datetime.now(UTC):
        raise typer.BadParameter(f"--since {since} lies in the future; it is {datetime.now(UTC):%Y-%m-%dT%H:%M} UTC")
    if first is not None and last is not None and first >= last:
        raise typer.BadParameter(f"--since {since} is not before --until {until}")
    return first, last


def between(since: datetime | None, until: datetime | None) -> str:
    """What a period is called behind a noun.

    >>> between(moment("2026-06-09"), None), between(None, None)
    (' from 2026-06-09 00:00:00 UTC', '')
    """
    ends = (("from", since), ("until", until))
    return "".join(f" {word} {moment:%Y-%m-%d %H:%M:%S} UTC" for word, moment in ends if moment is not None)


def lasted(seconds: float) -> str:
    """A duration in two units at most.

    >>> [lasted(seconds) for seconds in (0.0004, 0.25, 12.34, 75, 7260, 200000)]
    ['0 ms', '250 ms', '12.3 s', '1 min 15 s', '2 h 1 min', '2 d 7 h']
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, smaller_size, smaller in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller_size} {smaller}"
    return f"{seconds:.1f} s"
