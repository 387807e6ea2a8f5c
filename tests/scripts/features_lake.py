"""A lake with captured books, changes of books, tickers and trades of a market that nobody traded."""

import random
from pathlib import Path

from etl.core.config import EtlOptions
from etl.core.executor import TransformExecutor
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import L2, OrderBook, Row, Ticker, Trade
from tests.etl.core.test_streams import Recorder
from tests.ingestion.writers.lake_rows import START_NS

START_US = START_NS // 1000


def books_and_trades(seed: int, *, seconds: int) -> list[Row]:
    """Two books, a ticker and now and then trades in each second, in the order in which they happened."""
    rng = random.Random(seed)
    bid, rows, number = 10_000, [], 0
    for half in range(2 * seconds):
        us = START_US + half * 500_000 + 1000
        bid += rng.choice((-1, 0, 0, 1))
        spread = rng.choice((1, 1, 2))
        bids = [((bid - i) / 100, rng.randint(1, 40) / 8) for i in range(12)]
        asks = [((bid + spread + i) / 100, rng.randint(1, 40) / 8) for i in range(12)]
        rows.append(OrderBook("BTC-USD", us, half, *bids[0], *asks[0], bids, asks))
        if half % 2:
            rows.append(Ticker("BTC-USD", us, bid=bids[0][0], ask=asks[0][0]))
        for _ in range(rng.choice((0, 0, 1, 3))):
            number += 1
            us += rng.randint(1, 100_000)
            side = rng.choice(("buy", "sell"))
            price = asks[0][0] if side == "buy" else bids[0][0]
            rows.append(Trade("BTC-USD", us, str(number), number, side, side, price, rng.randint(1, 40) / 8))
    return rows


def changes(rows: list[Row]) -> list[Row]:
    """The same market with each book told as a whole message of table l2."""
    found: list[Row] = []
    for row in rows:
        if not isinstance(row, OrderBook):
            found.append(row)
            continue
        sides = [("bid", *level) for level in row.bids] + [("ask", *level) for level in row.asks]
        for place, (side, price, size) in enumerate(sides):
            is_last = place == len(sides) - 1
            found.append(L2(row.symbol, row.timestamp, row.nonce or 0, True, is_last, side, price, size))
    return found


def features_lake(folder: Path) -> Path:
    """Settings of a lake: kraken has books, bitfinex changes of books, both have silver trades; okx has books alone."""
    lake = Lake.under(folder / "lake")
    whole = books_and_trades(1, seconds=60)
    half = len(whole) // 2
    late = next(row for row in whole if isinstance(row, OrderBook))  # comes again, when it is old
    Recorder(lake, "kraken").record([whole[:half], [late, *whole[half:]]])
    Recorder(lake, "bitfinex").record([changes(whole)])
    Recorder(lake, "okx").record([[row for row in whole if isinstance(row, OrderBook)]])
    executor = TransformExecutor(EtlOptions(lake, disk=Disk(durable=False)))
    executor.run(end_of_data=True)
    executor.close()
    config = folder / "config.yaml"
    config.write_text(
        f'storage: {{paths: {{raw_dir: "{lake.raw}", processed_dir: "{lake.processed}", state_dir: "{lake.state}"}}}}'
    )
    return config
