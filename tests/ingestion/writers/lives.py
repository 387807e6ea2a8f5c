"""A short life of a capture process on a disk that may end it, for the writer's tests."""

from ingestion.writers.parquet_writer import StreamingParquetWriter
from shared.disk import Disk
from shared.partitioning import Lake
from tests.ingestion.writers.lake_rows import Feed, StepClock, writer


def live(
    lake: Lake, clock: StepClock, disk: Disk, acknowledged: set[int], *, ends: type[BaseException], run: int = 0
) -> bool:
    """Recover, collect two segments, seal, close. False where `ends`, and nothing else, ended it.

    The trades that were synced are added to `acknowledged`.
    """
    feed = Feed(clock)
    feed.number = run * 1000
    w: StreamingParquetWriter | None = None
    try:
        w = writer(lake, clock, run=run, disk=disk)
        for _ in range(2):
            for _ in range(2):
                captures = feed.captures(3) + feed.captures(1, symbol="ETH-USD")
                w.append(captures)
                w.sync()
                acknowledged.update(row.trade_seq for c in captures for row in c.rows)  # type: ignore[attr-defined]
            journal = w.rotate()
            assert journal
            w.seal(journal)
        w.close()
    except ends:
        if w:
            w._lock.release()
        return False
    return True
