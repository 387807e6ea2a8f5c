"""`daedalus bars build`: options to a job, and nothing else."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from config.config import DEFAULT_FILE, load_config
from etl.tapes.building import Ending
from etl.tapes.columns import SideNames
from etl.tapes.files import Period
from etl.tapes.moments import TimeUnit
from scripts.bars.described import bar_set_of, layout_of
from scripts.bars.job import Job, from_files, from_lake
from scripts.config_commands import ConfigFile
from scripts.moments import period
from scripts.stream_options import streams_of
from scripts.watch import etl_options

Listed: TypeAlias = list[str] | None
_FILE, _TRADES, _SET = "A file of trades", "Which trades", "Which bars"


def build(
    type: Annotated[str, typer.Option(help="time, tick, volume, dollar, ...: docs/bars.md.", rich_help_panel=_SET)],  # noqa: A002
    threshold: Annotated[str | None, typer.Option(help="What closes a bar.", rich_help_panel=_SET)] = None,
    interval: Annotated[str | None, typer.Option(help="time: as 1m, 4h, 1d, 1mo.", rich_help_panel=_SET)] = None,
    expected_ticks_init: Annotated[
        str | None, typer.Option(help="imbalance, run: trades a bar.", rich_help_panel=_SET)
    ] = None,
    ewma_window: Annotated[str | None, typer.Option(help="imbalance, run.", rich_help_panel=_SET)] = None,
    param: Annotated[Listed, typer.Option(help="Any other, as name=value.", rich_help_panel=_SET)] = None,
    source: Annotated[
        Literal["silver", "bronze"], typer.Option("--from", help="Where in the lake.", rich_help_panel=_TRADES)
    ] = "silver",
    exchange: Annotated[Listed, typer.Option(help="Only these exchanges.", rich_help_panel=_TRADES)] = None,
    symbol: Annotated[Listed, typer.Option(help="Only these symbols.", rich_help_panel=_TRADES)] = None,
    since: Annotated[str | None, typer.Option(help="2026-06-09, or 24h ago.", rich_help_panel=_TRADES)] = None,
    until: Annotated[str | None, typer.Option(help="As --since; not included.", rich_help_panel=_TRADES)] = None,
    input: Annotated[  # noqa: A002
        Listed, typer.Option(help="Parquet, CSV or Arrow file, or a glob.", rich_help_panel=_FILE)
    ] = None,
    column: Annotated[Listed, typer.Option(help="What it calls a column: price=px.", rich_help_panel=_FILE)] = None,
    names: Annotated[str, typer.Option(help="CSV without header: its columns, a,b,c.", rich_help_panel=_FILE)] = "",
    time_unit: Annotated[TimeUnit | None, typer.Option(help="Else by size.", rich_help_panel=_FILE)] = None,
    side_names: Annotated[SideNames, typer.Option(help="Whose side it names.", rich_help_panel=_FILE)] = "taker",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad rows.", rich_help_panel=_FILE)] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Sort it, in memory.", rich_help_panel=_FILE)] = False,
    late: Annotated[
        Literal["raise", "drop"], typer.Option(help="Trades out of order.", rich_help_panel=_FILE)
    ] = "raise",
    output: Annotated[Path | None, typer.Option(help="A .parquet file or a folder; default: bars/.")] = None,
    keep_open: Annotated[bool, typer.Option("--keep-open", help="Write the open bar too, as partial.")] = False,
    flush: Annotated[bool, typer.Option("--flush", help="The data ends here: end the open bar.")] = False,
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Build the bars of one set from silver, from bronze, or from any file of trades."""
    named = {
        "threshold": threshold,
        "interval": interval,
        "expected_ticks_init": expected_ticks_init,
        "ewma_window": ewma_window,
    }
    ending: Ending = "flush" if flush else "keep" if keep_open else "drop"
    where = streams_of(exchange, symbol)
    job = Job(bar_set_of(type, named, param or ()), output, ending, where, Period(*period(since, until)))
    if input:
        layout = layout_of(column or (), names=names, time_unit=time_unit, side_names=side_names, skip_bad=skip_bad)
        from_files(job, input, layout, late=late, is_unsorted=sort)
    else:
        from_lake(job, etl_options(load_config(config)), source)
