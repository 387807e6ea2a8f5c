"""A local exchange in a process of its own, as a collector that is killed needs it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def exchange_process(folder: Path, *, rate: float, seed: int = 0, faults: Sequence[str] = ()) -> Iterator[str]:
    """The WebSocket address of a simulated Coinbase; what it makes and sends stands in `folder`/truth.ndjson."""
    ready = folder / "exchange.json"
    command = [sys.executable, "-m", "scripts.simulate", "--venue", "coinbase", "--rate", str(rate)]
    command += ["--seed", str(seed), "--ready-file", str(ready), "--truth-log", str(folder / "truth.ndjson")]
    command += [option for fault in faults for option in ("--fault", fault)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield json.loads(ready.read_text())["coinbase_ws_url"]
    finally:
        process.terminate()
        process.wait()
