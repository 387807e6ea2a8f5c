"""The `daedalus` command: one table of commands, each imported when it is called, and errors a person can act on."""

import errno
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from shared.errors import DaedalusError


class Command(NamedTuple):
    """Where a command lives: `target` is `module:name` of an annotated function, or of a `typer.Typer` with several."""

    target: str
    summary: str


COMMANDS: dict[str, Command] = {
    "demo": Command("scripts.demo:demo", "Run the whole system on this machine in about a minute"),
    "ingest": Command("scripts.ingest:ingest", "Capture market data into the lake"),
    "watch": Command("scripts.watch:watch", "Turn captured segments into silver and bars as they arrive"),
    "query": Command("scripts.query:query", "Read a table of the lake"),
    "gaps": Command("scripts.gaps:gaps", "List what was not captured, and why"),
    "check": Command("scripts.check:check", "Prove that everything received is stored or declared"),
    "redecode": Command("scripts.redecode:redecode", "Decode stored raw frames again, after a decoder was corrected"),
    "simulate": Command(
        "scripts.simulate:simulate", "Run a local exchange that speaks real wire protocols, with faults"
    ),
    "config": Command("scripts.config_commands:app", "Check the settings; print their JSON schema"),
}

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


class LazyGroup(TyperGroup):
    """A group that lists commands from their summaries and imports one only when it is named."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The named command with all its options, in place of its summary."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _loaded(command.name) if command and command.name in COMMANDS else command, rest


app = typer.Typer(
    name="daedalus",
    cls=LazyGroup,
    help="Capture crypto markets without losing anything; turn what was captured into exact bars.",
    no_args_is_help=True,
    add_completion=False,
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


def _add_summaries() -> None:
    for name, command in COMMANDS.items():
        if find_spec(command.target.partition(":")[0]) is not None:
            app.command(name, help=command.summary)(lambda: None)


def _loaded(name: str) -> Any:
    """The real command: an annotated function becomes one, a `Typer` brings its own."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return get_command(found)
    single = typer.Typer(add_completion=False)
    single.command(name)(found)
    return get_command(single)


def main(args: list[str] | None = None) -> None:
    """Run `daedalus`. Exit codes: 0 done, 2 refused with a line that says what to do, 130 interrupted.

    A bug of ours keeps its traceback.
    """
    try:
        get_command(app)(args=args, prog_name="daedalus")
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

    console = Console(stderr=True, highlight=False)
    for line in lines:
        console.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


_add_summaries()

if __name__ == "__main__":
    main()
