"""`daedalus features plot`: the book of one symbol and its features, as a picture or a page."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from config.config import DEFAULT_FILE, load_config
from etl.core.config import FilterSpec, StreamKey
from etl.tapes.lake import silver_streams
from scripts.bars.file import collected
from scripts.bars.plot import FORMS, written
from scripts.config_commands import ConfigFile
from scripts.features.drawn import NEEDED, Drawn, drawn
from scripts.features.figure import drawing
from scripts.features.page import features_page
from scripts.features.run import chosen
from scripts.moments import between, period
from scripts.stream_options import Exchanges, Symbols, streams_of
from shared.errors import InputUnreadable
from shared.partitioning import Lake
from storage.lake import plan, scan

_TABLE = "silver_orderbook"
_SPAN, _TICK = timedelta(hours=1), timedelta(microseconds=1)


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
    asked = period(since, until)
    if file:
        rows, key = _of_files(file, exchange, symbol)
        first, last = _span(asked, rows)
    else:
        lake = load_config(config).lake()
        key = _stream_of(lake, exchange, symbol)
        stream = FilterSpec((key.exchange,), (key.symbol,))
        first, last = _span(asked, pl.scan_parquet(plan(lake, _TABLE, stream)[-1], hive_partitioning=False))
        rows = scan(lake, _TABLE, replace(stream, since=first, until=last + _TICK))
    # A row belongs to the time before its stamp.
    rows = rows.filter(pl.col("timestamp") > first, pl.col("timestamp") <= last)
    name = " ".join(filter(None, key))
    found = drawn(rows, exchange=key.exchange, symbol=key.symbol)
    if found is None:
        raise InputUnreadable(
            f"{name}: no row with a valid book{between(first, last)}", hint="Name other times with --since and --until"
        )
    title = _title(found)
    is_page = output.suffix == ".html"
    written(output, features_page(found, title=title).encode() if is_page else drawing(found, title=title, form="png"))
    typer.echo(f"{output}: {found.n_rows:,} rows of {name}")


def _stream_of(lake: Lake, exchange: list[str] | None, symbol: list[str] | None) -> StreamKey:
    where = streams_of(exchange, symbol)
    there = silver_streams(lake, FilterSpec(), table="orderbook")
    hint = "Run `daedalus watch --once` first, or name a file with --input: `daedalus features orderbook`"
    return _one(chosen(lake, there, where, what="features of books", hint=hint))


def _span(asked: tuple[datetime | None, datetime | None], newest: pl.LazyFrame) -> tuple[datetime, datetime]:
    """From when to when; where an end is not said, an hour, at last that with which the newest rows end."""
    first, last = asked
    if first is None:
        last = last or collected(newest.select(pl.col("timestamp").max()), "the newest rows").item()
        assert last, "a file of a stream has a row of it"
        return last - _SPAN, last
    return first, last or first + _SPAN


def _of_files(
    files: list[Path], exchange: list[str] | None, symbol: list[str] | None
) -> tuple[pl.LazyFrame, StreamKey]:
    """The rows of files that runs of `daedalus features orderbook` wrote."""
    where = streams_of(exchange, symbol)
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


def _title(found: Drawn) -> str:
    """Which market and when."""
    market = " on ".join(filter(None, (found.symbol, found.exchange)))
    first, last = found.columns["start"][0], found.columns["end"][-1]
    until = f"{last:%H:%M:%S}" if last.date() == first.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return ", ".join(filter(None, [market, f"{first:%Y-%m-%d %H:%M:%S} to {until} UTC"]))
