"""Options that several commands take alike: which streams, which bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from shared.filters import FilterSpec

Exchanges: TypeAlias = Annotated[list[str] | None, typer.Option(help="Only these exchanges.")]
Symbols: TypeAlias = Annotated[list[str] | None, typer.Option(help="Only these symbols, as BTC-USD or BTC/USD.")]
Channels: TypeAlias = Annotated[list[str] | None, typer.Option(help="Only these tables, as trades or l2.")]
BarSets: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="Only these sets, by id or its beginning: dollar, time-60s.")
]
BarsSince: TypeAlias = Annotated[str | None, typer.Option(help="Bars that begin then or later: 2026-06-09, 24h.")]
BarsUntil: TypeAlias = Annotated[str | None, typer.Option(help="Bars that begin before then.")]
BarFiles: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--input", "-i", help="Bars of these files in place of the lake's.")
]


def streams_of(
    exchanges: Sequence[str] | None,
    symbols: Sequence[str] | None,
    *,
    year: int | None = None,
    month: int | None = None,
    day: int | None = None,
    hour: int | None = None,
) -> FilterSpec:
    """The streams of `--exchange` and `--symbol`, in `year`, `month`, `day` and `hour`. Raises: typer.BadParameter."""
    try:
        return FilterSpec(tuple(exchanges or ()), tuple(symbols or ()), year, month, day, hour)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
