"""The silence detector's shell for ccxt: looks by `fetch_trades` of the same exchange object, within its rate limit."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ingestion.collectors.base_collector import SessionEnd
from ingestion.collectors.silence_verdict import verdict
from ingestion.exchanges.protocol import Newest
from ingestion.silence import GRACE_S, SAMPLE_S, Key
from shared.exchange_facts import ids_prove_loss
from shared.partitioning import stored_exchange

if TYPE_CHECKING:
    from ingestion.collectors.ccxt_collector import CcxtCollector

_TRADES_PER_LOOK = 20


class CcxtSilence:
    """Watches the streams of one session.

    ccxt has no way to subscribe anew that holds for all exchanges, so that the remedy of a finding is a new session;
    the streams that were well get a gap "disconnect", which contiguous ids then show to be of known size.
    """

    def __init__(
        self,
        collector: "CcxtCollector",
        exchange: Any,
        *,
        is_waiting: Callable[[], bool],
        end: Callable[[SessionEnd], None],
    ) -> None:
        self._inlet, self._watch = collector.inlet, collector.silence
        self._streams = collector.options.streams
        self._exchange, self._is_waiting, self._end = exchange, is_waiting, end
        self._contiguous = ids_prove_loss(stored_exchange(collector.options.exchange_id), "ccxt")

    async def run(self) -> None:
        """Sample each second, look where a look is due. Needs ccxt's `fetch_trades`; without it nothing can be told."""
        clock, watch = self._inlet.clock, self._watch
        if not self._exchange.has.get("fetchTrades"):
            return
        for key in self._streams:
            watch.subscribed(key, clock.mono_ns())
        async with asyncio.TaskGroup() as looks:
            while True:
                await asyncio.sleep(SAMPLE_S)
                now_ns = clock.mono_ns()
                watch.sample(self._count, now_ns, excused=self._is_waiting())
                for symbol, keys in self._by_symbol(watch.due(now_ns)).items():
                    looks.create_task(self._look(symbol, keys))

    async def _look(self, symbol: str, keys: list[Key]) -> None:
        """One document for every silent stream of a symbol: a market that trades moves all of them."""
        self._inlet.statistics.silence_looks += 1
        try:
            theirs = self._newest(await self._exchange.fetch_trades(symbol, None, _TRADES_PER_LOOK))
        except Exception:  # noqa: BLE001  ccxt raises anything; no answer proves nothing, and is asked for again later
            theirs = None
        await asyncio.sleep(GRACE_S)
        for key in keys:
            finding = verdict(self._watch, self._inlet, key, theirs)
            if finding is not None:
                self._end(SessionEnd("disconnect", f"a new session, because of a dead stream: {finding.evidence}"))

    def _newest(self, trades: Iterable[Any]) -> Newest | None:
        """The newest trade; an empty list says that nothing can be compared."""
        known = list(trades)
        numbers = [int(each["id"]) for each in known if self._contiguous and str(each.get("id")).isdecimal()]
        moments = [each["timestamp"] * 1000 for each in known if isinstance(each.get("timestamp"), int)]
        return Newest(max(numbers, default=None), max(moments, default=None)) if numbers or moments else None

    def _count(self, key: Key) -> int:
        return self._inlet.standing(*key).rows

    def _by_symbol(self, keys: list[Key]) -> dict[str, list[Key]]:
        found: dict[str, list[Key]] = {}
        for key in keys:
            found.setdefault(self._streams[key], []).append(key)
        return found
