"""`daedalus check`: is everything that was received stored, rejected or declared?"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.config import DEFAULT_FILE, load_config
from scripts.config_commands import ConfigFile
from scripts.known_names import stored_names, unknown_names
from scripts.moments import period
from scripts.side_verdicts import inverted_lines, side_lines, side_rows
from scripts.stream_options import Channels, Exchanges, Symbols, streams_of
from scripts.unsealed import read_unsealed
from scripts.wide_table import fits, print_whole, whole_lines
from shared.partitioning import Lake
from storage.completeness import Account, StreamSum
from storage.gaps import latest, read_gaps
from storage.inspection import Inspection, Scope
from storage.removed import RemovedSum
from storage.side_report import SideReport

EXIT_NOT_PROVEN = 1
_SUMS = ("received", "stored", "journalled", "rejected", "declared", "undeclared", "ids_declared")
_HEADINGS = ("stream", "runs", "received", "stored", "in journal", "rejected", "declared", "nowhere", "never came")
_NOWHERE = _HEADINGS.index("nowhere")
_NAMED_MAX = 20


def check(
    config: ConfigFile = DEFAULT_FILE,
    exchange: Exchanges = None,
    symbol: Symbols = None,
    channel: Channels = None,
    since: Annotated[str | None, typer.Option(help="From the hour of this moment on: 2026-06-09, 24h.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this moment's hour.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read and hash every row, not only what files say.")] = False,
    hours: Annotated[bool, typer.Option("--hours", help="A line for each hour of a stream.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove per stream that received = stored + in the journal + rejected + declared, and that sides are the taker's.

    Exit code 1: not proven, or a feed whose stored sides are inverted.
    """
    streams = streams_of(exchange, symbol)
    scope = Scope(streams.exchanges, streams.symbols, tuple(channel or ()), *period(since, until))
    settings = load_config(config)
    lake = settings.lake()
    sums, problems, files, removed = examined(lake, scope, deep=deep)
    report = SideReport(lake, scope)
    days = report.days()
    inverted = list(inverted_lines(days, settings.etl.side_convention, file=str(config)))
    problems += [*report.problems, *_strangers(scope, lake, sums)]
    if not sums and not problems:
        problems = [f"there is nothing to prove: {lake.ready} has no published file of what was asked for"]
    if as_json:
        sides = {"sides_inverted": inverted, "sides": side_rows(days)}
        gone = {"removed": list(removed.lines())}
        typer.echo(json.dumps({**_as_json(sums, problems, files), **gone, **sides}, indent=2, default=str))
    else:
        console = Console(highlight=False)
        if sums:
            _print_sums(sums, console, with_hours=hours)
        for problem in problems[1 : _NAMED_MAX + 1]:  # the first stands in the verdict
            console.print(f"  {problem}", markup=False, soft_wrap=True)
        for each in side_lines(days, with_days=hours):
            console.print(each, markup=False, soft_wrap=True)
        if report.unwritten:
            console.print(
                f"sides are not kept for the next look: {report.unwritten.line()}", markup=False, soft_wrap=True
            )
        for each in removed.lines():
            console.print(each, markup=False, soft_wrap=True)
        console.print(verdict_line(sums, problems, files, deep=deep), markup=False, soft_wrap=True)
        _print_inverted(inverted, console)
    if problems or inverted:
        raise typer.Exit(EXIT_NOT_PROVEN)


def examine(lake: Lake, scope: Scope, *, deep: bool = False) -> tuple[list[StreamSum], list[str], int]:
    """The account of each stream, everything that is not proven, and how many files were looked at."""
    return examined(lake, scope, deep=deep)[:3]


def examined(lake: Lake, scope: Scope, *, deep: bool = False) -> tuple[list[StreamSum], list[str], int, RemovedSum]:
    """As `examine`, and what was removed here on purpose."""
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
    return sums, inspection.problems + problems, inspection.files, inspection.removed


def _strangers(scope: Scope, lake: Lake, sums: list[StreamSum]) -> list[str]:
    """Names that were asked for and are nowhere: of them nothing is proven."""
    stored, streams = stored_names(lake), [each.stream for each in sums]
    if not any(stored) and not streams:
        return []
    return [
        *unknown_names(scope.exchanges, {*stored[0], *(each.exchange for each in streams)}, "exchange"),
        *unknown_names(scope.symbols, {*stored[1], *(each.symbol for each in streams)}, "symbol"),
        *unknown_names(scope.tables, {*stored[2], *(each.table for each in streams)}, "channel"),
    ]


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


def _print_inverted(lines: list[str], console: Console) -> None:
    for each in lines[:_NAMED_MAX]:
        console.print(each, style="bold red", markup=False, soft_wrap=True)
    if len(lines) > _NAMED_MAX:
        console.print(f"and {len(lines) - _NAMED_MAX:,} more days of inverted sides", style="bold red")


def _print_sums(sums: list[StreamSum], console: Console, *, with_hours: bool) -> None:
    rows = [row for each in sums for row in _rows(each, with_hours=with_hours)]
    table = _table(rows)
    if fits(table, console):
        print_whole(table, console)
        return
    heading, *lines = whole_lines(_table((["", *row[1:]] for row in rows), of=""))
    console.print(heading, style="bold", soft_wrap=True)
    for row, line in zip(rows, lines, strict=True):
        console.print(f"{row[0]}\n{line}", markup=False, soft_wrap=True)


def _table(rows: Iterable[list[str]], *, of: str = _HEADINGS[0]) -> Table:
    table = Table(of, *_HEADINGS[1:], box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(escape, row), style="red" if row[_NOWHERE] not in {"", "0"} else "")
    return table


def _rows(each: StreamSum, *, with_hours: bool) -> Iterator[list[str]]:
    yield [" ".join(each.stream), str(each.runs), *(f"{getattr(each, name):,}" for name in _SUMS)]
    for hour, found in sorted(each.hours.items()) if with_hours else ():
        before = (found.rows + found.rejected + found.declared, found.rows)
        behind = (found.rejected, found.declared, found.undeclared)
        cells = [*(f"{count:,}" for count in before), "", *(f"{count:,}" for count in behind), ""]
        yield [f"  {hour:%Y-%m-%d %H:00}", "", *cells]


def _as_json(sums: list[StreamSum], problems: list[str], files: int) -> dict[str, Any]:
    streams = []
    for each in sums:
        hours = [{"hour": hour.isoformat(), **asdict(found)} for hour, found in sorted(each.hours.items())]
        own = {name: getattr(each, name) for name in ("runs", *_SUMS, "twice")}
        streams.append({**each.stream._asdict(), **own, "hours": hours})
    return {"complete": not problems, "problems": problems, "files": files, "streams": streams}
