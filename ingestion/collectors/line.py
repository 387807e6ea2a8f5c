"""`Line`: the connections of one shard, one after another and, when one is replaced in good order, for a while two."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from ingestion.collectors.base_collector import Reconnects, SessionEnd
from ingestion.collectors.connection import Connection
from ingestion.collectors.frame_record import note, recorded
from ingestion.collectors.replacement import Replacement
from ingestion.collectors.venue import Venue
from ingestion.confirmation import CONFIRM_S, Confirmations, named_in
from ingestion.exchanges.protocol import Break, Refused, Subscription
from ingestion.handover import Key
from ingestion.retry import RetryPolicy
from ingestion.shards import Shard, channel_of, rotation_age_s
from shared.errors import ExchangeRefused
from shared.log import get_log

_BOOKS = frozenset({"l2", "orderbook"})
_LEAVING_AGE_S = 10.0  # a venue that sends every connection away at once is not obeyed sooner
_LOOK_S = 1.0  # how soon it is noticed that a connection is open, and ages
_Task: TypeAlias = "asyncio.Task[SessionEnd]"


@dataclass
class Surroundings:
    """What the lines of one collector share."""

    venue: Venue
    retry: RetryPolicy
    rng: random.Random
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    store_frames: bool = False


class Line:
    """Carries the streams of one shard for ever. `run` raises what must end the collector."""

    def __init__(self, shard: Shard, around: Surroundings) -> None:
        self.shard, self._around = shard, around
        self._venue, self._inlet = around.venue, around.venue.inlet
        self._open: dict[Connection, _Task] = {}  # one; two while one replaces the other
        self._replacement: Replacement | None = None
        self._wanted_rotation = asyncio.Event()
        self._urgent = False  # the exchange will close the connection
        self._rotate_from_s = 0.0  # not again before, after one has failed
        self._confirmations = Confirmations()
        self.reconnects, self.rotations = 0, 0
        self._log = get_log("collector").bind(feed=self._inlet.name, shard=shard.number)

    async def run(self) -> None:
        """Keep the shard connected until cancelled.

        Raises:
            ExchangeRefused: the exchange refused before anything came from it, or no attempt is left.
            SettingsInvalid: the address is none.
        """
        reconnects = Reconnects(self._inlet.name, self._around.retry, self._around.rng, self._log)
        connection = self._connect()
        try:
            while True:
                end, successor = await self._live(connection)
                if end is None:
                    assert successor is not None, "a connection ends or is replaced"
                    connection = successor
                    continue
                self._ended(end, connection)
                if successor is not None:
                    connection = successor
                    continue
                await asyncio.sleep(reconnects.wait_s(end, rows=connection.rows, lasted_s=connection.age_s))
                self.reconnects += 1
                connection = self._connect()
        finally:
            if self._replacement is not None:
                self._done(self._replacement)  # trades that waited in it have been received
            for task in self._open.values():
                task.cancel()
            await asyncio.gather(*self._open.values(), return_exceptions=True)

    def change(self, shard: Shard) -> None:
        """Carry other streams: what is in both goes on untouched."""
        added, removed = shard.subscriptions - self.shard.subscriptions, self.shard.subscriptions - shard.subscriptions
        exchange = self._venue.exchange
        carried = {(channel_of(exchange, each.table), each.raw_symbol) for each in self.shard.subscriptions - removed}
        shared = {each for each in added if (channel_of(exchange, each.table), each.raw_symbol) in carried}
        self.shard = shard
        for connection in self._open:
            connection.leave(sorted(removed))
            connection.ask(sorted(added - shared))
        if shared:  # a book that is subscribed already comes whole only on another connection
            self.rotate("the settings changed")

    def rotate(self, why: str, *, urgent: bool = False) -> None:
        """Replace the connection: the new one is open before the old one is closed."""
        self._log.info("replacing the connection", why=why)
        self._urgent = self._urgent or urgent
        self._wanted_rotation.set()

    @property
    def connection(self) -> Connection | None:
        """What carries the streams; None while none is open, or one replaces another."""
        only = next(iter(self._open)) if len(self._open) == 1 else None
        return only if only is not None and only.opened_ns is not None and only.has_asked else None

    def resubscribe(self, subscription: Subscription) -> None:
        """Ask anew for one stream of the open connection, and touch no other."""
        connection = self.connection
        if connection is None:  # the next one asks for everything
            return
        if subscription.table in _BOOKS:
            connection.send(connection.session.resync(subscription.symbol))
        else:
            connection.leave([subscription])
            connection.ask([subscription])

    def report(self) -> list[dict[str, Any]]:
        """How each connection is doing."""
        return [
            {
                "connection": each.number,
                "shard": self.shard.number,
                "url": each.url,
                "streams": len(self.shard.subscriptions),
                "age_s": round(each.age_s, 1),
                "rows": each.rows,
                "unconfirmed": len((each.session.unconfirmed | each.confirmations.refused) & self.shard.subscriptions),
                "reconnects": self.reconnects,
                "rotations": self.rotations,
            }
            for each in self._open
        ]

    def broken(self, connection: Connection, event: Break) -> None:
        """Rows are missing: on the streams that this connection brings, and on no other's."""
        self._inlet.statistics.sequence_breaks += 1
        keys = self._keys()
        if self._replacement is not None:
            is_new, switched = connection is self._replacement.new, self._replacement.handover.switched
            keys = [key for key in keys if key[0] == "trades" or (key in switched) is is_new]
        wanted = [
            key
            for key in keys
            if (event.tables is None or key[0] in event.tables) and (event.symbols is None or key[1] in event.symbols)
        ]
        self._inlet.interrupt_streams(event.cause, event.evidence, wanted)

    def refused(self, connection: Connection, event: Refused) -> None:
        """A refused subscription is reported and the others go on; a refused connection ends."""
        unconfirmed = connection.session.unconfirmed
        refused = [event.subscription] if event.subscription else named_in(event.reason, unconfirmed)
        for each in refused:
            if connection.confirmations.refuse(each, connection.now_s):
                connection.report(each, event.reason)
                self._log.warning("subscription refused", table=each.table, symbol=each.symbol, reason=event.reason)
        all_refused = connection.confirmations.refused >= self.shard.subscriptions
        if all_refused and not self._venue.has_delivered:
            connection.end(SessionEnd("refused", event.reason))
        elif refused and event.subscription is None:  # the whole message was, for the sake of these
            connection.ask(sorted(unconfirmed - connection.confirmations.refused))
        elif not refused and (connection.rows or unconfirmed < self.shard.subscriptions):
            self._log.warning("the exchange complains", reason=event.reason)
        elif not refused:
            connection.end(SessionEnd("refused", event.reason))

    def leaving(self, connection: Connection, evidence: str) -> None:
        """The exchange will close this connection: make the next one first."""
        if self._replacement is None:
            young_s = max(0.0, _LEAVING_AGE_S - connection.age_s)
            self._rotate_from_s = max(self._rotate_from_s, connection.now_s + young_s)
            self.rotate(evidence, urgent=True)

    def review(self, connection: Connection) -> None:
        """Ask again for what is not confirmed, report what is not confirmed then either."""
        confirmations, wanted = connection.confirmations, self.shard.subscriptions
        for each in confirmations.confirmed(wanted, connection.session.unconfirmed):
            self._log.info("subscription confirmed at last", table=each.table, symbol=each.symbol)
        due = confirmations.due(wanted, connection.session.unconfirmed, connection.now_s)
        for each in due.report:
            reason = f"not confirmed within {2 * CONFIRM_S:.0f} s, though asked for twice"
            connection.report(each, reason)
            self._log.warning("subscription not confirmed", table=each.table, symbol=each.symbol)
        connection.ask(due.ask)

    def _connect(self) -> Connection:
        around, self._confirmations = self._around, self._confirmations.successor()
        wanted = self.shard.subscriptions - self._confirmations.refused
        session, number = self._venue.exchange.session(wanted), next(around.numbers)
        if around.store_frames:
            session = recorded(session, number, self._inlet)
        connection = Connection(number, url=self.shard.url, session=session, venue=self._venue, owner=self)
        connection.confirmations = self._confirmations
        self._wanted_rotation.clear()  # what is wished from here on, this connection does not have
        self._urgent = False
        self._open[connection] = asyncio.create_task(connection.run())
        return connection

    async def _live(self, connection: Connection) -> tuple[SessionEnd | None, Connection | None]:
        """Wait for a connection's end: how it ended, and what carries its streams already.

        The end is None where it was replaced in good order.
        """
        task = self._open[connection]
        while True:
            await self._until_due(connection, task)
            if task.done():
                return task.result(), None
            async with nullcontext() if self._urgent else self._venue.rotating:
                if task.done():
                    return task.result(), None
                was_urgent, new = self._urgent, self._connect()
                replacement = self._replacement = Replacement(
                    connection, new, inlet=self._inlet, wanted=lambda: self.shard.subscriptions
                )
                outcome = await replacement.run(task, self._open[new])
            if outcome == "old ended":
                return task.result(), new
            if outcome == "replaced":
                note(connection.session, "end")
                self._done(replacement)
                self.rotations += 1
                del self._open[connection]
                return None, new
            self._urgent = self._urgent or was_urgent
            self._give_back(replacement, self._open.pop(new).result())

    async def _until_due(self, connection: Connection, task: _Task) -> None:
        """Return when the connection has ended, or is open and to be replaced."""
        lifetime_s, number = self._venue.exchange.profile.limits.lifetime_s, self.shard.number
        jitter = self._around.rng.random()
        while not task.done():
            waiting = asyncio.create_task(self._wanted_rotation.wait())
            timeout_s = None if lifetime_s is None else _LOOK_S
            try:
                if self._wanted_rotation.is_set() or connection.opened_ns is None:
                    await asyncio.wait({task}, timeout=_LOOK_S)
                else:
                    await asyncio.wait({task, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            is_old = lifetime_s is not None and connection.age_s >= rotation_age_s(lifetime_s, number, jitter=jitter)
            is_time = connection.now_s >= self._rotate_from_s
            if connection.opened_ns is not None and is_time and (is_old or self._wanted_rotation.is_set()):
                return

    def _done(self, replacement: Replacement) -> None:
        self._replacement = None
        replacement.finish()

    def _give_back(self, replacement: Replacement, end: SessionEnd) -> None:
        """The new connection failed: its streams are the old one's again, and books must come anew."""
        retry = self._around.retry
        usual_s = (retry.first_delay_s if self._urgent else retry.delay_s_max) * self._around.rng.uniform(0.5, 1.0)
        pause_s = max(end.retry_after_s, usual_s)
        self._log.warning("replacement failed", evidence=end.evidence, again_in_s=round(pause_s, 1))
        self._rotate_from_s = replacement.old.now_s + pause_s
        self._confirmations = replacement.old.confirmations
        self._wanted_rotation.set()
        switched = replacement.handover.switched
        evidence = f"a new connection failed: {end.evidence}"
        note(replacement.new.session, "end", cause="disconnect", evidence=evidence)
        self._inlet.interrupt_streams("disconnect", evidence, switched)
        self._done(replacement)
        for symbol in sorted({symbol for table, symbol in switched if table in _BOOKS}):
            replacement.old.send(replacement.old.session.resync(symbol))

    def _ended(self, end: SessionEnd, connection: Connection) -> None:
        """A connection ended before another one had everything."""
        self._inlet.statistics.sessions += 1
        note(connection.session, "end", cause=end.cause, evidence=end.evidence)
        if end.cause == "refused" and not self._venue.has_delivered:
            raise ExchangeRefused(f"{self._inlet.name}: {end.evidence}")
        replacement = self._replacement
        keys = self._keys()
        if replacement is not None:
            keys = [key for key in keys if key[0] == "trades" or key not in replacement.handover.switched]
        for each in connection.session.wanted - connection.session.unconfirmed:
            self._inlet.expect(each.table, each.symbol)  # what it would have told is unknown, also without a row yet
        self._inlet.interrupt_streams("disconnect" if end.cause == "refused" else end.cause, end.evidence, keys)
        if replacement is not None:
            self._done(replacement)
        del self._open[connection]

    def _keys(self) -> list[Key]:
        return [(each.table, each.symbol) for each in self.shard.subscriptions]
