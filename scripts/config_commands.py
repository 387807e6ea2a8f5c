"""`daedalus config`: what the settings say, and their schema for editors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from config.config import DEFAULT_FILE, Settings, json_schema, load_config

app = typer.Typer(
    name="config", help="Check the settings; print their JSON schema.", no_args_is_help=True, add_completion=False
)

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", show_default=True)]

_NOTHING = "capture: nothing; name symbols under coinbase, native.exchanges or ccxt.exchanges"


@app.command()
def check(config: ConfigFile = DEFAULT_FILE) -> None:
    """Say what the settings turn on, or everything that is wrong with them (exit code 2)."""
    settings = load_config(config)
    if captured := list(_capture(settings)):
        from scripts.capture_plan import plan_collectors  # here: every command imports this module for its option

        plan_collectors(settings)  # refuses what `ingest` would refuse
    kept = (*_folders(settings), *_places(settings), *_retention(settings))
    for line in (f"{config}: good", *(captured or [_NOTHING]), *_refinement(settings), *kept):
        typer.echo(line)
    for notice in settings.notices:
        typer.echo(f"notice: {notice}")


@app.command()
def schema() -> None:
    """Print the JSON schema of the settings, for editors."""
    typer.echo(json.dumps(json_schema(), indent=2))


def _capture(settings: Settings) -> Iterator[str]:
    sources = {"coinbase": settings.coinbase.subscriptions}
    sources |= {f"native {name}": exchange.subscriptions for name, exchange in settings.native.exchanges.items()}
    sources |= {f"ccxt {name}": exchange.subscriptions for name, exchange in settings.ccxt.exchanges.items()}
    for name, channels in sources.items():
        if not channels:
            continue
        yield f"capture {name}:"
        for channel, symbols in channels.items():
            yield f"  {channel}: {', '.join(symbols)}"


def _refinement(settings: Settings) -> Iterator[str]:
    from scripts.bar_sets import bar_sets, candle_intervals  # here, as above
    from scripts.features.options import feature_options

    sets, intervals = bar_sets(settings), candle_intervals(settings)
    feature_options(settings)  # refuses what `watch` would refuse
    if not settings.etl.channels.trades.enabled:
        yield "refine: nothing; etl.channels.trades is off"
        return
    channels = settings.etl.channels
    made = ["trades", *(["ticker"] if channels.ticker.enabled else [])]
    if channels.orderbook.enabled:
        made.append(f"orderbook (from {channels.orderbook.source})")
    yield f"refine: {', '.join(made)}"
    yield f"candles: {', '.join(intervals) or 'none'}"
    for bars in sets:
        said = " ".join(str(value) for value in bars.params.values())
        yield f"bars: {bars.type} {said} of {', '.join(bars.where.symbols or ('every symbol',))}"


def _folders(settings: Settings) -> Iterator[str]:
    lake = settings.lake()
    yield f"journals: {lake.active}"
    yield f"bronze: {lake.ready}"
    yield f"silver and bars: {lake.processed}"
    yield f"state: {lake.state}"


def _places(settings: Settings) -> Iterator[str]:
    from storage.factory import object_store  # here, as above

    storage = settings.storage
    for what, place in (
        ("bronze comes from", storage.etl_storage_input),
        ("silver and bars go to", storage.etl_storage_output),
        ("archive", storage.archive),
    ):
        if place.type == "local":
            continue
        store = object_store(place.options(), root=Path())  # refuses what `sync` and `watch` would refuse
        address = getattr(place, "endpoint_url", None)
        yield f"{what}: {store.name}{f' at {address}' if address else ''}"
    if storage.archive.type == "local":
        yield "archive: none; this disk alone has the lake"


def _retention(settings: Settings) -> Iterator[str]:
    told = settings.retention
    ages = {"bronze": told.keep_days, **told.keep_days_by_channel}
    ages |= {"silver": told.silver_keep_days, "gold": told.gold_keep_days}
    rules = [f"{name} {days} day{'s' if days > 1 else ''}" for name, days in ages.items() if days]
    if told.lake_max_gb:
        rules.append(f"lake {told.lake_max_gb:g} GB")
    if rules:
        by = "daedalus sync" if settings.sync.delete_after_verify else "daedalus retain --delete"
        yield f"retention: {', '.join(rules)}; removed by `{by}`"
