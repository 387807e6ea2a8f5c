"""The table `quality/sides`: whose side silver's trades name, judged per symbol and day.

A day is read again only when its silver files are others than those it was judged by, so that the cost of looking does
not grow with the age of the lake. At most one hour of one symbol is in memory.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from shared.disk import Disk
from shared.errors import LakeUnusable
from shared.partitioning import Lake, Partition
from shared.rows import Stream
from storage.bronze_rows import rows_of_hour
from storage.frames_out import write_frame
from storage.inspection import Scope
from storage.side_agreement import Agreement, Verdict, agreement_with_prices, agreement_with_quotes, judge

_QUOTES = {"orderbook": ("best_bid", "best_ask"), "ticker": ("bid", "ask")}  # the first that has an hour is taken
SCHEMA = pl.Schema(
    {
        "exchange": pl.String(),
        "symbol": pl.String(),
        "year": pl.Int32(),
        "month": pl.Int32(),
        "day": pl.Int32(),
        "verdict": pl.String(),  # taker, inverted, inconclusive or too few
        "side_names": pl.String(),  # the convention silver was made with
        "trades": pl.Int64(),
        "price_changes": pl.Int64(),  # trades with a side and another price than the trade before
        "price_agreeing": pl.Int64(),
        "price_share": pl.Float64(),  # that agrees: A of bars-spec 3.1
        "quoted": pl.Int64(),  # trades with a side off the mid in force before them; 0 where prices decided
        "quote_agreeing": pl.Int64(),
        "quote_share": pl.Float64(),
        "files": pl.String(),  # what was read: a hash of names, sizes and times
    }
)


@dataclass(frozen=True)
class SideDay:
    """One symbol's day."""

    exchange: str
    symbol: str
    year: int
    month: int
    day: int
    files: str
    side_names: str = ""
    trades: int = 0
    price_changes: int = 0
    price_agreeing: int = 0
    quoted: int = 0
    quote_agreeing: int = 0

    @property
    def prices(self) -> Agreement:
        """Sides against price changes."""
        return Agreement(self.price_changes, self.price_agreeing)

    @property
    def quotes(self) -> Agreement:
        """Sides against quotes."""
        return Agreement(self.quoted, self.quote_agreeing)

    @property
    def verdict(self) -> Verdict:
        """Whose side the day's trades name."""
        return judge(self.prices, self.quotes)

    def row(self) -> dict[str, Any]:
        """The day as a row of the table."""
        shares = {"price_share": self.prices.share, "quote_share": self.quotes.share}
        return {**asdict(self), **shares, "verdict": self.verdict}


class SideReport:
    """Brings the table up to silver within a scope. `problems` names silver files that cannot be read."""

    def __init__(self, lake: Lake, scope: Scope) -> None:
        self._lake, self._scope = lake, scope
        self._disk = Disk(durable=False)  # what a power cut takes is judged again
        self.problems: list[str] = []
        self.unwritten: LakeUnusable | None = None  # why the table could not be written, if it could not

    def days(self) -> list[SideDay]:
        """The verdict of every day that was asked about, in order."""
        root = self._lake.silver("trades")
        found = []
        for folder in sorted(root.glob("exchange=*/symbol=*")):
            exchange, symbol = (part.partition("=")[2] for part in folder.relative_to(root).parts)
            if self._scope.names(Stream("silver", exchange, "trades", symbol)):
                found += [day for month, days in _months(folder) for day in self._month(month, days)]
        return found

    def _month(self, month: Partition, files: dict[Partition, list[Path]]) -> Iterator[SideDay]:
        path = self._lake.quality("sides") / month.path() / "sides.parquet"
        known = _read(path)
        report = {day: verdict for day, verdict in known.items() if day in files}
        for day, paths in sorted(files.items()):
            if not self._scope.has(day):
                continue
            try:
                mark = _mark(paths)
                if day not in report or report[day].files != mark:
                    report[day] = self._judged(day, paths, mark)
            except FileNotFoundError:
                report.pop(day, None)  # the watcher has just replaced it; the next look will see it
            except (OSError, pl.exceptions.PolarsError) as error:
                self.problems.append(f"{paths[0].parent} cannot be read: {str(error).splitlines()[0][:120]}")
        if report != known:
            self._write(path, [report[day] for day in sorted(report)])
        yield from (report[day] for day in sorted(report) if self._scope.has(day))

    def _judged(self, day: Partition, paths: list[Path], mark: str) -> SideDay:
        assert day.day is not None
        found = SideDay(day.exchange, day.symbol, day.year, day.month, day.day, mark)
        prices, last_price = Agreement(), None
        for path in paths:
            trades = pl.read_parquet(path, columns=["price", "side", "side_names"], hive_partitioning=False)
            prices += agreement_with_prices(trades, last_price=last_price)
            last_price = trades["price"][-1]
            found = replace(found, trades=found.trades + trades.height, side_names=trades["side_names"][-1])
        found = replace(found, price_changes=prices.compared, price_agreeing=prices.agreeing)
        if found.verdict in {"taker", "inverted"}:
            return found
        quotes = sum((self._with_quotes(day, path) for path in paths), Agreement())
        return replace(found, quoted=quotes.compared, quote_agreeing=quotes.agreeing)

    def _with_quotes(self, day: Partition, path: Path) -> Agreement:
        hour = replace(day, hour=_hour(path).hour)
        for name, (bid, ask) in _QUOTES.items():
            quotes = rows_of_hour(self._lake, name, hour, ["timestamp", bid, ask])
            if quotes is not None:
                trades = pl.read_parquet(path, columns=["timestamp", "price", "side"], hive_partitioning=False)
                return agreement_with_quotes(trades, quotes.rename({bid: "bid", ask: "ask"}))
        return Agreement()

    def _write(self, path: Path, days: list[SideDay]) -> None:
        rows = pl.DataFrame([day.row() for day in days], schema=SCHEMA)
        own = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two checks may run at once
        try:
            self._disk.make_dirs(path.parent)
            write_frame(rows, own)
            self._disk.rename(own, path)
        except LakeUnusable as error:
            with suppress(OSError):
                own.unlink()
            self.unwritten = error


def _months(folder: Path) -> Iterator[tuple[Partition, dict[Partition, list[Path]]]]:
    """Every silver file of a stream, hours in order, by day and by month."""
    months: dict[Partition, dict[Partition, list[Path]]] = {}
    for path in sorted(folder.rglob("trades_*.parquet")):
        month = replace(Partition.parse(path), day=None, hour=None)
        days = months.setdefault(month, {})
        days.setdefault(replace(month, day=_hour(path).day), []).append(path)
    yield from months.items()


def _hour(path: Path) -> datetime:
    """The hour in a name such as `trades_20260609T04.parquet`."""
    return datetime.strptime(path.stem, "trades_%Y%m%dT%H")


def _mark(paths: list[Path]) -> str:
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[Partition, SideDay]:
    """What the table says; nothing where it cannot be read or has other columns, for all of it can be found again."""
    try:
        rows = pl.read_parquet(path, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError):
        return {}
    if rows.schema != SCHEMA:
        return {}
    names = [field.name for field in fields(SideDay)]
    days = [SideDay(**row) for row in rows.select(names).to_dicts()]
    return {Partition(each.exchange, each.symbol, each.year, each.month, each.day): each for each in days}
