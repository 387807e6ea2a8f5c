"""A changed settings file while capture runs: what is new starts, what is gone stops, the rest is not touched."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config.config import Settings, load_config
from ingestion.collectors.base_collector import Collector
from ingestion.collectors.native_collector import NativeCollector
from ingestion.pipeline import IngestionPipeline
from scripts.capture_plan import CollectorPlan, plan_collectors
from shared.errors import DaedalusError
from shared.log import get_log
from shared.notify import READY, notify, reloading

_LIVE = ("coinbase", "native", "ccxt", "ingestion.max_orderbook_depth", "ingestion.store_info_json")
_NOT_OURS = (
    "etl",
    "sync",
    "compaction",
    "retention",
    "supervisor",
    "health",
    "storage.archive",
    "storage.etl_storage_input",
    "storage.etl_storage_output",
)
log = get_log("ingest")


class Capture:
    """The collectors that run, and the settings they were made from."""

    def __init__(self, pipeline: IngestionPipeline, settings: Settings, plans: list[CollectorPlan]) -> None:
        self._pipeline, self._settings = pipeline, settings
        self._running: dict[tuple[str, str], tuple[CollectorPlan, Collector]] = {}
        for plan in plans:
            self._running[plan.feed] = plan, plan.build(pipeline.inlet(plan.source, plan.exchange))

    @property
    def collectors(self) -> list[Collector]:
        """Those that run."""
        return [collector for _, collector in self._running.values()]

    async def follow(self, file: Path, asked: asyncio.Event) -> None:
        """Read the file anew each time it is asked for; one that is refused changes nothing."""
        await self._pipeline.at_work()
        while True:
            await asked.wait()
            asked.clear()
            notify(reloading())
            await self._follow_once(file)
            notify(READY)

    async def _follow_once(self, file: Path) -> None:
        try:  # in a thread: the first exchange through ccxt imports for a second
            settings, plans = await asyncio.to_thread(_read, file)
        except (DaedalusError, OSError) as error:
            problem = error.line() if isinstance(error, DaedalusError) else str(error)
            problem = "; ".join(problem.splitlines())
            log.error("settings refused; the old ones stay", file=str(file), problem=problem)  # noqa: TRY400
            return
        await self.change(settings, plans)

    async def change(self, settings: Settings, plans: list[CollectorPlan]) -> None:
        """Let exactly these run."""
        wanted = {plan.feed: plan for plan in plans}
        removed = [feed for feed in self._running if feed not in wanted]
        added = [feed for feed in wanted if feed not in self._running]
        for feed in removed:
            _, collector = self._running.pop(feed)
            await self._pipeline.remove(collector, cause="unsubscribed", evidence="not in the settings any more")
        for feed, plan in wanted.items():
            if feed in added:
                self._start(plan)
                continue
            old, collector = self._running[feed]
            if not self._pipeline.runs(collector):
                evidence = "it had ended, and was started anew when the settings were read"
                await self._pipeline.remove(collector, cause="disconnect", evidence=evidence)
                self._start(plan)
            elif isinstance(collector, NativeCollector) and old.options.takes(plan.options):
                collector.change(plan.options)
                self._running[feed] = plan, collector
            elif old.options != plan.options:
                evidence = "its settings changed, so it was started anew"
                await self._pipeline.remove(collector, cause="disconnect", evidence=evidence)
                self._start(plan)
        log.info("settings reloaded", feeds_added=_names(added), feeds_removed=_names(removed))
        if waiting := restarts(self._settings, settings):
            log.warning("changed settings that wait for a restart", keys=waiting)

    def _start(self, plan: CollectorPlan) -> None:
        collector = plan.build(self._pipeline.inlet(plan.source, plan.exchange))
        self._running[plan.feed] = plan, collector
        self._pipeline.add(collector)


def restarts(old: Settings, new: Settings) -> list[str]:
    """The keys that differ and take effect at the next start only."""
    return [key for key in _different(old.model_dump(), new.model_dump()) if not _under(key, _LIVE + _NOT_OURS)]


def _read(file: Path) -> tuple[Settings, list[CollectorPlan]]:
    settings = load_config(file)
    return settings, plan_collectors(settings)


def _different(old: Mapping[str, Any], new: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key in [*old, *(key for key in new if key not in old)]:
        before, now, path = old.get(key), new.get(key), f"{above}{key}"
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _different(before, now, f"{path}.")
        elif before != now:
            yield path


def _under(key: str, roots: tuple[str, ...]) -> bool:
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def _names(feeds: list[tuple[str, str]]) -> list[str]:
    return [":".join(feed) for feed in feeds]
