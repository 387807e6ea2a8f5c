"""REST against a real server: what it answers, what it refuses, and how long it wants to be left alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from ingestion.collectors.venue import Venue
from ingestion.exchanges.coinbase import Coinbase
from ingestion.exchanges.protocol import Request
from shared.partitioning import Lake
from tests.ingestion.collecting import Run


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        status = int(request.match_info["status"])
        return web.Response(status=status, text="{}", headers={"Retry-After": "30"} if status >= 400 else {})

    app = web.Application()
    app.router.add_get("/{status}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "pauses_rest", "pauses_connects"), [(200, False, False), (429, True, False), (418, True, True)]
)
async def test_a_ban_is_honoured(
    tmp_path: Path, address: str, status: int, pauses_rest: bool, pauses_connects: bool
) -> None:
    run = Run(Lake.under(tmp_path))
    async with Venue(Coinbase(), run.inlet, silence_timeout_s=5.0) as venue:
        answer = await venue.get(Request(f"{address}/{status}", 1, "look"))
        assert (answer.body == b"{}") is (status == 200)
        waiting = [asyncio.create_task(venue.get(Request(f"{address}/200", 1, "look")))]
        waiting.append(asyncio.create_task(venue.connect_turn()))
        await asyncio.wait(waiting, timeout=0.5)
        assert [not task.done() for task in waiting] == [pauses_rest, pauses_connects]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    run.pipeline._writer.close()


async def test_what_cannot_be_had_is_an_answer_and_no_error(tmp_path: Path) -> None:
    run = Run(Lake.under(tmp_path))
    async with Venue(Coinbase(), run.inlet, silence_timeout_s=5.0) as venue:
        answer = await venue.get(Request("http://127.0.0.1:9/nobody", 1, "look"))
    assert answer.body is None
    assert "Cannot connect" in answer.evidence
    run.pipeline._writer.close()
