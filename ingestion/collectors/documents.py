"""`Documents`: what an exchange says by REST alone: its instruments each day, and tables that it has no stream for."""

import asyncio
import random
from collections.abc import Iterable, Sequence

from ingestion.collectors.venue import Venue
from ingestion.exchanges.protocol import Exchange, Subscription
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from ingestion.retry import RetryPolicy
from shared.errors import FrameMalformed
from shared.log import get_log
from shared.rows import Reject, Row

INSTRUMENTS_EVERY_S = 86_400.0
_RETRY = RetryPolicy(first_delay_s=5.0, delay_s_max=600.0)
_IDLE_S = 3600.0


class Documents:
    """Asks for documents and stores their rows, with origin `rest`. A failure never stops capture."""

    def __init__(self, venue: Venue, wanted: Iterable[Subscription], *, poll_interval_s: float) -> None:
        self._venue, self._inlet = venue, venue.inlet
        self._wanted, self.poll_interval_s = frozenset(wanted), poll_interval_s
        self._changed = {"instruments": asyncio.Event(), "polls": asyncio.Event()}
        self._failing: set[str] = set()  # what has failed at its last time; a log line marks each change
        self._rng = random.Random()
        self._log = get_log("collector").bind(feed=self._inlet.name)

    def change(self, wanted: Iterable[Subscription], *, poll_interval_s: float) -> None:
        """Ask for what these streams need from now on."""
        self._wanted, self.poll_interval_s = frozenset(wanted), poll_interval_s
        for event in self._changed.values():
            event.set()

    async def keep_instruments(self) -> None:
        """Store the instruments now, when the streams change, and each day; after a failure sooner."""
        delays_s = _RETRY.delays_s(self._rng)
        while True:
            wait_s = INSTRUMENTS_EVERY_S
            if await self._instruments():
                delays_s = _RETRY.delays_s(self._rng)
            else:
                wait_s = next(delays_s)
            await self._wait("instruments", wait_s)

    async def keep_polling(self) -> None:
        """Ask for each polled stream once per interval, one after another over the interval."""
        while True:
            polled = [each for each in sorted(self._wanted) if self._venue.exchange.polls(each) is not None]
            for each in polled:
                await self._poll(each)
                await self._wait("polls", self.poll_interval_s / len(polled))
            if not polled:
                await self._wait("polls", _IDLE_S)

    async def _instruments(self) -> bool:
        exchange, wanted = self._venue.exchange, self._wanted
        missing = {each.symbol for each in wanted}
        for request in exchange.instruments_requests(wanted):
            answer = await self._venue.get(request)
            evidence, rows = answer.evidence, None
            if answer.body is not None:
                try:
                    rows = exchange.instruments(answer.body, wanted)
                except FrameMalformed as error:
                    evidence = error.reason
                    self._reject("instruments", UNKNOWN_SYMBOL, error, answer.body)
            if rows is None:
                self._note("instruments", failed=True, evidence=evidence)
                return False
            missing -= {row.symbol for row in rows}
            await self._store(rows, answer.wall_ns, answer.mono_ns)
        self._note("instruments", failed=False)
        if missing:
            self._log.warning("the exchange lists no such market", symbols=sorted(missing))
        return True

    async def _poll(self, subscription: Subscription) -> None:
        exchange = self._venue.exchange
        request = exchange.polls(subscription)
        if request is None:  # not any more
            return
        answer = await self._venue.get(request)
        evidence, rows = answer.evidence, None
        if answer.body is not None:
            try:
                rows = exchange.polled(subscription, answer.body)
            except FrameMalformed as error:
                evidence = error.reason
                self._reject(subscription.table, subscription.symbol, error, answer.body)
        table, symbol = subscription.table, subscription.symbol
        self._note(f"{table} {symbol}", failed=rows is None, evidence=evidence)
        if rows is None:
            self._inlet.interrupt("disconnect", f"not polled: {evidence}", symbols=[symbol], tables=[table])
        else:
            await self._store(rows, answer.wall_ns, answer.mono_ns)

    async def _store(self, rows: Sequence[Row], wall_ns: int, mono_ns: int) -> None:
        if self._inlet.full:
            await self._inlet.room()
        self._inlet.take(rows, wall_ns, mono_ns, 0, frames=0, origin="rest")

    def _reject(self, table: str, symbol: str, error: FrameMalformed, body: bytes) -> None:
        clock, text = self._inlet.clock, body[: 1 << 20].decode(errors="backslashreplace")
        self._inlet.take(
            [Reject(symbol, None, table, error.reason, text)], clock.wall_ns(), clock.mono_ns(), 0, frames=0
        )

    def _note(self, what: str, *, failed: bool, evidence: str = "") -> None:
        """Say once that something cannot be had, and once that it can again."""
        if failed and what not in self._failing:
            self._failing.add(what)
            self._log.warning("not to be had by REST; asked for again later", what=what, evidence=evidence)
        elif not failed and what in self._failing:
            self._failing.remove(what)
            self._log.info("to be had again", what=what)

    async def _wait(self, what: str, timeout_s: float) -> None:
        changed = self._changed[what]
        try:
            async with asyncio.timeout(timeout_s):
                await changed.wait()
        except TimeoutError:
            return
        finally:
            changed.clear()


def polled_by(exchange: Exchange, subscriptions: Iterable[Subscription]) -> set[Subscription]:
    """The streams that come by asking."""
    return {each for each in subscriptions if exchange.polls(each) is not None}
