"""Bytes per row in `ready` against the same rows as NDJSON, and what journal and seal cost per row.

Rows are what the native modules make of real recordings (Binance spot and USD-M, ETH, 2024-08-08), written by
`StreamingParquetWriter`. The exchange's own record (`info_json`) is left out on both sides. A quiet book changes little
from row to row, a busy one nearly everywhere: spot at each update, and futures once a second.
"""

import gzip
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import polars as pl
import zstandard

from ingestion.capture import Capture
from ingestion.exchanges.binance import Binance
from ingestion.exchanges.binanceusdm import BinanceUsdm
from ingestion.exchanges.protocol import Exchange, SessionOptions, Subscription
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from shared.clock import SystemClock
from shared.disk import Disk
from shared.partitioning import Lake, epoch_name, stored_symbol
from shared.rows import TABLE_OF, L2Message, Row, Trade
from tests.benchmarks.ingest import Line
from tests.ingestion.exchanges.book_reading import Stored

DATA = Path(os.environ.get("DAEDALUS_TEST_DATA") or "../shared/data") / "hftbacktest"
_JOURNAL_ROWS = 400_000
_PER_BATCH = 1_000
_PLAIN = WriterOptions(segment_max_mb=4096, segment_max_seconds=86_400)


class _Recording(NamedTuple):
    exchange: type[Exchange]
    symbol: str
    files: tuple[str, ...]
    interval_ns: int  # between two rows of orderbook
    kinds: dict[str, tuple[str, float]]  # table -> what it stands for, and the ratio to reach


_SPOT = ("spot/ethusdt_20240808.gz", "spot/ethusdt_20240809.gz")
_RECORDINGS = (
    _Recording(
        Binance,
        "ETH/USDT",
        _SPOT,
        0,
        {"trades": ("trades", 18), "ticker": ("ticker", 0), "l2": ("quiet l2", 20), "orderbook": ("quiet book", 20)},
    ),
    _Recording(
        BinanceUsdm,
        "ETH/USDT:USDT",
        ("usdm/ethusdt_20240808.gz",),
        1_000_000_000,
        {"l2": ("busy l2", 7), "orderbook": ("busy book", 7)},
    ),
)


def measure() -> list[Line]:
    """Every line about size and the writer's cost."""
    lines = []
    for recording in _RECORDINGS:
        if not DATA.is_dir():
            known = recording.kinds.values()
            lines += [Line(f"NDJSON / ready, {name}", None, f">= {bound}", "no recordings") for name, bound in known]
            continue
        with TemporaryDirectory() as folder:
            lake = Lake.under(Path(folder))
            _store(_replayed(recording), lake)
            lines += [_size(lake, table, name, bound) for table, (name, bound) in recording.kinds.items()]
    with TemporaryDirectory() as folder:
        return lines + _writer_cost(Lake.under(Path(folder)))


def busy_l2(lake: Lake) -> list[Path]:
    """Store the recording of a busy book; the files of its l2."""
    _store(_replayed(_RECORDINGS[-1]), lake)
    return sorted(lake.ready.glob("native/l2/**/*.parquet"))


def _replayed(recording: _Recording) -> Stored:
    exchange = recording.exchange(SessionOptions(orderbook_interval_ns=recording.interval_ns))
    symbol = recording.symbol
    streams = [
        Subscription(table, stored_symbol(symbol), exchange.raw_symbol(symbol))
        for table in ("trades", "ticker", "l2", "orderbook")
    ]
    stored = Stored(exchange.session(streams))
    for name in recording.files:
        for line in gzip.decompress((DATA / name).read_bytes()).splitlines():
            arrived, _, text = line.partition(b" ")
            if text.startswith(b'{"lastUpdateId'):
                if stored.requests:
                    stored.answer(text, int(arrived))
            elif text:
                stored.receive(text, int(arrived))
    return stored


def _store(stored: Stored, lake: Lake) -> None:
    counts: dict[tuple[str, str], int] = {}
    captures = []
    for row, arrived_ns in zip(stored.rows, stored.arrivals, strict=True):
        if isinstance(row, Row):
            key = TABLE_OF[type(row)], row.symbol
            seq = counts.get(key, 0)
            counts[key] = seq + (len(row) if isinstance(row, L2Message) else 1)
            captures.append(Capture("native", "binance", arrived_ns, arrived_ns, [row], [seq]))
    _written(lake, captures)


def _written(lake: Lake, captures: Sequence[Capture]) -> tuple[float, float]:
    """CPU seconds of the journal and of the seal."""
    clock = SystemClock()
    epoch = epoch_name(clock.wall_ns(), 1)
    writer = StreamingParquetWriter(lake, _PLAIN, epoch=epoch, clock=clock, disk=Disk())
    began_s = time.process_time()
    for first in range(0, len(captures), _PER_BATCH):
        writer.append(list(captures[first : first + _PER_BATCH]))
    writer.sync()
    journalled_s = time.process_time()
    writer.close()
    return journalled_s - began_s, time.process_time() - journalled_s


def _size(lake: Lake, table: str, name: str, bound: float) -> Line:
    files = sorted(lake.ready.glob(f"native/{table}/**/*.parquet"))
    what, target = f"NDJSON / ready, {name}", f">= {bound}" if bound else ""
    if not files:
        return Line(what, None, target, "the recording has none")
    rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).drop("info_json")
    text = rows.write_ndjson().encode()
    packed = len(zstandard.ZstdCompressor(level=3).compress(text))
    ready = sum(path.stat().st_size for path in files)
    each = [size / rows.height for size in (ready, packed, len(text))]
    detail = f"{each[0]:.1f} B a row, NDJSON zstd-3 {each[1]:.1f}, NDJSON {each[2]:.0f}; {rows.height} rows"
    return Line(what, len(text) / ready, target, detail)


def _writer_cost(lake: Lake) -> list[Line]:
    """Of trades of a hundred streams, eight rows a message."""
    captures, rows = list(_many_trades()), _JOURNAL_ROWS
    journal_s, seal_s = _written(lake, captures)
    return [
        Line("journal, us of CPU per row", journal_s / rows * 1e6, "<= 6", f"{rows} trades of 100 streams"),
        Line("seal, us of CPU per row", seal_s / rows * 1e6, "", "the same rows, sorted, compressed and published"),
    ]


def _many_trades() -> Iterator[Capture]:
    moment_us = 1_786_309_542_000_000
    for message in range(_JOURNAL_ROWS // 8):
        symbol, first = f"COIN{message % 100}-USD", message // 100 * 8
        rows = [
            Trade(
                symbol, moment_us + message, str(first + n), first + n, "buy", "SELL", 65_000 + n / 100, (n + 1) / 1e4
            )
            for n in range(8)
        ]
        yield Capture("native", "coinbaseadvanced", moment_us * 1000 + message, message, rows, range(first, first + 8))
