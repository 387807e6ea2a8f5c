"""`Connection`: one WebSocket around one session of an exchange's protocol, from its opening to its end."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn, Protocol, TypeAlias

from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from ingestion.collectors.base_collector import SessionEnd
from ingestion.collectors.frame_socket import Arrival, FrameSocket, frame_socket
from ingestion.collectors.venue import Venue
from ingestion.confirmation import Confirmations
from ingestion.exchanges.protocol import (
    Break,
    Earlier,
    Fetch,
    Leaving,
    Refused,
    Repeated,
    Request,
    Send,
    Session,
    Subscription,
)
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from shared.errors import FrameMalformed, SettingsInvalid
from shared.rows import Reject, Row

SUBSCRIPTIONS = "subscriptions"  # the `channel` of a reject that is an exchange's refusal
_OUTBOX_MAX = 10_000  # frames; an exchange that makes us ask for more than that is left
_FETCH_PAUSE_S = 1.0  # between two documents for one book, doubling while they fail
_FETCH_PAUSE_S_MAX = 30.0
_REVIEW_S = 1.0
Sift: TypeAlias = Callable[[Sequence[Row], int, int], Sequence[Row]]


class Owner(Protocol):
    """Who decides what becomes of a connection."""

    def broken(self, connection: "Connection", event: Break) -> None:
        """Rows are missing on this connection."""

    def refused(self, connection: "Connection", event: Refused) -> None:
        """The exchange said no."""

    def leaving(self, connection: "Connection", evidence: str) -> None:
        """The exchange will close this connection."""

    def review(self, connection: "Connection") -> None:
        """Look whether every subscription of an open connection is confirmed."""


class Connection:
    """One connection. `run` ends when it does; network errors are its result, they do not raise."""

    def __init__(self, number: int, *, url: str, session: Session, venue: Venue, owner: Owner) -> None:
        self.number, self.url, self.session = number, url, session
        self._venue, self._inlet, self._owner = venue, venue.inlet, owner
        self.confirmations = Confirmations()
        self.opened_ns: int | None = None  # monotonic; None until it is open
        self.has_asked = False  # its opening frames are made
        self.rows = 0
        self.sift: Sift | None = None  # while another connection carries the same streams
        self.stored: Callable[[], None] | None = None  # called behind rows that were stored, while it does
        self._over: SessionEnd | None = None  # decided by us
        self._socket: FrameSocket | None = None
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue(_OUTBOX_MAX)
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._fetch_pauses_s: dict[str, float] = {}  # by symbol, before the next document
        self._fed = False
        self._paused = False  # the silence is ours

    @property
    def now_s(self) -> float:
        """A steady clock."""
        return self._inlet.clock.mono_ns() / 1e9

    @property
    def age_s(self) -> float:
        """Seconds since it was opened."""
        return 0.0 if self.opened_ns is None else (self._inlet.clock.mono_ns() - self.opened_ns) / 1e9

    async def run(self) -> SessionEnd:
        """Connect, subscribe, store rows; why it ended. Raises: SettingsInvalid for an address that is none."""
        try:
            async with AsyncExitStack() as opening:
                await opening.enter_async_context(self._venue.opening)
                await self._venue.connect_turn()
                compression = self._venue.exchange.profile.compression
                async with frame_socket(self.url, self._inlet.clock, compression=compression) as socket:
                    self._socket, self.opened_ns = socket, self._inlet.clock.mono_ns()
                    self._inlet.tell("connect", f"connection {self.number} to {self.url}")
                    return await self._collect(socket, opening)
        except InvalidStatus as error:
            status, headers = error.response.status_code, dict(error.response.headers.raw_items())
            return SessionEnd("disconnect", f"HTTP {status}", self._venue.refused(status, headers))
        except InvalidURI as error:
            raise SettingsInvalid(
                f"{error.uri} is no WebSocket address", hint="It begins with wss:// or ws://"
            ) from error
        except (OSError, TimeoutError, WebSocketException) as error:
            return self._over or SessionEnd("disconnect", f"{type(error).__name__}: {error}")

    def end(self, end: SessionEnd) -> None:
        """End it now, for this reason."""
        self._over = self._over or end
        if self._socket is not None:
            self._socket.transport.abort()

    def send(self, frames: Iterable[bytes]) -> None:
        """Send these, paced, behind what waits to be sent."""
        try:
            for frame in frames:
                self._outbox.put_nowait(frame)
        except asyncio.QueueFull:
            self.end(SessionEnd("disconnect", f"{_OUTBOX_MAX} messages to the exchange wait to be sent"))

    async def close(self) -> None:
        """Take leave of the exchange; what is still on its way is stored."""
        self._over = self._over or SessionEnd("replaced", "another connection carries its streams")
        if self._socket is not None:
            await self._socket.close()

    def ask(self, subscriptions: Sequence[Subscription]) -> None:
        """Subscribe to these."""
        self.session.want(subscriptions)
        if subscriptions and self.has_asked:  # else the opening will
            self.session.unconfirmed.update(subscriptions)
            self.confirmations.asked(subscriptions, self.now_s)
            self.send(self.session.subscribe(subscriptions))

    def leave(self, subscriptions: Sequence[Subscription]) -> None:
        """Unsubscribe from these."""
        self.session.forget(subscriptions)
        if subscriptions and self.has_asked:
            self.send(self.session.unsubscribe(subscriptions))

    def report(self, subscription: Subscription, reason: str) -> None:
        """Keep a refusal as a reject."""
        payload = json.dumps(subscription._asdict())
        reject = Reject(subscription.symbol, None, SUBSCRIPTIONS, reason[:500], payload)
        self._inlet.take([reject], self._inlet.clock.wall_ns(), self._inlet.clock.mono_ns(), 0, frames=0)

    async def _collect(self, socket: FrameSocket, opening: AsyncExitStack) -> SessionEnd:
        async with asyncio.TaskGroup() as self._tasks:
            for work in (self._watch(socket), self._write(socket, opening), self._ping(socket)):
                self._spawn(work)
            try:
                await self._receive(socket)
            except ConnectionClosed as error:
                return self._over or SessionEnd("disconnect", f"{type(error).__name__}: {error}")
            finally:
                for task in list(self._running):
                    task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None, "spawned on an open connection"
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _receive(self, socket: FrameSocket) -> NoReturn:
        inlet = self._inlet
        while True:
            arrival = await socket.arrival()
            self._fed = True
            for symbol in inlet.take_stale_books(self.session.l2_symbols) if inlet.stale_books else ():
                self.send(self.session.resync(symbol))
            if inlet.full:  # asked before a frame is decoded: from there to the queue nothing may come between
                self._paused = True
                await inlet.room()
                self._paused, self._fed = False, True
            self._decode(arrival)

    def _decode(self, arrival: Arrival) -> None:
        """Take an arrival's rows together, as far as nothing happens between them."""
        wall_ns, mono_ns, messages = arrival
        session = self.session
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
                self._store(rows, wall_ns, mono_ns, frame_bytes, frames=number - 1 - taken)
                rows, frame_bytes, taken = [], 0, number - 1
                self._follow()
            rows += decoded
            frame_bytes += len(frame)
        self._store(rows, wall_ns, mono_ns, frame_bytes, frames=len(messages) - taken)

    def _store(self, rows: Sequence[Row], wall_ns: int, mono_ns: int, frame_bytes: int, *, frames: int) -> None:
        if rows:
            self.rows += len(rows)
            self._venue.has_delivered = True
        if self.sift is not None:
            rows = self.sift(rows, wall_ns, mono_ns)
        self._inlet.take(rows, wall_ns, mono_ns, frame_bytes, frames=frames)
        if self.stored is not None:
            self.stored()

    def _follow(self) -> None:
        """Do what the session asks for."""
        events, self.session.events = self.session.events, []
        for event in events:
            match event:
                case Earlier(rows, wall_ns, mono_ns):
                    self._store(rows, wall_ns, mono_ns, 0, frames=0)
                case Send(frames):
                    self.send(frames)
                case Fetch(request):
                    self._spawn(self._fetch(request))
                case Repeated():
                    self._inlet.statistics.repeated_frames += 1
                case Break():
                    self._owner.broken(self, event)
                case Refused():
                    self._owner.refused(self, event)
                case Leaving(evidence):
                    self._owner.leaving(self, evidence)

    async def _fetch(self, request: Request) -> None:
        """Give the session a document it asked for; after a failure, or soon after another, only after a pause."""
        pause_s = self._fetch_pauses_s.get(request.symbol, 0.0)
        self._fetch_pauses_s[request.symbol] = min(_FETCH_PAUSE_S_MAX, 2 * pause_s or _FETCH_PAUSE_S)
        await asyncio.sleep(pause_s)
        answer = await self._venue.get(request)
        inlet, session = self._inlet, self.session
        if inlet.full:
            await inlet.room()
        rows: Sequence[Row]
        try:
            rows = session.fetched(request, answer.body, answer.wall_ns, answer.mono_ns)
        except FrameMalformed as error:
            text = (answer.body or b"").decode(errors="backslashreplace")
            self._inlet.take(
                [Reject(request.symbol, None, request.table or "l2", error.reason, text)],
                answer.wall_ns,
                answer.mono_ns,
                0,
                frames=0,
            )
            rows = session.fetched(request, None, answer.wall_ns, answer.mono_ns)
        if answer.body is not None and not any(isinstance(event, Fetch) for event in session.events):
            self._fetch_pauses_s.pop(request.symbol, None)
        self._follow()
        self._store(rows, answer.wall_ns, answer.mono_ns, 0, frames=0)

    async def _watch(self, socket: FrameSocket) -> None:
        """Abort when nothing comes: pongs and open sockets prove nothing."""
        while True:
            self._fed = False
            timeout_s = self._venue.silence_timeout_s
            await asyncio.sleep(timeout_s)
            if not self._fed and not self._paused:
                self.end(SessionEnd("silence", f"no frame for {timeout_s} s"))
                return

    async def _review(self) -> None:
        """Ask again for what is not confirmed, then report it."""
        while True:
            await asyncio.sleep(_REVIEW_S)
            self._owner.review(self)

    async def _write(self, socket: FrameSocket, opening: AsyncExitStack) -> None:
        try:
            frames, opening_with, self.has_asked = self.session.opening(), set(self.session.unconfirmed), True
            for frame in frames:
                await self._send(socket, frame)
            self.confirmations.asked(opening_with, self.now_s)
            await opening.aclose()
            self._spawn(self._review())
            while True:
                await self._send(socket, await self._outbox.get())
        except ConnectionClosed:
            return  # the receiving side reports it

    async def _ping(self, socket: FrameSocket) -> None:
        profile = self._venue.exchange.profile
        if profile.ping is None:
            return
        try:
            while True:
                await asyncio.sleep(profile.ping_every_s)
                await self._send(socket, profile.ping)
        except ConnectionClosed:
            return

    async def _send(self, socket: FrameSocket, frame: bytes) -> None:
        await self._venue.message_turn()
        await socket.send(frame, text=True)
