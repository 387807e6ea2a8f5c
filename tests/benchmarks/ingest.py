"""CPU per message of a whole collector, from the socket to the synced journal, beside what others need for less.

CPU is the process's time, all threads. Contenders take turns, so that whatever else the machine does strikes all; the
ratios are medians of the rounds'.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

from ingestion.collectors.coinbase_ws import CoinbaseCollector, CoinbaseOptions
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.retry import RetryPolicy
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name
from tests.benchmarks.blast import blast
from tests.benchmarks.rivals import BARE, RIVALS

ROUNDS = 3
FRAMES = 60_000
_CCXT_FRAMES = 10_000
_PACED_FRAMES, _PACED_PER_S = 8_000, 2_000
_SYNCS_OF_A_RUN = 5  # a journal's head, end and close, and the log of names twice: once a run, whatever it stores
_TARGETS = {  # our cost over theirs, at most
    BARE: {"trades": 1.5, "l2": 1.5},
    "cryptofeed": {"trades": 1 / 1.4, "l2": 1 / 1.4},
    "ccxt.pro": {"trades": 1 / 6, "l2": 1 / 4},
}
_Address = Callable[[str, int, int], str]


class Line(NamedTuple):
    """One line of the result: a ratio, and the bound it has to keep; None is not measured."""

    what: str
    ratio: float | None
    target: str  # "<= 1.5", or "" where there is none
    detail: str = ""


async def native(url: str, frames: int, kind: str, root: Path) -> float:
    """CPU seconds per frame of our own collector: everything it does until the last row is synced."""
    clock, lake = SystemClock(), Lake.under(root)
    epoch = epoch_name(clock.wall_ns(), 1)
    synced = [0]
    began_s = time.process_time()
    writer = StreamingParquetWriter(lake, WriterOptions(), epoch=epoch, clock=clock, disk=Disk())
    pipeline = IngestionPipeline(
        writer,
        PipelineOptions(),
        epoch=epoch,
        clock=clock,
        on_synced=lambda counts: synced.append(sum(rows for stream, rows in counts.items() if stream.table == kind)),
    )
    inlet = pipeline.inlet("native", "coinbaseadvanced")
    collector = CoinbaseCollector(
        CoinbaseOptions(url, {kind: ("BTC-USD",)}, 30, rest_url="http://127.0.0.1:9"), inlet, RetryPolicy()
    )
    run = asyncio.create_task(pipeline.run([collector]))
    while not run.done() and (inlet.statistics.frames < frames or synced[-1] < inlet.statistics.rows):
        await asyncio.sleep(0.02)
    cost_s = (time.process_time() - began_s) / frames
    pipeline.stop()
    await run
    return cost_s


def measure(rounds: int = ROUNDS) -> list[Line]:
    """Every line about speed."""
    lines: list[Line] = []
    with blast() as url, TemporaryDirectory() as folder:
        for kind in ("trades", "l2"):
            ours: list[float] = []
            theirs: dict[str, list[float]] = {}
            for number in range(rounds):
                ours.append(asyncio.run(native(url(kind, FRAMES, 0), FRAMES, kind, Path(folder) / f"{kind}{number}")))
                for name, run in RIVALS.items():
                    frames = _CCXT_FRAMES if name == "ccxt.pro" else FRAMES
                    try:
                        theirs.setdefault(name, []).append(asyncio.run(run(url(kind, frames, 0), frames, kind)))
                    except ImportError:
                        theirs[name] = []
            lines += [_line(kind, name, ours, costs) for name, costs in theirs.items()]
        lines += _paced(url, Path(folder))
    return lines


def _line(kind: str, name: str, ours: list[float], theirs: list[float]) -> Line:
    bound = _TARGETS[name][kind]
    what = f"{kind}: socket to synced journal / {name}"
    if not theirs:
        return Line(what, None, f"<= {bound:.3g}", "not measured: not installed")
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return Line(what, ratio, f"<= {bound:.3g}", f"{median(ours) * 1e6:.1f} us / {median(theirs) * 1e6:.1f} us a frame")


def _paced(url: _Address, folder: Path) -> list[Line]:
    """At a rate that a busy market has: waking up costs most then, and it is the same for all."""
    ratios, syncs, what = [], [], "trades at 2,000 frames/s: the same / bare websockets + msgspec"
    for number in range(3):
        address = url("trades", _PACED_FRAMES, _PACED_PER_S)
        root = folder / f"paced{number}"
        with patch("os.fdatasync", side_effect=os.fdatasync) as synced:
            began_s = time.monotonic()
            ours = asyncio.run(native(address, _PACED_FRAMES, "trades", root))
            intervals = (time.monotonic() - began_s) / PipelineOptions().journal_sync_s
            syncs.append((synced.call_count - _SYNCS_OF_A_RUN) / intervals)
        theirs = asyncio.run(RIVALS[BARE](address, _PACED_FRAMES, "trades"))
        ratios.append((ours / theirs, ours, theirs))
    ratio, ours, theirs = sorted(ratios)[1]
    return [
        Line(what, ratio, "<= 1.5", f"{ours * 1e6:.0f} us / {theirs * 1e6:.0f} us a frame"),
        Line(
            "fdatasync calls per journal_sync_ms",
            median(syncs),
            "<= 1.2",
            "all streams together, besides five that a run begins and ends with",
        ),
    ]
