"""Trades from files of anybody's making: one stream, in order, a portion at a time."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from etl.bars.given import ROW
from etl.core.config import FilterSpec
from etl.tapes.columns import Layout, first_unit, shaped
from etl.tapes.moments import misfit
from etl.tapes.readers import ROWS, Table
from shared.clock import utc_from_us
from shared.errors import InputUnreadable
from shared.partitioning import stored_exchange, stored_symbol

_UNSORTED_HINT = "Sort it, or add --sort if it fits into memory; --late drop leaves such trades out and counts them"


class Portion(NamedTuple):
    """Trades in order, and how much of the whole tape they bring us through."""

    trades: pl.DataFrame
    share: float  # 0 to 1
    place: str = ""  # where they stand, for an error


class Period(NamedTuple):
    """The trades from `since` on and before `until`; None: no bound."""

    since: datetime | None = None
    until: datetime | None = None

    def of(self, trades: pl.DataFrame, clock: str) -> pl.DataFrame:
        """Those of these trades, by the times in column `clock`."""
        if self.since is not None:
            trades = trades.filter(pl.col(clock) >= self.since)
        return trades if self.until is None else trades.filter(pl.col(clock) < self.until)


class FileTape:
    """The trades of some files, which hold one stream, each file in order and the files in the order of their names.

    A trade's order is its `trade_seq`; without one, its time and then its row. Trades without an id are all taken for
    different ones. With `never_back`, as time bars want it, a time before an earlier one counts as that.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        layout: Layout,
        *,
        where: FilterSpec,
        period: Period,
        may_be_late: bool = False,
        never_back: bool = False,
    ) -> None:
        self._layout, self._where, self._period = layout, where, period
        self._may_be_late, self._never_back = may_be_late, never_back
        self._tables = [Table(path, header=layout.names) for path in sorted(paths, key=_natural)]
        self._sources = [layout.sources(table.columns, file=str(table.path)) for table in self._tables]
        self._stream: dict[str, str | None] = {"exchange": None, "symbol": None}
        self._last_us: int | None = None
        self._tape: datetime | None = None
        self._taken = 0
        self.rejected = 0
        self.duplicates = 0  # builders drop them

    @property
    def exchange(self) -> str | None:
        """Of the trades read so far, where they or the filter say it."""
        return self._named("exchange", self._where.exchanges, stored_exchange)

    @property
    def symbol(self) -> str | None:
        """As `exchange`."""
        return self._named("symbol", self._where.symbols, stored_symbol)

    def portions(self) -> Iterator[Portion]:
        """All trades, in portions of about a quarter of a million.

        Raises: InputUnreadable for a file, column or row that cannot be used, and for trades out of order.
        """
        for trades, share, file in self._shaped():
            self._check_order(trades, file)
            yield Portion(self._numbered(trades), share, file)

    def sorted_portions(self) -> Iterator[Portion]:
        """As `portions`, sorted in memory first."""
        parts = [trades for trades, _, _ in self._shaped()]
        if not parts:
            return
        first, *others = (str(table.path) for table in self._tables)
        place = f"{first} and {len(others)} more" if others else first
        whole = pl.concat(parts, how="diagonal_relaxed")
        whole = whole.sort("trade_seq" if _has_seq(whole) else "timestamp", maintain_order=True)
        for start in range(0, len(whole), ROWS):
            part = whole.slice(start, ROWS)
            yield Portion(self._numbered(part), min(1.0, (start + ROWS) / len(whole)), place)

    def _shaped(self) -> Iterator[Portion]:
        sizes = [table.path.stat().st_size for table in self._tables]
        done = 0
        for table, sources, size in zip(self._tables, self._sources, sizes, strict=True):
            for trades, share, file in self._of_file(table, sources):
                yield Portion(trades, (done + share * size) / max(1, sum(sizes)), file)
            done += size

    def _of_file(self, table: Table, sources: dict[str, str]) -> Iterator[Portion]:
        unit = self._layout.time_unit
        next_row = 1
        for raw, share in table.portions(list(dict.fromkeys(sources.values()))):
            rows = raw.select(pl.col(source).alias(name) for name, source in sources.items())
            if self._layout.time_unit is None:
                unit = unit or first_unit(rows)
                if (row := misfit(rows["timestamp"], unit)) is not None:
                    raise InputUnreadable(
                        f"{table.path}: row {next_row + row}: timestamp {rows['timestamp'][row]} is not in {unit}, as "
                        "those before it",
                        hint="Split the file there, or say --time-unit",
                    )
            found = shaped(rows, self._layout, file=str(table.path), first_row=next_row, unit=unit)
            next_row += len(raw)
            self.rejected += found.rejected
            trades = self._of_stream(self._period.of(found.trades, "timestamp"), table.path)
            if len(trades):
                yield Portion(trades, share, str(table.path))

    def _of_stream(self, trades: pl.DataFrame, path: Path) -> pl.DataFrame:
        """The rows of the wanted stream, of which there must be only one."""
        forms = (
            ("exchange", self._where.exchanges, stored_exchange),
            ("symbol", self._where.symbols, stored_symbol),
        )
        for name, wanted, form in forms:
            if name not in trades.columns or not len(trades):
                continue
            if wanted:
                known = [each for each in trades[name].unique().to_list() if each and form(each) in wanted]
                trades = trades.filter(pl.col(name).is_in(known))
            first = self._stream[name] or (trades[name][0] if len(trades) else None)
            others = trades.filter(pl.col(name) != first)
            if len(others):
                raise InputUnreadable(
                    f"{path}: row {others[ROW][0]}: {name} {others[name][0]} after {first}: bars are of one stream",
                    hint=f"Choose one with --{name}",
                )
            self._stream[name] = first
        return trades

    def _check_order(self, trades: pl.DataFrame, file: str) -> None:
        """Refuse times that fall; with sequence numbers the builder sees to the order."""
        if self._may_be_late or _has_seq(trades):
            return
        us = trades["timestamp"].to_physical()
        before = us.shift(1, fill_value=self._last_us if self._last_us is not None else us[0])
        falls = (us < before).arg_true()
        if len(falls):
            row = int(falls[0])
            raise InputUnreadable(
                f"{file}: row {trades[ROW][row]} is out of order: "
                f"{utc_from_us(us[row]):%Y-%m-%dT%H:%M:%S.%f} after {utc_from_us(before[row]):%Y-%m-%dT%H:%M:%S.%f}",
                hint=_UNSORTED_HINT,
            )
        self._last_us = int(us[-1])

    def _numbered(self, trades: pl.DataFrame) -> pl.DataFrame:
        """The trades as builders take them; those without id or order of their own are told apart by their place."""
        if "trade_id" not in trades.columns and not _has_seq(trades) and not self._may_be_late:
            place = pl.int_range(self._taken, self._taken + pl.len())
            trades = trades.with_columns(trade_id=pl.col(ROW).cast(pl.String), trade_seq=place)
        if "trade_id" not in trades.columns:
            trades = trades.drop(ROW)  # builders would name them by it, portion after portion
        self._taken += len(trades)
        if self._never_back and _has_seq(trades) and len(trades):
            latest = trades["timestamp"].cum_max()
            if self._tape is not None:
                latest = latest.clip(lower_bound=self._tape)
            self._tape = latest[-1]
            trades = trades.with_columns(latest)
        return trades.drop("exchange", "symbol", strict=False)

    def _named(self, name: str, wanted: Sequence[str], form: Callable[[str], str]) -> str | None:
        found = self._stream[name] or (wanted[0] if len(wanted) == 1 else None)
        return form(found) if found else None


def _has_seq(trades: pl.DataFrame) -> bool:
    return "trade_seq" in trades.columns and trades["trade_seq"].null_count() < len(trades)


def _natural(path: Path) -> list[object]:
    """A key that puts 2 before 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]
