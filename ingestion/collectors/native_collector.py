"""`NativeCollector`: sockets around an exchange's pure protocol."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from ingestion.collectors.base_collector import BaseCollector, SessionEnd
from ingestion.collectors.frame_socket import Arrival, FrameSocket, frame_socket
from ingestion.exchanges.protocol import Break, Exchange, Refused, Repeated, Send, Session, Subscription
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from shared.errors import FrameMalformed, SettingsInvalid
from shared.rows import Reject, Row

_SUBSCRIPTIONS = "subscriptions"  # the `channel` of a reject that is an exchange's refusal


@dataclass(frozen=True)
class NativeOptions:
    """What to collect from where."""

    exchange: Exchange
    subscriptions: tuple[Subscription, ...]
    silence_timeout_s: float

    def __post_init__(self) -> None:
        """Refuse what the exchange does not have."""
        unknown = sorted({each.table for each in self.subscriptions} - set(self.exchange.profile.channels))
        if unknown or not self.subscriptions:
            known = sorted(self.exchange.profile.channels)
            raise ValueError(
                f"{self.exchange.profile.name}: needs symbols for tables among {known}, unknown: {unknown}"
            )


class NativeCollector(BaseCollector):
    """Collects what one connection carries."""

    def __init__(self, options: NativeOptions, inlet: Inlet, retry: RetryPolicy) -> None:
        super().__init__(inlet, retry)
        self._options = options

    async def session(self) -> SessionEnd:
        """One connection, from its opening to its end."""
        url = self._options.exchange.endpoint(self._options.subscriptions[0])
        try:
            compression = self._options.exchange.profile.compression
            async with frame_socket(url, self.inlet.clock, compression=compression) as socket:
                self.inlet.tell("connect", url)
                return await self._collect(socket)
        except InvalidStatus as error:
            wait_s = error.response.headers.get("Retry-After", "0")
            evidence = f"HTTP {error.response.status_code}"
            return SessionEnd("disconnect", evidence, float(wait_s) if wait_s.isdigit() else 0.0)
        except InvalidURI as error:
            raise SettingsInvalid(
                f"{error.uri} is no WebSocket address", hint="It begins with wss:// or ws://"
            ) from error
        except (OSError, TimeoutError, WebSocketException) as error:
            return SessionEnd("disconnect", f"{type(error).__name__}: {error}")

    async def _collect(self, socket: FrameSocket) -> SessionEnd:
        session = self._options.exchange.session(self._options.subscriptions)
        watchdog = _Watchdog(socket, self._options.silence_timeout_s)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(watchdog.run()),
                tasks.create_task(self._send(socket, session.opening())),
                tasks.create_task(self._ping(socket)),
            ]
            try:
                return await self._receive(socket, session, watchdog)
            except ConnectionClosed as error:
                if watchdog.silent:
                    return SessionEnd("silence", f"no frame for {self._options.silence_timeout_s} s")
                return SessionEnd("disconnect", f"{type(error).__name__}: {error}")
            finally:
                for task in running:
                    task.cancel()

    async def _send(self, socket: FrameSocket, frames: Iterable[bytes]) -> None:
        pause_s = 1 / self._options.exchange.profile.limits.messages_per_s
        try:
            for frame in frames:
                await socket.send(frame, text=True)
                await asyncio.sleep(pause_s)
        except ConnectionClosed:
            return  # the receiving side reports it

    async def _ping(self, socket: FrameSocket) -> None:
        profile = self._options.exchange.profile
        if profile.ping is None:
            return
        try:
            while True:
                await asyncio.sleep(profile.ping_every_s)
                await socket.send(profile.ping, text=True)
        except ConnectionClosed:
            return

    async def _receive(self, socket: FrameSocket, session: Session, watchdog: "_Watchdog") -> SessionEnd:
        inlet = self.inlet
        while True:
            arrival = await socket.arrival()
            watchdog.fed = True
            if inlet.full:
                watchdog.paused = True  # the silence is ours
                await inlet.room()
                watchdog.paused, watchdog.fed = False, True
            if end := await self._decode(arrival, session, socket):
                return end

    async def _decode(self, arrival: Arrival, session: Session, socket: FrameSocket) -> SessionEnd | None:
        """Take an arrival's rows together, as far as nothing happens between them; the session's end, if it is over."""
        wall_ns, mono_ns, messages = arrival
        rows: list[Row] = []
        taken = frame_bytes = 0
        for number, frame in enumerate(messages, start=1):
            decoded: Sequence[Row]
            try:
                decoded = session.receive(frame, wall_ns, mono_ns)
            except FrameMalformed as error:
                payload = frame.decode(errors="backslashreplace")
                decoded = [Reject(UNKNOWN_SYMBOL, None, "frames", error.reason, payload)]
            if session.events:
                self.inlet.take(rows, wall_ns, mono_ns, frame_bytes, frames=number - 1 - taken)
                rows, frame_bytes, taken = [], 0, number - 1
                if end := await self._follow(session, socket):
                    return end
            rows += decoded
            frame_bytes += len(frame)
        self.inlet.take(rows, wall_ns, mono_ns, frame_bytes, frames=len(messages) - taken)
        return None

    async def _follow(self, session: Session, socket: FrameSocket) -> SessionEnd | None:
        """Do what the session asks for; the session's end, where it is over."""
        events, session.events = session.events, []
        for event in events:
            match event:
                case Break(cause, evidence, symbols, tables):
                    self.inlet.statistics.sequence_breaks += 1
                    self.inlet.interrupt(cause, evidence, symbols=symbols, tables=tables)
                case Send(frames):
                    for frame in frames:
                        await socket.send(frame, text=True)
                case Repeated():
                    self.inlet.statistics.repeated_frames += 1
                case Refused(reason, None):
                    return SessionEnd("refused", reason)
        return None


class _Watchdog:
    """Aborts a connection on which nothing comes: pongs and open sockets prove nothing."""

    def __init__(self, socket: FrameSocket, timeout_s: float) -> None:
        self._socket, self._timeout_s = socket, timeout_s
        self.fed = False
        self.paused = False
        self.silent = False

    async def run(self) -> None:
        """Look once per timeout whether a frame has come since the last look."""
        while True:
            self.fed = False
            await asyncio.sleep(self._timeout_s)
            if not self.fed and not self.paused:
                self.silent = True
                self._socket.transport.abort()
                return
