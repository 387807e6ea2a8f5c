"""`daedalus check`: is everything that was received stored, rejected or declared?"""

import json
from dataclasses import asdict
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from config.config import DEFAULT_FILE, load_config
from scripts.config_commands import ConfigFile
from scripts.moments import moment
from scripts.unsealed import read_unsealed
from shared.partitioning import Lake, stored_exchange, stored_symbol
from storage.completeness import Account, StreamSum
from storage.gaps import latest, read_gaps
from storage.inspection import Inspection, Scope

EXIT_NOT_PROVEN = 1
_SUMS = ("received", "stored", "journalled", "rejected", "declared", "undeclared", "ids_declared")
_NAMED_MAX = 20
_WIDTH_UNSEEN = 200


def check(
    config: ConfigFile = DEFAULT_FILE,
    exchange: Annotated[list[str] | None, typer.Option(help="Only these exchanges.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only these symbols, as BTC-USD or BTC/USD.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Only these tables, as trades or l2.")] = None,
    since: Annotated[str | None, typer.Option(help="From the hour of this moment on: 2026-06-09, 24h.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this moment's hour.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read and hash every row, not only what files say.")] = False,
    hours: Annotated[bool, typer.Option("--hours", help="A line for each hour of a stream.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove per stream that received = stored + in the journal + rejected + declared. Exit code 1: not proven."""
    scope = Scope(
        tuple(stored_exchange(name) for name in exchange or ()),
        tuple(stored_symbol(name) for name in symbol or ()),
        tuple(channel or ()),
        moment(since),
        moment(until),
    )
    sums, problems, files = examine(load_config(config).lake(), scope, deep=deep)
    if not sums and not problems:
        problems = ["there is nothing to prove: no file of that was published"]
    if as_json:
        typer.echo(json.dumps(_as_json(sums, problems, files), indent=2, default=str))
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=_WIDTH_UNSEEN)
        if sums:
            console.print(_table(sums, with_hours=hours))
        for problem in problems[1 : _NAMED_MAX + 1]:  # the first stands in the verdict
            console.print(f"  {problem}", markup=False, soft_wrap=True)
        console.print(verdict_line(sums, problems, files, deep=deep), markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(EXIT_NOT_PROVEN)


def examine(lake: Lake, scope: Scope, *, deep: bool = False) -> tuple[list[StreamSum], list[str], int]:
    """The account of each stream, everything that is not proven, and how many files were looked at."""
    unsealed = read_unsealed(lake)  # before the logs, see there
    account = Account()
    inspection = Inspection(lake, account, scope, deep=deep)
    inspection.run()
    if scope.until is None:
        for (epoch, stream), numbers in unsealed.numbers.items():
            if scope.names(stream):
                account.journalled(stream, epoch, numbers)
    stored, _ = read_gaps(lake, inspection.gap_files)
    sums, problems = account.judge(latest(pl.concat([stored, unsealed.gaps])))
    return sums, inspection.problems + problems, inspection.files


def verdict_line(sums: list[StreamSum], problems: list[str], files: int, *, deep: bool) -> str:
    """The result in one line."""
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        return f"NOT PROVEN: {problems[0]}{more}"
    total = {name: sum(getattr(each, name) for each in sums) for name in _SUMS}
    missed = f"; {total['ids_declared']:,} trades never came, each inside a gap" if total["ids_declared"] else ""
    return (
        f"COMPLETE: {total['received']:,} rows received = {total['stored']:,} stored + {total['journalled']:,} in the "
        f"journal + {total['rejected']:,} rejected + {total['declared']:,} declared lost{missed} "
        f"({len(sums):,} streams, {files:,} files{', every row read' if deep else ''})"
    )


def _table(sums: list[StreamSum], *, with_hours: bool) -> Table:
    headings = ("stream", "runs", "received", "stored", "in journal", "rejected", "declared", "nowhere", "never came")
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in sums:
        counts = [f"{getattr(each, name):,}" for name in _SUMS]
        table.add_row(" ".join(each.stream), str(each.runs), *counts, style="red" if each.undeclared else "")
        for hour, found in sorted(each.hours.items()) if with_hours else ():
            received = found.rows + found.rejected + found.declared
            cells = (received, found.rows, 0, found.rejected, found.declared, found.undeclared)
            table.add_row(f"  {hour:%Y-%m-%d %H:00}", "", *(f"{count:,}" for count in cells), "")
    return table


def _as_json(sums: list[StreamSum], problems: list[str], files: int) -> dict[str, Any]:
    streams = []
    for each in sums:
        hours = [{"hour": hour.isoformat(), **asdict(found)} for hour, found in sorted(each.hours.items())]
        own = {name: getattr(each, name) for name in ("runs", *_SUMS, "twice")}
        streams.append({**each.stream._asdict(), **own, "hours": hours})
    return {"complete": not problems, "problems": problems, "files": files, "streams": streams}
