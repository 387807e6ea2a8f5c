"""Whatever way the bytes come in, a `FrameSocket` gives the messages that the library gives."""

import asyncio
from itertools import pairwise
from unittest.mock import Mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from ingestion.collectors.frame_socket import FRAME_BYTES_MAX, FrameSocket, frame_socket
from shared.clock import SystemClock

PAYLOADS = st.one_of(st.binary(max_size=20), st.sampled_from([125, 126, 127, 65535, 65536]).map(bytes))
MESSAGES = st.one_of(
    st.tuples(st.just("whole"), st.lists(PAYLOADS, min_size=1, max_size=1)),
    st.tuples(st.just("fragments"), st.lists(PAYLOADS, min_size=2, max_size=4)),
    st.tuples(st.just("ping"), st.lists(st.binary(max_size=20), min_size=1, max_size=1)),
)
BROKEN = st.sampled_from([b"\x83\x00", b"\xc1\x01x", b"\x81\x81....x", b"\x80\x01x", b"\x81\xff" + b"\xff" * 8, b""])


def wire(kind: str, parts: list[bytes]) -> bytes:
    if kind == "ping":
        return Frame(Opcode.PING, parts[0]).serialize(mask=False)
    codes = [Opcode.TEXT, *[Opcode.CONT] * (len(parts) - 1)]
    ends = [*[False] * (len(parts) - 1), True]
    frames = zip(codes, parts, ends, strict=True)
    return b"".join(Frame(code, part, fin=fin).serialize(mask=False) for code, part, fin in frames)


def opened(socket_type: type[ClientConnection], *arguments: object) -> ClientConnection:
    protocol = ClientProtocol(parse_uri("ws://example.invalid"), state=OPEN, max_size=FRAME_BYTES_MAX)
    socket = socket_type(*arguments, protocol, max_queue=None)
    socket.response = Response(101, "", None)
    socket.connection_made(Mock())
    return socket


async def fed(socket: ClientConnection, chunks: list[bytes]) -> None:
    for chunk in chunks:
        socket.data_received(chunk)
    socket.eof_received()
    socket.connection_lost(None)


async def by_the_library(chunks: list[bytes]) -> tuple[list[bytes], object]:
    socket, messages = opened(ClientConnection), []
    await fed(socket, chunks)
    try:
        while True:
            messages.append(await socket.recv(decode=False))
    except ConnectionClosed:
        return messages, socket.protocol.close_sent


async def by_arrivals(chunks: list[bytes]) -> tuple[list[bytes], object]:
    socket, messages = opened(FrameSocket, SystemClock()), []
    await fed(socket, chunks)
    try:
        while True:
            messages += (await socket.arrival()).messages
    except ConnectionClosed:
        return messages, socket.protocol.close_sent


@given(messages=st.lists(MESSAGES, max_size=8), end=BROKEN, cuts=st.lists(st.integers(0, 400), max_size=12))
@example(
    messages=[("whole", [b"a"]), ("ping", [b""]), ("whole", [b"b"])], end=b"\x88\x02\x03\xe8", cuts=[1, 2, 3, 4, 5]
)
@example(  # a length whose first byte looks like a frame, cut off from its header behind what the library reads
    messages=[("ping", [b""]), ("whole", [bytes(0x8105)]), ("whole", [b"b"])], end=b"", cuts=[4]
)
def test_the_same_messages_and_the_same_end_as_the_library(messages, end, cuts):
    data = b"".join(wire(*message) for message in messages) + end
    bounds = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    chunks = [data[a:b] for a, b in pairwise(bounds) if a < b]
    ours, theirs = asyncio.run(by_arrivals(chunks)), asyncio.run(by_the_library(chunks))
    assert ours == theirs
    assert ours[0] == [b"".join(parts) for kind, parts in messages if kind != "ping"]


async def test_what_is_not_taken_stops_the_reading_and_what_is_taken_starts_it():
    socket = opened(FrameSocket, SystemClock())
    frame = Frame(Opcode.TEXT, bytes(700_000)).serialize(mask=False)
    socket.data_received(frame)
    assert not socket.transport.pause_reading.called
    socket.data_received(frame)
    assert socket.transport.pause_reading.called
    assert len((await socket.arrival()).messages) == 1
    assert socket.transport.resume_reading.called


async def test_a_real_connection_brings_large_messages_and_tells_its_end():
    sent = [b"{}", bytes(3_000_000), b"x" * 126]

    async def session(socket: ServerConnection) -> None:
        await socket.send(sent[0])
        await socket.send([sent[1][:100], sent[1][100:]])
        await socket.send(sent[2])
        await socket.close(1011, "enough")

    received: list[bytes] = []

    async def collect(port: int) -> None:
        async with frame_socket(f"ws://127.0.0.1:{port}", SystemClock(), compression=True) as socket:
            while True:
                received.extend((await socket.arrival()).messages)

    async with serve(session, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionClosedError, match="enough"):
            await collect(server.sockets[0].getsockname()[1])
    assert received == sent


async def test_who_is_cancelled_in_the_farewell_leaves_no_connection(monkeypatch: pytest.MonkeyPatch):
    async def session(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    sockets: list[FrameSocket] = []

    async def collect(port: int) -> None:
        async with frame_socket(f"ws://127.0.0.1:{port}", SystemClock()) as socket:
            sockets.append(socket)
            await socket.arrival()

    async with serve(session, "127.0.0.1", 0) as server:
        monkeypatch.setattr(FrameSocket, "close", never)
        task = asyncio.create_task(collect(server.sockets[0].getsockname()[1]))
        while not sockets:
            await asyncio.sleep(0.01)
        for _ in range(2):
            task.cancel()
            await asyncio.wait({task}, timeout=0.05)
        assert task.cancelled()
        assert sockets[0].transport.is_closing()
