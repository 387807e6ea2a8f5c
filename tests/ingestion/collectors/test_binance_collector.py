"""Binance end to end: recorded frames over a real socket, its books by real REST, one frame lost on the way."""

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.exchanges.binance import Binance
from ingestion.exchanges.protocol import SessionOptions, Subscription
from shared.partitioning import Lake
from tests.ingestion.collecting import QUICK, Run, bronze
from tests.ingestion.recording import redecoded, stored

DATA = Path(os.environ.get("DAEDALUS_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
RECORDING = DATA / "hftbacktest" / "spot" / "ethusdt_20240808.gz"
pytestmark = pytest.mark.skipif(not RECORDING.exists(), reason=f"no recording at {RECORDING}; set DAEDALUS_TEST_DATA")
ETH = "ETH-USDT"
FRAMES = 4_000


class Market:
    """What the exchange knows: its frames, and the book after those that it has sent."""

    def __init__(self) -> None:
        lines = [line.split(b" ", 1)[1] for line in gzip.decompress(RECORDING.read_bytes()).splitlines() if line]
        self.snapshot = json.loads(next(line for line in lines if line.startswith(b'{"last')))
        self.frames = [line.decode() for line in lines if line.startswith(b'{"stream')][:FRAMES]
        depths = [number for number, frame in enumerate(self.frames) if "@depth" in frame]
        self.lost = depths[len(depths) // 2]
        self.book = {side: {float(p): float(q) for p, q in self.snapshot[side]} for side in ("bids", "asks")}
        self.version = self.snapshot["lastUpdateId"]
        self.asked: list[str] = []
        self.sent = asyncio.Event()
        self.answered = asyncio.Event()

    def follow(self, frame: str) -> None:
        data = json.loads(frame)["data"]
        if data.get("e") == "depthUpdate" and data["u"] > self.version:
            self.version = data["u"]
            for side, levels in (("bids", data["b"]), ("asks", data["a"])):
                for price, size in levels:
                    if float(size):
                        self.book[side][float(price)] = float(size)
                    else:
                        self.book[side].pop(float(price), None)

    async def stream(self, socket: ServerConnection) -> None:
        """Acknowledge, and send everything but the lost frame; the last frames wait for the second snapshot."""
        request = json.loads(await socket.recv())
        assert sorted(request["params"]) == ["ethusdt@depth@100ms", "ethusdt@ticker", "ethusdt@trade"]
        await socket.send(json.dumps({"result": None, "id": request["id"]}))
        await self.answered.wait()
        for number, frame in enumerate(self.frames):
            if number == self.lost + 20:
                self.answered.clear()
            if number == FRAMES - 50:
                await self.answered.wait()
            self.follow(frame)
            if number != self.lost:
                await socket.send(frame)
        self.sent.set()
        await socket.wait_closed()

    async def rest(self, request: web.Request) -> web.Response:
        """The book as it is now."""
        self.asked.append(request.path_qs)
        if "depth" not in request.path:
            return web.json_response({"symbols": []})
        levels = {side: [[repr(p), repr(q)] for p, q in book.items()] for side, book in self.book.items()}
        asyncio.get_running_loop().call_later(0.2, self.answered.set)
        return web.json_response({"lastUpdateId": self.version, **levels})


@asynccontextmanager
async def served(market: Market) -> AsyncIterator[SessionOptions]:
    application = web.Application()
    application.router.add_get("/{path:.*}", market.rest)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with serve(market.stream, "127.0.0.1", 0) as server:
            ws_port = server.sockets[0].getsockname()[1]
            yield SessionOptions(ws_url=f"ws://127.0.0.1:{ws_port}", rest_url=f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()


@pytest.mark.timeout(60)
async def test_a_recorded_hour_arrives_whole_and_a_lost_frame_costs_one_gap_and_one_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, market = Lake.under(tmp_path), Market()
    async with served(market) as options:
        exchange = Binance(options)
        streams = tuple(Subscription(table, ETH, "ETHUSDT") for table in ("trades", "ticker", "l2", "orderbook"))
        run = Run(lake)
        run.inlet = run.pipeline.inlet("native", "binance")
        collector = NativeCollector(
            NativeOptions(exchange, streams, silence_timeout_s=20.0, store_frames=True), run.inlet, QUICK
        )
        running = asyncio.create_task(run.pipeline.run([collector]))
        async with asyncio.timeout(40):
            await market.sent.wait()
            while run.inlet.statistics.frames < FRAMES:  # an acknowledgement more, a lost frame less
                await asyncio.sleep(0.02)
        run.pipeline.stop()
        await running
    raw = [json.loads(frame)["data"] for frame in market.frames]
    assert bronze(lake)["trade_seq"].to_list() == [each["t"] for each in raw if each.get("e") == "trade"]
    assert sum("depth" in path for path in market.asked) == 2
    updates = [each["u"] for number, each in enumerate(raw) if each.get("e") == "depthUpdate" and number != market.lost]
    rows = bronze(lake, "l2")
    messages = rows.filter(~rows["is_snapshot"] & rows["is_last"])
    assert messages["update_id"].to_list() == updates
    gaps = bronze(lake, "gaps")
    breaks = gaps.filter(gaps["cause"] == "sequence_break")
    assert sorted(breaks["channel"].to_list()) == ["l2", "orderbook"]
    book: dict[str, dict[float, float]] = {}
    is_snapshot_before = False
    for row in rows.sort("seq").iter_rows(named=True):
        if row["is_snapshot"] and not is_snapshot_before:
            book = {"bid": {}, "ask": {}}
        is_snapshot_before = row["is_snapshot"]
        if book:
            book[row["side"]].pop(row["price"], None)
            if row["size"]:
                book[row["side"]][row["price"]] = row["size"]
    assert book == {"bid": market.book["bids"], "ask": market.book["asks"]}
    # The stored frames, both REST books among them, decode to the same rows again.
    said = await asyncio.to_thread(redecoded, capsys, lake, tmp_path, "binance", "--output", str(tmp_path / "again"))
    for table in ("trades", "ticker", "l2", "orderbook"):
        found = said["tables"][table]
        assert found["equal"] > 0
        assert found["changed"] == found["new"] == found["missing"] == 0, (table, found)
    again = Lake.under(tmp_path / "again")
    assert stored(again, "l2") == stored(lake, "l2")
    assert sorted(bronze(again, "gaps")["channel"].to_list()) == ["l2", "orderbook"]
    assert said["replay"]["unanswered"] == 0
