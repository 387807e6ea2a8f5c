"""The watcher says what books were like, in its log and in its status; a stop loses nothing that it had made."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from etl.core.executor import TransformExecutor
from etl.watcher import Status, watch
from shared.partitioning import Lake
from tests.crash.market_day import write_settings
from tests.crash.test_watcher_sigkill import assert_equal, files, refine
from tests.etl.core.test_book_streams import day, options, stored
from tests.etl.core.test_streams import Recorder

ROOT = Path(__file__).parents[2]


def looks(lake: Lake, status: Status) -> list[dict[str, object]]:
    """What one look of the watcher writes into its log."""
    executor, stopped = TransformExecutor(options(lake)), Event()
    try:
        with capture_logs() as logs:
            watch(executor, poll_interval_s=0, stopped=stopped, status=status, on_results=lambda *_: stopped.set())
    finally:
        executor.close()
    return [dict(log) for log in logs if log["event"] == "transformed"]


def test_what_was_left_out_is_told_in_the_log_and_added_up_in_the_status(tmp_path: Path) -> None:
    rows, lake = day(21), Lake.under(tmp_path)
    recorder, status = Recorder(lake, "kraken"), Status(lake.state / "watcher.json")
    recorder.record([rows[:120]])
    first = looks(lake, status)
    recorder.record([rows[120:]])
    second = looks(lake, status)
    assert looks(lake, status) == []
    seen = [log["orderbook_seen"] for (log,) in (first, second)]
    assert {"crossed", "one_sided", "duplicates", "out_of_order"} <= seen[0].keys()  # type: ignore[attr-defined]
    assert sum(each["rows"] for each in seen) == stored(lake).height  # type: ignore[index]
    told = json.loads((lake.state / "watcher.json").read_bytes())["streams"]["kraken BTC-USD"]
    for name in ("crossed", "out_of_order", "rows"):
        assert told[f"orderbook.{name}"] == sum(each[name] for each in seen) > 0  # type: ignore[index]
    assert told["orderbook"] == stored(lake).height
    assert told["trade_features"] == told["trades"] == stored(lake, "trades").height


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_a_state_that_the_next_watcher_goes_on_from(tmp_path: Path, number: int) -> None:
    rows, lake = day(22), Lake.under(tmp_path)
    recorder, settings = Recorder(lake, "kraken"), write_settings(tmp_path, bars=())
    settings.write_text(settings.read_text().replace("bars:", "bars: []"))
    recorder.record([rows[:120]])
    command = [sys.executable, "-m", "scripts.cli", "watch", "-c", str(settings)]
    with subprocess.Popen(command, cwd=ROOT) as watcher:
        until = time.monotonic() + 120
        while not (lake.state / "watcher.json").exists():
            assert watcher.poll() is None
            assert time.monotonic() < until, "the watcher does nothing"
            time.sleep(0.02)
        watcher.send_signal(number)
        assert watcher.wait() == 0
    assert stored(lake).height > 10
    recorder.record([rows[120:]])
    refine(tmp_path, lake, end_of_data=True)
    batch = Lake(lake.raw, tmp_path / "batch", tmp_path / "batch_state")
    refine(tmp_path, batch, end_of_data=True)
    compared = assert_equal(files(lake), files(batch))
    assert compared["watcher: silver rows compared"] > 200
