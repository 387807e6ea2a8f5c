"""`daedalus status`: is capture well, and what waits? One screen, an exit code, JSON."""

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from config.config import DEFAULT_FILE, load_config
from scripts.config_commands import ConfigFile
from scripts.health.facts import Alarm, Health
from scripts.health.look import look
from scripts.health.screen import screen
from scripts.health.verdict import Limits, limits_of, verdict
from shared.errors import DaedalusError
from shared.partitioning import Lake

EXIT_TROUBLE = 1
_PLUGIN_CODES = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


def status(
    config: ConfigFile = DEFAULT_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show it anew until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks of --watch.")] = 2.0,
    nagios: Annotated[
        bool,
        typer.Option(
            "--nagios", help="One line and the exit codes of a monitoring plugin: 0, 1 warning, 2, 3 unknown."
        ),
    ] = False,
) -> None:
    """Show how capture, watcher, synchronisation and disk are doing.

    Exit code 0: all is well. 1: something is wrong, each thing said in a line with what to do.
    """
    if sum((as_json, watch, nagios)) > 1:
        raise typer.BadParameter("--json, --watch and --nagios exclude one another")
    if nagios:
        raise typer.Exit(_plugin(config))
    settings = load_config(config)
    lake, limits = settings.lake(), limits_of(settings)
    console = Console(highlight=False)
    if watch:
        _stay(console, lake, limits, interval_s=interval)
    health = look(lake, now_ns=time.time_ns())
    alarms = verdict(health, limits)
    if as_json:
        typer.echo(json.dumps(as_mapping(health, alarms), indent=2))
    else:
        console.print(screen(health, alarms))
    if alarms:
        raise typer.Exit(EXIT_TROUBLE)


def as_mapping(health: Health, alarms: list[Alarm]) -> dict[str, Any]:
    """What `--json` prints; the keys are those of `Health` and `Alarm`, and `level`, the worst of the alarms."""
    level = alarms[0].level if alarms else "ok"
    return {"level": level, "alarms": msgspec.to_builtins(alarms), **msgspec.to_builtins(health)}


def _stay(console: Console, lake: Lake, limits: Limits, *, interval_s: float) -> NoReturn:
    with Live(console=console, screen=True, auto_refresh=False) if console.is_terminal else nullcontext() as live:
        while True:
            health = look(lake, now_ns=time.time_ns())
            shown = screen(health, verdict(health, limits))
            live.update(shown, refresh=True) if live else console.print(shown)
            time.sleep(interval_s)


def _plugin(config: Path) -> int:
    """Print what a monitoring plugin prints; its exit code."""
    try:
        settings = load_config(config)
        health = look(settings.lake(), now_ns=time.time_ns())
    except (DaedalusError, OSError) as error:
        why = error.line() if isinstance(error, DaedalusError) else str(error)
        typer.echo(f"DAEDALUS UNKNOWN - {' '.join(why.split())}")
        return _PLUGIN_CODES["UNKNOWN"]
    alarms = verdict(health, limits_of(settings))
    level = alarms[0].level.upper() if alarms else "OK"
    said = "; ".join(alarm.text for alarm in alarms).replace("|", "/") or "all is well"
    typer.echo(f"DAEDALUS {level} - {said} | {_performance(health)}")
    return _PLUGIN_CODES[level]


def _performance(health: Health) -> str:
    """Figures as `name=value`, those that are unknown left out."""
    rates = [channel.rows_per_s for feed in health.feeds for channel in feed.channels]
    ages = [feed.last_row_age_s for feed in health.feeds if feed.last_row_age_s is not None]
    figures = {
        "rows_per_s": sum(rate for rate in rates if rate is not None) if health.queue_percent is not None else None,
        "message_age": max(ages, default=None),
        "queue": health.queue_percent,
        "watcher_lag": health.watcher.lag_s,
        "disk_days": health.disk.days_left,
    }
    units = {"message_age": "s", "watcher_lag": "s", "queue": "%"}
    known = ((name, value) for name, value in figures.items() if value is not None)
    return " ".join(f"{name}={value:.2f}{units.get(name, '')}" for name, value in known)
