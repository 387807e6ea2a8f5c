"""`daedalus bars stats`: how the bars of several sets compare."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from typing import Annotated, Literal, NamedTuple, TypeAlias

import polars as pl
import typer
from polars.selectors import by_name

from config.config import DEFAULT_FILE, load_config
from etl.bars.statistics import COLUMNS_READ, KEYS, STATISTICS_SCHEMA, bar_statistics, fitting_period
from scripts.bars.choice import chosen_streams
from scripts.bars.file import collected, scan_bars_file
from scripts.bars.stats_table import show
from scripts.config_commands import ConfigFile
from scripts.moments import between
from scripts.moments import period as period_of
from scripts.stream_options import BarFiles, BarSets, BarsSince, BarsUntil, Exchanges, Symbols
from shared.errors import InputUnreadable
from storage.bar_sets import within

Period: TypeAlias = Literal["1mo", "1w", "1d", "1h", "10m", "1m"]
_READ = by_name(*KEYS, "bar_seq", *COLUMNS_READ, "is_partial", "has_gap", require_all=False)


class _Source(NamedTuple):
    """Bars of one set and stream that are not read yet; a file may hold several sets."""

    name: str
    stream: tuple[str, str]
    bars: pl.LazyFrame


def stats(
    config: ConfigFile = DEFAULT_FILE,
    bar_set: BarSets = None,
    exchange: Exchanges = None,
    symbol: Symbols = None,
    since: BarsSince = None,
    until: BarsUntil = None,
    file: BarFiles = None,
    period: Annotated[
        Period | None, typer.Option(help="Periods to compare; without it the longest of which there are about ten.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: natural units, log returns, unrounded.")] = False,
) -> None:
    """Compare bar sets: how many bars, how large, how long, how normal and how independent their returns are."""
    span = period_of(since, until)
    if file:
        if bar_set or exchange or symbol:
            raise typer.BadParameter("--input reads files; --bar-set, --exchange and --symbol choose from the lake")
        sources = [_Source(str(path), ("", ""), within(scan_bars_file(path), *span)) for path in file]
    else:
        lake = load_config(config).lake()
        streams = chosen_streams(lake, bar_set or (), exchanges=exchange or (), symbols=symbol or ())
        sources = [_Source(each.bar_set, (each.exchange, each.symbol), each.scan(*span)) for each in streams]
    found = pl.concat([STATISTICS_SCHEMA.to_frame(), *_rows(sources, period)])
    if not found.height:
        raise InputUnreadable(f"no bars{between(*span)}", hint="Name a longer period with --since and --until")
    if as_json:
        times = pl.col("first", "last").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        typer.echo(found.with_columns(times).write_json())
    else:
        show(found)


def _rows(sources: list[_Source], period: Period | None) -> Iterator[pl.DataFrame]:
    """The statistics of one source at a time, so that one set of one stream is in memory; one period for a stream."""
    for _, group in groupby(sorted(sources, key=lambda source: source.stream), key=lambda source: source.stream):
        together = list(group)
        fitting = period or fitting_period(_longest(together))
        for source in together:
            bars = collected(source.bars.select(_READ), source.name)
            try:
                yield bar_statistics(bars, period=fitting)
            except InputUnreadable as error:
                raise InputUnreadable(f"{source.name}: {error}", hint=error.hint) from error


def _longest(sources: list[_Source]) -> timedelta:
    """From the first bar of any source to the beginning of the last."""
    first, last = pl.col("time_start").min().alias("first"), pl.col("time_start").max().alias("last")
    ends = [collected(source.bars.select(first, last), source.name).row(0) for source in sources]
    firsts, lasts = [low for low, _ in ends if low], [high for _, high in ends if high]
    return max(lasts) - min(firsts) if firsts else timedelta(0)
