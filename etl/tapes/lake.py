"""Trades from the lake: one stream of silver, or of bronze cleaned and ordered on the way, a portion at a time."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from etl.core.bronze import TRADE_TABLES, filled_gaps, history, read_trades, steps, unconsumed
from etl.core.chains import trades_transform
from etl.core.config import EtlOptions, FilterSpec, StreamKey
from etl.tapes.files import Period, Portion
from etl.tapes.readers import ROWS
from etl.transforms.trades import BRONZE_COLUMNS
from shared.errors import InputUnreadable
from shared.partitioning import Lake
from storage.lake import plan

SILVER_COLUMNS = (
    "ordinal", "timestamp", "tape_ts", "trade_id", "side", "price", "amount", "price_text", "amount_text",
    "gap_before", "known_at",
)  # fmt: skip


def silver_streams(lake: Lake, where: FilterSpec, *, table: str = "trades") -> list[StreamKey]:
    """The wanted streams that silver has rows of a table of, by name."""
    folders = (
        folder for folder in lake.silver(table).glob("exchange=*/symbol=*") if next(folder.rglob("*.parquet"), None)
    )
    keys = (StreamKey(*(part.partition("=")[2] for part in folder.parts[-2:])) for folder in folders)
    return sorted(key for key in keys if where.allows(key))


def bronze_streams(lake: Lake, where: FilterSpec) -> list[StreamKey]:
    """The wanted streams that bronze has trades of, by name."""
    keys = {StreamKey(entry.exchange, entry.symbol) for entry in history(lake) if entry.table == "trades"}
    return sorted(key for key in keys if where.allows(key))


class SilverTape:
    """Silver trades of one stream, in the order of their `ordinal`."""

    rejected = duplicates = 0  # what is in silver is good, and once

    def __init__(self, key: StreamKey, lake: Lake, period: Period) -> None:
        self._lake, self._period = lake, period
        self._where = FilterSpec((key.exchange,), (key.symbol,), since=period.since, until=period.until)

    def portions(self) -> Iterator[Portion]:
        """All trades, in portions of about a quarter of a million.

        Raises: InputUnreadable for a file that is damaged, and for one whose trades do not follow those before it.
        """
        files = plan(self._lake, "silver_trades", self._where)
        sizes = [file.stat().st_size for file in files]
        waiting: list[pl.DataFrame] = []
        done, following = 0, 0 if self._period.since is None else None
        for file, size in zip(files, sizes, strict=True):
            for part in _parts(file):
                first = part["ordinal"][0]
                if following not in (None, first):
                    raise InputUnreadable(
                        f"{file}: begins with trade {first}, expected {following}: silver before it is missing",
                        hint="Bring it back, or make silver anew from bronze: `daedalus bars rebuild --silver`",
                    )
                following = first + len(part)
                waiting.append(self._period.of(part, "tape_ts"))
                if sum(map(len, waiting)) >= ROWS:
                    yield Portion(pl.concat(waiting), done / sum(sizes))
                    waiting = []
            done += size
        if waiting:
            yield Portion(pl.concat(waiting), 1.0)


class BronzeTape:
    """Bronze trades of one stream as silver would have them: each once, in the exchange's order, the taker's side."""

    def __init__(self, key: StreamKey, options: EtlOptions, period: Period) -> None:
        self._key, self._options, self._period = key, options, period
        self.rejected = self.duplicates = 0

    def portions(self) -> Iterator[Portion]:
        """All trades, in portions of about a quarter of a million.

        Raises: LateRows: some came too late to be put in order so; begin again with `whole`.
        """
        yield from self._read(rows_max=ROWS)

    def whole(self) -> Iterator[Portion]:
        """As `portions`, in one, which must fit into memory."""
        yield from self._read(rows_max=2**62)

    def _read(self, *, rows_max: int) -> Iterator[Portion]:
        options, lake = self._options, self._options.lake
        entries = [
            entry
            for entry in history(lake)
            if StreamKey(entry.exchange, entry.symbol) == self._key and entry.table in TRADE_TABLES
        ]
        total, done = sum(entry.rows for entry in entries), 0
        transform = trades_transform(self._key.exchange, options)
        every = unconsumed(entries, {})
        filled = filled_gaps(lake, every)
        for journals in steps(every, rows_max=rows_max):
            rows = read_trades(lake, journals, BRONZE_COLUMNS, holes_before=transform.holes_seen, filled=filled)
            done += sum(entry.rows for journal in journals for entry in journal)
            if rows.height:
                yield Portion(self._period.of(transform.update(rows), "tape_ts"), done / total)
        yield Portion(self._period.of(transform.finish(), "tape_ts"), 1.0)
        self.rejected, self.duplicates = transform.rejected, transform.duplicates


def _parts(file: Path) -> Iterator[pl.DataFrame]:
    scan = pl.scan_parquet(file, hive_partitioning=False).select(SILVER_COLUMNS)
    try:
        for start in range(0, scan.select(pl.len()).collect().item(), ROWS):
            yield scan.slice(start, ROWS).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        hint = "Move it away and remove its checkpoints in state/etl, then run `daedalus watch --full-scan`"
        raise InputUnreadable(f"{file}: cannot be read: {str(error).splitlines()[0]}", hint=hint) from error
