"""How far a long reading has come: a bar with rows a second and the time left, for a person who watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Watch: TypeAlias = Callable[[float, int], None]


@contextmanager
def progress(title: str) -> Iterator[Watch]:
    """A function to tell the share done, 0 to 1, and the rows so far; without a terminal it does nothing."""
    if not sys.stderr.isatty():
        yield lambda _share, _rows: None
        return
    from rich.console import Console  # here: nobody else need wait for it
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=1.0, said="")

        def watch(share: float, rows: int) -> None:
            seconds = shown.tasks[0].elapsed or 0.0
            rate = f"{rows / seconds:,.0f} rows/s" if seconds else ""
            shown.update(task, completed=share, said=rate)

        yield watch
