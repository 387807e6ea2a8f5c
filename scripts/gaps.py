"""`daedalus gaps`: what was not captured, and why."""

import sys
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import polars as pl
import typer

from config.config import DEFAULT_FILE, load_config
from scripts.config_commands import ConfigFile
from scripts.gaps_table import show
from scripts.moments import moment
from scripts.unsealed import read_unsealed
from shared.partitioning import Lake, stored_exchange, stored_symbol
from shared.rows import GAP_CAUSES, GAP_STATUSES
from storage.gaps import GapFilter, latest, read_gaps
from storage.published import log_paths, scan_log

Format: TypeAlias = Literal["table", "csv", "json", "parquet"]


def gaps(
    config: ConfigFile = DEFAULT_FILE,
    exchange: Annotated[list[str] | None, typer.Option(help="Only these exchanges.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only these symbols, as BTC-USD or BTC/USD.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Only these tables, as trades or l2.")] = None,
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
    where = GapFilter(
        tuple(stored_exchange(name) for name in exchange or ()),
        tuple(stored_symbol(name) for name in symbol or ()),
        tuple(channel or ()),
        tuple(cause or ()),
        tuple(status or ()),
        moment(since),
        moment(until),
        everything,
    )
    lake = load_config(config).lake()
    known, missing = _read(lake, where)
    if missing:
        typer.echo(f"{len(missing)} published files are not in {lake.ready}, first {missing[0]}", err=True)
    found = where.of(known)
    if form == "table" and output is None:
        hidden = 0 if everything else known.height - GapFilter(with_lifecycle=False).of(known).height
        show(found, hidden=hidden, is_empty=not log_paths(lake))
    else:
        _write(found, form, output)


def _read(lake: Lake, where: GapFilter) -> tuple[pl.DataFrame, list[str]]:
    """The latest revision of every gap in the files that can hold what is asked for."""
    unsealed = read_unsealed(lake).gaps
    entries = {
        entry.path: entry for path in log_paths(lake) for line in scan_log(path) for entry in line if where.reads(entry)
    }
    stored, missing = read_gaps(lake, entries.values())
    return latest(pl.concat([stored, unsealed])), missing


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
