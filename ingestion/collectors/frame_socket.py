"""`FrameSocket`: a `websockets` connection that hands over what came together, together, stamped when it came.

`recv` costs three coroutines for each message and the library's parser a dozen calls; at a burst that is most of what
capture costs. Here whole messages in one plain frame, which is what exchanges send, are cut out of the received bytes
directly. Everything else stays the library's: handshake, control frames, fragments, compression, errors, closing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.streams import StreamReader

from shared.clock import Clock

FRAME_BYTES_MAX = 64 << 20  # a BTC-USD book snapshot of Coinbase is over 10 MiB
_WAITING_BYTES_MAX = 1 << 20  # received and not taken; above it the kernel's buffer fills, and the exchange waits
_PLAIN = frozenset({0x81, 0x82})  # the whole of a text or binary message, no extension
_LENGTH_BYTES = {126: 2, 127: 8}  # of a length that seven bits do not hold


class Arrival(NamedTuple):
    """Messages that one read of the socket brought, at least one, in order."""

    wall_ns: int  # before parsing
    mono_ns: int
    messages: list[bytes]


class _Reader(StreamReader):
    """The library's. Its buffer is empty too where a header was taken from it and its payload has not come."""

    is_between_frames = False

    def at_eof(self) -> Generator[None, None, bool]:
        """Whether everything was read: what the library asks before each frame, and never inside of one."""
        self.is_between_frames = True
        ended = yield from super().at_eof()
        self.is_between_frames = False
        return ended


class FrameSocket(ClientConnection):
    """A connection that is read by `arrival` instead of `recv`; sending and closing are as ever."""

    def __init__(self, clock: Clock, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reader = self.protocol.reader = _Reader()
        self.protocol.parser = self.protocol.parse()
        next(self.protocol.parser)
        self._clock = clock
        self._begun = bytearray()  # of a plain frame
        self._begun_needs = 0  # its length
        self._fragments = bytearray()  # of a message that the library reads
        self._is_fragmented = False
        self._messages: list[bytes] = []  # of this read
        self._arrivals: deque[Arrival] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()

    async def arrival(self) -> Arrival:
        """What came next. Raises: ConnectionClosed when everything is taken and nothing can come."""
        while not self._arrivals:
            if self.connection_lost_waiter.done():
                raise self.close_exc
            self._news.clear()
            await self._news.wait()
        arrival = self._arrivals.popleft()
        self._waiting_bytes -= sum(map(len, arrival.messages))
        if self._waiting_bytes < _WAITING_BYTES_MAX:
            self.transport.resume_reading()
        return arrival

    def data_received(self, data: bytes) -> None:
        """Take what the socket brought."""
        wall_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
        if self._begun:
            self._begun += data
            if len(self._begun) < self._begun_needs:
                return
            data = bytes(self._begun)
            self._begun.clear()
        if self._library_reads():
            super().data_received(data)
        else:
            self._cut(data)
        if self._messages:
            self._waiting_bytes += sum(map(len, self._messages))
            self._arrivals.append(Arrival(wall_ns, mono_ns, self._messages))
            self._messages = []
            self._news.set()
            if self._waiting_bytes >= _WAITING_BYTES_MAX:
                self.transport.pause_reading()

    def process_event(self, event: Response | Frame) -> None:  # type: ignore[override]
        """Take a frame that the library has read."""
        if self.response is None or not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        self._fragments += event.data
        self._is_fragmented = not event.fin
        if event.fin:
            self._messages.append(bytes(self._fragments))
            self._fragments.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """End `arrival` too."""
        super().connection_lost(exc)
        self._news.set()

    def _library_reads(self) -> bool:
        """Whether it is in the middle of something: handshake, half a frame, a fragmented message, closing."""
        return (
            self.response is None
            or self._is_fragmented
            or not self._reader.is_between_frames
            or self.protocol.state is not OPEN
        )

    def _cut(self, data: bytes) -> None:
        """Take the plain frames at the front; the library gets what follows on them, unless it is half a plain one."""
        at, size = 0, len(data)
        while at < size:
            end, body = _plain_frame(data, at)
            if end > size:
                self._begun += data[at:]
                self._begun_needs = end - at
                return
            if not end:
                super().data_received(data[at:])
                return
            self._messages.append(data[body:end])
            at = end


def _plain_frame(data: bytes, at: int) -> tuple[int, int]:
    """Where the plain frame at `at` ends and its payload begins, as far as its bytes are there; (0, 0) for another."""
    size = len(data)
    if data[at] not in _PLAIN:
        return 0, 0
    body = at + 2
    if size < body:
        return body, body
    length = data[at + 1]
    if length > 125:
        if length > 127:  # masked: no server may
            return 0, 0
        body += _LENGTH_BYTES[length]
        if size < body:
            return body, body
        length = int.from_bytes(data[at + 2 : body])
        if length > FRAME_BYTES_MAX:
            return 0, 0
    return body + length, body


@asynccontextmanager
async def frame_socket(url: str, clock: Clock, *, compression: bool = False) -> AsyncIterator[FrameSocket]:
    """An open connection. Raises: InvalidURI, InvalidStatus, OSError, TimeoutError, WebSocketException."""
    connecting = connect(
        url,
        max_size=FRAME_BYTES_MAX,
        compression="deflate" if compression else None,
        open_timeout=10,
        close_timeout=1,
        ping_interval=None,  # what the exchange sends proves more, and a pong waits behind our own full queue
        create_connection=partial(FrameSocket, clock),  # type: ignore[arg-type]  # a factory is as good as a class
    )
    socket: ClientConnection | None = None
    try:
        async with connecting as socket:
            assert isinstance(socket, FrameSocket)
            yield socket
    finally:
        if socket is not None:
            socket.transport.abort()  # who is cancelled twice is interrupted in its farewell
