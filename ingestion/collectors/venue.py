"""What all connections to one exchange share: its pace, its bans, its REST documents."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp

from ingestion.budget import BANNED, TOO_MANY, Bucket, retry_after_s
from ingestion.exchanges.protocol import Exchange, Request
from ingestion.inlet import Inlet
from shared.clock import utc_from_us
from shared.log import get_log

BODY_BYTES_MAX = 64 << 20
_REST_TIMEOUT_S = 20.0
_REST_TOGETHER = 4
_OPENINGS_TOGETHER = 4  # connections that are being made and subscribed at one time
_CONNECT_BURST = 0.2  # of a minute's connections may be made at once, the rest are paced over it


class Answer(NamedTuple):
    """A REST document as it came."""

    body: bytes | None  # None: it could not be had
    wall_ns: int
    mono_ns: int
    evidence: str = ""  # why not


class Venue:
    """One exchange's allowances. Enter it to have REST; a ban stops connecting and asking alike."""

    def __init__(self, exchange: Exchange, inlet: Inlet, *, silence_timeout_s: float) -> None:
        limits = exchange.profile.limits
        self.exchange, self.inlet, self._clock = exchange, inlet, inlet.clock
        self.silence_timeout_s = silence_timeout_s
        burst = max(1.0, _CONNECT_BURST * limits.connections_per_minute)
        self._connects = Bucket((1 - _CONNECT_BURST) * limits.connections_per_minute, burst=burst)
        self._messages = Bucket(limits.messages_per_s * 60)
        weight = limits.rest_weight_per_minute
        self._documents = Bucket(0.75 * weight, burst=0.25 * weight)
        self._asking = asyncio.Semaphore(_REST_TOGETHER)
        self._http: aiohttp.ClientSession | None = None
        self.opening = asyncio.Semaphore(_OPENINGS_TOGETHER)
        self.rotating = asyncio.Lock()  # connections are replaced one after another
        self.has_delivered = False  # any row over any connection: from then on no refusal ends the collector
        self._log = get_log("venue").bind(exchange=exchange.profile.name)

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_REST_TIMEOUT_S)
        self._http = aiohttp.ClientSession(timeout=timeout, auto_decompress=True, trust_env=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def connect_turn(self) -> None:
        """Return when a connection may be made."""
        await self._turn(self._connects, 1.0)

    async def message_turn(self) -> None:
        """Return when a message may be sent."""
        await self._turn(self._messages, 1.0)

    def refused(self, status: int, headers: Mapping[str, str]) -> float:
        """Heed an HTTP refusal of a connection; the seconds to wait before the next."""
        wait_s = retry_after_s(status, headers, self._now())
        if status in (TOO_MANY, BANNED):
            self._pause(wait_s, status, self._connects, *([self._documents] if status == BANNED else []))
        return wait_s

    async def get(self, request: Request) -> Answer:
        """A document, when the allowance permits; asking never raises what the network or the exchange does."""
        assert self._http is not None, "entered before it is asked"
        async with self._asking:
            await self._turn(self._documents, request.weight)
            try:
                async with self._http.get(request.url) as response:
                    body = await _body(response)
                    wall_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
                    self._heed(response.status, response.headers)
                    if response.status != 200:
                        return Answer(None, wall_ns, mono_ns, f"HTTP {response.status}")
                    if body is None:
                        return Answer(None, wall_ns, mono_ns, f"more than {BODY_BYTES_MAX} bytes")
                    return Answer(body, wall_ns, mono_ns)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                evidence = f"{type(error).__name__}: {error}"
                return Answer(None, self._clock.wall_ns(), self._clock.mono_ns(), evidence)

    def _heed(self, status: int, headers: Mapping[str, str]) -> None:
        wait_s = retry_after_s(status, headers, self._now())
        if wait_s and status != 200:
            self._pause(wait_s, status, self._documents, *([self._connects] if status == BANNED else []))

    def _pause(self, wait_s: float, status: int, *buckets: Bucket) -> None:
        if wait_s:
            self._log.warning("told to wait", status=status, wait_s=round(wait_s, 1))
        for bucket in buckets:
            bucket.pause(wait_s, now_s=self._now_s())

    async def _turn(self, bucket: Bucket, weight: float) -> None:
        wait_s = bucket.reserve(weight, now_s=self._now_s())
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = bucket.paused_s(now_s=self._now_s())  # a ban that came meanwhile

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    def _now(self) -> datetime:
        return utc_from_us(self._clock.wall_ns() // 1000).astimezone(UTC)


async def _body(response: aiohttp.ClientResponse) -> bytes | None:
    """The document; None where it is longer than any should be."""
    parts, size = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        size += len(part)
        if size > BODY_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)
