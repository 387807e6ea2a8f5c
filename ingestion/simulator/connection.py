"""One client's WebSocket: an outbox, the gate its frames pass, and the faults that strike the socket."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from ingestion.simulator.faults import Fault, FaultPlan, Gate
from ingestion.simulator.session import Frame, Session
from ingestion.simulator.truth import Truth

CROWDED_FRAMES = 512  # an unpaced market waits while a client has more than this in its outbox
SLOW_BYTES_MAX = 256 << 20  # a paced market cuts off a client this far behind


@dataclass(frozen=True)
class Outlet:
    """What the connections of one venue share."""

    venue: str
    plan: FaultPlan
    truth: Truth
    now_ns: Callable[[], int]
    refuse: Callable[[float], None]


class Connection:
    """One open WebSocket of one venue."""

    def __init__(self, session: Session, outlet: Outlet) -> None:
        self.session = session
        self._outlet = outlet
        self.ended = False
        self.drained = asyncio.Event()  # the outbox is empty, or nothing more is sent
        self.roomy = asyncio.Event()  # the outbox is half empty at least
        self._gate = Gate(outlet.plan, outlet.venue)
        self._sent = outlet.truth.frames[outlet.venue]
        self._outbox: deque[Frame] = deque()
        self._outbox_bytes = 0
        self._wake = asyncio.Event()
        self._dismissal: int | None = None
        self._opened_s = asyncio.get_running_loop().time()

    @property
    def idle(self) -> bool:
        """Whether everything put in has been sent, or nothing ever will be."""
        return self.ended or (not self._outbox and self.drained.is_set())

    @property
    def crowded(self) -> bool:
        """Whether an unpaced market should wait for this client."""
        return len(self._outbox) > CROWDED_FRAMES and not self.ended

    @property
    def hopeless(self) -> bool:
        """Whether the client is too far behind to be kept."""
        return self._outbox_bytes > SLOW_BYTES_MAX

    def put(self, frames: list[Frame]) -> None:
        """Queue frames for sending."""
        if not frames or self.ended:
            return
        self._outbox.extend(frames)
        self._outbox_bytes += sum(len(frame.data) for frame in frames)
        self.drained.clear()
        if self.crowded:
            self.roomy.clear()
        self._wake.set()

    def dismiss(self, code: int) -> None:
        """Close the WebSocket with `code` as soon as the frame being sent is out."""
        self._dismissal = code
        self._wake.set()

    def poke(self) -> None:
        """Let due commands happen although no frame is on its way."""
        self._wake.set()

    @property
    def open_s(self) -> float:
        """Seconds since the client connected."""
        return asyncio.get_running_loop().time() - self._opened_s

    async def write(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        """Send until the connection ends."""
        try:
            while not self.ended:
                await self._empty(socket, request)
                if self._dismissal is not None:
                    self.finish()
                    await socket.close(code=self._dismissal)
                    return
                self.drained.set()
                self._wake.clear()
                for fault in self._gate.commands(elapsed_s=self.open_s):
                    await self._suffer(fault, socket, request)
                if not self.ended and not self._outbox and self._dismissal is None:
                    await self._wake.wait()
        except ConnectionError:
            pass  # the client left; its reader ends the connection
        finally:
            self.finish()

    def finish(self) -> None:
        """Stop: nothing more will be sent."""
        self.ended = True
        self.drained.set()
        self.roomy.set()
        self._wake.set()

    async def _empty(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        while self._outbox and not self.ended and self._dismissal is None:
            frame = self._outbox.popleft()
            self._outbox_bytes -= len(frame.data)
            if len(self._outbox) < CROWDED_FRAMES // 2:
                self.roomy.set()
            if self._gate.quiet:
                self._gate.seen += 1
                await self._send(frame, socket)
                continue
            frames, struck, altered = self._gate.admit(frame, elapsed_s=self.open_s)
            for fault in struck:
                self._outlet.truth.struck(self._outlet.venue, fault)
            for each in altered:
                self._outlet.truth.alter(self._outlet.venue, each)
            for passed in frames:
                await self._send(passed, socket)
            for fault in self._gate.commands(elapsed_s=self.open_s):
                await self._suffer(fault, socket, request)

    async def _send(self, frame: Frame, socket: web.WebSocketResponse) -> None:
        await socket.send_frame(frame.data, WSMsgType.TEXT)
        self._sent[frame.channel] += 1

    async def _suffer(self, fault: Fault, socket: web.WebSocketResponse, request: web.Request) -> None:
        if self.ended:
            return
        self._outlet.truth.struck(self._outlet.venue, fault)
        if fault.kind == "close":
            self.finish()
            await socket.close(code=fault.code, message=b"simulated fault", drain=True)
        elif fault.kind == "abort":
            self.finish()
            if request.transport is not None:
                request.transport.abort()
        elif fault.kind == "stall":
            await asyncio.sleep(fault.duration_s)
        elif fault.kind == "half_frame":
            await self._half_frame(fault, request)
        elif fault.kind == "mute":
            self.session.mute(fault.symbol, fault.count)
        elif fault.kind == "bad_price":
            self.put(self.session.bad_trade(fault.price, self._outlet.now_ns()))
        elif fault.kind == "oversized":
            self.session.oversize(fault.count)
        else:
            self._outlet.refuse(fault.duration_s)

    async def _half_frame(self, fault: Fault, request: web.Request) -> None:
        """The head of a text frame of 1000 bytes and 500 of them; then nothing, then the end."""
        if request.transport is not None:
            request.transport.write(b"\x81\x7e\x03\xe8" + b'{"channel":"' + b"x" * 488)
            await asyncio.sleep(fault.duration_s)
        self.finish()
        if request.transport is not None:
            request.transport.abort()
