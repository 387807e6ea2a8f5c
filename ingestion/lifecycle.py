"""Rows of the gaps table that declare no loss: what happened to a collector, and how much it had to reject.

They have status `filled` and `rows_lost` 0, so nobody who asks for what is missing meets them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.rows import ALL, Gap, Reject

REJECT_GROUPS_MAX = 1000  # (symbol, channel) pairs counted apart; what comes beyond is counted under `all`
_US_PER_MINUTE = 60_000_000
_REASON_CHARS = 200


def event(cause: str, *, gap_id: str, start_us: int, end_us: int, evidence: str) -> Gap:
    """The row that says what happened to a whole collector between two moments, which are mostly one."""
    return Gap(
        symbol=ALL,
        timestamp=None,
        gap_id=gap_id,
        revision=0,
        channel=ALL,
        cause=cause,
        status="filled",
        start_ts=start_us,
        end_ts=end_us,
        rows_lost=0,
        evidence=evidence,
    )


@dataclass(slots=True)
class _Burst:
    """Rejects of one symbol and channel within a minute."""

    first_us: int
    last_us: int
    count: int
    reason: str


class RejectTally:
    """Counts rejects per symbol and channel; once a minute that becomes one row each."""

    def __init__(self) -> None:
        self._bursts: dict[tuple[str, str], _Burst] = {}

    def add(self, reject: Reject, capture_us: int) -> None:
        """Count one reject."""
        key = (reject.symbol, reject.channel)
        if key not in self._bursts and len(self._bursts) >= REJECT_GROUPS_MAX:
            key = (ALL, ALL)
        burst = self._bursts.get(key)
        if burst is None:
            self._bursts[key] = _Burst(capture_us, capture_us, 1, reject.reason[:_REASON_CHARS])
            return
        burst.count += 1
        burst.last_us = max(burst.last_us, capture_us)

    def due(self, now_us: int, *, everything: bool = False) -> Iterator[Gap]:
        """The summaries that are at least a minute old, or all; their `gap_id` is empty."""
        for (symbol, channel), burst in list(self._bursts.items()):
            if not everything and abs(now_us - burst.first_us) < _US_PER_MINUTE:
                continue
            del self._bursts[symbol, channel]
            rows = "row" if burst.count == 1 else "rows"
            yield Gap(
                symbol=symbol,
                timestamp=None,
                gap_id="",
                revision=0,
                channel=channel,
                cause="reject",
                status="filled",
                start_ts=burst.first_us,
                end_ts=burst.last_us,
                rows_lost=0,
                evidence=f"{burst.count} {rows} kept in rejects, the first because: {burst.reason}",
            )
