"""A full disk pauses capture in good order; with room it goes on, and nothing that was numbered is missing."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from ingestion.collectors.base_collector import BaseCollector, SessionEnd
from ingestion.disk_room import DiskRoom
from ingestion.inlet import Inlet
from ingestion.pipeline import PipelineOptions
from ingestion.retry import RetryPolicy
from shared.partitioning import Lake
from shared.rows import Trade
from tests.ingestion.collecting import Run, bronze

MB = 1 << 20


def test_capture_pauses_below_the_reserve_and_resumes_a_quarter_above_it() -> None:
    room = DiskRoom(1000 * MB)
    assert [room.look(free * MB, now_s=0) for free in (1001, 999, 1001, 1249, 1250, 1249)] == [
        False, True, False, False, True, False,
    ]  # fmt: skip
    assert room.pauses == 1


def test_a_refused_write_pauses_for_a_while_even_where_much_is_free() -> None:
    room = DiskRoom(0)
    assert not room.look(0, now_s=0)
    assert room.refused(now_s=1.0)
    assert not room.refused(now_s=2.0)
    assert not room.has_for(1, now_s=3.0)
    assert not room.look(1 << 40, now_s=6.9)
    assert room.look(1 << 40, now_s=7.1)


class Steady(BaseCollector):
    """Numbered trades without an end; each session is a connection."""

    def __init__(self, inlet: Inlet) -> None:
        super().__init__(inlet, RetryPolicy(0.01, 0.02))
        self.number, self.connections = 0, 0

    async def session(self) -> SessionEnd:
        self.connections += 1
        while True:
            rows = []
            for _ in range(50):
                self.number += 1
                rows.append(Trade("BTC-USD", self.number, str(self.number), None, "buy", "BUY", 1.0, self.number / 7))
            await self.inlet.put(rows, wall_ns=self.inlet.clock.wall_ns(), mono_ns=0, frame_bytes=5000)
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("reserve_mb", [0, 2])
async def test_a_disk_that_fills_up_and_is_freed_loses_nothing_numbered(small_disk: Path, reserve_mb: int) -> None:
    lake = Lake.under(small_disk / "lake")
    options = PipelineOptions(flush_interval_s=0.02, journal_sync_s=0.1, disk_reserve_bytes=reserve_mb * MB)
    run = Run(lake, options=options)
    collector = Steady(run.inlet)
    running = asyncio.create_task(run.pipeline.run([collector]))

    async with asyncio.timeout(100):
        await asyncio.sleep(0.3)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - (MB if reserve_mb else MB // 4)))
        while not run.pipeline.statistics().disk.is_paused:
            await asyncio.sleep(0.02)
        stopped_at = collector.number
        await asyncio.sleep(1)
        assert collector.number <= stopped_at + 50
        assert not running.done()
        filler.unlink()
        grow = ["mount", "-o", "remount,size=200m", str(small_disk)]
        await asyncio.to_thread(subprocess.run, grow, check=True)
        while collector.number < stopped_at + 1000:
            await asyncio.sleep(0.05)
        run.pipeline.stop()
        await running
    trades = bronze(lake)
    assert trades["seq"].to_list() == list(range(run.inlet.standing("trades", "BTC-USD")[0]))
    assert collector.connections == 2
    assert run.pipeline.statistics().disk.pauses == 1
    (gap,) = bronze(lake, "gaps").filter(cause="disk_full", channel="trades").to_dicts()
    assert gap["prev_id"] is not None
    assert list(lake.active.iterdir()) == list(lake.staging.iterdir()) == []
