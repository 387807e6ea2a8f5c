"""`daedalus bars rebuild`: options to what is made anew, and what that came to."""

from typing import Annotated

import typer

from config.config import DEFAULT_FILE, load_config
from etl.bars import bar_set_id
from etl.core.config import BarSet
from etl.core.rebuild import Rebuilding, Rebuilt
from scripts.config_commands import ConfigFile
from scripts.moments import moment
from scripts.stream_options import Exchanges, Symbols, streams_of
from scripts.watch import etl_options
from shared.errors import SettingsInvalid


def rebuild(
    bar_set: Annotated[
        list[str] | None, typer.Option(help="Its id, or the beginning of it: `daedalus bars list`. Default: all.")
    ] = None,
    exchange: Exchanges = None,
    symbol: Symbols = None,
    since: Annotated[
        str | None, typer.Option("--from", help="2026-06-09, 2026-06-09T04:30 or 24h; default: the beginning.")
    ] = None,
    silver: Annotated[bool, typer.Option("--silver", help="Make silver anew from bronze first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be replaced.")] = False,
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Recompute bars from the last state before a moment, and put them in place of the old ones all at once."""
    if silver and dry_run:
        raise typer.BadParameter("--silver cannot be tried by --dry-run: bars are made from what it leaves")
    settings = load_config(config)
    options = etl_options(settings, only=streams_of(exchange, symbol))
    sets = _chosen(options.bars, bar_set or ())
    done = 0
    for rebuilt in Rebuilding(options, sets, since=moment(since), with_silver=silver, is_dry=dry_run).run():
        typer.echo(_line(rebuilt, is_dry=dry_run))
        done += 1
    if not done:
        typer.echo("nothing to make anew: silver holds no such stream; `daedalus watch --once` fills it from bronze")


def _chosen(known: tuple[BarSet, ...], names: list[str] | tuple[()]) -> tuple[BarSet, ...]:
    """The sets of the settings whose ids begin as asked.

    Raises: SettingsInvalid.
    """
    ids = {bar_set_id(each.type, each.params): each for each in known}
    for name in names:
        if not any(f"{known_id}-".startswith(f"{name}-") for known_id in ids):
            there_are = ", ".join(ids) or "none"
            raise SettingsInvalid(
                f"no bar set of the settings begins with {name!r}; there are: {there_are}",
                hint="Only sets in etl.bars are kept up; make others with `daedalus bars build`",
            )
    beginnings = tuple(f"{name}-" for name in names or ids)
    return tuple(each for known_id, each in ids.items() if f"{known_id}-".startswith(beginnings))


def _line(rebuilt: Rebuilt, *, is_dry: bool) -> str:
    """What became of one set.

    >>> from etl.core.config import StreamKey
    >>> from etl.core.replacing import Difference
    >>> _line(Rebuilt(StreamKey("kraken", "BTC-USD"), "tick-5", 30, 40, 40, Difference()), is_dry=False)
    'kraken BTC-USD tick-5: 10 of 40 bars made anew, all equal; no file replaced'
    """
    files, made = rebuilt.files, rebuilt.after - rebuilt.first
    changed = {
        "replaced": len(files.replaced),
        "added": len(files.added),
        "removed": len(files.removed),
        "as before": len(files.equal),
    }
    would = "would be " if is_dry else ""
    told = ", ".join(
        f"{count} {would if word != 'as before' else ''}{word}" for word, count in changed.items() if count
    )
    is_equal = not (files.replaced or files.added or files.removed)
    outcome = "all equal; no file replaced" if is_equal else f"{rebuilt.before} before; files: {told}"
    return f"{' '.join(rebuilt.key)} {rebuilt.bar_set}: {made} of {rebuilt.after} bars made anew, {outcome}"
