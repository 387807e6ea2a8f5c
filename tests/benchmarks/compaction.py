"""What `daedalus compact` takes for a day of l2: CPU per row, and memory at its highest, by rows and by their spread.

Messages are those of a real recording (Binance USD-M, ETH, 2024-08-08) over and over, their prices moved. Each run is a
process of its own. `python -m tests.benchmarks.compaction` for these lines alone.
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.cli import main
from shared.partitioning import Lake
from tests.benchmarks.ingest import Line
from tests.benchmarks.l2_day import Shape, messages, store_day
from tests.benchmarks.sizes import DATA, busy_l2

ROWS = int(os.environ.get("DAEDALUS_BENCH_L2_ROWS", "16000000"))
_PART = 4  # the small day has so much less


class _Took(NamedTuple):
    cpu_s: float
    peak_mb: float


def measure() -> list[Line]:
    """The lines for `make bench`."""
    like = _messages()
    small, large = _took(like, Shape(ROWS // _PART)), _took(like, Shape(ROWS))
    others = {
        "in ten times the files": Shape(ROWS // _PART, files=2880),
        "in one file": Shape(ROWS // _PART, files=1, hours=1),
        "with the clock set back in each file": Shape(ROWS // _PART, sets_clock_back=True),
    }
    lines = [
        Line(
            f"compact, memory of {ROWS:,} rows / of {ROWS // _PART:,}",
            large.peak_mb / small.peak_mb,
            "<= 1.2",
            f"l2, 288 files: {large.peak_mb:.0f} and {small.peak_mb:.0f} MB at most",
        ),
        Line("compact, us of CPU per row", large.cpu_s / ROWS * 1e6, "<= 4", f"{ROWS / large.cpu_s:,.0f} rows/s"),
    ]
    for how, shape in others.items():
        took = _took(like, shape)
        ratio = took.peak_mb / small.peak_mb
        lines.append(
            Line(f"compact, memory {how} / in 288 in order", ratio, "<= 1.3", f"{took.peak_mb:.0f} MB at most")
        )
    return lines


def _messages() -> pa.Table:
    if not DATA.is_dir():
        return messages(400_000)
    with TemporaryDirectory() as folder:
        columns = ["msg_seq", "side", "price", "size"]
        parts = [pq.ParquetFile(path).read(columns=columns) for path in busy_l2(Lake.under(Path(folder)))]
    return pa.concat_tables(parts).combine_chunks()


def _took(like: pa.Table, shape: Shape) -> _Took:
    with TemporaryDirectory() as folder:
        lake = Lake.under(Path(folder))
        store_day(lake, like, shape)
        settings = Path(folder) / "settings.yaml"
        paths = {"raw_dir": str(lake.raw), "processed_dir": str(lake.processed), "state_dir": str(lake.state)}
        settings.write_text(json.dumps({"storage": {"paths": paths}}))
        command = [sys.executable, "-m", "tests.benchmarks.compaction", str(settings)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert len(list(lake.daily.rglob("*.parquet"))) == 1
        return _Took(*json.loads(said.splitlines()[-1]))


def _compact(settings: str) -> None:
    """Compact in this process, and say what that took."""
    with suppress(SystemExit):
        main(["compact", "--config", settings])
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    print(json.dumps([time.process_time(), int(peak[1]) / 1024]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _compact(sys.argv[1])
    else:
        for line in measure():
            print(*line, sep="\t")
