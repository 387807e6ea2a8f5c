"""The `daedalus` command: one table of commands, each imported when it is called, and errors a person can act on."""

import errno
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.main import get_command

from scripts.lazy_commands import Command, lazy_app
from shared.errors import DaedalusError

COMMANDS: dict[str, Command] = {
    "demo": Command("scripts.demo.demo:demo", "Run the whole system on this machine in about a minute"),
    "ingest": Command("scripts.ingest:ingest", "Capture market data into the lake"),
    "watch": Command("scripts.watch:watch", "Turn captured segments into silver and bars as they arrive"),
    "supervise": Command("scripts.supervise:supervise", "Keep ingest, watch, sync and compact at work for months"),
    "bars": Command("scripts.bars.commands:app", "Build, list, export, compare, draw and rebuild bars"),
    "features": Command(
        "scripts.features.commands:app", "List, make and draw the features of books, trades and tickers"
    ),
    "sync": Command("scripts.sync:sync", "Keep the lake in an archive (S3 or a folder), or bring it back"),
    "query": Command("scripts.query:query", "Read a table of the lake"),
    "status": Command("scripts.status:status", "Show how capture, watcher, synchronisation and disk are doing"),
    "gaps": Command("scripts.gaps:gaps", "List what was not captured, and why"),
    "check": Command("scripts.check:check", "Prove that everything received is stored or declared"),
    "compact": Command("scripts.compact:compact", "Make few large files of bronze's many small ones"),
    "redecode": Command("scripts.redecode:redecode", "Decode stored raw frames again, after a decoder was corrected"),
    "retain": Command("scripts.retain:retain", "Remove old data that the archive proves to hold; shows it first"),
    "simulate": Command(
        "scripts.simulate:simulate", "Run a local exchange that speaks real wire protocols, with faults"
    ),
    "service": Command("scripts.service:app", "Install or remove the systemd service"),
    "config": Command("scripts.config_commands:app", "Check the settings; print their JSON schema"),
}

_UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment] # which Typer does not export
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130
_HINTS = {
    errno.EACCES: "Change the owner or mode of that path, or name another folder in storage.paths",
    errno.EPERM: "Change the owner or mode of that path, or name another folder in storage.paths",
    errno.EROFS: "That file system is read-only; name another folder in storage.paths",
    errno.ENOSPC: "Free some space, then start again; what was synced is safe",
    errno.EDQUOT: "Free some of the quota, then start again; what was synced is safe",
    errno.EMFILE: "Raise the limit on open files (`ulimit -n 4096`), then start again",
    errno.ENFILE: "The machine has too many files open; stop something, then start again",
    errno.EIO: "The disk answers with errors; check it before you start again",
}


app = lazy_app(
    "daedalus", COMMANDS, help="Capture crypto markets without losing anything; turn what was captured into exact bars."
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"daedalus {version('daedalus-lake')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main(args: list[str] | None = None) -> None:
    """Run `daedalus`. Exit codes: 0 done, 2 refused with a line that says what to do, 130 interrupted.

    A bug of ours keeps its traceback.
    """
    try:
        code = get_command(app)(args=args, prog_name="daedalus", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except _UsageError as refused:
        if line := _of_usage(refused):
            _complain([line])
        sys.exit(EXIT_REFUSED)
    except typer.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except (DaedalusError, OSError, BaseExceptionGroup) as error:
        lines = list(_lines(error))
        if not lines:
            raise
        _complain(lines)
        sys.exit(EXIT_REFUSED)


def _lines(error: BaseException) -> Iterator[str]:
    """What a person should read of an error; nothing at all if any part of it is a bug of ours."""
    found = [_line(leaf) for leaf in _leaves(error)]
    if all(found):
        yield from dict.fromkeys(line for text in found for line in text.splitlines())


def _of_usage(refused: Any) -> str:
    """One line for options that cannot be; nothing where a group was named without a command: its help was shown."""
    if type(refused).__name__ == "NoArgsIsHelpError":
        return ""
    said = " ".join(refused.format_message().split()).rstrip(".").removeprefix("Invalid value: ")
    command = refused.ctx.command_path if refused.ctx else "daedalus"
    return f"{said}{'' if said.endswith('?') else '.'} `{command} --help` shows what can be said"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _line(error: BaseException) -> str:
    if isinstance(error, DaedalusError):
        return error.line()
    if isinstance(error, OSError) and error.errno in _HINTS:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{(error.strerror or 'cannot be used').lower()}. {_HINTS[error.errno]}"
    return ""


def _complain(lines: list[str]) -> None:
    from rich.console import Console  # here: `--help` of a script in a loop need not wait for it
    from rich.text import Text

    from shared.log import get_log, is_json

    if is_json():
        for line in lines:
            get_log("daedalus").error("refused", problem=line)
        return
    console = Console(stderr=True, highlight=False)
    for line in lines:
        console.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


if __name__ == "__main__":
    main()
