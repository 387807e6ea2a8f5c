"""A small lake as collectors leave it: two runs, an id jump, a disconnect, a reject, events. For tests."""

from collections.abc import Sequence
from pathlib import Path

from ingestion.capture import Capture
from ingestion.continuity import Feed, Interruption
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from ingestion.writers.segments import SegmentOptions
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import Reject, Row, Ticker, Trade
from storage.published import next_epoch
from tests.ingestion.writers.lake_rows import StepClock

HOUR_NS = 3_600_000_000_000
EXCHANGE = "coinbaseadvanced"


def trade(number: int, us: int, symbol: str = "BTC-USD") -> Trade:
    return Trade(symbol, us, str(number), number, "buy", "SELL", 100.0 + number, 0.25)


class Capturing:
    """One collector run, driven by hand."""

    def __init__(self, lake: Lake, clock: StepClock, *, raw_format: str = "parquet", exchange: str = EXCHANGE) -> None:
        self.clock, self.exchange = clock, exchange
        self.epoch = next_epoch(lake, clock.wall_ns(), 1)
        options = WriterOptions(segments=SegmentOptions(raw_format=raw_format))
        self.writer = StreamingParquetWriter(lake, options, epoch=self.epoch, clock=clock, disk=Disk(durable=False))
        self.feed = Feed("native", exchange, self.epoch)
        self.feed.resume(self.writer.tails, started_us=clock.wall_ns() // 1000)
        self.rows([self.feed.event("start", "boot x", at_us=self.us)])

    @property
    def us(self) -> int:
        return self.clock.wall_ns() // 1000

    def rows(self, rows: Sequence[Row]) -> None:
        """Put rows as one capture."""
        self.clock.now_ns += 1_000_000
        numbered, seqs = self.feed.number(rows, self.us)
        wall_ns, mono_ns = self.clock.wall_ns(), self.clock.mono_ns()
        self.writer.append([Capture("native", self.exchange, wall_ns, mono_ns, numbered, seqs)])

    def trades(self, first: int, last: int, symbol: str = "BTC-USD") -> None:
        """Put trades of these ids, each a capture."""
        for number in range(first, last + 1):
            self.rows([trade(number, self.us, symbol)])

    def seal(self) -> None:
        """Make ready files of what was put."""
        journal = self.writer.rotate()
        assert journal
        self.writer.seal(journal)

    def interrupt(self, cause: str) -> None:
        """What comes next may not follow on what came."""
        self.feed.interrupt(Interruption(cause, self.us, f"a {cause}"))

    def stop(self) -> None:
        """End in good order."""
        self.rows([*self.feed.unwritten(self.us, everything=True), self.feed.event("stop", "", at_us=self.us)])
        self.writer.close()


def two_runs(folder: Path, *, raw_format: str = "parquet") -> Lake:
    """Trades 1..10, 14..20, 24..40 of BTC and some of ETH over two runs and two hours; 11..13 and 21..23 never came."""
    lake, clock = Lake.under(folder), StepClock()
    first = Capturing(lake, clock, raw_format=raw_format)
    first.trades(1, 10)
    first.trades(1, 5, "ETH-USD")
    first.seal()
    first.trades(14, 17)
    first.rows([Reject("BTC-USD", None, "trades", "bad price", "{}", row_id="18")])
    first.rows([Ticker("BTC-USD", first.us, bid=1.0)])
    clock.now_ns += HOUR_NS
    first.trades(19, 20)
    first.seal()
    first.interrupt("disconnect")
    first.rows([Ticker("BTC-USD", first.us, bid=2.0)])
    first.stop()
    second = Capturing(lake, clock, raw_format=raw_format)
    second.trades(24, 40)
    second.rows([Ticker("BTC-USD", second.us, bid=3.0)])
    second.stop()
    return lake
