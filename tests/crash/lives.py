"""Lives of a real collector that end by SIGKILL, and what each of them had acknowledged."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.exchange_process import ROOT, exchange_process

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
PHASES = ("seal", "publish", "recovery")
HOUR_S = 3600.0
RATE = 2500.0
LOSSES = ("drop@300:3#market_trades*1100", "drop@700:2#l2_data*1900", "malformed@1000#market_trades*2300")
SETTINGS = """
coinbase: {{symbols: [BTC-USD, ETH-USD, SOL-USD], ws_url: "{url}"}}
ingestion: {{segment_max_seconds: 0.4, journal_sync_ms: 40, flush_interval_seconds: 0.02, reconnect_delay: 0.05}}
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
logging: {{level: error}}
"""
Counts: TypeAlias = dict[tuple[str, ...], int]  # rows acknowledged by source, exchange, table, symbol


class Collector:
    """The child, and what it has said so far."""

    def __init__(self, config: Path, *, off_s: float = 0.0, jump_after_s: float = 0.0, jump_s: float = 0.0) -> None:
        clock = [str(off_s), str(jump_after_s), str(jump_s)]
        command = [sys.executable, "-m", "tests.crash.collector_process", str(config), *clock]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        self.phase = ""
        self.epoch = ""
        self.rows: Counts = {}

    def listen(self) -> bool:
        """Take one line; False at the end of what it said."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            return False
        said: dict[str, Any] = json.loads(line)
        if "phase" in said:
            self.phase = said["phase"]
        else:
            self.epoch = said["epoch"]
            self.rows = {tuple(stream): count for *stream, count in said["rows"]}
        return True

    def collects(self) -> bool:
        """Hear it until it has acknowledged trades; False where it ended before."""
        while not any(table == "trades" for _, _, table, _ in self.rows):
            if not self.listen():
                return False
        return True

    def kill(self) -> str:
        """SIGKILL, then hear it out; the phase it died in, empty for plain collecting."""
        self.process.send_signal(signal.SIGKILL)
        self._end()
        return self.phase

    def stop(self) -> int:
        """Ask it to end in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        while self.listen():
            pass
        code = self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        return code


@dataclass
class Lives:
    """What many lives on one lake had acknowledged when they ended."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)  # by phase
    clock_jumps: int = 0
    acknowledged: dict[str, Counts] = field(default_factory=dict)  # by epoch


def live_and_die(folder: Path, kills: int, seed: int) -> Lives:
    """Kill a collector `kills` times at random, a third of them while it seals, publishes or recovers; stop the last.

    Every third life has a clock that is an hour off or jumps by one; the exchange loses frames all the time.
    """
    rng, lives = random.Random(seed), Lives(seed)
    config = folder / "config.yaml"
    with exchange_process(folder, rate=RATE, seed=seed, faults=LOSSES) as url:
        config.write_text(SETTINGS.format(url=url, root=folder))
        for number in range(kills):
            clock = {}
            if number % 3 == 2:
                lives.clock_jumps += 1
                clock = {"off_s": rng.choice((-HOUR_S, 0.0, HOUR_S)), "jump_s": rng.choice((-HOUR_S, HOUR_S))}
                clock["jump_after_s"] = rng.uniform(1.0, 2.0)
            collector = Collector(config, **clock)
            _wait(collector, rng, PHASES[number // 3 % 3] if number % 3 == 1 else "")
            lives.kills[collector.kill() or "collecting"] += 1
            lives.acknowledged[collector.epoch] = collector.rows
        last = Collector(config)
        assert last.collects()
    assert last.stop() == 0
    lives.acknowledged[last.epoch] = last.rows
    return lives


def _wait(collector: Collector, rng: random.Random, wanted: str) -> None:
    """Return at the moment to kill: in a phase, or some time into the collecting."""
    if wanted:
        while collector.phase != wanted:
            assert collector.listen(), "the collector ended by itself"
        time.sleep(rng.uniform(0, 0.05))
    else:
        assert collector.collects(), "the collector ended by itself"
        time.sleep(rng.uniform(0, 0.8))
