"""`daedalus bars export`: a bar set of the lake as one file for anybody."""

import json
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import polars as pl
import typer

from config.config import DEFAULT_FILE, load_config
from etl.bars.filling import filled
from scripts.bars.choice import chosen_streams
from scripts.bars.file import readable
from scripts.config_commands import ConfigFile
from scripts.moments import period
from scripts.stream_options import BarsSince, BarsUntil, Exchanges, Symbols
from scripts.whole_file import written_whole
from shared.disk import Disk, translated
from shared.errors import InputUnreadable
from storage.bar_sets import BarStream

Format: TypeAlias = Literal["parquet", "csv", "arrow"]
_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
}


def export(
    bar_set: Annotated[str, typer.Option(help="Its id, or the beginning of it: `daedalus bars list`.")],
    output: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[Format | None, typer.Option(help="Else by the file's ending.")] = None,  # noqa: A002
    exchange: Exchanges = None,
    symbol: Symbols = None,
    since: BarsSince = None,
    until: BarsUntil = None,
    fill: Annotated[
        Literal["none", "ffill", "null"],
        typer.Option(help="Time bars: a row for each empty bucket, with the close before it, or without prices."),
    ] = "none",
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Write the bars of one set to one Parquet, CSV or Arrow file."""
    kind = format or _SUFFIXES.get(output.suffix)
    if kind is None:
        raise typer.BadParameter(f"--output {output}: say --format, or end it with {', '.join(_SUFFIXES)}")
    span = period(since, until)
    streams = chosen_streams(load_config(config).lake(), [bar_set], exchanges=exchange or (), symbols=symbol or ())
    if len(sets := {stream.bar_set for stream in streams}) > 1:
        raise InputUnreadable(f"{bar_set!r} is the beginning of {', '.join(sorted(sets))}", hint="Name one whole")
    with readable(streams[0].bar_set):
        facts = pl.read_parquet_metadata(streams[0].files()[0])
        parts = [stream.scan(*span) for stream in streams]
        if fill != "none":
            interval = _interval(streams[0], facts)
            parts = [filled(part.collect(), interval=interval, fill=fill).lazy() for part in parts]
        bars = pl.concat(parts, how="diagonal")
        count = bars.select(pl.len()).collect().item()
        if not count:
            raise InputUnreadable("no bars in that period", hint="Name a longer one with --since and --until")
        _write(bars, output, kind, {name: value for name, value in facts.items() if name.startswith("daedalus.")})
    names = ", ".join(f"{stream.exchange} {stream.symbol}" for stream in streams)
    typer.echo(f"{streams[0].bar_set} of {names}: {count:,} rows, {output}")


def _interval(stream: BarStream, facts: dict[str, str]) -> str:
    if facts.get("daedalus.bar_type", stream.bar_set.partition("-")[0]) != "time":
        raise typer.BadParameter(f"--fill: {stream.bar_set} are no time bars")
    if text := facts.get("daedalus.parameters"):
        return str(json.loads(text)["interval"])
    start, end = stream.scan().select("time_start", "time_end").head(1).collect().row(0)
    return f"{(end - start).total_seconds()}s"  # a file of before they said what they are


def _write(bars: pl.LazyFrame, output: Path, kind: Format, facts: dict[str, str]) -> None:
    """Put the file in place whole."""
    Disk().make_dirs(output.parent)
    with translated(output), written_whole(output) as part:
        if kind == "parquet":
            bars.sink_parquet(part, compression="zstd", metadata=facts)
        elif kind == "csv":
            bars.sink_csv(part, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
        else:
            bars.sink_ipc(part, compression="zstd")
