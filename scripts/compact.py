"""`daedalus compact`: settings to the compactor, and what became of the files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.config import DEFAULT_FILE, Settings, load_config
from scripts.config_commands import ConfigFile
from scripts.known_names import stored_names, unknown_names
from scripts.stream_options import Exchanges, Symbols, streams_of
from scripts.wide_table import print_whole
from shared.disk import Disk
from shared.errors import InputUnreadable
from shared.filters import FilterSpec
from shared.partitioning import Lake
from shared.rows import Stream
from storage.compaction import Compactor, MadeOptions
from storage.compaction_plan import Merge, Rules, StreamDay, planned, survey
from storage.lake import scan
from storage.locks import hold, maintenance_lock

EXIT_REFUSED_SOME = 1
_READINGS = 3
_SHOWN_MAX = 20
_TURNS = "It does its work and ends; start again then, or stop it: stopping it loses nothing"


@dataclass
class _Total:
    """What becomes of one table's files."""

    files_before: int = 0
    bytes_before: int = 0
    files_after: int = 0
    bytes_after: int = 0
    rows: int = 0


def compact(
    config: ConfigFile = DEFAULT_FILE,
    exchange: Exchanges = None,
    symbol: Symbols = None,
    table: Annotated[list[str] | None, typer.Option(help="Only these tables, as trades or l2.")] = None,
    hours: Annotated[
        bool, typer.Option("--hours", help="Also merge the finished hours of days that have not ended.")
    ] = False,
    target_file_count: Annotated[
        int, typer.Option(min=1, help="Files that a stream's day (with --hours, hour) becomes; more where it is large.")
    ] = 1,
    min_file_count: Annotated[
        int | None, typer.Option(min=1, help="Leave days and hours with fewer files; default: compaction.")
    ] = None,
    target_file_mb: Annotated[float | None, typer.Option(min=0.1, help="Cut larger days; default: compaction.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and touch nothing.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Time a query of one day before and after.")] = False,
) -> None:
    """Make few large files of bronze's many small ones: days that are over go to `raw/daily`, one file each.

    Exit code 1: some files could not be compacted, and stay as they are.
    """
    settings = load_config(config)
    lake, asked = settings.lake(), settings.compaction
    where, tables = streams_of(exchange, symbol), frozenset(table or ())
    _refuse_strangers(lake, where, tables)
    rules = Rules(
        now=datetime.now(UTC),
        after=timedelta(hours=asked.after_hours),
        target_bytes=round((target_file_mb or asked.target_file_mb) * 2**20),
        target_count=target_file_count,
        min_count=min_file_count or asked.min_file_count,
        with_hours=hours,
    )

    def wanted(stream: Stream) -> bool:
        return where.allows((stream.exchange, stream.symbol)) and (not tables or stream.table in tables)

    if dry_run:
        days = list(survey(lake, wanted=wanted))
        work = list(planned(days, rules))
        _report(work, _expected(work), days, [day.trouble for day in days if day.trouble], verb="would become")
        return
    disk = Disk(durable=settings.ingestion.enable_fsync)
    disk.make_dirs(lake.state)
    with hold(maintenance_lock(lake), hint=_TURNS):
        compactor = Compactor(lake, made_options(settings), disk=disk)
        compactor.repair()
        days = list(survey(lake, wanted=wanted))
        work = list(planned(days, rules))
        example = max(work, key=lambda merge: len(merge.sources), default=None) if measure else None
        before_ms = _query_ms(lake, example) if example else 0.0
        totals, troubles = _done(compactor, work, days)
        _report(work, totals, days, troubles, verb="became")
        if example:
            _print_measured(example, before_ms, _query_ms(lake, example))
    if troubles:
        raise typer.Exit(EXIT_REFUSED_SOME)


def made_options(settings: Settings) -> MadeOptions:
    """How made files are written: as segments are."""
    ingestion = settings.ingestion
    return MadeOptions(
        ingestion.parquet_compression, ingestion.parquet_compression_level, ingestion.disk_reserve_mb << 20
    )


def _done(compactor: Compactor, work: list[Merge], days: list[StreamDay]) -> tuple[dict[str, _Total], list[str]]:
    """What came of the work, by table, and a line for each piece of it that was refused."""
    totals: dict[str, _Total] = {}
    troubles = [day.trouble for day in days if day.trouble]
    for day in days:
        try:
            compactor.tidy(day)
        except InputUnreadable as error:
            troubles.append(error.line())
    for merge in work:
        try:
            line = compactor.compact(merge)
        except InputUnreadable as error:
            troubles.append(error.line())
            continue
        total = totals.setdefault(merge.stream.table, _Total())
        total.files_before += len(merge.sources)
        total.bytes_before += merge.bytes
        total.files_after += 1
        total.bytes_after += line.bytes
        total.rows += line.rows
    return totals, troubles


def _expected(work: Iterable[Merge]) -> dict[str, _Total]:
    totals: dict[str, _Total] = {}
    for merge in work:
        total = totals.setdefault(merge.stream.table, _Total())
        total.files_before += len(merge.sources)
        total.bytes_before += merge.bytes
        total.files_after += 1
    return totals


def _report(
    work: list[Merge], totals: dict[str, _Total], days: list[StreamDay], troubles: list[str], *, verb: str
) -> None:
    console = Console(highlight=False)
    if totals:
        table = Table("table", "files", "to", "MB", "to", "rows", box=None, pad_edge=False, header_style="bold")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, total in sorted(totals.items()):
            table.add_row(escape(name), *_cells(total))
        print_whole(table, console)
    for line in troubles[:_SHOWN_MAX]:
        console.print(line, style="bold red", markup=False, soft_wrap=True)
    if len(troubles) > _SHOWN_MAX:
        console.print(f"and {len(troubles) - _SHOWN_MAX:,} more that stay as they are", style="bold red")
    for line in _last_lines(work, totals, days, verb):
        console.print(line, markup=False, soft_wrap=True)


def _cells(total: _Total) -> Iterator[str]:
    is_done = total.bytes_after > 0
    yield f"{total.files_before:,}"
    yield f"{total.files_after:,}"
    yield f"{total.bytes_before / 2**20:,.1f}"
    yield f"{total.bytes_after / 2**20:,.1f}" if is_done else ""
    yield f"{total.rows:,}" if is_done else ""


def _last_lines(work: list[Merge], totals: dict[str, _Total], days: list[StreamDay], verb: str) -> Iterator[str]:
    left_over = sum(len(day.left_over) for day in days)
    if left_over:
        yield f"{left_over:,} files whose rows a compacted file holds already"
    if text_files := sum(day.text_files for day in days):
        yield f"{text_files:,} NDJSON files stay as they are"
    if not work:
        yield "nothing to compact: no day that is over has files in ready"
        return
    before, after = (sum(getattr(each, name) for each in totals.values()) for name in ("files_before", "files_after"))
    yield f"{before:,} files {verb} {after:,}"


def _query_ms(lake: Lake, merge: Merge) -> float:
    """How long it takes to read two columns of that stream's day, the median of some readings."""
    day, stream = merge.day, merge.stream
    where = FilterSpec((stream.exchange,), (stream.symbol,), year=day.year, month=day.month, day=day.day)
    took = []
    for _ in range(_READINGS):
        begun = perf_counter()
        scan(lake, stream.table, where).select(pl.len(), pl.col("seq").max(), pl.col("timestamp").max()).collect()
        took.append((perf_counter() - begun) * 1000)
    return median(took)


def _print_measured(merge: Merge, before_ms: float, after_ms: float) -> None:
    stream, day = merge.stream, f"{merge.day.start():%Y-%m-%d}"
    what = f"{stream.table} of {stream.exchange} {stream.symbol} on {day}, two columns"
    typer.echo(f"{what}: {before_ms:,.1f} ms before, {after_ms:,.1f} ms after")


def _refuse_strangers(lake: Lake, where: FilterSpec, tables: frozenset[str]) -> None:
    stored = stored_names(lake)
    lines = [
        *unknown_names(where.exchanges, stored[0], "exchange"),
        *unknown_names(where.symbols, stored[1], "symbol"),
        *unknown_names(sorted(tables), stored[2], "table"),
    ]
    if lines:
        raise InputUnreadable("; ".join(lines), hint="Correct the name, or leave the option out")
