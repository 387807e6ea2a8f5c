"""The page on reading shows code that works, all of it in order, over a lake with the tables that it names."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from config.places import Archive
from shared.partitioning import Lake, Partition
from storage.factory import object_store
from tests.s3_servers import s3_place

PAGE = (Path(__file__).parents[1] / "docs" / "reading.md").read_text()
FIRST = datetime(2026, 6, 9, 23, tzinfo=UTC)
TIMES = [FIRST + timedelta(seconds=second) for second in range(0, 300, 2)]


def write(folder: Path, name: str, symbol: str, **columns: Any) -> None:
    folder.mkdir(parents=True)
    frame = pl.DataFrame({"exchange": ["kraken"] * len(TIMES), "symbol": symbol} | columns)
    frame.write_parquet(folder / name)


def lake_of_the_page(root: Path) -> None:
    lake = Lake.under(root)
    rows = range(len(TIMES))
    for symbol in ("BTC-USD", "ETH-USD"):
        day = Partition("kraken", symbol, 2026, 6, 9).path()
        write(lake.silver("trades") / day, "trades_20260609T23.parquet", symbol, tape_ts=TIMES)
        features = {
            "timestamp": TIMES,
            "known_at": TIMES,
            "mid_price": [float(row) for row in rows],
            "ofi": [1.0] * len(rows),
        }
        write(lake.silver("orderbook") / day, "orderbook_20260609T23.parquet", symbol, **features)
        month = Partition("kraken", symbol, 2026, 6).path()
        bars = {"time_start": TIMES, "available_at": TIMES, "known_at": TIMES, "close": [1.0] * len(rows)}
        write(lake.bars("tick-100") / month, "bars_20260609.parquet", symbol, **bars)


def in_a_bucket(url: str, data: Path) -> None:
    """The same lake below the prefix `pi` of the bucket."""
    store = object_store(TypeAdapter(Archive).validate_python(s3_place(url, prefix="pi")).options(), root=data)
    for path in data.rglob("*.parquet"):
        store.put(path.relative_to(data).as_posix(), path)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, ministack):
    monkeypatch.chdir(tmp_path)
    lake_of_the_page(tmp_path / "data")
    in_a_bucket(ministack, tmp_path / "data")
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code.replace('"https://s3.example.com"', f'"{ministack}", "aws_allow_http": "true"'), names)
    assert names["trades"].collect().height == len(TIMES)
    assert names["bars"].collect().height == 2 * len(TIMES)
    assert len(names["files"]) == 2
    assert names["minutes"].collect()["mid_price"].to_list() == [0.0, 30.0, 60.0, 90.0, 120.0]
    assert names["flow"].collect()["ofi"].to_list() == [1.0, 30.0, 30.0, 30.0, 30.0]
    assert names["here"].collect().height == 5
    assert names["spread"].columns == ["timestamp", "BTC_USD_mid_price", "ETH_USD_mid_price", "ETH_USD_age"]
    assert names["with_features"].collect()["mid_price"].to_list() == [float(row) for row in range(len(TIMES))]
    assert "mid_price" in names["strict"].collect().columns
    assert names["in_bucket"].collect().height == len(TIMES)
