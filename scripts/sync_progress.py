"""How far a synchronisation has come: a bar with bytes a second and the time left, for a person who watches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from storage.sync.report import Onlooker


@contextmanager
def progress() -> Iterator[Onlooker | None]:
    """Somebody who shows what is told; None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # here: nobody else need wait for it
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.fields[files]:,} files"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None, files=0)

        class Shown:
            def expect(self, files: int, size_bytes: int) -> None:
                shown.update(task, total=size_bytes if files else None)

            def moved(self, size_bytes: int) -> None:
                shown.update(task, advance=size_bytes)

            def finished(self, files: int) -> None:
                shown.update(task, files=shown.tasks[0].fields["files"] + files)

        yield Shown()
