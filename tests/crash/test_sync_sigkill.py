"""`daedalus sync` dies again and again while the lake grows; at the end the bucket is the lake, byte for byte.

It is killed 10 times, with `DAEDALUS_KILLS` (see `make crash`) a twentieth as often as collectors, at least 10 times.
What the bucket holds is read by boto3 alone, what the lake holds by a walk over it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import yaml

from config.config import load_config
from scripts.sync import sync_options
from shared.partitioning import Lake
from storage.factory import object_store
from storage.sync import StorageSync, SyncOptions
from storage.sync.plan import Selection
from tests.crash.market_day import Day, write_settings
from tests.crash.test_watcher_sigkill import FEW, record_until, refine
from tests.crash_figures import Record
from tests.s3_servers import Bucket, s3_place
from tests.storage.synced import sums_of

ROOT = Path(__file__).parents[2]
KILLS = max(10, int(os.environ.get("DAEDALUS_KILLS", "0")) // 20)
SEED = int(os.environ.get("DAEDALUS_CRASH_SEED", "1"))
TRADES = 1500 if KILLS == 10 else 6000  # of each market
RUNS = 12 if KILLS == 10 else 60  # of each market's collector
PARTS_BYTES, PARTS_EACH = 14 << 20, 3  # a file that goes up in three parts comes with one life of so many
SLOW_MB_S = 12.0  # so that a kill finds something half sent


class Syncing:
    """A real `daedalus sync` that makes pass after pass."""

    def __init__(self, config: Path, state: Path) -> None:
        self._state = state / "sync.json"
        command = [sys.executable, "-m", "scripts.cli", "sync", "-c", str(config)]
        self._process = subprocess.Popen([*command, "--mode", "continuous", "--interval", "0.1"], cwd=ROOT)
        while self._told().get("pid") != self._process.pid:
            assert self._process.poll() is None
            time.sleep(0.005)

    def kill(self) -> str:
        """End it; says whether it left something to do."""
        assert self._process.poll() is None
        backlog = self._told().get("backlog_files")
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return "with files under way" if backlog else "between passes"

    def _told(self) -> dict[str, Any]:
        return dict(json.loads(self._state.read_text())) if self._state.exists() else {}


@pytest.mark.timeout(3600)
def test_a_sync_killed_at_random_while_the_lake_grows_leaves_the_lake_in_the_bucket(
    tmp_path: Path, ministack: str, crash_figures: Record
) -> None:
    rng, lake, bucket = random.Random(SEED), Lake.under(tmp_path), Bucket(ministack, "killed")
    day = Day(lake, seed=SEED, trades=TRADES, runs=RUNS)
    config = with_archive(write_settings(tmp_path, bars=FEW), s3_place(ministack, prefix="killed"))
    recording, recorded, most_unfinished = day.record(), 0, 0
    lake.quarantine.mkdir(parents=True)
    for life in range(1, KILLS + 1):
        recorded = record_until(recording, len(day.runs) * (2 * life - 1) // (2 * KILLS), recorded)
        if life % PARTS_EACH == 1:
            (lake.quarantine / f"large-{life}.journal").write_bytes(rng.randbytes(PARTS_BYTES))
        syncing = Syncing(config, lake.state)
        growing = threading.Thread(target=refine, args=(tmp_path, lake))
        if life % 2:  # else what was left is sent, and the lake stands
            growing.start()
        time.sleep(rng.uniform(0, 2.0))
        crash_figures({"sync: kills": 1, f"sync: kills, of them {syncing.kill()}": 1})
        if life % 2:
            growing.join()
        recorded = record_until(recording, len(day.runs) * life // KILLS, recorded)
        most_unfinished = max(most_unfinished, len(bucket.unfinished()))
    refine(tmp_path, lake, end_of_data=True)
    once = [sys.executable, "-m", "scripts.cli", "sync", "-c", str(config)]
    subprocess.run(once, cwd=ROOT, check=True)
    there = bucket.contents()
    assert bucket.sums() == sums_of(lake)
    assert any("/r" in key.rpartition("symbol=")[2].partition("year=")[0] for key in there)  # rows were replaced
    crash_figures({"sync: objects compared": len(there), "sync: uploads found half done": most_unfinished})
    crash_figures({"sync: manifest entries compared": manifests_are_true(there)})
    scan(tmp_path, config)
    assert bucket.unfinished() == []
    assert bucket.sums() == sums_of(lake)


def with_archive(config: Path, place: dict[str, object]) -> Path:
    """The settings with an archive, and slow enough."""
    found = yaml.safe_load(config.read_text())
    found["storage"]["archive"] = place
    found["sync"] = {"bandwidth_limit_mb_s": SLOW_MB_S}
    config.write_text(yaml.safe_dump(found))
    config.chmod(0o600)
    return config


def manifests_are_true(there: dict[str, bytes]) -> int:
    """Each object of a day stands in a manifest once, as it is there, and nothing else does; how many."""
    named: dict[str, str] = {}
    for key, content in there.items():
        if key.startswith("manifests/"):
            manifest = json.loads(content)
            assert key == f"manifests/{manifest['day']}.json"
            for entry in manifest["files"]:
                assert entry["key"] not in named
                named[entry["key"]] = manifest["day"]
                assert entry["size_bytes"] == len(there[entry["key"]])
                assert entry["crc32"] in {None, crc32(there[entry["key"]])}
    assert named.keys() == {key for key in there if "/year=" in key}
    for key, day in named.items():
        values = dict(step.split("=", 1) for step in key.split("/") if "=" in step)
        parts = [f"{int(values[unit]):02}" for unit in ("year", "month", "day") if unit in values]
        assert day.startswith("-".join(parts))
    return len(named)


def scan(root: Path, config: Path) -> None:
    """Look at everything there; whatever was begun and not ended is given up, however young."""
    loaded = load_config(config)
    store = object_store(loaded.storage.archive.options(), root=root)
    archive = sync_options(loaded, Selection()).archive
    options = SyncOptions(archive=archive, full_scan=True, unfinished_keep_s=0)
    report = StorageSync(Lake.under(root), store, options).run_once()
    assert report.is_complete
    assert report.removed_files == 0
