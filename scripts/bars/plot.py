"""`daedalus bars plot`: prices with their bars, as a picture or a page."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from config.config import DEFAULT_FILE, load_config
from etl.bars.statistics import KEYS
from scripts.bars.choice import chosen_streams
from scripts.bars.drawn import COLUMNS_DRAWN, Drawn, drawn
from scripts.bars.figure import drawing
from scripts.bars.file import collected, scan_bars_file
from scripts.bars.page import bars_page
from scripts.config_commands import ConfigFile
from scripts.moments import between, period
from scripts.stream_options import BarFiles, BarSets, BarsSince, BarsUntil, Exchanges, Symbols
from scripts.whole_file import written_whole
from shared.errors import InputUnreadable
from storage.bar_sets import within

FORMS = (".png", ".html")
_SETS_MAX = 6


def plot(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: a name that ends in .png or .html.")],
    config: ConfigFile = DEFAULT_FILE,
    bar_set: BarSets = None,
    exchange: Exchanges = None,
    symbol: Symbols = None,
    since: BarsSince = None,
    until: BarsUntil = None,
    file: BarFiles = None,
) -> None:
    """Draw prices with their bars, what buyers and sellers took, gaps, and how long each bar lasted."""
    if output.suffix not in FORMS:
        raise InputUnreadable(f"{output}: pictures are {' or '.join(FORMS)}", hint="Name one, as --output bars.png")
    if bool(file) == bool(bar_set or exchange or symbol) or not (file or bar_set):
        raise typer.BadParameter("name sets of the lake with --bar-set, or files with --input")
    span = period(since, until)
    if file:
        found = _of_files(file)
    else:
        streams = chosen_streams(
            load_config(config).lake(), bar_set or (), exchanges=exchange or (), symbols=symbol or ()
        )
        found = [(stream.scan(), (stream.bar_set, stream.exchange, stream.symbol)) for stream in streams]
    if len(found) > _SETS_MAX:
        names = ", ".join(sorted({f"{exchange} {symbol}" for _, (_, exchange, symbol) in found}))
        hint = "Choose with --exchange and --symbol, or name fewer sets"
        raise InputUnreadable(f"{len(found)} panels would be drawn, at most {_SETS_MAX} fit: {names}", hint=hint)
    maybe = [drawn(within(bars, *span), name, exchange=on, symbol=of) for bars, (name, on, of) in found]
    sets = [each for each in maybe if each is not None]
    if not sets:
        raise InputUnreadable(f"no bars{between(*span)}", hint="Name a longer period with --since and --until")
    title = _title(sets)
    is_page = output.suffix == ".html"
    content = bars_page(sets, title=title).encode() if is_page else drawing(sets, title=title, form="png")
    written(output, content)
    count = sum(each.n_bars for each in sets)
    typer.echo(f"{output}: {count:,} {'bar' if count == 1 else 'bars'}")


def _of_files(files: list[Path]) -> list[tuple[pl.LazyFrame, tuple[str, str, str]]]:
    """Each bar set of each stream in the files, with its names."""
    found = []
    for path in files:
        bars = scan_bars_file(path, needed=COLUMNS_DRAWN)
        for names in collected(bars.select(KEYS).unique(maintain_order=True), str(path)).iter_rows():
            is_it = pl.all_horizontal(pl.col(key) == name for key, name in zip(KEYS, names, strict=True))
            found.append((bars.filter(is_it), names))
    return found


def _title(sets: list[Drawn]) -> str:
    """Which market and when."""
    markets = dict.fromkeys(" on ".join(filter(None, (each.symbol, each.exchange))) for each in sets)
    first, last = min(each.first for each in sets), max(each.last for each in sets)
    until = f"{last:%H:%M:%S}" if last.date() == first.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return ", ".join([*filter(None, markets), f"{first:%Y-%m-%d %H:%M:%S} to {until} UTC"])


def written(output: Path, content: bytes) -> None:
    """Put a picture in its place, whole. Raises: InputUnreadable."""
    try:
        with written_whole(output) as part:
            part.write_bytes(content)
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        hint = "Name a file in a folder that exists and that you may write to, as --output picture.png"
        raise InputUnreadable(f"{output}: cannot be written: {reason}", hint=hint) from error
