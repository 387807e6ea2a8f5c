"""The watcher: poll, run, wait; until told to stop. It looks at the logs of published names, not at the lake."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Protocol

from etl.core.streams import StreamResult
from etl.watcher_state import WatcherState
from shared.clock import boot_id
from shared.log import get_log
from shared.state_files import StateFile

ALWAYS_TOLD = ("crossed", "one_sided", "duplicates", "out_of_order")  # of books, also where there were none

log = get_log("watcher")


class Status:
    """What a watcher has done since it began, as a file for whoever looks after it."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path, log=log)
        self._streams: dict[str, Counter[str]] = {}

    def add(self, results: list[StreamResult]) -> None:
        """Count these too, and write the file. A file that cannot be written stops nothing."""
        for result in results:
            counts = self._streams.setdefault(" ".join(result.key), Counter())
            counts.update({"trades_in": result.trades_in, "trades": result.trades_out, "rebuilds": result.rebuilds})
            counts.update({"bars": sum(result.bars.values())} | result.features)
            for table, seen in result.counts.items():
                counts.update({f"{table}.{name}": count for name, count in seen.items()})
        streams = {key: dict(counts) for key, counts in self._streams.items()}
        self._file.write(WatcherState(pid=os.getpid(), boot=boot_id(), wall_ns=time.time_ns(), streams=streams))


class Runs(Protocol):
    """What a watcher watches with: a `TransformExecutor`, or what brings and sends around one."""

    def run(self) -> list[StreamResult]:
        """Process everything that is new."""


def watch(
    executor: Runs,
    *,
    poll_interval_s: float,
    stopped: Event,
    looks_again: Callable[[], bool] = lambda: False,
    status: Status | None = None,
    on_results: Callable[[list[StreamResult], float], None] | None = None,
) -> None:
    """Process what is new every `poll_interval_s` until `stopped` is set; a run that has begun is finished.

    Then once more, if `looks_again` says so: for what was published since that run began.
    """
    is_last = False
    while not is_last:
        is_last = stopped.is_set()
        if is_last and not looks_again():
            return
        began_s = time.monotonic()
        results = executor.run()
        took_s = time.monotonic() - began_s
        for result in results:
            if facts := _facts(result):
                log.info("transformed", exchange=result.key.exchange, symbol=result.key.symbol, **facts)
        if status:
            status.add(results)
        if on_results:
            on_results(results, took_s)
        stopped.wait(max(0.0, poll_interval_s - took_s))


def told(counts: Mapping[str, int]) -> dict[str, int]:
    """What of these counts is to be said: all that happened, and of books whether something was left out."""
    return {name: count for name, count in counts.items() if count or name in ALWAYS_TOLD}


def _facts(result: StreamResult) -> dict[str, object]:
    """What a run of a stream did; empty where nothing."""
    rows = {name: count for name, count in result.features.items() if count}
    seen = {table: told(counts) for table, counts in result.counts.items() if any(counts.values())}
    if not (result.trades_out or result.bars or rows or seen):
        return {}
    whole = {"trades_in": result.trades_in, "trades_out": result.trades_out, "rebuilds": result.rebuilds}
    return whole | {"bars": sum(result.bars.values())} | rows | {f"{table}_seen": each for table, each in seen.items()}
