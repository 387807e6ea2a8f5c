"""What every collector is: sessions with an exchange, one after another, for ever."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from structlog.typing import FilteringBoundLogger

from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from shared.errors import ExchangeRefused
from shared.log import get_log


@dataclass(frozen=True)
class SessionEnd:
    """Why a session with an exchange is over."""

    cause: str  # disconnect | silence | refused: as it stands in the gaps table
    evidence: str
    retry_after_s: float = 0.0  # the exchange's own wish


class Collector(Protocol):
    """What the pipeline runs."""

    inlet: Inlet

    async def run(self) -> None:
        """Collect until cancelled."""

    def report(self) -> list[dict[str, Any]]:
        """How each connection is doing, for the heartbeat file."""


class BaseCollector(ABC):
    """Runs sessions until it is cancelled; only a refusal of the very first one stops it."""

    def __init__(
        self,
        inlet: Inlet,
        retry: RetryPolicy,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.inlet, self._retry = inlet, retry
        self._sleep, self._rng = sleep, rng or random.Random()
        self._log = get_log("collector").bind(feed=inlet.name)

    @abstractmethod
    async def session(self) -> SessionEnd:
        """Connect, subscribe, and put rows until the connection is over. Network errors end it, they do not raise."""

    def report(self) -> list[dict[str, Any]]:
        """How each connection is doing, for the heartbeat file."""
        return []

    async def run(self) -> None:
        """Run session after session.

        Raises:
            ExchangeRefused: the first session was refused, or no attempt is left.
        """
        reconnects = Reconnects(self.inlet.name, self._retry, self._rng, self._log)
        while True:
            began_ns = self.inlet.clock.mono_ns()
            rows_before = self.inlet.statistics.rows
            end = await self.session()
            self.inlet.statistics.sessions += 1
            if end.cause == "refused" and not self.inlet.statistics.rows:
                raise ExchangeRefused(f"{self.inlet.name}: {end.evidence}")
            self.inlet.interrupt("disconnect" if end.cause == "refused" else end.cause, end.evidence)
            lasted_s = (self.inlet.clock.mono_ns() - began_ns) / 1e9
            rows = self.inlet.statistics.rows - rows_before
            await self._sleep(reconnects.wait_s(end, rows=rows, lasted_s=lasted_s))


class Reconnects:
    """The waits between one feed's sessions, each longer than the last until a session was worth its wait."""

    def __init__(self, name: str, retry: RetryPolicy, rng: random.Random, log: FilteringBoundLogger) -> None:
        self._name, self._retry, self._rng, self._log = name, retry, rng, log
        self._delays_s, self._waited_s = retry.delays_s(rng), 0.0

    def wait_s(self, end: SessionEnd, *, rows: int, lasted_s: float) -> float:
        """Seconds to wait before the next session, after one that brought so many rows and lasted so long.

        Raises:
            ExchangeRefused: no attempt is left.
        """
        if _is_well(rows=rows, lasted_s=lasted_s, waited_s=self._waited_s):
            self._delays_s = self._retry.delays_s(self._rng)
        delay_s = next(self._delays_s, None)
        if delay_s is None:
            raise ExchangeRefused(
                f"{self._name}: connection ended ({end.evidence}) and no reconnect is left",
                hint="ingestion.max_reconnect_attempts: -1 reconnects for ever",
            )
        self._waited_s = max(delay_s, end.retry_after_s)
        self._log.warning("reconnecting", cause=end.cause, evidence=end.evidence, delay_s=round(self._waited_s, 2))
        return self._waited_s


def _is_well(*, rows: int, lasted_s: float, waited_s: float) -> bool:
    """Whether a session shows that the exchange is well, so that back-off begins anew: it was worth the wait for it.

    >>> _is_well(rows=9, lasted_s=50.0, waited_s=1.0), _is_well(rows=9, lasted_s=0.5, waited_s=1.0)
    (True, False)
    """
    return rows > 0 and lasted_s > waited_s
