"""The watcher: poll, run, wait; until told to stop. It looks at the logs of published names, not at the lake."""

import time
from collections.abc import Callable
from threading import Event

from etl.core.executor import TransformExecutor
from etl.core.streams import StreamResult
from shared.log import get_log

log = get_log("watcher")


def watch(
    executor: TransformExecutor,
    *,
    poll_interval_s: float,
    stopped: Event,
    on_results: Callable[[list[StreamResult], float], None] | None = None,
) -> None:
    """Process what is new every `poll_interval_s` until `stopped` is set; a run that has begun is finished."""
    while not stopped.is_set():
        began_s = time.monotonic()
        results = executor.run()
        took_s = time.monotonic() - began_s
        for result in results:
            if result.trades_out or result.bars:
                log.info("transformed", **_facts(result))
        if on_results:
            on_results(results, took_s)
        stopped.wait(max(0.0, poll_interval_s - took_s))


def _facts(result: StreamResult) -> dict[str, object]:
    return {
        "exchange": result.key.exchange,
        "symbol": result.key.symbol,
        "trades_in": result.trades_in,
        "trades_out": result.trades_out,
        "rebuilds": result.rebuilds,
        "bars": sum(result.bars.values()),
    }
