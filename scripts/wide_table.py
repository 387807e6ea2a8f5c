"""Tables that may be wider than the terminal: they are never squeezed, because a cut number is a wrong one."""

from rich.console import Console
from rich.table import Table

_WIDTH_MAX = 100_000  # of a table that no terminal cuts


def width_of(table: Table, console: Console) -> int:
    """Columns that a table takes when nothing in it is cut or wrapped."""
    return console.measure(table, options=console.options.update(max_width=_WIDTH_MAX)).maximum


def fits(table: Table, console: Console) -> bool:
    """Whether a table can be shown as it is; where no terminal is, it always can."""
    return not console.is_terminal or width_of(table, console) <= console.width


def print_whole(table: Table, console: Console) -> None:
    """Print a table at its own width."""
    for column in table.columns:
        column.no_wrap = True
    console.width = max(console.width, width_of(table, console))
    console.print(table, soft_wrap=True)


def whole_lines(table: Table) -> list[str]:
    """The heading and each row as plain text, nothing cut; an empty first column takes no room."""
    console = Console(width=_WIDTH_MAX, highlight=False, color_system=None, force_terminal=False)
    with console.capture() as captured:
        print_whole(table, console)
    return [line.rstrip() for line in captured.get().splitlines()]
