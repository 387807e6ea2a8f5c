"""`scripts.simulate` as a process."""

import json
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import websockets

from ingestion.simulator import read_truth

# A saturated websockets client reads no close frame; it need not wait 10 s for one.
connect = partial(websockets.connect, close_timeout=0.2)


def start(*options):
    command = [sys.executable, "-m", "scripts.simulate", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ready(process, path):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return json.loads(path.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_when_it_is_ready_and_ends_on_a_signal(tmp_path, number):
    log, where = tmp_path / "truth", tmp_path / "ready.json"
    with start("--ready-file", str(where), "--truth-log", str(log), "--rate", "500", "--fault", "drop@3") as process:
        urls = ready(process, where)
        assert urls["pid"] == process.pid
        async with connect(urls["coinbase_ws_url"]) as ws:
            await ws.send('{"type":"subscribe","channel":"market_trades","product_ids":["BTC-USD"]}')
            for _ in range(5):
                await ws.recv()
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert urls["coinbase_ws_url"] in out
    assert read_truth(log).count("coinbase") >= 5
    assert [fault.kind for _, fault in read_truth(log).faults] == ["drop"]


def test_a_taken_port_and_a_spoiled_tape_are_one_line(tmp_path):
    where = tmp_path / "ready.json"
    with start("--ready-file", str(where), "--venue", "coinbase") as first:
        port = ready(first, where)["port"]
        with start("--port", str(port)) as second:
            _, err = second.communicate(timeout=30)
        first.terminate()
        first.communicate(timeout=30)
    assert second.returncode == 1
    assert f"port {port}" in err
    assert err.count("\n") == 1
    with start("--replay", str(tmp_path / "none.csv")) as third:
        _, err = third.communicate(timeout=30)
    assert third.returncode == 1
    assert err.count("\n") == 1
