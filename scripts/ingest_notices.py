"""What `daedalus ingest` tells whoever watches over it: that it is at work, and that data comes in."""

import asyncio
from collections.abc import Callable, Mapping

from ingestion.freshness import Progress, is_fresh, market_rows
from ingestion.pipeline import IngestionPipeline
from shared.notify import READY, WATCHDOG, notify, watchdog_s
from shared.rows import Stream

_LOOK_S_MAX = 5.0
_LOOKS = 4  # at least, before the watchdog loses patience


class Notices:
    """Tells by what was synced: `synced` is handed to the pipeline."""

    def __init__(self, then: Callable[[dict[Stream, int]], None] | None) -> None:
        self._then = then
        self._acknowledged: Mapping[Stream, int] = {}

    def synced(self, acknowledged: dict[Stream, int]) -> None:
        """Take note of what is on the disk, and hand it on."""
        self._acknowledged = acknowledged
        if self._then:
            self._then(acknowledged)

    async def tell(self, pipeline: IngestionPipeline, *, feeds: Callable[[], int]) -> None:
        """Tell until cancelled; nothing before recovery is done and collectors run."""
        await pipeline.at_work()
        before = self._progress(pipeline, feeds())
        notify(f"{READY}\nSTATUS=capturing {before.feeds} feeds")
        look_s = min(_LOOK_S_MAX, (watchdog_s() or _LOOK_S_MAX * _LOOKS) / _LOOKS)
        while True:
            await asyncio.sleep(look_s)
            now = self._progress(pipeline, feeds())
            if is_fresh(before, now):
                notify(WATCHDOG)
            before = now

    def _progress(self, pipeline: IngestionPipeline, feeds: int) -> Progress:
        return Progress(market_rows(self._acknowledged), feeds, pipeline.is_paused)
