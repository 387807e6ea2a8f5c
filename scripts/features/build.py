"""`daedalus features orderbook`, `trades` and `ticker`: options to a run, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from config.config import DEFAULT_FILE, load_config
from etl.core.config import FilterSpec, StreamKey
from etl.tapes.arrivals import Arrivals, planned, streams
from etl.tapes.columns import REQUIRED
from etl.tapes.files import Period
from etl.tapes.lake import silver_streams
from etl.tapes.readers import Table
from scripts.config_commands import ConfigFile
from scripts.features.options import feature_options
from scripts.features.run import Asked, chosen, run
from scripts.features.state import RunState
from scripts.features.work import COLUMNS, BookWork, Place, TickerWork, TradeWork
from scripts.stream_options import Exchanges, Symbols, streams_of
from shared.errors import InputUnreadable
from shared.partitioning import UNITS, unit_span

_CAPTURE = "Capture some first: daedalus ingest"
_WATCH = "Run `daedalus watch --once` first, or name a file with --trades"
Year: TypeAlias = Annotated[int | None, typer.Option(help="Only this year, UTC.", min=1970, max=9998)]
Month: TypeAlias = Annotated[int | None, typer.Option(help="Only this month of it.", min=1, max=12)]
Day: TypeAlias = Annotated[int | None, typer.Option(help="Only this day of it.", min=1, max=31)]
Hour: TypeAlias = Annotated[int | None, typer.Option(help="Only this hour of it.", min=0, max=23)]
StatePath: TypeAlias = Annotated[
    Path | None, typer.Option(help="Go on from the state in this file, and leave the new one there. One stream.")
]
TradesFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="Trades of this file (Parquet, CSV, Arrow) in place of silver's.")
]
Limit: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Read at most so many rows of each stream.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would be read and written.")]
Out: TypeAlias = Annotated[Path, typer.Option(help="A .parquet file (one stream), or a folder.")]
_FOLDER = Path("features")
_SHOWN_MAX = 12  # names of columns in a message


def orderbook(
    exchange: Exchanges = None,
    symbol: Symbols = None,
    year: Year = None,
    month: Month = None,
    day: Day = None,
    hour: Hour = None,
    source: Annotated[
        Literal["auto", "orderbook", "l2"], typer.Option(help="Snapshots or l2; auto: l2 where there is any.")
    ] = "auto",
    trades: TradesFile = None,
    state_path: StatePath = None,
    limit: Limit = None,
    out: Out = _FOLDER,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Make the features of order books, with the trades beside them, of captured books."""
    settings = load_config(config)
    lake, (where, period) = settings.lake(), _which(exchange, symbol, (year, month, day, hour))
    tables = ("l2", "orderbook") if source == "auto" else (source,)
    there = [key for table in tables for key in streams(lake, table, _times(where))]
    keys = chosen(lake, sorted(set(there)), where, what="books", hint=_CAPTURE)
    options = feature_options(settings)
    if trades:
        _require_trades(trades)

    def opened(key: StreamKey, before: RunState | None) -> BookWork:
        table = next(table for table in tables if planned(lake, table, key, where))
        seen = before.position if before else {}
        arrivals = Arrivals(lake, table, key, where, columns=COLUMNS[table], seen=seen)
        return BookWork(Place(lake, key, period, trades, options), arrivals, before)

    run(Asked("orderbook", lake, out, state_path, limit, dry_run), keys, opened)


def trades(
    exchange: Exchanges = None,
    symbol: Symbols = None,
    year: Year = None,
    month: Month = None,
    day: Day = None,
    hour: Hour = None,
    trades: TradesFile = None,
    state_path: StatePath = None,
    limit: Limit = None,
    out: Out = _FOLDER,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Make the features of trades: of silver, or of a file."""
    settings = load_config(config)
    lake, (where, period) = settings.lake(), _which(exchange, symbol, (year, month, day, hour))
    if trades:
        _require_trades(trades)
        if len(where.exchanges) != 1 or len(where.symbols) != 1:
            raise typer.BadParameter("--trades: say whose they are, with one --exchange and one --symbol")
        keys = [StreamKey(where.exchanges[0], where.symbols[0])]
    else:
        keys = chosen(lake, silver_streams(lake, FilterSpec()), where, what="silver trades", hint=_WATCH)
    options = feature_options(settings)

    def opened(key: StreamKey, before: RunState | None) -> TradeWork:
        return TradeWork(Place(lake, key, period, trades, options), before)

    run(Asked("trade_features", lake, out, state_path, limit, dry_run), keys, opened)


def ticker(
    exchange: Exchanges = None,
    symbol: Symbols = None,
    year: Year = None,
    month: Month = None,
    day: Day = None,
    hour: Hour = None,
    state_path: StatePath = None,
    limit: Limit = None,
    out: Out = _FOLDER,
    dry_run: DryRun = False,
    config: ConfigFile = DEFAULT_FILE,
) -> None:
    """Make the features of captured tickers."""
    lake = load_config(config).lake()
    where, _ = _which(exchange, symbol, (year, month, day, hour))
    keys = chosen(lake, streams(lake, "ticker", _times(where)), where, what="tickers", hint=_CAPTURE)

    def opened(key: StreamKey, before: RunState | None) -> TickerWork:
        seen = before.position if before else {}
        return TickerWork(Arrivals(lake, "ticker", key, where, columns=COLUMNS["ticker"], seen=seen), before)

    run(Asked("ticker", lake, out, state_path, limit, dry_run), keys, opened)


def _require_trades(file: Path) -> None:
    """Make sure that a file has what trades have. Raises: InputUnreadable."""
    table = Table(file)
    if missing := [name for name in REQUIRED if name not in table.columns]:
        there = ", ".join(table.columns[:_SHOWN_MAX]) + (", ..." if len(table.columns) > _SHOWN_MAX else "")
        raise InputUnreadable(
            f"{file}: no column {missing[0]!r}; there are {there}",
            hint=f"Trades have {', '.join(REQUIRED)}, and side where it is known: rename the file's columns",
        )


def _which(
    exchanges: list[str] | None, symbols: list[str] | None, units: tuple[int | None, ...]
) -> tuple[FilterSpec, Period]:
    """The streams and times that are wanted. Raises: typer.BadParameter."""
    given = [unit for unit in units if unit is not None]
    if any(unit is None for unit in units[: len(given)]):
        name = UNITS[next(place for place, unit in enumerate(units) if unit is None)]
        raise typer.BadParameter(f"--{name} is missing: times are said from the year down")
    year, month, day, hour = units
    where = streams_of(exchanges, symbols, year=year, month=month, day=day, hour=hour)
    try:
        return where, Period(*unit_span(given)) if given else Period()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _times(where: FilterSpec) -> FilterSpec:
    return replace(where, exchanges=(), symbols=())
