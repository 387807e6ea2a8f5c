"""Output files whose layout is a function of their rows: one per hour, day or month, rewritten whole while it grows.

Under its name a file only ever grows, by a rename that a reader sees done or not done. Where rows that were published
are replaced, the whole stream comes under paths that never were, in one exchange (docs/decisions/0011).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from etl.core.checkpoints import Move
from etl.core.staging import Stage, read_rows
from shared.clock import us_from_utc, utc_from_us
from shared.errors import DaedalusError
from shared.partitioning import Partition, stream_path

_LABEL = {"hour": "%Y%m%dT%H", "day": "%Y%m%d", "month": "%Y%m"}
_STEP_US = {"hour": 3_600_000_000, "day": 86_400_000_000, "month": 86_400_000_000}  # such steps pass over no folder
_PARTITIONS = ("year", "month", "day")  # where rows say it, they say what their path says
_LENGTH = {"hour": "1h", "day": "1d", "month": "1mo"}


class SilverMissing(DaedalusError):
    """Published files of silver or gold that a run needs are not there any more."""

    hint = "Bring them back: `daedalus sync --direction down`"


@dataclass(frozen=True)
class Span:
    """A stretch of an output: the number of its first row, and the times between which its rows lie."""

    first: int
    from_us: int
    until_us: int


@dataclass(frozen=True)
class Output:
    """Where the rows of one chain of one stream go."""

    root: Path  # of the table or bar set
    exchange: str
    symbol: str
    stem: str  # first part of the file names
    order: str  # column that counts the rows, contiguous from 0
    moment: str  # column whose time decides the file; a row that goes back in it stays with the row before
    file_unit: str  # hour | day | month: one file each
    folder_unit: str  # day | month: the deepest partition
    facts: Mapping[str, str] = field(default_factory=dict)  # what each file says of itself

    @property
    def stream(self) -> Path:
        """The folder of all that the chain publishes."""
        return self.root / stream_path(self.exchange, self.symbol)

    def home(self) -> Path:
        """Where the years lie: the folder of the stream, or the one in it that the last replacement made."""
        return next(self.stream.glob("r[0-9]*"), self.stream)

    def path(self, unit_us: int, home: Path | None = None) -> Path:
        """The file of the unit that begins at `unit_us`, whether it is there or not."""
        partition = Partition.of_us(self.exchange, self.symbol, unit_us, unit=self.folder_unit).path()
        years = (self.root / partition).relative_to(self.stream)
        return (home or self.home()) / years / f"{self.stem}_{self._label(unit_us)}.parquet"

    def unit_us(self, us: int) -> int:
        """The beginning of the file's hour, day or month that holds `us`."""
        return self._begin_us(self._label(us))

    def stage(self, rows: pl.DataFrame, stage: Stage, *, after_us: int) -> int:
        """Write into staging every file that these new rows make or change; the latest time that decided a file.

        Published rows numbered `stage.first` or above do not count: what is staged takes their place.

        Args:
            rows: in their order.
            stage: where.
            after_us: what this gave for the rows before them. Numbers rise from file to file, so no row goes into an
                earlier one, although bars of an exchange whose times go back may begin before the bar before them.
        """
        latest = rows[self.moment].cum_max().clip(lower_bound=utc_from_us(after_us))
        own = {name: getattr(latest.dt, name)().cast(pl.Int32) for name in _PARTITIONS if name in rows.columns}
        unit = latest.dt.truncate(_LENGTH[self.file_unit]).dt.timestamp("us")
        parts = rows.with_columns(**own, _unit=unit).partition_by("_unit", as_dict=True, include_key=False)
        for (key,), part in sorted(parts.items()):
            unit_us = int(key)
            if unit_us in stage.files:
                kept = read_rows(stage.files[unit_us])
            else:
                kept = self._kept(unit_us, part, first=stage.first, after_us=after_us)
            whole = pl.concat([kept, part]) if kept.height else part  # nothing kept may have other columns
            stage.write(whole.sort(self.order), unit_us, self.facts)
        return us_from_utc(latest[-1])

    def _kept(self, unit_us: int, like: pl.DataFrame, *, first: int, after_us: int) -> pl.DataFrame:
        """The published rows of a file that are numbered below `first`."""
        path = self.path(unit_us)
        if path.exists():
            return read_rows(path, pl.col(self.order) < first)
        if first and unit_us == self.unit_us(after_us):  # the row before lies in this very file
            what = f"{self.stem} of {self.exchange} {self.symbol}"
            raise SilverMissing(f"{path}, which holds {what} before number {first}, is missing")
        return like.clear()

    def appended(self, stage: Stage) -> list[Move]:
        """Where staged files go that hold what stood there and more."""
        return [
            Move(staged.name, stage.relative(self.path(unit_us))) for unit_us, staged in sorted(stage.files.items())
        ]

    def read(self, span: Span, *, rows_max: int) -> pl.DataFrame:
        """Rows numbered `span.first` and above, in order; stops after the file that fills `rows_max`.

        The folders of the span are listed and no others, so the cost does not grow with the age of the lake.
        """
        parts: list[pl.DataFrame] = []
        rows = 0
        for path in self._files(span.from_us, span.until_us):
            part = read_rows(path, pl.col(self.order) >= span.first)
            if part.height:
                parts.append(part)
                rows += part.height
            if rows >= rows_max:
                break
        return pl.concat(parts) if parts else pl.DataFrame()

    def _files(self, from_us: int, until_us: int) -> Iterator[Path]:
        """The files that hold rows between two times, oldest first."""
        listed: Path | None = None
        home = self.home()
        for unit_us in range(self.unit_us(from_us), until_us + 1, _STEP_US[self.file_unit]):
            folder = self.path(unit_us, home).parent
            if folder == listed:
                continue
            listed = folder
            for path in sorted(folder.glob(f"{self.stem}_*.parquet")):
                if self.unit_us(from_us) <= self.unit_of(path) <= until_us:
                    yield path

    def unit_of(self, path: Path) -> int:
        """The beginning of a file's unit, by its name."""
        return self._begin_us(path.stem.removeprefix(f"{self.stem}_"))

    def every_file(self) -> list[Path]:
        """All files of the stream, oldest first. For rebuilds alone: it lists everything."""
        return sorted(self.stream.rglob(f"{self.stem}_*.parquet"), key=self.unit_of)

    def _label(self, unit_us: int) -> str:
        return format(utc_from_us(unit_us), _LABEL[self.file_unit])

    def _begin_us(self, label: str) -> int:
        return us_from_utc(datetime.strptime(label, _LABEL[self.file_unit]).replace(tzinfo=UTC))
