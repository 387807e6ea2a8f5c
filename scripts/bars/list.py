"""`daedalus bars list`: which bar sets the lake has, and what is in them."""

import json
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import polars as pl
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from config.config import DEFAULT_FILE, load_config
from scripts.bars.choice import chosen_streams
from scripts.bars.file import readable
from scripts.config_commands import ConfigFile
from scripts.wide_table import fits, print_whole
from storage.bar_sets import BarStream


class Listed(NamedTuple):
    """A bar set of the lake."""

    bar_set: str
    type: str
    parameters: dict[str, Any]  # empty where files of before do not say
    streams: list[str]
    bars: int
    first: datetime  # start of the earliest bar
    last: datetime  # end of the latest
    size_bytes: int


def list_sets(
    config: ConfigFile = DEFAULT_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the bar sets of the lake: type, parameters, streams, bars, times and size."""
    by_set: dict[str, list[BarStream]] = {}
    for stream in chosen_streams(load_config(config).lake()):
        by_set.setdefault(stream.bar_set, []).append(stream)
    found = [_listed(name, streams) for name, streams in by_set.items()]
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in found], indent=2, default=datetime.isoformat))
    else:
        _show(found)


def _listed(name: str, streams: list[BarStream]) -> Listed:
    files = [file for stream in streams for file in stream.files()]
    with readable(name):
        facts = pl.read_parquet_metadata(files[-1])
        spans = [_span(stream) for stream in streams]
        bars = sum(pq.read_metadata(file).num_rows for file in files)
    return Listed(
        bar_set=name,
        type=facts.get("daedalus.bar_type", name.partition("-")[0]),
        parameters=json.loads(facts.get("daedalus.parameters", "{}")),
        streams=[f"{stream.exchange} {stream.symbol}" for stream in streams],
        bars=bars,
        first=min(first for first, _ in spans),
        last=max(last for _, last in spans),
        size_bytes=sum(file.stat().st_size for file in files),
    )


def _span(stream: BarStream) -> tuple[datetime, datetime]:
    """Start of the first bar, end of the last; files are named by their days."""
    first, *_, last = [*stream.files(), stream.files()[-1]]
    start = pl.scan_parquet(first, hive_partitioning=False).select(pl.col("time_start").min()).collect().item()
    end = pl.scan_parquet(last, hive_partitioning=False).select(pl.col("time_end").max()).collect().item()
    return start, end


def _show(found: list[Listed]) -> None:
    console = Console(highlight=False)
    columns = ("bar set", "type", "parameters", "streams", "bars", "first (UTC)", "last (UTC)", "size")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    table.columns[4].justify = table.columns[7].justify = "right"
    for each in found:
        table.add_row(*_cells(each))
    if fits(table, console):
        print_whole(table, console)
        return
    for each in found:
        name, *rest = _cells(each)
        console.print(name, style="bold", soft_wrap=True)
        for label, cell in zip(columns[1:], rest, strict=True):
            console.print(f"  {label}: {cell}", soft_wrap=True)


def _cells(each: Listed) -> list[str]:
    said = ", ".join(f"{name}={value}" for name, value in each.parameters.items())
    streams = ", ".join(each.streams[:3]) + (f" and {len(each.streams) - 3} more" if len(each.streams) > 3 else "")
    times = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (each.first, each.last))
    return [each.bar_set, each.type, said, streams, f"{each.bars:,}", *times, f"{each.size_bytes / 1e6:,.1f} MB"]
