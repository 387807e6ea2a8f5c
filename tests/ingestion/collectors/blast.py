"""Coinbase frames made in advance and written to a socket as fast as it takes them; and what must be stored of them."""

import base64
import hashlib
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import msgspec

SYMBOL = "BTC-USD"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_BEGUN_NS = 1_786_309_538_000_000_000
_DEPTH = 40


class Blast(NamedTuple):
    """Frames, and the truth about them as plain numbers."""

    frames: list[bytes]
    trade_ids: list[int]
    levels: list[tuple[str, float, float]]  # every level change in order: side, price, size
    tops: list[tuple[float, float, float, float]]  # after each book message: best bid, its size, best ask, its size


def blast(*, book_updates: int, trades: int, seed: int = 4) -> Blast:
    """A snapshot, then updates and trades mixed; numbers are made as texts, so no decoder made the expectation."""
    rng = random.Random(seed)
    kinds = ["book"] * book_updates + ["trade"] * trades
    rng.shuffle(kinds)
    bids = {64_999.99 - n * 0.5: f"{rng.randint(1, 9999) / 1000:.3f}" for n in range(_DEPTH)}
    asks = {65_000.01 + n * 0.5: f"{rng.randint(1, 9999) / 1000:.3f}" for n in range(_DEPTH)}
    made = Blast([], [], [], [])
    first = [("bid", price, size) for price, size in bids.items()] + [("offer", p, s) for p, s in asks.items()]
    made.frames.append(_frame("subscriptions", 0, [{"subscriptions": {"level2": [SYMBOL], "market_trades": [SYMBOL]}}]))
    _book(made, "snapshot", first, 1, bids, asks)
    trade_id = 900_000_000
    for number, kind in enumerate(kinds, 2):
        if kind == "trade":
            trade_id += 1
            made.trade_ids.append(trade_id)
            print_ = {
                "product_id": SYMBOL,
                "trade_id": str(trade_id),
                "price": f"{64_000 + trade_id % 200_000 / 100:.2f}",
                "size": f"{rng.randint(1, 10**6) / 10**8:.8f}",
                "time": _time(number),
                "side": rng.choice(("BUY", "SELL")),
            }
            made.frames.append(_frame("market_trades", number, [{"type": "update", "trades": [print_]}]))
            continue
        changes = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            side, book = rng.choice((("bid", bids), ("offer", asks)))
            price = rng.choice(list(book))
            size = "0" if len(book) > _DEPTH // 2 and rng.random() < 0.2 else f"{rng.randint(1, 9999) / 1000:.3f}"
            if rng.random() < 0.2:
                shift = round(rng.choice((-0.25, 0.25, 0.1)), 2)
                price = round(min(price + shift, 64_999.99) if side == "bid" else max(price + shift, 65_000.01), 2)
                size = f"{rng.randint(1, 9999) / 1000:.3f}"
            changes.append((side, price, size))
        _book(made, "update", changes, number, bids, asks)
    return made


def _book(
    made: Blast,
    kind: str,
    changes: list[tuple[str, float, str]],
    number: int,
    bids: dict[float, str],
    asks: dict[float, str],
) -> None:
    updates = []
    for side, price, size in changes:
        book = bids if side == "bid" else asks
        if size == "0":
            book.pop(price, None)
        else:
            book[price] = size
        updates.append({"side": side, "event_time": _time(number), "price_level": f"{price:.2f}", "new_quantity": size})
        made.levels.append(("bid" if side == "bid" else "ask", float(f"{price:.2f}"), float(size)))
    best_bid, best_ask = max(bids), min(asks)
    made.tops.append((best_bid, float(bids[best_bid]), best_ask, float(asks[best_ask])))
    made.frames.append(_frame("l2_data", number, [{"type": kind, "product_id": SYMBOL, "updates": updates}]))


def _time(number: int) -> str:
    return f"2026-08-09T21:05:{number // 10_000 % 60:02d}.{number % 10_000 * 100:06d}Z"


def _frame(channel: str, number: int, events: list[Any]) -> bytes:
    frame = {
        "channel": channel,
        "client_id": "",
        "timestamp": _time(number),
        "sequence_num": number,
        "events": events,
    }
    return msgspec.json.encode(frame)


@contextmanager
def blasting(frames: list[bytes]) -> Iterator[str]:
    """A WebSocket server that writes all frames to each client that has asked for something; yields its address."""
    payload = b"".join(_header(len(frame)) + frame for frame in frames)
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.append(client)
            threads.append(threading.Thread(target=_converse, args=(client, payload)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for client in clients:
            with suppress(OSError):  # it has gone
                client.shutdown(socket.SHUT_RDWR)
            client.close()
        for thread in threads:
            thread.join()


def _converse(client: socket.socket, payload: bytes) -> None:
    try:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:])
        key = {name.lower(): value for name, value in lines.items()}[b"sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # the RFC's own choice
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        client.recv(4096)
        client.settimeout(1.0)  # quiet for so long: everything has been asked for
        try:
            while client.recv(65_536):
                pass
        except TimeoutError:
            pass
        client.settimeout(None)
        client.sendall(payload)
        while client.recv(65_536):
            pass
    except OSError:
        return


def _header(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    return struct.pack("!BBH", 0x81, 126, length) if length < 65_536 else struct.pack("!BBQ", 0x81, 127, length)
