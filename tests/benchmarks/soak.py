"""`make soak MINUTES=20`: a collector and a watcher under a steady load; is memory flat, is anything lost?

A local exchange in its own process sends trades, ticker and every book update of three symbols; `daedalus ingest` and
the watcher run as they do in earnest. Samples stand in `soak/samples.csv`, so that a run of a week can be looked at.
"""

import argparse
import csv
import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

import psutil
from rich.console import Console
from rich.table import Table

from config.config import load_config
from etl.core.executor import TransformExecutor
from etl.core.streams import StreamResult
from etl.watcher import watch as run_watcher
from scripts.watch import etl_options
from shared.log import configure
from tests.benchmarks.soak_verdict import Sample, Verdict, completeness, flatness
from tests.exchange_process import ROOT, exchange_process

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
_FRAMES_PER_MOMENT = 1.5  # of the seeded market: a book update, and for each fourth moment a trade and a ticker
_SETTINGS = """
coinbase:
  ws_url: {url}
  symbols: [{symbols}]
  channels: {{level2: [{symbols}], ticker: [{symbols}]}}
ingestion: {{segment_max_seconds: {segment_s}}}
etl:
  poll_interval_s: 1
  bars: [{{type: time, interval: 1m}}, {{type: dollar, threshold: 1000000}}]
storage: {{paths: {{raw_dir: {lake}/raw, processed_dir: {lake}/processed, state_dir: {lake}/state}}}}
"""


Polls: TypeAlias = (
    "multiprocessing.Queue[tuple[bool, float, float]]"  # whether there was work, how long it took, its CPU
)


class Run(NamedTuple):
    """What is asked of a run."""

    minutes: float
    messages_per_s: float
    folder: Path
    segment_s: float
    every_s: float


class SealTimer(threading.Thread):
    """How long each seal takes, seen from outside: from the next journal's opening to the sealed one's end."""

    def __init__(self, active: Path) -> None:
        super().__init__(daemon=True)
        self._active = active
        self.seals_s: list[float] = []

    def run(self) -> None:
        """Look ten times a second, for ever."""
        replaced: dict[str, float] = {}
        while True:
            now_s, names = time.monotonic(), sorted(path.name for path in self._active.glob("*.journal"))
            for name in names[:-1]:
                replaced.setdefault(name, now_s)
            for name in set(replaced) - set(names):
                self.seals_s.append(now_s - replaced.pop(name))
            time.sleep(0.1)


def watch(settings_file: Path, polls: Polls) -> None:
    """The watcher, telling how long each poll took."""
    configure("warning", format="text")
    settings, stopped = load_config(settings_file), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    executor = TransformExecutor(etl_options(settings))

    cpu_s = time.process_time()

    def tell(results: list[StreamResult], took_s: float) -> None:
        nonlocal cpu_s
        before_s, cpu_s = cpu_s, time.process_time()
        polls.put((bool(results), took_s, cpu_s - before_s))

    run_watcher(executor, poll_interval_s=1, stopped=stopped, on_results=tell)
    executor.close()


@contextmanager
def watcher(settings_file: Path) -> Iterator[tuple[int, Polls]]:
    """The watcher's process id, and where its poll times arrive."""
    context = multiprocessing.get_context("spawn")
    polls: Polls = context.Queue()
    process = context.Process(target=watch, args=(settings_file, polls), daemon=True)
    process.start()
    assert process.pid
    try:
        yield process.pid, polls
    finally:
        process.terminate()
        process.join(60)


@contextmanager
def collector(settings_file: Path, log: Path) -> Iterator[psutil.Process]:
    """`daedalus ingest`, ended in good order."""
    with log.open("ab") as sink:
        command = [sys.executable, "-m", "scripts.run_ingestion", "--config", str(settings_file)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(120)


def soak(run: Run) -> tuple[list[Sample], list[Verdict]]:
    """Run it; what was sampled, and what it proves."""
    shutil.rmtree(run.folder, ignore_errors=True)
    lake = run.folder / "lake"
    (lake / "raw" / "active").mkdir(parents=True)
    settings_file = run.folder / "settings.yaml"
    rate = run.messages_per_s / _FRAMES_PER_MOMENT
    with ExitStack() as stack:
        with exchange_process(run.folder, rate=rate) as url:
            symbols = ", ".join(SYMBOLS)
            text = _SETTINGS.format(url=url, symbols=symbols, segment_s=run.segment_s, lake=lake)
            settings_file.write_text(text, encoding="utf-8")
            process = stack.enter_context(collector(settings_file, run.folder / "ingest.log"))
            watcher_id, polls = stack.enter_context(watcher(settings_file))
            seals = SealTimer(lake / "raw" / "active")
            seals.start()
            samples = _sampled(run, process, psutil.Process(watcher_id), polls, seals)
        time.sleep(2)  # what the exchange sent last is on its way
    return samples, [*flatness(samples), *completeness(lake, run.folder / "truth.ndjson")]


def _sampled(
    run: Run,
    process: psutil.Process,
    watching: psutil.Process,
    polls: Polls,
    seals: SealTimer,
) -> list[Sample]:
    """Sample until the time is over; each sample is in the file at once."""
    samples: list[Sample] = []
    heartbeat = run.folder / "lake" / "state" / "ingestion.json"
    began_s = time.monotonic()
    with (run.folder / "samples.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(Sample._fields)
        while (elapsed_s := time.monotonic() - began_s) < run.minutes * 60:
            time.sleep(run.every_s)
            assert process.status() != psutil.STATUS_ZOMBIE, f"the collector ended by itself, see {run.folder}"
            told = json.loads(heartbeat.read_text()) if heartbeat.exists() else {}
            polled = [polls.get() for _ in range(polls.qsize())]
            sealed, seals.seals_s = seals.seals_s, []
            samples.append(
                Sample(
                    round(elapsed_s + run.every_s, 1),
                    process.memory_info().rss / 2**20,
                    process.num_fds(),
                    sum(process.cpu_times()[:2]),
                    watching.memory_info().rss / 2**20,
                    told.get("queue", {}).get("rows", 0),
                    sum(feed["frames"] for feed in told.get("feeds", {}).values()),
                    _median(sealed),
                    _median(took_s for had_work, took_s, _ in polled if had_work),
                    _median(cost_s for had_work, _, cost_s in polled if had_work),
                    _median(took_s for had_work, took_s, _ in polled if not had_work),
                )
            )
            rows.writerow(samples[-1])
            file.flush()
    return samples


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None


def main() -> int:
    """Run, print, and say by the exit code whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--messages-per-s", type=float, default=2000)
    parser.add_argument("--folder", type=Path, default=Path("soak"))
    parser.add_argument("--segment-s", type=float, default=60, help="a journal of this age is sealed")
    parser.add_argument("--every-s", type=float, default=5, help="between two samples")
    given = parser.parse_args()
    run = Run(given.minutes, given.messages_per_s, given.folder.resolve(), given.segment_s, given.every_s)
    samples, verdicts = soak(run)
    last = samples[-1]
    table = Table("measured", "result", "target", "")
    for verdict in verdicts:
        table.add_row(verdict.what, verdict.result, verdict.target, "met" if verdict.met else "MISSED")
    print(f"{last.messages} messages in {last.elapsed_s / 60:.1f} min, {last.messages / last.elapsed_s:.0f}/s;")
    print(
        f"collector {last.cpu_s / last.elapsed_s:.0%} of a core, {last.rss_mib:.0f} MiB, {last.open_files} files open;"
    )
    print(f"most rows waiting at a sample {max(sample.queue_rows for sample in samples)}; {run.folder}/samples.csv")
    Console(width=140).print(table)
    return 0 if all(verdict.met for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
