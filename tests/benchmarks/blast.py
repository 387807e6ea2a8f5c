"""An exchange that costs nothing: Coinbase frames made beforehand, sent as fast as the socket takes them, or paced.

It runs in its own process. `ws://.../trades/40000/0` sends 40,000 frames of trades at once when the client has asked
for something; `ws://.../l2/10000/2000` sends book updates, 2,000 a second.
"""

import asyncio
import base64
import hashlib
import multiprocessing
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection

import msgspec

CORPUS = 60_000  # frames of each kind
_TRADES_PER_FRAME = (1, 1, 2, 1, 3, 1, 2, 1, 2, 2)  # 1.6 a frame, as recorded on the exchange
_LEVELS_PER_FRAME = (2, 4, 12, 6, 1, 20, 3, 9, 5, 10)  # 7.2 a frame, as recorded
_SNAPSHOT_LEVELS = 2_000  # a side
_CHUNK_BYTES = 1 << 16
_ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def trades(number: int) -> list[bytes]:
    """Frames of `market_trades`, trade ids and sequence numbers contiguous, newest trade first."""
    rng = random.Random(1)
    ids, price, out = count(1_000_001), 65_000.0, []
    for place in range(number):
        batch = []
        for trade_id in (next(ids) for _ in range(_TRADES_PER_FRAME[place % 10])):
            price = max(1.0, price + rng.choice((-0.01, 0, 0, 0.01)))
            size = rng.choice((f"{rng.random():.8f}", f"{rng.randint(1, 50) / 100:.2f}"))
            batch.append(
                {
                    "product_id": "BTC-USD",
                    "trade_id": str(trade_id),
                    "price": f"{price:.2f}",
                    "size": size,
                    "time": _moment(trade_id),
                    "side": rng.choice(("BUY", "SELL")),
                }
            )
        out.append(_frame("market_trades", place, {"type": "update", "trades": batch[::-1]}))
    return out


def books(number: int) -> list[bytes]:
    """A snapshot, then frames of `l2_data` whose levels wander with the price."""
    rng = random.Random(2)
    middle = 6_500_000  # in cents
    places = [*range(1, _SNAPSHOT_LEVELS + 1)]
    levels = [_level("bid", middle - each, rng, 0) for each in places]
    levels += [_level("offer", middle + each, rng, 0) for each in places]
    out = [_frame("l2_data", 0, {"type": "snapshot", "product_id": "BTC-USD", "updates": levels})]
    for place in range(1, number):
        middle += rng.choice((-1, 0, 0, 1))
        levels = []
        for _ in range(_LEVELS_PER_FRAME[place % 10]):
            away = min(1500, 1 + int(rng.expovariate(0.02)))
            side = rng.choice(("bid", "offer"))
            levels.append(_level(side, middle + (away if side == "offer" else -away), rng, place))
        out.append(_frame("l2_data", place, {"type": "update", "product_id": "BTC-USD", "updates": levels}))
    return out


def _level(side: str, cents: int, rng: random.Random, place: int) -> dict[str, str]:
    size = "0" if rng.random() < 0.3 else f"{rng.random() * 2:.8f}"
    return {
        "side": side,
        "event_time": _moment(place),
        "price_level": f"{cents / 100:.2f}",
        "new_quantity": size,
    }


def _moment(place: int) -> str:
    return f"2026-08-09T21:{place // 60_000 % 60:02d}:{place // 1000 % 60:02d}.{place % 1000:03d}318Z"


def _frame(channel: str, place: int, event: dict[str, object]) -> bytes:
    moment = "2026-08-09T21:05:48.228568804Z"
    message = {"channel": channel, "client_id": "", "timestamp": moment, "sequence_num": place, "events": [event]}
    payload = msgspec.json.encode(message)
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    if len(payload) < 1 << 16:
        return b"\x81\x7e" + len(payload).to_bytes(2) + payload
    return b"\x81\x7f" + len(payload).to_bytes(8) + payload


def payload_of(frame: bytes) -> bytes:
    """The message inside a frame of this module."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


async def _session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, corpora: dict[str, list[bytes]]) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        kind, number, per_s = head.split()[1].strip("/").split("/")
        key = next(
            line.split(":")[1].strip() for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key.encode() + _KEY).digest())
        writer.write(_ACCEPT + accept + b"\r\n\r\n")
        await reader.read(1)  # the client asks for something
        await asyncio.sleep(0.2)
        await _send(writer, corpora[kind][: int(number)], int(per_s))
        await reader.read()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter, frames: list[bytes], per_s: int) -> None:
    now_s = asyncio.get_running_loop().time
    began_s, chunk = now_s(), bytearray()
    for place, frame in enumerate(frames):
        if per_s:
            await asyncio.sleep(max(0.0, began_s + place / per_s - now_s()))
        chunk += frame
        if per_s or len(chunk) >= _CHUNK_BYTES:
            writer.write(bytes(chunk))
            chunk.clear()
            await writer.drain()
    writer.write(bytes(chunk))
    await writer.drain()


def _serve(pipe: Connection) -> None:
    corpora = {"trades": trades(CORPUS), "l2": books(CORPUS)}

    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: _session(r, w, corpora), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.sleep(3600)

    asyncio.run(main())


@contextmanager
def blast() -> Iterator[Callable[[str, int, int], str]]:
    """The address of a corpus: its name, frames, frames a second (0: as fast as they go)."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        port = ours.recv()
        yield lambda kind, number, per_s=0: f"ws://127.0.0.1:{port}/{kind}/{number}/{per_s}"
    finally:
        process.kill()
