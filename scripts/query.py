"""`daedalus query`: SQL over the lake's tables."""

from typing import Annotated

import duckdb
import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.config import DEFAULT_FILE, load_config
from scripts.config_commands import ConfigFile
from scripts.wide_table import fits, print_whole
from shared.errors import InputUnreadable
from shared.partitioning import Lake
from storage.lake import LakeTable, plan, tables


def query(
    sql: Annotated[
        str, typer.Argument(help="SQL over trades, silver_trades, gold_candles, bars, ... Empty: list the tables.")
    ] = "",
    config: ConfigFile = DEFAULT_FILE,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most rows to print.")] = 100,
) -> None:
    """Run one SQL statement over the lake and print the rows."""
    lake = load_config(config).lake()
    known = tables(lake)
    if not known:
        raise InputUnreadable(f"{lake.ready}: no tables yet", hint=_hint(lake))
    if not sql:
        lines = [f"{table.name}\t{pattern}" for table in known for pattern in table.patterns]
        typer.echo("\n".join(lines).expandtabs(16))
        return
    connection = duckdb.connect()
    try:
        for table in known:
            connection.execute(f"create view {table.name} as select * from {_files(lake, table)}")
        rows = pl.DataFrame(connection.sql(sql).to_arrow_table())
    except duckdb.Error as error:
        names = ", ".join(table.name for table in known)
        first_line = str(error).splitlines()[0]
        raise InputUnreadable(f"the query was refused: {first_line}", hint=f"Tables are: {names}") from error
    if csv:
        typer.echo(rows.head(limit).write_csv(), nl=False)
    else:
        _print(rows, limit)


def _files(lake: Lake, table: LakeTable) -> str:
    """What DuckDB reads; of a table that is compacted in part, the files one by one, each row once."""
    if len(table.patterns) == 1:
        return f"read_parquet('{table.patterns[0]}', union_by_name=true)"
    names = ", ".join(f"'{path}'" for path in plan(lake, table.name))
    return f"read_parquet([{names}], union_by_name=true, hive_partitioning=false)"


def _hint(lake: Lake) -> str:
    if any(lake.active.glob("*.journal")):
        return "What is captured is in a journal until ingestion.segment_max_seconds have passed: try again later"
    return "Capture something first: daedalus ingest"


def _print(rows: pl.DataFrame, limit: int) -> None:
    """Rows as a table, or where it is too wide for the terminal each as a block of lines: nothing is cut off."""
    console = Console(highlight=False)
    shown = [["" if value is None else str(value) for value in row] for row in rows.head(limit).iter_rows()]
    table = Table(*map(escape, rows.columns))
    for row in shown:
        table.add_row(*map(escape, row))
    if fits(table, console):
        print_whole(table, console)
    else:
        _print_blocks(console, rows.columns, shown)
    if rows.height > limit:
        console.print(f"{rows.height - limit:,} more rows; raise --limit to see them")


def _print_blocks(console: Console, names: list[str], rows: list[list[str]]) -> None:
    indent = max(map(len, names))
    for number, row in enumerate(rows, start=1):
        console.print(f"row {number:,}", style="bold")
        for name, value in zip(names, row, strict=True):
            console.print(f"  {name:<{indent}}  {value}", markup=False, soft_wrap=True)
