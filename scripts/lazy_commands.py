"""Groups of commands that are listed from a table, and imported one by one when they are named."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command


class Command(NamedTuple):
    """Where a command lives: `target` is `module:name` of an annotated function, or of a `typer.Typer` with several."""

    target: str
    summary: str


class _LazyGroup(TyperGroup):
    table: ClassVar[Mapping[str, Command]]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The named command with all its options, in place of its summary."""
        name, command, rest = super().resolve_command(ctx, args)
        found = self.table.get(name or "") if command else None
        return name, _loaded(str(name), found) if found else command, rest


def lazy_app(name: str, table: Mapping[str, Command], *, help: str) -> typer.Typer:  # noqa: A002 - typer's word
    """A group of the commands of `table`; one whose module is not there is left out."""
    group = type("LazyGroup", (_LazyGroup,), {"table": table})
    app = typer.Typer(name=name, cls=group, help=help, no_args_is_help=True, add_completion=False)
    app.callback()(lambda: None)
    for each, command in table.items():
        if find_spec(command.target.partition(":")[0]) is not None:
            app.command(each, help=command.summary)(lambda: None)
    return app


def _loaded(name: str, command: Command) -> Any:
    """The real command: an annotated function becomes one, a `Typer` brings its own."""
    module, _, attribute = command.target.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return get_command(found)
    single = typer.Typer(add_completion=False)
    single.command(name)(found)
    return get_command(single)
