"""How fast we may ask: an allowance that refills steadily, and what an exchange's answer says about waiting. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

TOO_MANY = 429
BANNED = 418  # Binance: an address that went on after 429
BUSY = 503
PAUSE_S_MAX = 86_400.0  # no answer silences us for longer
_PAUSE_S = {TOO_MANY: 60.0, BANNED: 120.0, BUSY: 0.0}  # where the exchange does not say how long


class Bucket:
    """An allowance of `per_minute` weights, of which `burst` may go at once. Times are of any steady clock.

    >>> bucket = Bucket(60, burst=2)
    >>> [bucket.reserve(1, now_s=0.0) for _ in range(4)]
    [0.0, 0.0, 1.0, 2.0]
    >>> bucket.pause(30, now_s=10.0)
    >>> [bucket.reserve(1, now_s=11.0) for _ in range(2)]
    [30.0, 31.0]
    """

    def __init__(self, per_minute: float, *, burst: float = 1.0) -> None:
        if not per_minute > 0 or not burst > 0:
            raise ValueError(f"an allowance must be positive, was {per_minute} a minute, {burst} at once")
        self._per_s, self._burst = per_minute / 60, burst
        self._used = 0.0  # at `_at_s`
        self._at_s = float("-inf")

    def reserve(self, weight: float, *, now_s: float) -> float:
        """Take `weight`; the seconds to wait before it is used. Who reserves later waits longer."""
        at_s = max(now_s, self._at_s)
        if self._used:
            self._used = max(0.0, self._used - self._per_s * (at_s - self._at_s))
        self._at_s = at_s
        self._used += weight
        return at_s - now_s + max(0.0, (self._used - self._burst) / self._per_s)

    def pause(self, seconds: float, *, now_s: float) -> None:
        """Let nothing go for so long; then begin with an empty allowance."""
        until_s = now_s + seconds
        if until_s > self._at_s:
            self._at_s, self._used = until_s, self._burst

    def paused_s(self, *, now_s: float) -> float:
        """Seconds until a pause is over."""
        return max(0.0, self._at_s - now_s)


def retry_after_s(status: int, headers: Mapping[str, str], now: datetime) -> float:
    """How long an HTTP answer tells us to wait; 0 where it does not.

    >>> now = datetime(2026, 6, 9, 4, 0, tzinfo=UTC)
    >>> retry_after_s(429, {"Retry-After": "7"}, now), retry_after_s(418, {}, now), retry_after_s(500, {}, now)
    (7.0, 120.0, 0.0)
    >>> retry_after_s(503, {"Retry-After": "Tue, 09 Jun 2026 04:01:30 GMT"}, now)
    90.0
    >>> retry_after_s(429, {"retry-after": "7"}, now)
    7.0
    """
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    wait_s = _PAUSE_S.get(status, 0.0)
    if text.isascii() and text.replace(".", "", 1).isdecimal():
        wait_s = float(text[:12])
    elif text:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return wait_s
        wait_s = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(PAUSE_S_MAX, max(0.0, wait_s))
