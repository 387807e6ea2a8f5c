"""`NativeCollector`: every stream of one exchange over as many connections as its limits ask for."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from ingestion.collectors.documents import Documents, polled_by
from ingestion.collectors.line import Line, Surroundings
from ingestion.collectors.native_silence import NativeSilence
from ingestion.collectors.venue import Venue
from ingestion.exchanges.protocol import Exchange, Subscription
from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from ingestion.shards import Shard, plan_shards
from ingestion.silence import SilenceRules
from shared.clock import utc_from_us
from shared.log import get_log


@dataclass(frozen=True)
class NativeOptions:
    """What to collect from where."""

    exchange: Exchange
    subscriptions: tuple[Subscription, ...]
    silence_timeout_s: float
    poll_interval_s: float = 60.0
    silence: SilenceRules = field(default_factory=SilenceRules)
    store_frames: bool = False  # as they come, beside what is made of them

    def __post_init__(self) -> None:
        """Refuse what the exchange does not have."""
        unknown = sorted({each.table for each in self.subscriptions} - set(self.exchange.profile.channels))
        if unknown or not self.subscriptions:
            name, known = self.exchange.profile.name, ", ".join(self.exchange.profile.channels)
            raise ValueError(f"{name} has {known}; needs symbols for one of them, unknown: {', '.join(unknown)}")

    @property
    def content(self) -> tuple[object, ...]:
        """What two options have in common where they mean the same."""
        return (self.exchange.options, set(self.subscriptions), self.silence_timeout_s, self.poll_interval_s)

    def takes(self, other: "NativeOptions") -> bool:
        """Whether a running collector can change to the other options; another address is another collector."""
        mine, its = self.exchange, other.exchange
        return type(mine) is type(its) and (mine.ws_url, mine.rest_url) == (its.ws_url, its.rest_url)


class NativeCollector:
    """Collects from one exchange until it is cancelled; only a refusal before anything came ends it."""

    def __init__(self, options: NativeOptions, inlet: Inlet, retry: RetryPolicy) -> None:
        self.inlet, self._options = inlet, options
        self._venue = Venue(options.exchange, inlet, silence_timeout_s=options.silence_timeout_s)
        self._around = Surroundings(self._venue, retry, random.Random(), store_frames=options.store_frames)
        self._documents = Documents(self._venue, options.subscriptions, poll_interval_s=options.poll_interval_s)
        self._lines: dict[int, Line] = {}
        self._silence = NativeSilence(self._venue, self._lines.values, rules=options.silence)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._gone: dict[Subscription, str] = {}  # what a change of the settings took away, and what to say of it
        self._log = get_log("collector").bind(feed=inlet.name)

    async def run(self) -> None:
        """Collect for ever. After it was cancelled it may be run again.

        Raises:
            ExchangeRefused: before anything came from the exchange it refused, or no reconnect is left.
            SettingsInvalid: an address is none.
        """
        try:
            async with self._venue, asyncio.TaskGroup() as self._tasks:
                self._shard()
                self._tasks.create_task(self._documents.keep_instruments())
                self._tasks.create_task(self._documents.keep_polling())
                self._tasks.create_task(self._silence.run())
        finally:
            self._tasks = None
            self._lines.clear()
            self._running.clear()

    def change(self, options: NativeOptions) -> None:
        """Go on with other options that `NativeOptions.takes`: streams in both are not touched.

        Other depths or intervals of books replace each connection, the new one open before the old one is closed.
        """
        assert self._options.takes(options), "another address is another collector"
        if options.content == self._options.content:
            return
        before, now = set(self._options.subscriptions), set(options.subscriptions)
        rotates = self._options.exchange.options != options.exchange.options
        clock, self._options = self.inlet.clock, options
        self._venue.exchange, self._venue.silence_timeout_s = options.exchange, options.silence_timeout_s
        moment = utc_from_us(clock.wall_ns() // 1000)
        for each in before - now:
            self._gone[each] = f"not in the settings from {moment:%Y-%m-%d %H:%M:%S} UTC on"
        for each in now - before:
            evidence = self._gone.pop(each, None)
            if evidence is not None:
                self.inlet.interrupt("unsubscribed", evidence, symbols=[each.symbol], tables=[each.table])
        self._log.info("changed", added=_names(now - before), removed=_names(before - now), rotates=rotates)
        self._documents.change(options.subscriptions, poll_interval_s=options.poll_interval_s)
        if self._tasks is None:
            return
        standing = set(self._lines)
        self._shard()
        for number in standing & set(self._lines) if rotates else ():
            self._lines[number].rotate("the settings changed")

    def report(self) -> list[dict[str, Any]]:
        """How each connection is doing."""
        return [connection for line in self._lines.values() for connection in line.report()]

    def _shard(self) -> None:
        """Bring the lines in agreement with the options."""
        assert self._tasks is not None, "running"
        exchange, current = self._options.exchange, [line.shard for line in self._lines.values()]
        streamed = set(self._options.subscriptions) - polled_by(exchange, self._options.subscriptions)
        shards = {shard.number: shard for shard in plan_shards(exchange, streamed, current)}
        for number in set(self._lines) - set(shards):
            del self._lines[number]
            self._running.pop(number).cancel()
        for number, shard in shards.items():
            if number not in self._lines:
                self._start(shard)
            elif shard != self._lines[number].shard:
                self._lines[number].change(shard)

    def _start(self, shard: Shard) -> None:
        assert self._tasks is not None, "running"
        line = self._lines[shard.number] = Line(shard, self._around)
        self._running[shard.number] = self._tasks.create_task(line.run())


def _names(subscriptions: set[Subscription]) -> list[str]:
    return [f"{each.table} {each.symbol}" for each in sorted(subscriptions)]
