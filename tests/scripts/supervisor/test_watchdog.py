"""The watchdog is fed by data: a collector whose data stopped is noticed although its loop lives and beats."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingestion.simulator import Fault, LocalExchange, SeededMarket
from tests.exchange_process import ROOT
from tests.scripts.supervisor.running import WITHIN_S, Running, write_settings

SYMBOLS = ("BTC-USD", "ETH-USD")
EVERYTHING = ("",)  # heartbeats too, so that the collector connects anew again and again
ALL_BUT_HEARTBEATS = SYMBOLS  # so that its connection lives, and it hears nothing but that
DEAF_S = 6.0  # a dozen of its looks


def fall_silent(exchange: LocalExchange, symbols: Sequence[str]) -> None:
    """From now on, and on each later connection too."""
    for symbol in symbols:
        exchange.inject(Fault(kind="mute", symbol=symbol, count=10**12, every=10**9))


async def heard(listener: socket.socket, *, within_s: float) -> str | None:
    try:
        async with asyncio.timeout(within_s):
            return (await asyncio.get_running_loop().sock_recv(listener, 4096)).decode()
    except TimeoutError:
        return None


@pytest.mark.parametrize("silence", [EVERYTHING, ALL_BUT_HEARTBEATS], ids=["mute", "heartbeats only"])
async def test_no_data_no_watchdog_though_the_loop_lives(tmp_path: Path, silence: Sequence[str]) -> None:
    market = SeededMarket(seed=3, symbols=list(SYMBOLS), rate=200, trade_share=0.5)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0daedalus-watchdog-{os.getpid()}")
        listener.setblocking(False)
        async with LocalExchange(market, venues=["coinbase"]) as exchange:
            settings = write_settings(tmp_path, exchange.coinbase_ws_url, symbols=", ".join(SYMBOLS))
            environment = {"NOTIFY_SOCKET": f"@daedalus-watchdog-{os.getpid()}", "WATCHDOG_USEC": "2000000"}
            command = [sys.executable, "-m", "scripts.cli", "ingest", "-c", str(settings)]
            collector = await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT, env=os.environ | environment)
            try:
                first = await heard(listener, within_s=WITHIN_S)
                assert first is not None
                assert first.splitlines() == ["READY=1", "STATUS=capturing 1 feeds"]
                for _ in range(5):
                    assert await heard(listener, within_s=WITHIN_S) == "WATCHDOG=1"
                fall_silent(exchange, silence)
                while await heard(listener, within_s=DEAF_S):
                    pass
                assert collector.poll() is None
                beat = tmp_path / "state" / "ingestion.json"
                written_ns = beat.stat().st_mtime_ns
                async with asyncio.timeout(WITHIN_S):
                    while beat.stat().st_mtime_ns == written_ns:
                        await asyncio.sleep(0.1)
                assert await heard(listener, within_s=0.1) is None
                collector.terminate()
                assert await heard(listener, within_s=WITHIN_S) == "STOPPING=1"
                assert await asyncio.to_thread(collector.wait, WITHIN_S) == 0
            finally:
                collector.kill()
                collector.wait()


@pytest.mark.parametrize("silence", [EVERYTHING, ALL_BUT_HEARTBEATS], ids=["mute", "heartbeats only"])
async def test_a_deaf_collector_is_ended_in_good_order_and_started_again(
    tmp_path: Path, silence: Sequence[str]
) -> None:
    market = SeededMarket(seed=4, symbols=list(SYMBOLS), rate=200, trade_share=0.5)
    async with LocalExchange(market, venues=["coinbase"]) as exchange:
        settings = write_settings(
            tmp_path, exchange.coinbase_ws_url, symbols=", ".join(SYMBOLS), more="stale_after_s: 15"
        )
        with Running(settings, tmp_path) as running:
            deaf = await asyncio.to_thread(running.until_fed)
            fall_silent(exchange, silence)
            await asyncio.to_thread(running.until, lambda: running.child("ingest")["pid"] not in (deaf, None))
            ingest = running.child("ingest")
            assert (ingest["restarts"], ingest["last_exit"]) == (1, "code 0 (no new data for 15 s)")
            assert await asyncio.to_thread(running.stop) == 0
