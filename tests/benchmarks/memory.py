"""`make memory MINUTES=60`: 100 symbols x 3 channels; resident memory, open files, bytes to the disk over time.

A local exchange in its own process sends trades, ticker and every book update; `daedalus ingest` runs as in earnest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_SETTINGS = """
coinbase: {{ws_url: "{url}", symbols: {symbols}}}
ingestion: {{segment_max_seconds: {segment_s}, journal_sync_ms: {sync_ms}}}
storage: {{paths: {{raw_dir: "{lake}/raw", processed_dir: "{lake}/processed", state_dir: "{lake}/state"}}}}
"""


class Sample(NamedTuple):
    """One look at the collector."""

    minute: float
    rss_mb: float
    peak_mb: float
    open_files: int
    written_mb: float  # handed to the disk, by the kernel's count
    rows: int


def run(options: argparse.Namespace) -> list[Sample]:
    """Samples of one run, every ten seconds."""
    symbols = [f"SIM{number}-USD" for number in range(options.symbols)]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ready = Path(folder) / "exchange.json"
        simulate = ["simulate", "--venue", "coinbase", "--symbols", ",".join(symbols), "--rate", str(options.rate)]
        exchange = _daedalus(*simulate, "--ready-file", str(ready))
        collector = None
        try:
            while not ready.exists():
                time.sleep(0.1)
            settings = Path(folder) / "config.yaml"
            url = json.loads(ready.read_text())["coinbase_ws_url"]
            settings.write_text(
                _SETTINGS.format(
                    url=url,
                    symbols=json.dumps(symbols),
                    segment_s=options.segment_s,
                    sync_ms=options.sync_ms,
                    lake=Path(folder) / "lake",
                )
            )
            collector = _daedalus("ingest", "--config", str(settings))
            return _samples(collector, Path(folder) / "lake/state/ingestion.json", options.minutes)
        finally:
            for process in (collector, exchange):
                if process:
                    process.terminate()
                    process.wait()


def _daedalus(*args: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "scripts.cli", *args], cwd=ROOT)


def _samples(collector: "subprocess.Popen[bytes]", heartbeat: Path, minutes: float) -> list[Sample]:
    samples: list[Sample] = []
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < minutes * 60:
        time.sleep(10)
        if collector.poll() is not None:
            raise RuntimeError(f"the collector ended with {collector.returncode}")
        folder = Path(f"/proc/{collector.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        written = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())
        rows = json.loads(heartbeat.read_text())["rows_total"] if heartbeat.exists() else 0
        samples.append(
            Sample(
                round(passed_s / 60, 1),
                round(int(status["VmRSS"].split()[0]) / 1024),
                round(int(status["VmHWM"].split()[0]) / 1024),
                sum(1 for _ in (folder / "fd").iterdir()),
                round(int(written["write_bytes"]) / 2**20, 1),
                rows,
            )
        )
        print(json.dumps(samples[-1]._asdict()), flush=True)
    return samples


def main() -> None:
    """Run, then say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--rate", type=float, default=500, help="market moments per second")
    parser.add_argument("--segment-s", type=float, default=120)
    parser.add_argument("--sync-ms", type=int, default=1000)
    parser.add_argument("--folder", default=None, help="where the lake is made; a disk, not a tmpfs, to count writes")
    samples = run(parser.parse_args())
    quarter = len(samples) // 4
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    for name, part in (("second quarter", second), ("last quarter", last)):
        print(f"{name}: {sum(s.rss_mb for s in part) / max(1, len(part)):.0f} MB resident")
    print(f"peak {samples[-1].peak_mb} MB, at most {max(s.open_files for s in samples)} open files")
    a_day = 1440 / samples[-1].minute
    print(
        f"{samples[-1].written_mb * a_day / 1024:.1f} GB a day to the disk, {samples[-1].rows * a_day:.3g} rows a day"
    )


if __name__ == "__main__":
    main()
