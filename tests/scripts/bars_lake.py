"""A lake of bars for the commands that read them: a walk with a declared gap, several sets and streams."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from etl.bars import bar_set_id, new_bars
from shared.partitioning import Lake, Partition

FIRST = datetime(2026, 6, 9, 4, tzinfo=UTC)
SETS: dict[str, dict[str, Any]] = {
    "dollar": {"threshold": 20_000},
    "tick": {"threshold": 100},
    "time": {"interval": "1m"},
}
STREAMS = (("kraken", "BTC-USD"), ("coinbaseadvanced", "BTC-USD"), ("kraken", "ETH-USD"))


def walk(trades: int, *, seed: int, gap_at: int | None = None, first: datetime = FIRST) -> pl.DataFrame:
    """Trades of a walk, about 4 a second in bursts, with sides; before trade `gap_at` 90 s were not captured."""
    chance = np.random.default_rng(seed)
    after_s = chance.gamma(0.4, 0.6, trades)
    if gap_at is not None:
        after_s[gap_at] = 90.0
    price = np.round(1000 * np.exp(np.cumsum(chance.normal(0, 4e-5, trades))), 2)
    return pl.DataFrame(
        {
            "trade_id": [str(number) for number in range(trades)],
            "trade_seq": np.arange(trades),
            "timestamp": [first + timedelta(microseconds=int(us)) for us in np.cumsum(after_s) * 1e6],
            "side": np.where(chance.random(trades) < 0.5, "buy", "sell"),
            "price": price,
            "amount": np.round(chance.lognormal(-2, 1, trades) + 0.0001, 4),
            "gap_before": np.arange(trades) == (-1 if gap_at is None else gap_at),
        }
    )


def bars_lake(root: Path, *, trades: int = 12_000) -> str:
    """Settings of a lake under `root` whose sets are `SETS`, each with `STREAMS`."""
    lake = Lake.under(root)
    for seed, (exchange, symbol) in enumerate(STREAMS):
        made = walk(trades, seed=seed, gap_at=trades // 3)
        for kind, params in SETS.items():
            builder = new_bars(kind, **params)
            name = bar_set_id(kind, params)
            bars = pl.concat([builder.update(made), builder.flush()])
            keys = {"bar_set": name, "exchange": exchange, "symbol": symbol}
            folder = lake.bars(name) / Partition(exchange, symbol, FIRST.year, FIRST.month).path()
            folder.mkdir(parents=True)
            marked = bars.select(*(pl.lit(value).alias(key) for key, value in keys.items()), pl.all())
            marked.write_parquet(folder / f"bars_{FIRST:%Y%m%d}.parquet")
    settings = root / "config.yaml"
    settings.write_text(f'storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed"}}}}\n')
    return str(settings)
