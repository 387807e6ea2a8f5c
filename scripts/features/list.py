"""`daedalus features list`: every feature, out of its declaration."""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config.config import load_config
from etl.features.options import FeatureOptions
from scripts.features.declared import Described, described
from scripts.features.options import feature_options
from scripts.wide_table import fits, print_whole
from shared.errors import InputUnreadable

_COLUMNS = ("name", "unit", "formula", "source", "spec", "channels")


def list_features(
    table: Annotated[list[str] | None, typer.Option(help="Only those of these tables.")] = None,
    family: Annotated[list[str] | None, typer.Option(help="Only those of these families, as price or depth.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="As the options of these settings make them; else as default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """List every feature: name, unit, formula, source, id in the specification, and the channels it is made from."""
    if as_json and csv:
        raise typer.BadParameter("take --json or --csv, not both")
    found = described(feature_options(load_config(config)) if config else FeatureOptions())
    for name, wanted in (("table", table), ("family", family)):
        found = _chosen(found, name, wanted or ())
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in found], indent=2))
    elif csv:
        rows = [each._asdict() | {"channels": " ".join(each.channels)} for each in found]
        typer.echo(pl.DataFrame(rows).write_csv(), nl=False)
    else:
        _show(found)


def _chosen(found: list[Described], what: str, wanted: Sequence[str]) -> list[Described]:
    """Those of the wanted tables or families, all where none is named. Raises: InputUnreadable: there is no such."""
    known = list(dict.fromkeys(filter(None, (getattr(each, what) for each in found))))
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}"
            raise InputUnreadable(f"there is no {what} {name!r} of features", hint=hint)
    return [each for each in found if not wanted or getattr(each, what) in wanted]


def _show(found: list[Described]) -> None:
    """A table for each family; where one is too wide for the terminal, a block of lines for each feature."""
    console = Console(highlight=False)
    for name in dict.fromkeys((each.table, each.family) for each in found):
        console.print(escape(": ".join(filter(None, name))), style="bold")
        rows = [_cells(each) for each in found if name == (each.table, each.family)]
        table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="dim")
        for row in rows:
            table.add_row(*map(escape, row))
        if fits(table, console):
            print_whole(table, console)
        else:
            _print_blocks(console, rows)
        console.print()
    console.print(f"{len(found):,} features")


def _print_blocks(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    for name, *rest in rows:
        console.print(escape(name))
        for label, cell in zip(_COLUMNS[1:], rest, strict=True):
            console.print(escape(f"  {label}: {cell}"), soft_wrap=True)


def _cells(each: Described) -> tuple[str, ...]:
    return each.name, each.unit, each.formula, each.source, each.spec, ", ".join(each.channels)
