"""`daedalus redecode`: stored frames decoded again, as a lake of its own, and how it differs from what is stored."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from config.config import DEFAULT_FILE, Settings, load_config
from ingestion.capture import Capture
from ingestion.continuity import Feed
from ingestion.exchanges.catalog import native_exchanges
from ingestion.redecoding import Replay, ReplayReport
from ingestion.writers.parquet_writer import StreamingParquetWriter, WriterOptions
from ingestion.writers.segments import SegmentOptions
from scripts.config_commands import ConfigFile
from scripts.moments import moment
from scripts.stream_options import Symbols, streams_of
from scripts.unsealed import read_unsealed
from shared.clock import SystemClock, us_from_utc
from shared.disk import Disk
from shared.errors import InputUnreadable
from shared.partitioning import Lake, stored_exchange
from shared.rows import TABLE_OF, Row
from storage.comparison import COMPARED, Difference, Window, compare
from storage.frames import FrameFiles, frame_files, published, read_frames
from storage.published import Published, next_epoch

_APPEND_ROWS = 1000
_WIDTH_UNSEEN = 200
_ALWAYS = Window(0, 2**63 - 1)


@dataclass(frozen=True)
class Chosen:
    """Which rows are wanted of what is decoded; an empty set asks for all."""

    symbols: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    window: Window = _ALWAYS

    def keeps(self, row: Row, wall_ns: int) -> bool:
        """Whether a row is written."""
        return (
            self.window.start_us <= wall_ns // 1000 <= self.window.end_us
            and (not self.symbols or row.symbol in self.symbols)
            and (not self.tables or TABLE_OF[type(row)] in self.tables)
        )

    def names(self, entry: Published) -> bool:
        """Whether a file has such rows."""
        return (not self.symbols or entry.symbol in self.symbols) and (not self.tables or entry.table in self.tables)


@dataclass
class Redecoded:
    """What a run found."""

    exchange: str
    frames: int = 0
    unsealed: int = 0  # frames that are still in a journal
    rows: int = 0  # written
    replay: ReplayReport = field(default_factory=ReplayReport)
    tables: dict[str, Difference] = field(default_factory=dict)


def redecode(
    exchange: Annotated[str, typer.Option(help="Whose frames, as coinbase or kraken.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A new folder for the new lake.")] = None,
    since: Annotated[str | None, typer.Option(help="Rows that came from then on: 2026-06-09, 24h.")] = None,
    until: Annotated[str | None, typer.Option(help="Rows that came before then.")] = None,
    symbol: Symbols = None,
    table: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(sorted(COMPARED))}.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would differ; keep nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Decode stored frames again with today's decoders. What is stored is not touched: the rows are a new lake."""
    name, chosen = _exchange(exchange), _chosen(symbol, table, moment(since), moment(until))
    settings = load_config(config)
    lake = settings.lake()
    if not dry_run:
        _check_output(output, lake)
    files = frame_files(published(lake, name), since=moment(since), until=moment(until))
    found = Redecoded(name, files.count, _unsealed(lake, name))
    if not files.runs:
        waiting = f"; {found.unsealed:,} are still in a journal and can be read when it is sealed"
        then = " from that time" if since or until else ""
        raise InputUnreadable(
            f"no frames of {name}{then} are stored in {lake.ready}{waiting if found.unsealed else ''}",
            hint="Set ingestion.store_frames: true; what is captured from then on can be decoded again",
        )
    with TemporaryDirectory(prefix="daedalus-redecode-") as temporary:
        target = Lake.under(Path(temporary) if dry_run or output is None else output)
        windows = _decode(lake, files, target, chosen=chosen, settings=settings, found=found)
        old = [entry for entry in published(lake, name) if chosen.names(entry)]
        found.tables = compare((lake, old), (target, list(published(target, name))), windows)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _show(found, None if dry_run else output)


def _decode(
    lake: Lake, files: FrameFiles, target: Lake, *, chosen: Chosen, settings: Settings, found: Redecoded
) -> dict[str, Window]:
    """Write the rows of these frames; the part of each run that they cover."""
    ingestion, clock = settings.ingestion, SystemClock()
    segments = SegmentOptions(ingestion.raw_format, ingestion.parquet_compression, ingestion.parquet_compression_level)
    options = WriterOptions(ingestion.segment_max_mb, ingestion.segment_max_seconds, segments)
    epoch = next_epoch(target, clock.wall_ns(), random.getrandbits(16))
    writer = StreamingParquetWriter(
        target, options, epoch=epoch, clock=clock, disk=Disk(durable=ingestion.enable_fsync)
    )
    windows: dict[str, Window] = {}
    try:
        waiting: list[Capture] = []
        for capture in _captures(lake, files, chosen=chosen, epoch=epoch, found=found, windows=windows):
            waiting.append(capture)
            if len(waiting) >= _APPEND_ROWS:
                _append(writer, waiting)
                waiting = []
        if waiting:
            writer.append(waiting)
    except BaseException:
        writer.abandon()
        raise
    writer.close()
    return windows


def _append(writer: StreamingParquetWriter, captures: list[Capture]) -> None:
    writer.append(captures)
    if writer.due() and (journal := writer.rotate()) is not None:
        writer.seal(journal)


def _captures(
    lake: Lake, files: FrameFiles, *, chosen: Chosen, epoch: str, found: Redecoded, windows: dict[str, Window]
) -> Iterator[Capture]:
    replay = Replay(native_exchanges()[found.exchange], Feed("native", found.exchange, epoch), chosen.keeps)
    found.replay = replay.report
    for run, entries in files.runs.items():
        if windows:
            replay.next_run(f"the frames of run {run} follow")
        for frame, wall_ns, mono_ns in read_frames(lake, entries):
            at_us = wall_ns // 1000
            if at_us > chosen.window.end_us:
                break
            start_us = windows[run].start_us if run in windows else max(at_us, chosen.window.start_us)
            windows[run] = Window(start_us, at_us)
            for capture in replay.take(frame, wall_ns, mono_ns):
                found.rows += capture.count
                yield capture
    yield from replay.end()


def _exchange(name: str) -> str:
    known = native_exchanges()
    try:
        found = stored_exchange(name)
    except ValueError:
        found = ""
    if found not in known:
        hint = "there are " + ", ".join(known) + "; frames of exchanges through ccxt are not stored"
        raise typer.BadParameter(f"there is no native collector of {name!r}; {hint}")
    return found


def _chosen(
    symbols: list[str] | None, tables: list[str] | None, since: datetime | None, until: datetime | None
) -> Chosen:
    unknown = sorted(set(tables or ()) - COMPARED)
    if unknown:
        raise typer.BadParameter(f"no table {unknown[0]!r} is decoded from frames; {', '.join(sorted(COMPARED))} are")
    if since is not None and until is not None and since >= until:
        raise typer.BadParameter(f"--since {since:%Y-%m-%dT%H:%M:%S} is not before --until {until:%Y-%m-%dT%H:%M:%S}")
    wanted = frozenset(streams_of(None, symbols).symbols)
    start_us = _ALWAYS.start_us if since is None else us_from_utc(since)
    end_us = _ALWAYS.end_us if until is None else us_from_utc(until) - 1
    return Chosen(wanted, frozenset(tables or ()), Window(start_us, end_us))


def _check_output(output: Path | None, lake: Lake) -> None:
    if output is None:
        raise typer.BadParameter("name a new folder with --output, or ask for a --dry-run")
    for folder in (lake.raw, lake.processed, lake.state):
        if output.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(output.resolve()):
            raise typer.BadParameter(f"{output} and the lake's own {folder} lie in each other; name another folder")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise typer.BadParameter(f"{output} is not an empty folder; name another, nothing is overwritten")


def _unsealed(lake: Lake, exchange: str) -> int:
    numbers = read_unsealed(lake).numbers
    return sum(
        len(spans) for (_, stream), spans in numbers.items() if (stream.exchange, stream.table) == (exchange, "frames")
    )


def _show(found: Redecoded, output: Path | None) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_UNSEEN)
    table = Table("table", "equal", "changed", "new", "missing", box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, each in found.tables.items():
        table.add_row(name, *(f"{count:,}" for count in asdict(each).values()))
    console.print(table)
    report = found.replay
    lines = [
        f"{report.received:,} frames were decoded again into {found.rows:,} rows"
        + (f", stored in {output}" if output else "; nothing was kept")
    ]
    if found.unsealed:
        lines.append(f"{found.unsealed:,} rows of frames are still in a journal: not read before it is sealed")
    if report.missing:
        lines.append(f"{report.missing:,} frames were given up when they came: the rows lack them, a gap says where")
    if report.undecodable:
        lines.append(f"{report.undecodable:,} frames belong to connections whose opening is not stored: not decoded")
    if report.unanswered:
        lines.append(f"{report.unanswered:,} REST documents that today's decoder asks for were never fetched")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
