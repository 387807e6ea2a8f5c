"""A real collector that tells its parent what it acknowledged and which phase it is in. It waits to be killed.

Arguments: the settings file, the seconds by which its clock is off, and after which seconds of its life by which
seconds the clock jumps. Lines on standard output: `{"phase": ...}` when one begins, `{"phase": ""}` when it ends, and
for every sync `{"epoch": ..., "rows": [[source, exchange, table, symbol, count]]}`: rows acknowledged in this epoch.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ingestion.writers.parquet_writer as parquet_writer
import scripts.ingest
from config.config import load_config
from ingestion.writers.seal import Sealer
from shared.clock import SystemClock
from shared.log import configure
from shared.rows import Stream
from tests.stepped_disk import SteppedDisk

PHASES: list[str] = []
STEP_S = 0.004  # a card's pace: phases last long enough to be killed in
SLOW_STEPS = frozenset({"rename", "remove", "sync_file", "sync_dir"})


def say(line: dict[str, Any]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


class SlowDisk(SteppedDisk):
    """A real disk that takes its time for every step of a publication."""

    def before(self, kind: str, path: Path) -> None:
        if kind in SLOW_STEPS:
            time.sleep(STEP_S)


class JumpingClock(SystemClock):
    """The machine's clock, off by some seconds and by others after a while."""

    off_s, jump_after_s, jump_s = 0.0, 0.0, 0.0
    began_s = time.monotonic()

    def wall_ns(self) -> int:  # type: ignore[override]
        jumped = time.monotonic() - self.began_s >= self.jump_after_s
        return time.time_ns() + round((self.off_s + (self.jump_s if jumped else 0)) * 1e9)


def announced(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        PHASES.append(name)
        say({"phase": PHASES[0]})  # sealing and publishing inside a recovery are the recovery
        try:
            return call(*args, **kwargs)
        finally:
            PHASES.pop()
            say({"phase": PHASES[0] if PHASES else ""})

    return wrapper


def acknowledged(counts: dict[Stream, int]) -> None:
    epoch = next(log.stem for log in sorted(SETTINGS.lake().published.glob("*.log"), reverse=True))
    say({"epoch": epoch, "rows": [[*stream, count] for stream, count in counts.items()]})


if __name__ == "__main__":
    SETTINGS = load_config(sys.argv[1])
    JumpingClock.off_s, JumpingClock.jump_after_s, JumpingClock.jump_s = map(float, sys.argv[2:5])
    configure(SETTINGS.logging.level)
    scripts.ingest.Disk = SlowDisk  # type: ignore[misc]
    scripts.ingest.SystemClock = JumpingClock  # type: ignore[misc]
    Sealer.commit = announced("seal", Sealer.commit)  # type: ignore[method-assign]
    Sealer.publish = announced("publish", Sealer.publish)  # type: ignore[method-assign]
    parquet_writer.recover = announced("recovery", parquet_writer.recover)
    asyncio.run(scripts.ingest.run(SETTINGS, on_synced=acknowledged))
