"""Which alarms began and which ended: pure, and blind to what lasts for one look only, such as a restart."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from scripts.health.facts import Alarm, Health
from shared.clock import utc_from_us

_LOOKS = 2  # in a row, before an alarm counts as begun or ended
_Key: TypeAlias = tuple[str, str, str]


class Notice(Struct, frozen=True, kw_only=True):
    """What a webhook is told; `text` is what Slack and others that take its form show."""

    text: str
    event: Literal["begin", "end"]
    alarm: str
    subject: str
    level: str
    message: str
    host: str
    since: datetime
    at: datetime


class _Told(NamedTuple):
    alarm: Alarm
    since: datetime


class Notices:
    """Remembers which alarms are on; one that becomes critical is another."""

    def __init__(self) -> None:
        self._seen: dict[_Key, tuple[int, datetime]] = {}  # how many looks in a row, and since when
        self._missed: dict[_Key, int] = {}
        self._on: dict[_Key, _Told] = {}

    def look(self, health: Health, alarms: Sequence[Alarm]) -> list[Notice]:
        """What is to be told after one more look."""
        now, present = utc_from_us(health.wall_ns // 1000), {_key(alarm): alarm for alarm in alarms}
        self._seen = {key: (looks + 1, since) for key in present for looks, since in [self._seen.get(key, (0, now))]}
        self._missed = {key: self._missed.get(key, 0) + 1 for key in self._on if key not in present}
        out = []
        for key, (looks, since) in self._seen.items():
            if looks >= _LOOKS and key not in self._on:
                self._on[key] = _Told(present[key], since)
                out.append(_notice("begin", self._on[key], health, now))
        over = [key for key, looks in self._missed.items() if looks >= _LOOKS]
        return [*out, *(_notice("end", self._on.pop(key), health, now) for key in over)]


def _key(alarm: Alarm) -> _Key:
    return alarm.name, alarm.subject, alarm.level


def _notice(event: Literal["begin", "end"], told: _Told, health: Health, now: datetime) -> Notice:
    word = told.alarm.level if event == "begin" else "over"
    return Notice(
        text=f"Daedalus on {health.host}: {word}: {told.alarm.text}",
        event=event,
        alarm=told.alarm.name,
        subject=told.alarm.subject,
        level=told.alarm.level,
        message=told.alarm.text,
        host=health.host,
        since=told.since,
        at=now,
    )
