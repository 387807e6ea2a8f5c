"""`daedalus bars plot`: prices with their bars, as a picture or a page."""

from pathlib import Path
from typing import Annotated

import typer

from config.config import DEFAULT_FILE, load_config
from scripts.bars_choice import chosen_streams
from scripts.bars_drawn import Drawn, drawn
from scripts.bars_figure import drawing
from scripts.bars_page import bars_page
from scripts.config_commands import ConfigFile
from scripts.moments import between, period
from shared.errors import InputUnreadable

_FORMS = (".png", ".html")
_SETS_MAX = 6


def plot(
    bar_set: Annotated[list[str], typer.Option(help="Sets to draw, by id or its beginning: dollar, time-60s.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: a name that ends in .png or .html.")],
    config: ConfigFile = DEFAULT_FILE,
    exchange: Annotated[list[str] | None, typer.Option(help="Only these exchanges.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only these symbols, as BTC-USD or BTC/USD.")] = None,
    since: Annotated[str | None, typer.Option(help="Bars that begin then or later: 2026-06-09, 24h.")] = None,
    until: Annotated[str | None, typer.Option(help="Bars that begin before then.")] = None,
) -> None:
    """Draw prices with their bars, what buyers and sellers took, gaps, and how long each bar lasted."""
    if output.suffix not in _FORMS:
        raise InputUnreadable(f"{output}: pictures are {' or '.join(_FORMS)}", hint="Name one, as --output bars.png")
    span = period(since, until)
    streams = chosen_streams(load_config(config).lake(), bar_set, exchanges=exchange or (), symbols=symbol or ())
    if len(streams) > _SETS_MAX:
        names = ", ".join(sorted({f"{each.exchange} {each.symbol}" for each in streams}))
        raise InputUnreadable(
            f"{len(streams)} panels would be drawn, at most {_SETS_MAX} fit: {names}",
            hint="Choose with --exchange and --symbol, or name fewer sets",
        )
    found = [drawn(each.scan(*span), each.bar_set, exchange=each.exchange, symbol=each.symbol) for each in streams]
    sets = [each for each in found if each is not None]
    if not sets:
        raise InputUnreadable(f"no bars{between(*span)}", hint="Name a longer period with --since and --until")
    title = _title(sets)
    is_page = output.suffix == ".html"
    content = bars_page(sets, title=title).encode() if is_page else drawing(sets, title=title, form="png")
    _write(output, content)
    typer.echo(f"{output}: {sum(each.n_bars for each in sets):,} bars")


def _title(sets: list[Drawn]) -> str:
    """Which market and when."""
    markets = dict.fromkeys(f"{each.symbol} on {each.exchange}" for each in sets)
    first, last = min(each.first for each in sets), max(each.last for each in sets)
    until = f"{last:%H:%M:%S}" if last.date() == first.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"{', '.join(markets)}, {first:%Y-%m-%d %H:%M:%S} to {until} UTC"


def _write(output: Path, content: bytes) -> None:
    try:
        output.write_bytes(content)
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        hint = "Name a file in a folder that exists and that you may write to, as --output bars.png"
        raise InputUnreadable(f"{output}: cannot be written: {reason}", hint=hint) from error
