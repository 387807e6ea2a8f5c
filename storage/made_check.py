"""Made files held against the log of published names.

Content hashes are sums over rows, so what the log says of the segments adds up to what a made file says of itself: that
proves it whole without reading a row.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from storage.made_files import hash_in, segments_of
from storage.published import Published
from storage.segments import content_of, opened


@dataclass
class _Sum:
    """What the log says of the segments in a made file."""

    segments: Collection[str]  # by the file
    wrong: str  # with the file itself
    names: set[str] = field(default_factory=set)  # by the log
    rows: int = 0
    content: int = 0


class MadeCheck:
    """Is told of each published file that was found in a made one. `problems` names what does not add up."""

    def __init__(self, *, deep: bool) -> None:
        self._deep = deep
        self._sums: dict[Path, _Sum] = {}

    def holds(self, made: Path, entry: Published) -> bool:
        """Take a published file as part of a made one; whether that is, by itself, sound.

        Raises: FileNotFoundError.
        """
        if made not in self._sums:
            self._sums[made] = _Sum(segments_of(made), self._wrong(made))
        found = self._sums[made]
        if entry.path not in found.names:
            found.names.add(entry.path)
            found.rows += entry.rows
            found.content = (found.content + int(entry.content_hash, 16)) % 2**64
        return not found.wrong

    def knows(self, made: Path) -> bool:
        """Whether any published file was found in this one."""
        return made in self._sums

    def problems(self) -> list[str]:
        """One line for each made file that is not what it was made as."""
        lines = []
        for made, found in sorted(self._sums.items()):
            wrong = found.wrong
            if not wrong and found.names == found.segments and f"{found.content:016x}" != hash_in(made.name):
                wrong = f"its segments were published with {found.rows:,} rows of another content"
            if wrong:
                lines.append(f"{made} is not as it was made: {wrong}")
        return lines

    def _wrong(self, made: Path) -> str:
        try:
            with opened(made) as file:
                facts = file.metadata.metadata or {}
                told = facts.get(b"daedalus.content_hash", b"").decode()
                rows = int(facts.get(b"daedalus.rows", b"-1"))
                found = None
                if self._deep:
                    found = content_of(file)
                count = file.metadata.num_rows
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException, ValueError) as error:
            return f"it cannot be read: {str(error).splitlines()[0][:120]}"
        if told != hash_in(made.name):
            return f"its content hash says {told or 'nothing'}, its name {hash_in(made.name)}"
        if rows != count:
            return f"{count:,} rows instead of {rows:,}"
        return "its rows do not give its content hash" if found is not None and f"{found:016x}" != told else ""
