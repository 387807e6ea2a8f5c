"""`daedalus compact`: settings to the compactor, and what became of the files."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Annotated

import polars as pl
import typer

from config.config import DEFAULT_FILE, Settings, load_config
from scripts.compact_report import Outcome, Total, show, write_log
from scripts.compact_state import ended_by_signals, told
from scripts.config_commands import ConfigFile
from scripts.known_names import stored_names, unknown_names
from scripts.log_options import LogFormat, configure_log
from scripts.stream_options import Exchanges, Symbols, streams_of
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
_TURNS = "It does its work and ends; start again then, or stop it: stopping it loses nothing"


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
    log_format: Annotated[
        LogFormat | None, typer.Option("--log-format", help="Log what was done, as text or json, and print no table.")
    ] = None,
) -> None:
    """Make few large files of bronze's many small ones: days that are over go to `raw/daily`, one file each.

    Exit code 1: some files could not be compacted, and stay as they are.
    """
    begun_s, settings = perf_counter(), load_config(config)
    configure_log(settings, log_format)
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
        show(_expected(list(survey(lake, wanted=wanted)), rules), verb="would become")
        return
    Disk().make_dirs(lake.state)
    is_whole = not (exchange or symbol or table)
    with hold(maintenance_lock(lake), hint=_TURNS), told(lake.state, is_whole=is_whole) as state:
        outcome = _run(settings, rules, wanted, measure=measure)
        outcome.tell(state, took_s=perf_counter() - begun_s)
        show(outcome, verb="became") if log_format is None else write_log(outcome)
    if outcome.troubles:
        raise typer.Exit(EXIT_REFUSED_SOME)


def _run(settings: Settings, rules: Rules, wanted: Callable[[Stream], bool], *, measure: bool) -> Outcome:
    lake, disk = settings.lake(), Disk(durable=settings.ingestion.enable_fsync)
    with ended_by_signals() as check:
        compactor = Compactor(lake, made_options(settings), disk=disk, check=check)
        compactor.repair()
        days = []
        for day in survey(lake, wanted=wanted):
            check()
            days.append(day)
        merges = list(planned(days, rules)) if measure else []
        example = max(merges, key=lambda merge: len(merge.sources), default=None)
        before_ms = _query_ms(lake, example) if example else 0.0
        outcome = _done(compactor, days, rules, check=check)
        if example:
            outcome.measured = _measured(example, before_ms, _query_ms(lake, example))
    return outcome


def made_options(settings: Settings) -> MadeOptions:
    """How made files are written: as segments are."""
    ingestion = settings.ingestion
    return MadeOptions(
        ingestion.parquet_compression, ingestion.parquet_compression_level, ingestion.disk_reserve_mb << 20
    )


def _planned(days: list[StreamDay], work: list[Merge]) -> Outcome:
    return Outcome(
        merges=len(work),
        left_over=sum(len(day.left_over) for day in days),
        text_files=sum(day.text_files for day in days),
        troubles=[day.trouble for day in days if day.trouble],
    )


def _expected(days: list[StreamDay], rules: Rules) -> Outcome:
    work = list(planned(days, rules))
    outcome = _planned(days, work)
    for merge in work:
        _count(outcome, merge)
    return outcome


def _done(compactor: Compactor, days: list[StreamDay], rules: Rules, *, check: Callable[[], None]) -> Outcome:
    """What came of the work, with a line for each piece of it that was refused."""
    work = list(planned(days, rules))
    outcome = _planned(days, work)
    for day in days:
        try:
            compactor.tidy(day)
        except InputUnreadable as error:
            outcome.troubles.append(error.line())
    for merge in work:
        check()
        try:
            line = compactor.compact(merge)
        except InputUnreadable as error:
            outcome.troubles.append(error.line())
            continue
        total = _count(outcome, merge)
        total.bytes_after += line.bytes
        total.rows += line.rows
    return outcome


def _count(outcome: Outcome, merge: Merge) -> Total:
    total = outcome.total(merge.stream.table)
    total.files_before += len(merge.sources)
    total.bytes_before += merge.bytes
    total.files_after += 1
    return total


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


def _measured(merge: Merge, before_ms: float, after_ms: float) -> str:
    stream, day = merge.stream, f"{merge.day.start():%Y-%m-%d}"
    what = f"{stream.table} of {stream.exchange} {stream.symbol} on {day}, two columns"
    return f"{what}: {before_ms:,.1f} ms before, {after_ms:,.1f} ms after"


def _refuse_strangers(lake: Lake, where: FilterSpec, tables: frozenset[str]) -> None:
    stored = stored_names(lake)
    lines = [
        *unknown_names(where.exchanges, stored[0], "exchange"),
        *unknown_names(where.symbols, stored[1], "symbol"),
        *unknown_names(sorted(tables), stored[2], "table"),
    ]
    if lines:
        raise InputUnreadable("; ".join(lines), hint="Correct the name, or leave the option out")
