"""`daedalus gaps`: what was not captured, and why."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import polars as pl
import typer

from config.config import DEFAULT_FILE, load_config
from scripts.config_commands import ConfigFile
from scripts.gaps_table import show
from scripts.known_names import stored_names, unknown_names
from scripts.moments import period
from scripts.stream_options import Channels, Exchanges, Symbols, streams_of
from scripts.unsealed import Unsealed, read_unsealed
from shared.errors import InputUnreadable
from shared.partitioning import Lake
from shared.rows import GAP_CAUSES, GAP_STATUSES
from storage.gaps import GapFilter, latest, read_gaps, running_at
from storage.published import log_paths, scan_log

Format: TypeAlias = Literal["table", "csv", "json", "parquet"]


def gaps(
    config: ConfigFile = DEFAULT_FILE,
    exchange: Exchanges = None,
    symbol: Symbols = None,
    channel: Channels = None,
    cause: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(GAP_CAUSES)}.")] = None,
    status: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(GAP_STATUSES)}.")] = None,
    since: Annotated[str | None, typer.Option(help="Gaps that lasted until then or longer: 2026-06-09, 24h.")] = None,
    until: Annotated[str | None, typer.Option(help="Gaps that began before then.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also starts, stops, connections, rejects and clock steps: nothing is lost.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print them.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write them to a file.")] = None,
) -> None:
    """List the gaps of the lake, the latest word on each, those of open journals included."""
    _known(cause, GAP_CAUSES, "cause")
    _known(status, GAP_STATUSES, "status")
    streams = streams_of(exchange, symbol)
    where = GapFilter(
        streams.exchanges,
        streams.symbols,
        tuple(channel or ()),
        tuple(cause or ()),
        tuple(status or ()),
        *period(since, until),
        everything,
    )
    lake = load_config(config).lake()
    unsealed = read_unsealed(lake)
    known, missing = _read(lake, where, unsealed)
    if missing:
        what = "1 file of gaps is" if len(missing) == 1 else f"{len(missing):,} files of gaps are"
        typer.echo(f"{what} missing in {lake.ready} or cannot be read, first {missing[0]}", err=True)
    found = where.of(known)
    if log_paths(lake):
        _refuse_strangers(where, lake, unsealed, known)
    if form == "table" and output is None:
        hidden = replace(where, with_lifecycle=True).of(known).height - found.height
        show(found, hidden=hidden, is_empty=not log_paths(lake))
        return
    try:
        _write(found, form, output)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        hint = "Name a file in a folder that exists, as --output gaps.csv"
        raise InputUnreadable(f"{output}: cannot be written as a file", hint=hint) from error


def _read(lake: Lake, where: GapFilter, unsealed: Unsealed) -> tuple[pl.DataFrame, list[str]]:
    """The latest revision of every gap in the files that can hold what is asked for."""
    logs = log_paths(lake)
    first = running_at(where.since, [path.stem for path in logs])
    entries = {
        entry.path: entry
        for path in logs
        for line in scan_log(path)
        for entry in line
        if where.reads(entry, whole_from=first)
    }
    stored, missing = read_gaps(lake, entries.values())
    return latest(pl.concat([stored, unsealed.gaps])), missing


def _refuse_strangers(where: GapFilter, lake: Lake, unsealed: Unsealed, known: pl.DataFrame) -> None:
    """No gaps of a name that the lake does not have would be good news that is none."""
    stored, streams = stored_names(lake), [stream for _, stream in unsealed.numbers]
    lines = [
        *unknown_names(where.exchanges, {*stored[0], *(each.exchange for each in streams)}, "exchange"),
        *unknown_names(where.symbols, {*stored[1], *(each.symbol for each in streams), *known["symbol"]}, "symbol"),
        *unknown_names(where.channels, {*stored[2], *(each.table for each in streams), *known["channel"]}, "channel"),
    ]
    if lines:
        raise InputUnreadable("; ".join(lines), hint="Correct the name, or leave the option out")


def _known(values: list[str] | None, among: object, what: str) -> None:
    unknown = sorted(set(values or ()) - set(among))  # type: ignore[call-overload]
    if unknown:
        raise typer.BadParameter(f"no {what} {unknown[0]!r}; there are {', '.join(among)}")  # type: ignore[arg-type]


def _write(found: pl.DataFrame, form: Format, output: Path | None) -> None:
    if form == "parquet":
        if output is None and sys.stdout.isatty():
            raise typer.BadParameter("Parquet is not for a terminal; name a file with --output")
        found.write_parquet(output or sys.stdout.buffer)
        return
    times = pl.col("start_ts", "end_ts", "capture_ts").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    text = found.with_columns(times)
    if form == "table":
        with (output or Path()).open("w", encoding="utf-8") as file:
            show(found, hidden=0, is_empty=False, file=file)
    elif output:
        text.write_csv(output) if form == "csv" else text.write_json(output)
    else:
        typer.echo(text.write_csv() if form == "csv" else text.write_json(), nl=form == "json")
