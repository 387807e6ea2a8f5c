"""One venue's market in motion: it starts with the first subscriber, keeps time, and fills the outboxes."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol

from ingestion.simulator.connection import Connection, Outlet
from ingestion.simulator.events import Moment, Source
from ingestion.simulator.faults import FaultPlan
from ingestion.simulator.session import Session
from ingestion.simulator.state import VenueState
from ingestion.simulator.truth import Truth

_BATCH = 64


class VenueProtocol(Protocol):
    """Whatever makes sessions: a venue's pure protocol."""

    def session(self) -> Session:
        """A conversation for a new connection."""


class Feed:
    """The one market of a venue and everyone who listens to it.

    `speed` is market seconds per second. 0 means as fast as the slowest client takes it: the sockets are
    the clock, and with no client that wants the market it stands still.
    """

    def __init__(self, venue: str, source: Source, *, speed: float, settle_s: float) -> None:
        self.venue, self.source = venue, source
        self._speed, self._settle_s = speed, settle_s
        self.state = VenueState(source.traded_on(venue), has_book=source.has_book)
        self.connections: set[Connection] = set()
        self.begun = False
        self._closing = False
        self.exhausted = asyncio.Event()
        self._changed = asyncio.Event()
        self._moments = self._rest(time.time_ns())
        self._wall_s = asyncio.get_running_loop().time
        self._heard_s = self._wall_s()

    def outlet(self, plan: FaultPlan, truth: Truth, refuse: Callable[[float], None]) -> Outlet:
        """What this venue's connections share."""
        self._truth = truth
        return Outlet(self.venue, plan, truth, self.now_ns, refuse)

    def now_ns(self) -> int:
        """The venue's clock: today's for a live market, the recording's for a replay."""
        return max(time.time_ns(), self.state.last_ns) if self.source.is_live else self.state.last_ns

    def heard(self) -> None:
        """Note that a client came, went or said something."""
        self._heard_s = self._wall_s()
        self._changed.set()

    def close(self) -> None:
        """Let nothing more happen: the market ends here, and what has happened is still sent."""
        self._closing = True
        self._changed.set()

    async def run(self) -> None:
        """Play the market to its end."""
        await self._first_subscriber()
        self.begun = True
        if self.source.is_live:  # a seeded market begins now, not when the server was started
            self._moments = self._rest(time.time_ns())
        if self._speed:
            await self._paced()
        else:
            await self._unpaced()
        while not all(connection.idle for connection in self.connections):
            for connection in list(self.connections):
                await connection.drained.wait()
            await asyncio.sleep(0.01)
        self.state.ended = True
        self._truth.exhausted(self.venue)
        self.exhausted.set()

    def _rest(self, start_ns: int) -> Iterator[Moment]:
        """The moments behind the opening books; those are applied at once, so that snapshots show them."""
        moments = self.source.moments(self.venue, start_ns=start_ns)
        for moment in moments:
            if not (moment.resets_book and self.source.is_live):
                self.state.last_ns = moment.ts_ns
                return chain([moment], moments)
            self.state.apply(moment)
        return iter(())

    async def _first_subscriber(self) -> None:
        """Wait for a client that wants the market, then until clients have been quiet for `settle_s`."""
        await self._listener()
        while (wait_s := self._heard_s + self._settle_s - self._wall_s()) > 0:
            await asyncio.sleep(wait_s)
            await self._listener()

    async def _listener(self) -> None:
        while not (self._closing or any(connection.session.wants_market for connection in self.connections)):
            self._changed.clear()
            await self._changed.wait()

    async def _unpaced(self) -> None:
        for count, moment in enumerate(self._moments, 1):
            if self._closing:
                return
            self._happen(moment)
            if count % _BATCH == 0:
                self._truth.flush()
                await asyncio.sleep(0)
                while crowded := next((each for each in self.connections if each.crowded), None):
                    await crowded.roomy.wait()
                await self._listener()

    async def _paced(self) -> None:
        began_s = self._wall_s()
        first_ns = None
        for count, moment in enumerate(self._moments, 1):
            first_ns = moment.ts_ns if first_ns is None else first_ns
            ahead_s = (moment.ts_ns - first_ns) / 1e9 / self._speed - (self._wall_s() - began_s)
            if ahead_s > 0.001 or count % _BATCH == 0:
                self._truth.flush()
                await asyncio.sleep(max(0.0, ahead_s))
            if self._closing:
                return
            self._happen(moment)
            for connection in [each for each in self.connections if each.hopeless]:
                connection.dismiss(1008)

    def _happen(self, moment: Moment) -> None:
        """Apply, record, then tell: nothing is ever sent that the truth does not hold."""
        self.state.apply(moment)
        if moment.prints:
            self._truth.add(self.venue, moment, self.state.pairs[moment.symbol].instrument)
        for connection in self.connections:
            connection.put(connection.session.publish(moment))
