"""The local exchange: both venues behind one port on this machine, nothing reachable from outside."""

import asyncio
import errno
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from ingestion.simulator.coinbase import CoinbaseVenue
from ingestion.simulator.connection import Connection, Outlet
from ingestion.simulator.events import Source
from ingestion.simulator.faults import Fault, FaultPlan
from ingestion.simulator.feed import Feed, VenueProtocol
from ingestion.simulator.kraken import KrakenVenue
from ingestion.simulator.market import SeededMarket
from ingestion.simulator.recording import RecordedFrames, RecordedVenue
from ingestion.simulator.rest import add_coinbase_routes, add_kraken_routes
from ingestion.simulator.truth import Truth
from shared.errors import PortInUse

HOST = "127.0.0.1"
VENUES = ("coinbase", "kraken")
_WS_PATHS = {"coinbase": "/coinbase/ws", "kraken": "/kraken/v2"}


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The waits of the exchange; the defaults are the venues' own where they have one."""

    speed: float = 1.0  # market seconds per second; 0 is as fast as the clients read
    settle_s: float = 0.25  # a market begins when its clients have said nothing for this long
    heartbeat_s: float = 1.0
    subscribe_within_s: float = 5.0  # Coinbase closes a client that has subscribed to nothing

    def __post_init__(self) -> None:
        if self.speed < 0 or self.speed != self.speed:  # the latter is NaN
            raise ValueError(f"speed must be 0 (unpaced) or more, was {self.speed}")


class LocalExchange:
    """A server speaking the venues' wire protocols, and the truth about what it sent.

    Use as `async with LocalExchange(SeededMarket(seed=7), timing=Timing(speed=0)) as exchange`.
    A venue's market begins when its first client has subscribed.

    Raises:
        PortInUse: on entering, where the port is taken.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        port: int = 0,
        venues: Sequence[str] = VENUES,
        timing: Timing = Timing(),  # noqa: B008  frozen
        faults: Sequence[Fault] = (),
        truth_log: Path | None = None,
    ) -> None:
        unknown = set(venues) - set(VENUES)
        if unknown or not venues:
            raise ValueError(f"venues must be among {', '.join(VENUES)}, were {', '.join(venues)}")
        self._source: Source = source or SeededMarket()
        self._venues = [venue for venue in venues if self._source.traded_on(venue)]
        self._timing = timing
        self._plan = FaultPlan(tuple(faults))
        self._truth_log = truth_log
        self._feeds: dict[str, Feed] = {}
        self._refusing_until_s: dict[str, float] = {}
        self._stack = AsyncExitStack()
        self.port = port
        self.exhausted = asyncio.Event()

    @property
    def truth(self) -> Truth:
        """What was made and sent so far."""
        return self._truth

    @property
    def coinbase_ws_url(self) -> str:
        """Stands for `wss://advanced-trade-ws.coinbase.com`."""
        return self._url("ws", _WS_PATHS["coinbase"])

    @property
    def coinbase_rest_url(self) -> str:
        """Stands for `https://api.coinbase.com`, and for Coinbase Exchange's trades by id."""
        return self._url("http", "/coinbase")

    @property
    def kraken_ws_url(self) -> str:
        """Stands for `wss://ws.kraken.com/v2`."""
        return self._url("ws", _WS_PATHS["kraken"])

    @property
    def kraken_rest_url(self) -> str:
        """Stands for `https://api.kraken.com`."""
        return self._url("http", "/kraken")

    @property
    def connection_count(self) -> int:
        """WebSocket clients connected now."""
        return sum(len(feed.connections) for feed in self._feeds.values())

    def urls(self) -> dict[str, str]:
        """Every address by name, for people and ready files."""
        names = ("coinbase_ws_url", "coinbase_rest_url", "kraken_ws_url", "kraken_rest_url")
        return {name: getattr(self, name) for name in names if name.partition("_")[0] in self._venues}

    def ccxt_urls(self, exchange_id: str) -> dict[str, Any]:
        """The `urls` option that points ccxt's `coinbase` or `kraken` at this exchange."""
        if exchange_id == "coinbase":
            return {"api": {"rest": self.coinbase_rest_url, "ws": self.coinbase_ws_url}}
        if exchange_id == "kraken":
            rest, ws = self.kraken_rest_url, self.kraken_ws_url
            socket_urls = {"public": ws, "publicV2": ws, "private": ws, "privateV2": ws}
            return {"api": {"public": rest, "private": rest, "ws": socket_urls}}
        raise ValueError(f"{exchange_id} is not simulated; choose from {', '.join(VENUES)}")

    def inject(self, fault: Fault) -> None:
        """Plan a fault now; one with `at=0` strikes the next frame or at once."""
        self._plan.add(fault)
        if fault.kind == "refuse" and not fault.at and not fault.at_s:
            self._plan.pending.remove(fault)
            for venue in [fault.venue] if fault.venue else self._venues:
                self._truth.struck(venue, fault)
                self._refuse(venue, fault.duration_s)
        for feed in self._feeds.values():
            for connection in feed.connections:
                connection.poke()

    async def close_market(self, *, within_s: float) -> bool:
        """End every market that has begun; whether all that happened in it was sent within `within_s`."""
        begun = [feed for feed in self._feeds.values() if feed.begun]
        for feed in begun:
            feed.close()
        try:
            async with asyncio.timeout(within_s):
                for feed in begun:
                    await feed.exhausted.wait()
        except TimeoutError:
            return False
        return True

    async def __aenter__(self) -> "LocalExchange":
        async with AsyncExitStack() as stack:
            listener = _listen(self.port)
            stack.callback(listener.close)
            self.port = listener.getsockname()[1]
            self._truth = stack.enter_context(Truth(self._truth_log))
            app = web.Application()
            outlets = [self._add_venue(app, venue) for venue in self._venues]
            runner = web.AppRunner(app, shutdown_timeout=1.0, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, listener).start()
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = [group.create_task(self._play(feed)) for feed in self._feeds.values()]
            tasks += [group.create_task(self._beat(outlet)) for outlet in outlets]
            stack.callback(_cancel, tasks)
            stack.callback(self._dismiss_all)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # The task group must not wrap what the body raised, so it is not told.
        await self._stack.__aexit__(None, None, None)

    def _add_venue(self, app: web.Application, venue: str) -> Outlet:
        feed = Feed(venue, self._source, speed=self._timing.speed, settle_s=self._timing.settle_s)
        self._feeds[venue] = feed
        outlet = feed.outlet(self._plan, self._truth, lambda seconds: self._refuse(venue, seconds))
        protocol: VenueProtocol
        if isinstance(self._source, RecordedFrames):
            protocol = RecordedVenue(feed.state)
        else:
            protocol = KrakenVenue(feed.state) if venue == "kraken" else CoinbaseVenue(feed.state)

        async def connect(request: web.Request) -> web.StreamResponse:
            if asyncio.get_running_loop().time() < self._refusing_until_s.get(venue, 0.0):
                return web.Response(status=503, headers={"Retry-After": "1"})
            return await self._converse(request, feed, Connection(protocol.session(), outlet))

        app.router.add_get(_WS_PATHS[venue], connect)
        (add_kraken_routes if venue == "kraken" else add_coinbase_routes)(app, feed)
        return outlet

    async def _converse(self, request: web.Request, feed: Feed, client: Connection) -> web.StreamResponse:
        ws = web.WebSocketResponse(compress=False, max_msg_size=1 << 20)
        await ws.prepare(request)
        feed.connections.add(client)
        client.put(client.session.open(feed.now_ns()))
        writer = asyncio.create_task(client.write(ws, request))
        try:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    client.put(client.session.receive(message.data.encode(), feed.now_ns()))
                    feed.heard()
        finally:
            if not client.ended:  # the client left; the writer may wait for one that reads no more
                writer.cancel()
            client.finish()
            feed.connections.discard(client)
            feed.heard()
            await asyncio.wait([writer])
            if not writer.cancelled():
                writer.result()
        return ws

    async def _beat(self, outlet: Outlet) -> None:
        feed, timing = self._feeds[outlet.venue], self._timing
        while True:
            await asyncio.sleep(timing.heartbeat_s)
            for client in list(feed.connections):
                client.put(client.session.tick(outlet.now_ns()))
                client.poke()
                silent = outlet.venue == "coinbase" and not client.session.subscribed
                if silent and client.open_s >= timing.subscribe_within_s:
                    client.dismiss(1008)

    async def _play(self, feed: Feed) -> None:
        await feed.run()
        if all(other.exhausted.is_set() or not other.begun for other in self._feeds.values()):
            self.exhausted.set()

    def _refuse(self, venue: str, seconds: float) -> None:
        self._refusing_until_s[venue] = asyncio.get_running_loop().time() + seconds

    def _dismiss_all(self) -> None:
        for feed in self._feeds.values():
            for client in feed.connections:
                client.dismiss(1001)

    def _url(self, scheme: str, path: str) -> str:
        return f"{scheme}://{HOST}:{self.port}{path}"


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(HOST, port) from error
        raise
    listener.setblocking(False)
    return listener


def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
