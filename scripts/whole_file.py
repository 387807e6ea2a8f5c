"""A file that a command writes for a person: there is the old one or the new, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.disk import Disk


@contextmanager
def written_whole(output: Path) -> Iterator[Path]:
    """The name to write to, beside `output`; at the end it takes its place, if nothing was raised."""
    disk, part = Disk(), output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        yield part
        disk.sync_file(part)
        disk.rename(part, output)
        disk.sync_dir(output.parent)
    finally:
        with suppress(OSError):
            part.unlink()
