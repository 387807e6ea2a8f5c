"""`daedalus features plot`: the book of one symbol and its features, as a picture or a page."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from config.config import DEFAULT_FILE, load_config
from etl.core.config import FilterSpec, StreamKey
from scripts.bars_file import collected
from scripts.bars_plot import FORMS, written
from scripts.config_commands import ConfigFile
from scripts.features_drawn import NEEDED, Drawn, drawn
from scripts.features_figure import drawing
from scripts.features_page import features_page
from scripts.features_run import chosen
from scripts.moments import between, period
from scripts.stream_options import Exchanges, Symbols
from shared.errors import InputUnreadable
from shared.partitioning import Lake, Partition
from storage.lake import plan, scan

_TABLE = "silver_orderbook"
_SPAN = timedelta(hours=1)


def plot(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: a name that ends in .png or .html.")],
    config: ConfigFile = DEFAULT_FILE,
    exchange: Exchanges = None,
    symbol: Symbols = None,
    since: Annotated[str | None, typer.Option(help="From then on: 2026-06-09T04, 24h. Default: the last hour.")] = None,
    until: Annotated[str | None, typer.Option(help="Before then; default: an hour after --since.")] = None,
    file: Annotated[
        list[Path] | None, typer.Option("--input", "-i", help="Rows of these Parquet files in place of the lake's.")
    ] = None,
) -> None:
    """Draw the book of one symbol as a heat map, its spread, flows, volatility and VPIN, and flow against returns."""
    if output.suffix not in FORMS:
        raise InputUnreadable(f"{output}: pictures are {' or '.join(FORMS)}", hint="Name one, as --output book.png")
    first, last = period(since, until)
    if first and not last:
        last = first + _SPAN
    rows, key = _of_files(file, exchange, symbol) if file else _of_lake(load_config(config).lake(), exchange, symbol)
    name = " ".join(filter(None, key))
    if not first:
        ends = pl.col("timestamp").filter(pl.col("timestamp") < last) if last else pl.col("timestamp")
        end = collected(rows.select(ends.max()), name).item()
        first = end - _SPAN if end else None
    rows = _within(rows, first, last)
    found = drawn(rows, exchange=key.exchange, symbol=key.symbol)
    if found is None:
        raise InputUnreadable(
            f"{name}: no row with a valid book{between(first, last)}", hint="Name other times with --since and --until"
        )
    title = _title(found)
    is_page = output.suffix == ".html"
    written(output, features_page(found, title=title).encode() if is_page else drawing(found, title=title, form="png"))
    typer.echo(f"{output}: {found.n_rows:,} rows of {name}")


def _of_lake(lake: Lake, exchange: list[str] | None, symbol: list[str] | None) -> tuple[pl.LazyFrame, StreamKey]:
    where = FilterSpec(tuple(exchange or ()), tuple(symbol or ()))
    try:
        files = plan(lake, _TABLE)
    except InputUnreadable:
        files = []
    there = sorted({StreamKey(part.exchange, part.symbol) for part in map(Partition.parse, files)})
    hint = "Run `daedalus watch --once` first, or name a file with --input: `daedalus features orderbook`"
    key = _one(chosen(lake, there, where, what="features of books", hint=hint))
    return scan(lake, _TABLE, FilterSpec((key.exchange,), (key.symbol,))), key


def _of_files(
    files: list[Path], exchange: list[str] | None, symbol: list[str] | None
) -> tuple[pl.LazyFrame, StreamKey]:
    """The rows of files that runs of `daedalus features orderbook` wrote."""
    where = FilterSpec(tuple(exchange or ()), tuple(symbol or ()))
    for file in files:
        if not file.is_file():
            raise InputUnreadable(f"{file}: no such file", hint="Write one with `daedalus features orderbook`")
    try:
        rows = pl.scan_parquet(files, hive_partitioning=False, missing_columns="insert")
        names = rows.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputUnreadable(f"{files[0]}: cannot be read: {str(error).splitlines()[0]}") from error
    if missing := [name for name in NEEDED if name not in names]:
        hint = "Rows of features have one: `daedalus features orderbook`"
        raise InputUnreadable(f"{files[0]}: no column {missing[0]!r}", hint=hint)
    absent = [pl.lit("").alias(name) for name in ("exchange", "symbol") if name not in names]
    rows = rows.with_columns(absent)
    keys = collected(rows.select("exchange", "symbol").unique(), str(files[0])).sort("exchange", "symbol").rows()
    key = _one([StreamKey(*each) for each in keys if absent or where.allows(each)])
    return rows.filter(exchange=key.exchange, symbol=key.symbol).sort("timestamp"), key


def _one(keys: list[StreamKey]) -> StreamKey:
    """The only one of these. Raises: InputUnreadable."""
    if len(keys) != 1:
        names = ", ".join(" ".join(key) for key in keys) or "none"
        raise InputUnreadable(
            f"a picture is of one stream; there are {names}", hint="Choose with --exchange and --symbol"
        )
    return keys[0]


def _within(rows: pl.LazyFrame, first: datetime | None, last: datetime | None) -> pl.LazyFrame:
    """A row belongs to the time before its stamp."""
    time = pl.col("timestamp")
    if first:
        rows = rows.filter(time > first)
    return rows.filter(time <= last) if last else rows


def _title(found: Drawn) -> str:
    """Which market and when."""
    market = " on ".join(filter(None, (found.symbol, found.exchange)))
    first, last = found.columns["start"][0], found.columns["end"][-1]
    until = f"{last:%H:%M:%S}" if last.date() == first.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return ", ".join(filter(None, [market, f"{first:%Y-%m-%d %H:%M:%S} to {until} UTC"]))
