"""60,000 book updates and 30,000 trades as fast as the socket takes them: what came is in `ready`, every single one.

A client of ccxt's unified calls cannot pass this: `watch_order_book` gives the book as it stands when its await comes
round, and the updates in between are nowhere. That is shown too.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path

import ccxt.pro
import polars as pl
import pytest

from ingestion.collectors.base_collector import BaseCollector
from ingestion.collectors.ccxt_collector import CcxtCollector, CcxtOptions
from ingestion.collectors.coinbase_ws import CoinbaseCollector, CoinbaseOptions
from ingestion.inlet import Inlet
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.retry import RetryPolicy
from ingestion.simulator.exchange import LocalExchange
from ingestion.simulator.market import SeededMarket
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name
from tests.ingestion.collecting import bronze
from tests.ingestion.collectors.blast import SYMBOL, Blast, blast, blasting

BOOK_UPDATES, TRADES = 60_000, 30_000
LOSSLESS = ("start", "stop", "connect", "clock_step")  # of the causes of gap rows, those that lose nothing


@cache
def whole() -> Blast:
    return blast(book_updates=BOOK_UPDATES, trades=TRADES)


async def captured(
    lake: Lake, source: str, build: Callable[[Inlet], BaseCollector], wanted: dict[str, int], *, within_s: float
) -> None:
    """Run a collector until as many rows of each table have come, then seal everything."""
    clock = SystemClock()
    epoch = epoch_name(clock.wall_ns(), 1)
    writer = StreamingParquetWriter(lake, WriterOptions(), epoch=epoch, clock=clock, disk=Disk(durable=False))
    pipeline = IngestionPipeline(writer, PipelineOptions(), epoch=epoch, clock=clock)
    inlet = pipeline.inlet(source, "coinbaseadvanced")
    run = asyncio.create_task(pipeline.run([build(inlet)]))
    try:
        async with asyncio.timeout(within_s):
            while not run.done() and any(inlet.standing(table, SYMBOL).rows < n for table, n in wanted.items()):
                await asyncio.sleep(0.05)
    finally:
        pipeline.stop()
        await run


def nothing_lost(lake: Lake, trade_ids: list[int]) -> None:
    trades, gaps = bronze(lake), bronze(lake, "gaps")
    assert trades["trade_seq"].to_list() == trade_ids
    assert gaps.is_empty() or gaps.filter(~pl.col("cause").is_in(LOSSLESS)).is_empty()
    assert bronze(lake, "rejects").is_empty()


@pytest.mark.timeout(300)
async def test_native_stores_every_update_and_every_trade(tmp_path: Path) -> None:
    lake, sent = Lake.under(tmp_path), whole()
    with blasting(sent.frames) as url:
        products = {"trades": (SYMBOL,), "l2": (SYMBOL,)}
        options = CoinbaseOptions(url, products, silence_timeout_s=60)
        wanted = {"trades": TRADES, "l2": len(sent.levels)}
        await captured(
            lake, "native", lambda inlet: CoinbaseCollector(options, inlet, RetryPolicy()), wanted, within_s=200
        )
    nothing_lost(lake, sent.trade_ids)
    l2 = bronze(lake, "l2")
    assert list(zip(l2["side"], l2["price"], l2["size"], strict=True)) == sent.levels
    assert l2["is_last"].sum() == BOOK_UPDATES + 1
    assert l2["seq"].to_list() == list(range(len(sent.levels)))


@pytest.mark.timeout(300)
async def test_ccxt_stores_every_trade_and_the_book_after_each_message(tmp_path: Path) -> None:
    lake, sent = Lake.under(tmp_path), whole()
    async with LocalExchange(SeededMarket(symbols=(SYMBOL,)), venues=("coinbase",)) as exchange:
        with blasting(sent.frames) as url:
            both = {"trades": ("BTC/USD",), "orderbook": ("BTC/USD",)}
            urls = {"api": {"rest": exchange.coinbase_rest_url, "ws": url}}
            options = CcxtOptions("coinbase", **both, orderbook_depth=3, urls=urls, silence_timeout_s=60)
            wanted = {"trades": TRADES, "orderbook": BOOK_UPDATES + 1}
            await captured(
                lake, "ccxt", lambda inlet: CcxtCollector(options, inlet, RetryPolicy()), wanted, within_s=200
            )
    nothing_lost(lake, sent.trade_ids)
    books = bronze(lake, "orderbook")
    scalars = books.select("best_bid", "bid_size", "best_ask", "ask_size").rows()
    assert len(scalars) == BOOK_UPDATES + 1
    assert scalars == sent.tops


async def test_plain_watch_order_book_hides_most_of_it() -> None:
    sent = blast(book_updates=6000, trades=3000)
    async with LocalExchange(SeededMarket(symbols=(SYMBOL,)), venues=("coinbase",)) as exchange:
        with blasting(sent.frames) as url:
            own = {"urls": {"api": {"rest": exchange.coinbase_rest_url, "ws": url}}, "rateLimit": 1}
            plain = ccxt.pro.coinbase(own)
            seen = 0
            try:
                while True:
                    async with asyncio.timeout(3):
                        await plain.watch_order_book("BTC/USD")
                    seen += 1
            except TimeoutError:
                pass
            finally:
                await plain.session.close()
                await plain.close()
    assert 0 < seen < 6000 * 0.5
