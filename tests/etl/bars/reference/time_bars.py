"""Bars of a length of time: specification 5."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.etl.bars.reference.builder import Reference
from tests.etl.bars.reference.exact import exact
from tests.etl.bars.reference.trade import Print, Trade

SECONDS = {"ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400", "w": "604800"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEK_US = 604_800_000_000
MONDAY_US = 4 * 86_400_000_000  # 1970-01-05


def us_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


class Buckets:
    """[start, end) in us, by an interval such as 60, "1m", "1w", "1mo", "1y"."""

    def __init__(self, interval: object) -> None:
        number, unit = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", str(interval)).groups()
        self.months = {"mo": 1, "y": 12}.get(unit, 0) * int(exact(number)) if unit in ("mo", "y") else 0
        self.step_us = 0 if self.months else int(exact(number) * exact(SECONDS[unit or "s"]) * 1_000_000)

    def of(self, us: int) -> tuple[int, int]:
        if not self.months:
            origin_us = MONDAY_US if self.step_us % WEEK_US == 0 else 0
            start = (us - origin_us) // self.step_us * self.step_us + origin_us
            return start, start + self.step_us
        moment = EPOCH + timedelta(microseconds=us)
        since_1970 = (moment.year - 1970) * 12 + moment.month - 1
        first = since_1970 // self.months * self.months
        return self._month(first), self._month(first + self.months)

    def _month(self, since_1970: int) -> int:
        return us_of(datetime(1970 + since_1970 // 12, since_1970 % 12 + 1, 1, tzinfo=UTC))


class TimeReference(Reference):
    def __init__(self, *, interval: object, skip_first_partial: bool = False, **gaps: Any) -> None:
        super().__init__(**gaps)
        self.buckets = Buckets(interval)
        self.skips = skip_first_partial
        self.has_begun = False
        self.newest: int | None = None  # start of the bucket of the last trade
        self.broken: int | None = None  # start of a bucket of which some trades are not seen, or in another bar
        self.skipped: int | None = None

    def is_punctual(self, trade: Trade) -> bool:
        return self.newest is None or self.buckets.of(trade.us)[0] >= self.newest

    def take(self, given: Print) -> None:
        start, _ = self.buckets.of(given.us)
        if not self.has_begun and given.us > start:
            self.broken = start
            self.skipped = start if self.skips else None
        self.has_begun = True
        if self.held and start > self._start():
            told_by = given if given.trade.gap_before else None
            self._emit("time", is_partial=self._start() == self.broken, told_by=told_by)
        self.newest = start
        if start == self.skipped:
            self.skip(given)
        else:
            self.hold(given)

    def watermark(self, us: int) -> None:
        """All trades before `us` have been given."""
        if self.held and self.buckets.of(self.held[0].us)[1] <= us:
            self._emit("time", is_partial=self._start() == self.broken)
        start, _ = self.buckets.of(us)
        self.newest = start if self.newest is None else max(self.newest, start)

    def after_cut(self) -> None:
        if self.held:
            self.broken = self._start()

    def columns(self) -> dict[str, Any]:
        start, end = self.buckets.of(self.held[0].us)
        return {"time_start": start, "time_end": end, "available_at": end}

    def tell(self, bar: dict[str, Any], told_by: Print) -> None:
        """A gap lies between the bar and this trade."""
        bar["known_at"] = max(bar["known_at"], told_by.known_us)
        bar["has_gap"] = True

    def _start(self) -> int:
        return self.buckets.of(self.held[0].us)[0]
