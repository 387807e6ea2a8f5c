"""Socket to journal against the bare `websockets` + JSON loop, in one run; and the size of what comes out."""

import asyncio
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import msgspec
import polars as pl
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ingestion.collectors.coinbase_ws import CoinbaseCollector, CoinbaseOptions
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.retry import RetryPolicy
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name

FRAMES = 40_000
TRADES_PER_FRAME = (1, 1, 2, 1, 3, 1, 2, 1, 2, 2)  # 1.6 a frame, as recorded on the exchange


def frames(count: int) -> list[bytes]:
    """Frames of `market_trades` as Coinbase sends them, ids and numbers contiguous."""
    rng = random.Random(1)
    out, trade_id, price = [], 1_000_000, 65_000.0
    for number in range(count):
        trades = []
        for _ in range(TRADES_PER_FRAME[number % 10]):
            trade_id += 1
            price = max(1.0, price + rng.choice((-0.01, 0, 0, 0.01)))
            moment = (
                f"2026-08-09T21:{trade_id // 60_000 % 60:02d}:{trade_id // 1000 % 60:02d}.{trade_id % 1000:03d}318Z"
            )
            size = rng.choice((f"{rng.random():.8f}", f"{rng.randint(1, 50) / 100:.2f}"))
            trades.append(
                {
                    "product_id": "BTC-USD",
                    "trade_id": str(trade_id),
                    "price": f"{price:.2f}",
                    "size": size,
                    "time": moment,
                    "side": rng.choice(("BUY", "SELL")),
                }
            )
        event = {"type": "update", "trades": trades[::-1]}
        out.append(
            msgspec.json.encode(
                {
                    "channel": "market_trades",
                    "client_id": "",
                    "timestamp": "2026-08-09T21:05:48.228568804Z",
                    "sequence_num": number,
                    "events": [event],
                }
            )
        )
    return out


def _serve(port_pipe: Connection, count: int) -> None:
    async def session(socket: ServerConnection) -> None:
        try:
            for frame in corpus:
                await socket.send(frame, text=True)
            await asyncio.sleep(60)
        except ConnectionClosed:
            return

    async def main() -> None:
        async with serve(session, "127.0.0.1", 0, compression=None) as server:
            port_pipe.send(server.sockets[0].getsockname()[1])
            await asyncio.sleep(3600)

    corpus = frames(count)
    asyncio.run(main())


async def bare(url: str, decode: Callable[[bytes], object]) -> float:
    """CPU seconds per frame of receiving and decoding, nothing else."""
    async with connect(url, compression=None, max_size=None) as socket:
        start = time.process_time()
        for _ in range(FRAMES):
            decode(await socket.recv(decode=False))
        return (time.process_time() - start) / FRAMES


async def native(url: str, root: Path) -> float:
    """CPU seconds per frame of the native collector, socket to synced journal, all threads."""
    clock, lake = SystemClock(), Lake.under(root)
    epoch = epoch_name(clock.wall_ns(), 1)
    writer = StreamingParquetWriter(lake, WriterOptions(), epoch=epoch, clock=clock, disk=Disk())
    pipeline = IngestionPipeline(writer, PipelineOptions(), epoch=epoch, clock=clock)
    inlet = pipeline.inlet("native", "coinbaseadvanced")
    options = CoinbaseOptions(url, {"trades": ("BTC-USD",)}, 30)
    collector = CoinbaseCollector(options, inlet, RetryPolicy())
    start = time.process_time()
    run = asyncio.create_task(pipeline.run([collector]))
    while inlet.statistics.frames < FRAMES and not run.done():
        await asyncio.sleep(0.02)
    while pipeline.statistics()["queue"]["rows"]:
        await asyncio.sleep(0.02)
    cost = (time.process_time() - start) / FRAMES
    pipeline.stop()
    await run
    return cost


def sizes(root: Path) -> tuple[float, float]:
    """Bytes per trade in `ready`, and of the same rows as NDJSON."""
    files = list(Lake.under(root).ready.glob("native/trades/**/*.parquet"))
    rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).drop("info_json")
    text = root / "rows.ndjson"
    rows.write_ndjson(text)
    return sum(path.stat().st_size for path in files) / rows.height, text.stat().st_size / rows.height


def measure(rounds: int = 3) -> list[tuple[str, float, str]]:
    """(what, ratio, target) of capture cost and size."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=_serve, args=(theirs, FRAMES), daemon=True)
    server.start()
    url = f"ws://127.0.0.1:{ours.recv()}"
    plain, fastest = [], []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(rounds):
                root = Path(folder) / str(number)
                json_s = asyncio.run(bare(url, json.loads))
                msgspec_s = asyncio.run(bare(url, msgspec.json.decode))
                native_s = asyncio.run(native(url, root))
                plain.append(native_s / json_s)
                fastest.append(native_s / msgspec_s)
                print(
                    f"  us/frame: websockets + json {json_s * 1e6:.1f}, websockets + msgspec {msgspec_s * 1e6:.1f}, "
                    f"socket to synced journal {native_s * 1e6:.1f}"
                )
            ready, text = sizes(root)
            print(f"  B/trade: ready {ready:.1f}, NDJSON {text:.1f}")
    finally:
        server.kill()
    return [
        ("socket to journal / bare websockets + json, CPU per frame", median(plain), "<= 2"),
        ("socket to journal / bare websockets + msgspec, CPU per frame", median(fastest), "<= inf"),
        ("NDJSON / ready Parquet, bytes per trade", text / ready, ">= 15"),
    ]


if __name__ == "__main__":
    for line in measure():
        print(*line)
