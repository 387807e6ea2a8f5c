"""What every collector is: sessions with an exchange, one after another, for ever."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from shared.errors import ExchangeRefused
from shared.log import get_log

STEADY_SESSION_S = 60.0  # a session that lasted this long shows that the exchange is well: back-off starts anew


@dataclass(frozen=True)
class SessionEnd:
    """Why a session with an exchange is over."""

    cause: str  # disconnect | silence | refused: as it stands in the gaps table
    evidence: str
    retry_after_s: float = 0.0  # the exchange's own wish


class BaseCollector(ABC):
    """A collector runs sessions until it is cancelled; only a refusal of the very first one stops it."""

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

    async def run(self) -> None:
        """Run session after session.

        Raises:
            ExchangeRefused: the first session was refused, or no attempt is left.
        """
        delays_s = self._retry.delays_s(self._rng)
        while True:
            began_ns = self.inlet.clock.mono_ns()
            rows_before = self.inlet.statistics.rows
            end = await self.session()
            self.inlet.statistics.sessions += 1
            if end.cause == "refused" and not self.inlet.statistics.rows:
                raise ExchangeRefused(f"{self.inlet.name}: {end.evidence}")
            self.inlet.interrupt("disconnect" if end.cause == "refused" else end.cause, end.evidence)
            lasted_s = (self.inlet.clock.mono_ns() - began_ns) / 1e9
            if lasted_s >= STEADY_SESSION_S and self.inlet.statistics.rows > rows_before:
                delays_s = self._retry.delays_s(self._rng)
            delay_s = next(delays_s, None)
            if delay_s is None:
                raise ExchangeRefused(
                    f"{self.inlet.name}: connection ended ({end.evidence}) and no reconnect is left",
                    hint="ingestion.max_reconnect_attempts: -1 reconnects for ever",
                )
            delay_s = max(delay_s, end.retry_after_s)
            self._log.warning("reconnecting", cause=end.cause, evidence=end.evidence, delay_s=round(delay_s, 2))
            await self._sleep(delay_s)
