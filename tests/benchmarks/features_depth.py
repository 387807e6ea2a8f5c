"""The book alone, kept by ours and by hftbacktest's, the latter in an interpreter of its own."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from etl.compiled import kernel
from etl.features import given
from etl.features.book_levels import ASK, BID, bring_near, set_level
from tests.benchmarks.bars_peers import PYTHON, alone

_SCRIPT = Path(__file__).with_name("features_peer.py")


@kernel(allocates=False)
def applied(levels, is_ask, price, size):  # type: ignore[no-untyped-def]
    """How often the best prices were other ones, after each of these changes."""
    told, bid, ask = 0, 0.0, 0.0
    for i in range(len(price)):
        if is_ask[i]:
            set_level(levels, ASK, -price[i], size[i])
        else:
            set_level(levels, BID, price[i], size[i])
        n, m = bring_near(levels, BID, 1), bring_near(levels, ASK, 1)
        if n and m and (levels.keys[BID, n - 1] != bid or levels.keys[ASK, m - 1] != ask):
            bid, ask = levels.keys[BID, n - 1], levels.keys[ASK, m - 1]
            told += 1
    return told


def depth_of_peers(read: given.Changes) -> dict[str, float] | None:
    """Seconds of each of hftbacktest's books for the same changes; None where it is not installed."""
    if not PYTHON.exists():
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "changes.npz"
        np.savez(path, ns=read.t_ns, ask=read.is_ask, price=read.price, size=read.size)
        command = [str(PYTHON), "-I", str(_SCRIPT), str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=alone())
    if done.returncode:
        print(f"hftbacktest's process ended with {done.returncode}", file=sys.stderr)
        return None
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds
