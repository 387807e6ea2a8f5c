"""What else turns a socket's frames into something, each doing as little as it allows: CPU seconds per frame.

`bare`: `websockets` and one JSON decoder, the result thrown away. `cryptofeed`: its connection and its handler with
callbacks that only count, without TLS. `ccxt`: `watch_trades` and `watch_order_book` of ccxt.pro.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from websockets.asyncio.client import connect

BARE = "bare websockets + msgspec"
_MARKET = {
    "id": "BTC-USD",
    "symbol": "BTC/USD",
    "base": "BTC",
    "quote": "USD",
    "baseId": "BTC",
    "quoteId": "USD",
    "type": "spot",
    "spot": True,
    "active": True,
    "precision": {"price": 0.01, "amount": 1e-8},
    "limits": {},
}


async def bare(url: str, frames: int, kind: str) -> float:
    """The least that can be done with `websockets`."""
    began_s = time.process_time()
    async with connect(url, compression=None, max_size=None, close_timeout=0.01) as socket:
        await socket.send(b"{}", text=True)
        for _ in range(frames):
            msgspec.json.decode(await socket.recv(decode=False))
        return (time.process_time() - began_s) / frames


async def cryptofeed(url: str, frames: int, kind: str) -> float:
    """cryptofeed's read loop, as its `ConnectionHandler` has it. Raises: ImportError where it is not installed."""
    from cryptofeed.connection import WSAsyncConn
    from cryptofeed.defines import L2_BOOK, TRADES
    from cryptofeed.exchanges import Coinbase
    from cryptofeed.symbols import Symbols

    async def count(_: Any, received_s: float) -> None:
        return

    Symbols.set("COINBASE", {"BTC-USD": "BTC-USD"}, {"tick_size": {}, "instrument_type": {"BTC-USD": "spot"}})
    config = {"coinbase": {"key_id": "none", "key_secret": "none"}, "log": {"disabled": True}}
    channel = TRADES if kind == "trades" else L2_BOOK
    feed = Coinbase(config=config, symbols=["BTC-USD"], channels=[channel], callbacks={channel: count})
    connection = WSAsyncConn("wss://of.no.use", "bench", compression=None, max_size=None, max_queue=None)
    connection.address = url
    connection.ws_kwargs["close_timeout"] = 0.01
    seen = 0
    began_s = time.process_time()
    async with connection.connect():
        await connection.write("{}")
        async for message in connection.read():
            await feed.message_handler(message, connection, connection.last_message)
            seen += 1
            if seen == frames:
                return (time.process_time() - began_s) / frames
    raise AssertionError(f"{seen} of {frames} frames came")


async def ccxt(url: str, frames: int, kind: str) -> float:
    """ccxt.pro end to end: its unified call in a loop, until every frame has gone through it."""
    import ccxt.pro

    class Counting(ccxt.pro.coinbase):  # type: ignore[misc]
        seen = 0

        def handle_message(self, client: Any, message: Any) -> Any:
            self.seen += 1
            return super().handle_message(client, message)

    exchange = Counting({"urls": {"api": {"ws": url}}, "enableRateLimit": False, "newUpdates": True})
    exchange.set_markets([_MARKET])
    began_s = time.process_time()
    try:
        watching = asyncio.create_task(_watch(exchange, kind))
        while exchange.seen < frames and not watching.done():
            await asyncio.sleep(0.02)
        if watching.done():
            watching.result()
        cost_s = (time.process_time() - began_s) / frames
        watching.cancel()
        return cost_s
    finally:
        await exchange.close()


async def _watch(exchange: Any, kind: str) -> None:
    while True:
        await (exchange.watch_trades("BTC/USD") if kind == "trades" else exchange.watch_order_book("BTC/USD"))


RIVALS: dict[str, Callable[[str, int, str], Awaitable[float]]] = {
    BARE: bare,
    "cryptofeed": cryptofeed,
    "ccxt.pro": ccxt,
}
