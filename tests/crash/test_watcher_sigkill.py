"""SIGKILL for real: the watcher dies at random moments while bronze keeps coming; silver and gold are a batch run's."""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from shared.partitioning import Lake
from tests.etl.core.test_streams import BARS, Recorder, market, run, tables

ROOT = Path(__file__).parents[2]
KILLS = 8
SETTINGS = """
etl:
  lateness_s: 10
  poll_interval_s: 0.02
  bars: [{{type: time, interval: 1m}}, {{type: tick, threshold: 7}}, {{type: volume, threshold: "25"}}, {{type: dollar, threshold: "2500"}}]
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
logging: {{level: error}}
"""  # noqa: E501


def test_a_watcher_killed_at_random_gives_the_rows_of_one_batch_run(tmp_path: Path) -> None:
    rng = random.Random(5)
    lake = Lake.under(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(SETTINGS.format(root=tmp_path))
    trades = market(9, exchange="kraken", trades=3000)
    late = {rng.randrange(200, 2900) for _ in range(5)}
    recorder, done = Recorder(lake, "kraken"), threading.Event()

    def record() -> None:
        """A journal of 25 trades every now and then; a few trades come far too late, and some twice."""
        position = 0
        while position < len(trades):
            part = [
                trade for index, trade in enumerate(trades[position : position + 25], position) if index not in late
            ]
            tail = [trades[index] for index in late if position - 300 <= index < position - 275]
            recorder.record([part + tail + trades[max(0, position - 5) : max(0, position - 3)]])
            position += 25
            time.sleep(0.1)
        recorder.record([[trades[index] for index in late]])
        done.set()

    recording = threading.Thread(target=record)
    recording.start()
    kills = 0
    while kills < KILLS:
        process = subprocess.Popen([sys.executable, "-m", "scripts.cli", "watch", "-c", str(config)], cwd=ROOT)
        time.sleep(rng.uniform(0.8, 3.0))
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    recording.join()
    assert done.is_set()
    run(lake, end_of_data=True)
    batch = Lake(lake.raw, tmp_path / "batch", tmp_path / "batch_state")
    run(batch, end_of_data=True)
    assert tables(lake) == tables(batch)
    silver = [row for path, rows in tables(lake).items() if path.startswith("silver") for row in rows]
    assert [row["trade_seq"] for row in silver] == list(range(1, 3001))
    assert len(BARS) == 4
