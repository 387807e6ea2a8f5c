"""`--log-format`, for every command that runs for long."""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from config.config import Settings
from shared.log import configure


class LogFormat(StrEnum):
    """How a line of the log is written."""

    text = "text"
    json = "json"


LogFormatOption: TypeAlias = Annotated[
    LogFormat | None, typer.Option("--log-format", help="text, or json: one object a line; else logging.format.")
]


def configure_log(settings: Settings, form: LogFormat | None) -> None:
    """Set the process's logging as the settings say, in this format where one was asked for."""
    configure(settings.logging.level, format=form or settings.logging.format)
