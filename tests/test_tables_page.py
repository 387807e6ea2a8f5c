"""The code that the page of tables offers is run: a book rebuilt from `l2` is the exchange's own."""

import re
from datetime import datetime
from pathlib import Path

import polars as pl

from ingestion.inlet import Inlet
from ingestion.pipeline import IngestionPipeline, PipelineOptions
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name
from shared.rows import L2Message
from tests.ingestion.collecting import bronze

PAGE = Path(__file__).parents[1] / "docs" / "tables.md"
SNAPSHOT = L2Message("BTC-USD", 1, 0, True, ["bid", "bid", "ask"], [9.0, 8.0, 11.0], [1.0, 2.0, 3.0])
UPDATES = [
    L2Message("BTC-USD", 2, 1, False, ["bid", "ask"], [9.0, 10.5], [0.0, 4.0]),
    L2Message("BTC-USD", 3, 2, False, ["ask"], [11.0], [5.0]),
]


async def test_the_book_of_the_page_is_the_book(tmp_path: Path) -> None:
    lake, clock = Lake.under(tmp_path), SystemClock()
    epoch = epoch_name(clock.wall_ns(), 0)
    writer = StreamingParquetWriter(lake, WriterOptions(), epoch=epoch, clock=clock, disk=Disk(durable=False))
    pipeline = IngestionPipeline(writer, PipelineOptions(), epoch=epoch, clock=clock)
    inlet: Inlet = pipeline.inlet("native", "coinbaseadvanced")
    moments = []
    for message in (UPDATES[1], SNAPSHOT, *UPDATES):  # what comes before the first snapshot is no book
        moments.append(clock.wall_ns())
        inlet.take([message], clock.wall_ns(), clock.mono_ns(), 100)
    pipeline.stop()
    await pipeline.run([])
    (code,) = re.findall(r"```python\n(def book_at.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {"pl": pl}
    exec(code, names)
    bids, asks = names["book_at"](bronze(lake, "l2"), datetime.fromisoformat("2999-01-01T00:00:00+00:00"))  # type: ignore[operator]
    assert (bids, asks) == ({8.0: 2.0}, {11.0: 5.0, 10.5: 4.0})
