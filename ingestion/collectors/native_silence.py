"""The silence detector's shell for native collectors: samples streams, looks by REST, asks anew for what is dead."""

import asyncio
from collections.abc import Callable, Collection
from typing import NamedTuple

from ingestion.collectors.line import Line
from ingestion.collectors.silence_verdict import verdict
from ingestion.collectors.venue import Venue
from ingestion.exchanges.protocol import Newest, Subscription
from ingestion.silence import GRACE_S, SAMPLE_S, Finding, Key, SilenceRules, SilenceWatch
from shared.errors import FrameMalformed


class _Carried(NamedTuple):
    """A stream, and what carries it now."""

    subscription: Subscription
    line: Line
    connection: int


class NativeSilence:
    """Watches every confirmed stream of one exchange; those not confirmed are asked for again elsewhere."""

    def __init__(
        self, venue: Venue, lines: Callable[[], Collection[Line]], *, rules: SilenceRules | None = None
    ) -> None:
        self._venue, self._inlet, self._lines = venue, venue.inlet, lines
        self._watch = SilenceWatch(rules or SilenceRules())
        self._carried: dict[Key, _Carried] = {}

    async def run(self) -> None:
        """Sample each second, look where a look is due, for ever."""
        clock, watch = self._inlet.clock, self._watch
        async with asyncio.TaskGroup() as looks:
            while True:
                await asyncio.sleep(SAMPLE_S)
                now_ns = clock.mono_ns()
                self._follow(now_ns)
                watch.sample(self._count, now_ns, excused=self._inlet.full)
                for key in watch.due(now_ns):
                    looks.create_task(self._look(key))

    def _follow(self, now_ns: int) -> None:
        """Take note of what is carried by which connection; a stream on a new one begins its silence anew."""
        now: dict[Key, _Carried] = {}
        for line in self._lines():
            connection = line.connection
            if connection is None:  # none is open, or one replaces another: known in a moment
                kept = {key: each for key, each in self._carried.items() if each.line is line}
                now |= {key: each for key, each in kept.items() if each.subscription in line.shard.subscriptions}
                continue
            open_questions = connection.session.unconfirmed | connection.confirmations.refused
            for each in line.shard.subscriptions - open_questions:
                now[each.table, each.symbol] = _Carried(each, line, connection.number)
        for key in self._carried.keys() - now.keys():
            self._watch.forget(key)
        for key, carried in now.items():
            if key not in self._carried or self._carried[key].connection != carried.connection:
                self._watch.subscribed(key, now_ns, connection=carried.line.shard.number)
        self._carried = now

    async def _look(self, key: Key) -> None:
        """Ask for the market's newest trade, and judge by it when what is on its way to us has come."""
        carried, theirs = self._carried[key], None
        request = self._venue.exchange.look(carried.subscription)
        if request is not None and carried.line.connection is not None:
            self._inlet.statistics.silence_looks += 1
            theirs = self._newest(carried.subscription, (await self._venue.get(request)).body)
            await asyncio.sleep(GRACE_S)
        finding = verdict(self._watch, self._inlet, key, theirs)
        if finding is not None:
            self._remedy(finding, self._carried[key])  # what is not carried any more is forgotten, and never found

    def _newest(self, subscription: Subscription, body: bytes | None) -> Newest | None:
        try:
            return None if body is None else self._venue.exchange.newest(subscription, body)
        except FrameMalformed:
            return None  # no answer proves nothing; it is asked for again later

    def _remedy(self, finding: Finding, carried: _Carried) -> None:
        if finding.remedy == "reconnect":
            carried.line.rotate(f"dead streams: {finding.evidence}")
        else:
            carried.line.resubscribe(carried.subscription)
        now_ns = self._inlet.clock.mono_ns()
        self._watch.subscribed(finding.key, now_ns, connection=carried.line.shard.number)

    def _count(self, key: Key) -> int:
        return self._inlet.standing(*key).rows
