"""What a service tells reaches the socket it was given, and nothing goes wrong where there is none."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.notify import READY, notify, reloading, watchdog_s


@pytest.fixture(params=["path", "abstract"])
def listener(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"@daedalus-test-{os.getpid()}" if request.param == "abstract" else os.path.relpath(tmp_path / "notify")
        listening.bind(name.replace("@", "\0"))
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listening


def test_a_state_arrives_whole(listener: socket.socket) -> None:
    assert notify(f"{READY}\nSTATUS=capturing 3 feeds, päckchenweise")
    assert listener.recv(4096).decode() == "READY=1\nSTATUS=capturing 3 feeds, päckchenweise"


def test_a_reload_tells_the_monotonic_moment_systemd_asks_for(listener: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    assert notify(reloading())
    first, second = listener.recv(4096).decode().splitlines()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_listener_that_hangs_or_is_gone_stops_nobody(listener: socket.socket) -> None:
    while notify(READY):  # until its queue is full
        pass
    listener.close()
    assert not notify(READY)


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify(READY)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_patience(
    environment: dict[str, str], expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_s() == expected
