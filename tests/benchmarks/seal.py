"""What sealing one journal costs: CPU per row, memory at its highest, open files. `python -m tests.benchmarks.seal`."""

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ingestion.capture import Capture
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name
from shared.rows import OrderBook, Row, Ticker, Trade

CASES = {"500 symbols x 3 tables": (500, 40, 3), "10 streams of trades": (10, 100_000, 1)}  # symbols, rounds, tables


def measure(case: str) -> dict[str, float]:
    """One case in this process: seconds, megabytes and files."""
    symbols, rounds, tables = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        epoch = epoch_name(clock.wall_ns(), 1)
        writer = StreamingParquetWriter(
            Lake.under(Path(folder)), WriterOptions(), epoch=epoch, clock=clock, disk=Disk(durable=False)
        )
        rows = 0
        for block in _blocks(symbols, rounds, tables):
            writer.append(block)
            rows += sum(capture.count for capture in block)
        journal_bytes = writer.journal_bytes
        journal = writer.rotate()
        assert journal
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        files, over = _watch_open_files()
        before_mb, cpu_s = _status_mb("VmRSS"), time.process_time()
        writer.seal(journal)
        cpu_s = time.process_time() - cpu_s
        over.set()
        writer.close()
        return {
            "rows": rows,
            "journal_mb": round(journal_bytes / 2**20, 1),
            "cpu_us_per_row": round(cpu_s / rows * 1e6, 2),
            "rss_before_mb": round(before_mb),
            "rss_added_at_peak_mb": round(_status_mb("VmHWM") - before_mb),
            "open_files_max": max(files),
        }


def _blocks(symbols: int, rounds: int, tables: int) -> Iterator[list[Capture]]:
    """Rows as they would come: every stream in turn, a frame's worth at a time."""
    rng = random.Random(1)
    moment, block, seq = 1_780_000_000_000_000, list[Capture](), 0
    for number in range(rounds):
        for symbol in (f"S{n:03d}-USD" for n in range(symbols)):
            moment += 40
            price = round(60_000 + rng.gauss(0, 20), 2)
            rows: list[Row] = [
                Trade(symbol, moment, str(seq), seq, "buy", "BUY", price, round(rng.random(), 8)),
                Ticker(symbol, moment, bid=price, ask=price + 0.01, last=price, base_volume=round(rng.random(), 4)),
                OrderBook(symbol, moment, seq, price, 1.0, price + 0.01, 1.0, _side(rng, price), _side(rng, price)),
            ]
            for row in rows[:tables]:
                block.append(Capture("native", "coinbaseadvanced", moment * 1000, moment * 1000, [row], [number]))
            seq += 1
            if len(block) >= 1000:
                yield block
                block = []
    yield block


def _side(rng: random.Random, price: float) -> list[tuple[float, float]]:
    return [(round(price + level * 0.01, 2), round(rng.random(), 4)) for level in range(20)]


def _status_mb(name: str) -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def _watch_open_files() -> tuple[list[int], threading.Event]:
    counts, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            counts.append(sum(1 for _ in Path("/proc/self/fd").iterdir()))

    threading.Thread(target=watch, daemon=True).start()
    return counts, over


def main() -> None:
    """Each case in a process of its own."""
    for case in CASES:
        command = [sys.executable, "-m", "tests.benchmarks.seal", case]
        print(case, subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
