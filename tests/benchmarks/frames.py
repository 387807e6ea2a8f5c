"""What raw frames cost: bytes a day beside the decoded tables, and CPU per frame. `python -m tests.benchmarks.frames`.

Recorded frames (six minutes of Binance spot ETH, with its REST book) go through a session, recorded or not, the inlet,
the journal and the seal, without a socket. Bytes a day are those of the recording's own span, extrapolated.
"""

import gzip
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ingestion.collectors.frame_record import recorded
from ingestion.continuity import Feed
from ingestion.exchanges.binance import Binance
from ingestion.exchanges.protocol import Earlier, Fetch, Session, Subscription
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name
from shared.rows import Row

RECORDING = Path(os.environ.get("DAEDALUS_TEST_DATA") or "../shared/data") / "hftbacktest/spot/ethusdt_20240808.gz"
_TABLES = ("trades", "ticker", "l2", "orderbook")
_TOGETHER = 1000  # rows
_ROUNDS = 5
_Frame = tuple[int, bytes]


class _Run:
    """One way of the frames from a session to the disk."""

    def __init__(self, lake: Lake, *, is_recorded: bool) -> None:
        clock = SystemClock()
        epoch = epoch_name(clock.wall_ns(), 1)
        self._writer = StreamingParquetWriter(
            lake, WriterOptions(4096, 86_400), epoch=epoch, clock=clock, disk=Disk(durable=False)
        )
        self._intake = Intake(bytes_max=1 << 40, rows_max=1 << 40)
        self._inlet = Inlet(Feed("native", "binance", epoch), self._intake, clock)
        session = Binance().session([Subscription(table, "ETH-USDT", "ETHUSDT") for table in _TABLES])
        self._session: Session = recorded(session, 1, self._inlet) if is_recorded else session
        self._session.opening()

    def run(self, frames: Sequence[_Frame]) -> tuple[float, float]:
        """CPU seconds up to the journal, and of the seal."""
        began_s = time.process_time()
        wanted: Fetch | None = None
        rows: Sequence[Row]
        for moment_ns, text in frames:
            if text.startswith(b'{"lastUpdateId'):
                rows = self._session.fetched(wanted.request, text, moment_ns, moment_ns) if wanted else ()
                wanted = None
            else:
                rows = self._session.receive(text, moment_ns, moment_ns)
            events, self._session.events = self._session.events, []
            for event in events:
                if isinstance(event, Fetch):
                    wanted = event
                elif isinstance(event, Earlier):
                    self._inlet.take(event.rows, event.wall_ns, event.mono_ns, 0, frames=0)
            self._inlet.take(rows, moment_ns, moment_ns, len(text))
            if self._intake.rows >= _TOGETHER:
                self._writer.append(self._intake.take(rows=_TOGETHER))
        self._writer.append(self._intake.take(rows=1 << 40))
        journalled_s = time.process_time()
        self._writer.close()
        return journalled_s - began_s, time.process_time() - journalled_s


def main() -> None:
    """Print the figures."""
    if not RECORDING.exists():
        sys.exit(f"no recording at {RECORDING}; set DAEDALUS_TEST_DATA")
    lines = (line.partition(b" ") for line in gzip.decompress(RECORDING.read_bytes()).splitlines())
    frames = [(int(moment), text) for moment, _, text in lines if text]
    days = (frames[-1][0] - frames[0][0]) / 86_400e9
    best: dict[bool, tuple[float, float]] = {}
    for _ in range(_ROUNDS):
        for is_recorded in (False, True):
            with TemporaryDirectory() as folder:
                lake = Lake.under(Path(folder))
                found = _Run(lake, is_recorded=is_recorded).run(frames)
                before = best.get(is_recorded, found)
                best[is_recorded] = (min(before[0], found[0]), min(before[1], found[1]))
                sizes = {
                    path.name: sum(file.stat().st_size for file in path.rglob("*.parquet"))
                    for path in sorted(lake.ready.glob("native/*"))
                }
    wire = sum(len(text) for _, text in frames)
    print(f"{len(frames)} frames in {days * 86_400:.0f} s, {wire / len(frames):.0f} B each")
    for what, size in {"as received": wire, **sizes}.items():
        print(f"{what:12} {size / 1e6:8.2f} MB   {size / days / 1e6:8.0f} MB a day, extrapolated")
    for place, what in enumerate(("up to the journal", "seal")):
        off, on = (best[key][place] / len(frames) * 1e6 for key in (False, True))
        print(f"CPU {what}: {off:.1f} us a frame without, {on:.1f} with frames stored: {on - off:+.1f}")


if __name__ == "__main__":
    main()
