"""Output files whose layout is a function of their rows: one file per hour or day, rewritten whole while it grows.

A file is replaced by a rename, so a reader sees the old or the new one. Two runs over the same input leave equal
files, however often they were stopped; nothing needs to be told from the names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from etl.core.checkpoints import Move
from shared.clock import utc_from_us
from shared.disk import Disk, translated
from shared.partitioning import Partition

_US = {"hour": 3_600_000_000, "day": 86_400_000_000}


@dataclass(frozen=True)
class Output:
    """Where the rows of one chain of one stream go."""

    root: Path  # of the table or bar set
    exchange: str
    symbol: str
    stem: str  # first part of the file names
    order: str  # column that counts the rows, contiguous from 0
    moment: str  # column whose time decides the file; it never goes back
    file_unit: str  # hour | day: one file each
    folder_unit: str  # day | month: the deepest partition
    facts: Mapping[str, str] = field(default_factory=dict)  # what each file says of itself

    def path(self, unit_us: int) -> Path:
        """The file of the hour or day that begins at `unit_us`."""
        moment = utc_from_us(unit_us)
        label = f"{moment:%Y%m%dT%H}" if self.file_unit == "hour" else f"{moment:%Y%m%d}"
        partition = Partition.of_us(self.exchange, self.symbol, unit_us, unit=self.folder_unit)
        return self.root / partition.path() / f"{self.stem}_{label}.parquet"

    def unit_us(self, us: int) -> int:
        """The beginning of the file's hour or day that holds `us`."""
        return us - us % _US[self.file_unit]

    def stage(self, rows: pl.DataFrame, stage: "Stage") -> list[Move]:
        """Write into staging every file that these new rows make or change, and say where each goes.

        Rows that stood at or after the first new number are replaced.
        """
        unit = pl.col(self.moment).dt.timestamp("us") // _US[self.file_unit] * _US[self.file_unit]
        moves = []
        parts = rows.with_columns(_unit=unit).partition_by("_unit", as_dict=True, include_key=False)
        for (unit_us,), part in sorted(parts.items()):
            final = self.path(int(unit_us))
            kept = _read(final, pl.col(self.order) < rows[self.order][0])
            whole = part if kept is None else pl.concat([kept, part])
            moves.append(stage.write(whole.sort(self.order), final, self.facts))
        return moves

    def cut(self, first: int, stage: "Stage", *, from_us: int, rewritten: list[Move]) -> list[Move]:
        """Drop rows numbered `first` and above from the files from `from_us` on that new rows do not rewrite.

        For rebuilds alone, so it may list: what stands there is what has to go.
        """
        done = {move.final for move in rewritten}
        moves = []
        for final in sorted(self._folder.rglob(f"{self.stem}_*.parquet")):
            if final.name < self.path(self.unit_us(from_us)).name or stage.relative(final) in done:
                continue
            kept = _read(final, pl.col(self.order) < first)
            if kept is not None:
                gone = Move("", stage.relative(final))
                moves.append(stage.write(kept, final, self.facts) if kept.height else gone)
        return moves

    def read(self, span: "Span", *, rows_max: int) -> pl.DataFrame:
        """Rows numbered `span.first` and above, in order; stops after the file that fills `rows_max`.

        Files are named, not listed, so the cost does not grow with the age of the lake. `moment` never goes back, so
        numbers rise from file to file.
        """
        parts: list[pl.DataFrame] = []
        rows = 0
        for unit_us in range(self.unit_us(span.from_us), span.until_us + 1, _US[self.file_unit]):
            part = _read(self.path(unit_us), pl.col(self.order) >= span.first)
            if part is not None and part.height:
                parts.append(part)
                rows += part.height
            if rows >= rows_max:
                break
        return pl.concat(parts) if parts else pl.DataFrame()

    @property
    def _folder(self) -> Path:
        """Where every file of the stream is."""
        return self.root / Partition.of_us(self.exchange, self.symbol, 0, unit="month").path().parent.parent


@dataclass(frozen=True)
class Span:
    """A stretch of an output: the number of its first row, and the times between which its rows lie."""

    first: int
    from_us: int
    until_us: int


@dataclass(frozen=True)
class Stage:
    """Where files wait for their commit."""

    folder: Path
    base: Path  # what final paths are relative to
    number: int  # of the commit: a crashed attempt's files are never taken for those of another
    disk: Disk

    def relative(self, final: Path) -> str:
        """The final path as a checkpoint names it."""
        return final.relative_to(self.base).as_posix()

    def write(self, rows: pl.DataFrame, final: Path, facts: Mapping[str, str]) -> Move:
        """Write a file that will become `final`."""
        staged = self.folder / f"{self.number:012d}-{final.name}"
        with translated(staged):
            rows.write_parquet(
                staged, compression="zstd", compression_level=3, row_group_size=1 << 17, metadata=dict(facts)
            )
        self.disk.sync_file(staged)
        return Move(staged.name, self.relative(final))


def _read(path: Path, wanted: pl.Expr) -> pl.DataFrame | None:
    if not path.exists():
        return None
    return pl.scan_parquet(path, hive_partitioning=False).filter(wanted).collect()
