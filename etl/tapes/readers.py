"""Tables in files, portion by portion: Parquet, Arrow IPC and CSV, none of them ever whole in memory."""

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import polars as pl
import zstandard

from shared.errors import InputUnreadable

ROWS = 1 << 18  # in a portion of Parquet or Arrow
BLOCK_BYTES = 8 << 20  # of CSV text in a portion
_PARQUET, _ARROW = (".parquet", ".pq"), (".arrow", ".ipc", ".feather")
_CSV = (".csv", ".tsv", ".txt")
_PACKED: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".zst": lambda file: io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)),
}


class Raw(NamedTuple):
    """Rows as they stand in a file, and how much of the file they bring us through."""

    rows: pl.DataFrame
    share: float  # of the file, 0 to 1


class Table:
    """One file of rows: its columns at once, its rows by portions.

    Raises: InputUnreadable.
    """

    def __init__(self, path: Path, *, header: Sequence[str] = ()) -> None:
        self.path = path
        suffixes = [suffix.lower() for suffix in path.suffixes]
        self._packing = suffixes.pop() if suffixes and suffixes[-1] in _PACKED else ""
        self._suffix = suffixes[-1] if suffixes else ""
        if path.is_dir():
            raise InputUnreadable(f"{path}: is a folder", hint=_advice(path))
        if not path.is_file():
            raise InputUnreadable(f"{path}: there is no such file", hint="Correct the name")
        if self._suffix not in (*_PARQUET, *_ARROW, *_CSV) or (self._packing and self._suffix not in _CSV):
            known = ", ".join((*_PARQUET, *_ARROW, *_CSV))
            raise InputUnreadable(
                f"{path}: unknown kind of file", hint=f"Known are {known}; CSV also with .gz and .zst"
            )
        self._header = list(header)
        with _readable(path):
            self.columns = self._columns()

    @property
    def is_text(self) -> bool:
        """Whether every value is text."""
        return self._suffix in _CSV

    def portions(self, columns: Sequence[str]) -> Iterator[Raw]:
        """These columns of all rows, in the order of the file."""
        with _readable(self.path):
            yield from self._text(columns) if self.is_text else self._binary(columns)

    def _columns(self) -> list[str]:
        if not self.is_text:
            return self._scan().collect_schema().names()
        with self._opened() as file:
            first = file.readline().decode("utf-8-sig")
        if not first:
            raise InputUnreadable(f"{self.path}: is empty", hint="Name a file that holds trades")
        names = [name.strip().strip('"') for name in first.rstrip("\r\n").split(self._separator(first))]
        if self._header and len(self._header) != len(names):
            raise InputUnreadable(
                f"{self.path}: has {len(names)} columns, --names has {len(self._header)}",
                hint="Name each column in its order; those that are no use may have any name",
            )
        return self._header or names

    def _scan(self) -> pl.LazyFrame:
        if self._suffix in _PARQUET:
            return pl.scan_parquet(self.path, hive_partitioning=False, glob=False)
        return pl.scan_ipc(self.path, hive_partitioning=False)

    def _binary(self, columns: Sequence[str]) -> Iterator[Raw]:
        scan = self._scan().select(columns)
        count = scan.select(pl.len()).collect().item()
        for start in range(0, count, ROWS):
            yield Raw(scan.slice(start, ROWS).collect(), min(1.0, (start + ROWS) / count))

    def _text(self, columns: Sequence[str]) -> Iterator[Raw]:
        size = max(1, self.path.stat().st_size)
        with self.path.open("rb") as packed:
            file = _PACKED[self._packing](packed) if self._packing else packed
            separator = self._separator_of()
            rest = b"" if self._header else _without_line(file)
            count = 0
            while block := file.read(BLOCK_BYTES):
                block = rest + block
                end = block.rfind(b"\n") + 1
                block, rest = block[:end], block[end:]
                if block:
                    rows = self._parsed(block, separator, first_row=count + 1)
                    count += len(rows)
                    yield Raw(rows.select(columns), packed.tell() / size)
            if rest.strip():
                yield Raw(self._parsed(rest, separator, first_row=count + 1).select(columns), 1.0)

    def _parsed(self, block: bytes, separator: str, *, first_row: int) -> pl.DataFrame:
        try:
            return pl.read_csv(
                block, has_header=False, new_columns=self.columns, infer_schema=False, separator=separator, glob=False
            )
        except pl.exceptions.ComputeError:
            lines = csv.reader(io.StringIO(block.decode(errors="replace")), delimiter=separator)
            for row, line in enumerate(filter(None, lines), first_row):
                if len(line) > len(self.columns):
                    raise InputUnreadable(
                        f"{self.path}: row {row}: has {len(line)} columns, expected {len(self.columns)}",
                        hint=f"Correct it; a text with {separator!r} in it needs quotes",
                    ) from None
            raise

    def _separator_of(self) -> str:
        with self._opened() as file:
            return self._separator(file.readline().decode("utf-8-sig"))

    def _separator(self, line: str) -> str:
        return max(",;\t|", key=line.count)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with self.path.open("rb") as packed:
            yield _PACKED[self._packing](packed) if self._packing else packed


def _advice(folder: Path) -> str:
    """How to name what a folder holds."""
    known = (*_PARQUET, *_ARROW, *_CSV, *_PACKED)
    suffix = next((path.suffix for path in sorted(folder.iterdir()) if path.suffix.lower() in known), None)
    if suffix is None:
        return "It holds no Parquet, CSV or Arrow file; name a file of trades"
    return f"Name its files, as '{folder}/*{suffix}'"


def _without_line(file: IO[bytes]) -> bytes:
    """What was read behind the first line."""
    block = file.read(BLOCK_BYTES)
    return block[block.find(b"\n") + 1 :]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What a library says of a file that it cannot read, as one line of ours."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError, zstandard.ZstdError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputUnreadable(
            f"{path}: cannot be read: {reason}", hint="Compare it with its source; it may be cut off"
        ) from error
