"""`daedalus supervise`: capture, watcher, sync and compaction as children that are kept at work for months."""

from typing import Annotated

import typer

from config.config import DEFAULT_FILE, load_config
from scripts.config_commands import ConfigFile
from scripts.log_options import LogFormatOption, configure_log
from scripts.supervisor.daemon import Supervisor
from scripts.supervisor.status import shown
from shared.disk import Disk
from shared.log import get_log
from storage.locks import hold

log = get_log("supervisor")


def supervise(
    config: ConfigFile = DEFAULT_FILE,
    status: Annotated[bool, typer.Option("--status", help="Say how a running supervisor and its children do.")] = False,
    log_format: LogFormatOption = None,
) -> None:
    """Keep ingest, watch, sync and compact at work until SIGTERM; SIGHUP reads the settings anew."""
    settings = load_config(config)
    if status:
        lines, is_well = shown(settings.lake().state)
        typer.echo("\n".join(lines))
        raise typer.Exit(0 if is_well else 1)
    configure_log(settings, log_format)
    for notice in settings.notices:
        log.warning("settings", notice=notice)
    state = settings.lake().state
    Disk().make_dirs(state)
    with hold(state / "supervisor.lock", hint="One supervisor looks after a lake; ask it with --status"):
        Supervisor(settings, config, log_format=log_format).run()
