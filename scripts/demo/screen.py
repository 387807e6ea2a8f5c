"""What the demo shows while it runs: a live line on a terminal, one plain line per stage elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ingestion.heartbeat import Heartbeat
from scripts.demo.folder import DemoFolder
from shared.state_files import read

_COUNT_EVERY_S = 1.0


class Screen:
    """Stages as they pass. `tick` is called while the demo waits, and costs little."""

    def __init__(self, console: Console, folder: DemoFolder) -> None:
        self._console, self._folder = console, folder
        self._live: Live | None = None
        self._began_s = self._stage_s = time.monotonic()
        self._stage, self._length_s = "", 0.0
        self._counted_s, self._facts = 0.0, ""
        self._rows_before: dict[int, int] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show stages within this block."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=8, transient=True) as self._live:
            yield
        self._live = None

    def stage(self, text: str, *, length_s: float = 0.0) -> None:
        """A new stage begins; `length_s` where it is known how long it takes."""
        self._stage, self._stage_s, self._length_s = text, time.monotonic(), length_s
        self._console.print(Text.assemble((f"{self._stage_s - self._began_s:6.1f} s  ", "dim"), text))
        self.tick()

    def tick(self) -> None:
        """Bring the live line up to date."""
        if self._live is None:
            return
        now_s = time.monotonic()
        if now_s - self._counted_s >= _COUNT_EVERY_S:
            self._counted_s, self._facts = now_s, self._counts()
        passed_s = now_s - self._stage_s
        line = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [Spinner("dots", style="cyan")]
        if self._length_s:
            cells.append(ProgressBar(total=self._length_s, completed=min(passed_s, self._length_s), width=24))
            cells.append(Text(f"{max(0.0, self._length_s - passed_s):3.0f} s left"))
        else:
            cells.append(Text(f"{passed_s:3.0f} s"))
        line.add_row(*cells, Text(self._facts, style="dim"))
        self._live.update(Group(Text(), line))

    def _counts(self) -> str:
        beat = read_beat(self._folder)
        if beat:
            self._rows_before[beat.pid] = beat.rows_total
        lake = self._folder.lake
        files = sum(1 for _ in lake.ready.rglob("*.parquet"))
        bars = sum(map(_rows, lake.bars("any").parent.rglob("*.parquet")))
        return f"{sum(self._rows_before.values()):,} rows captured · {files:,} files ready · {bars:,} bars"


def read_beat(folder: DemoFolder) -> Heartbeat | None:
    """The collector's heartbeat; None before the first one."""
    return read(folder.heartbeat, Heartbeat).said


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except OSError:  # just being replaced
        return 0
