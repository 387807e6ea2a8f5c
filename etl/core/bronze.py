"""Reading bronze: what a stream has not consumed yet, and the rows of it in order of arrival."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl

from etl.core.base import AHEAD_MAX
from shared.errors import DaedalusError
from shared.partitioning import Lake, Partition, SegmentName
from storage.bronze_rows import is_here, rows_of
from storage.published import Published, log_paths, read_log
from storage.removed import RemovedFiles

TRADE_TABLES = frozenset({"trades", "gaps"})
EPOCHS_REMEMBERED = 256  # of which a position keeps the last journal; older ones are wholly consumed


class BronzeMissing(DaedalusError):
    """Published files that a run needs are not there any more."""

    hint = "Bring them back (`daedalus sync --direction down`), then run again"


def counter_of(entry: Published) -> int:
    """The number of the journal an entry came from, within its epoch."""
    return SegmentName.parse(Path(entry.path).name).counter


def is_behind(journal: tuple[str, int], position: Mapping[str, int]) -> bool:
    """Whether a journal, by its epoch and number, was consumed at a position."""
    epoch, counter = journal
    if epoch in position:
        return counter <= position[epoch]
    return len(position) >= EPOCHS_REMEMBERED and epoch < min(position)


def unconsumed(entries: Iterable[Published], position: Mapping[str, int]) -> list[list[Published]]:
    """The entries behind a position, one list per journal, in order of arrival; named twice counts once."""
    journals: dict[tuple[str, int], dict[str, Published]] = {}
    for entry in entries:
        place = (entry.epoch, counter_of(entry))
        if not is_behind(place, position):
            journals.setdefault(place, {})[entry.path] = entry
    return [list(journals[place].values()) for place in sorted(journals)]


def consumed(entries: list[Published], position: Mapping[str, int]) -> list[list[Published]]:
    """The entries that are not behind a position, one list per journal."""
    ahead = {journal[0].path for journal in unconsumed(entries, position)}
    return [journal for journal in unconsumed(entries, {}) if journal[0].path not in ahead]


def advanced(position: Mapping[str, int], journals: Iterable[list[Published]]) -> dict[str, int]:
    """The position after these journals."""
    after = dict(position)
    for journal in journals:
        for entry in journal:
            after[entry.epoch] = max(after.get(entry.epoch, -1), counter_of(entry))
    return {epoch: after[epoch] for epoch in sorted(after)[-EPOCHS_REMEMBERED:]}


def steps(journals: list[list[Published]], *, rows_max: int, table: str = "trades") -> Iterator[list[list[Published]]]:
    """Whole journals in portions of about `rows_max` rows of one table."""
    portion: list[list[Published]] = []
    rows = 0
    for journal in journals:
        portion.append(journal)
        rows += sum(entry.rows for entry in journal if entry.table == table)
        if rows >= rows_max:
            yield portion
            portion, rows = [], 0
    if portion:
        yield portion


def history(lake: Lake) -> list[Published]:
    """Every file ever published, oldest first. For rebuilds; a watcher reads from its position instead."""
    return [entry for path in log_paths(lake) for entry in read_log(path)[0]]


def filled_gaps(lake: Lake, journals: list[list[Published]]) -> set[str]:
    """The gaps of trades that these journals say were filled after all."""
    require(lake, (entry for journal in journals for entry in journal))
    filled: set[str] = set()
    for _, gaps in _gaps(lake, journals):
        filled.update(gaps.filter(pl.col("revision") > 0, pl.col("status") == "filled")["gap_id"])
    return filled


def journals_that_mark(lake: Lake, journals: Iterable[list[Published]], gap_ids: set[str]) -> list[list[Published]]:
    """Those of the journals in which these gaps were declared as holes that had ended."""
    return [journal for journal, gaps in _gaps(lake, journals) if gaps.filter(ended_hole(gap_ids=gap_ids)).height]


def _gaps(
    lake: Lake, journals: Iterable[list[Published]], *, channel: str = "trades"
) -> Iterator[tuple[list[Published], pl.DataFrame]]:
    for journal in journals:
        parts = [rows_of(lake, entry) for entry in journal if entry.table == "gaps"]
        if parts:
            yield journal, pl.concat(parts).filter(pl.col("channel") == channel)


def require(lake: Lake, entries: Iterable[Published], *, tables: Collection[str] = TRADE_TABLES) -> None:
    """Make sure that those of these files are there that hold such tables.

    Raises: BronzeMissing naming the days of those that are not.
    """
    wanted = (entry for entry in entries if entry.table in tables)
    missing = [entry for entry in wanted if not is_here(lake, entry)]
    if missing:
        days = sorted({f"{Partition.parse(Path(entry.path)).start():%Y-%m-%d}" for entry in missing})
        named = f"{days[0]} to {days[-1]}, {len(days)} days" if len(days) > 3 else ", ".join(days)
        archives = _archives(lake, missing)
        removed = f"; `daedalus retain` removed {archives.total():,}, now in {', '.join(archives)}" if archives else ""
        raise BronzeMissing(
            f"{len(missing)} published files are missing in {lake.ready} (of {named}), first {missing[0].path}{removed}"
        )


def _archives(lake: Lake, missing: list[Published]) -> Counter[str]:
    """Where those of these files are that were removed on purpose."""
    removed = RemovedFiles(lake)
    found = [holding[0].archive for entry in missing if (holding := removed.holding(entry))]
    return Counter(archive for archive in found if archive)


def read_journal(
    lake: Lake,
    journal: list[Published],
    columns: Sequence[str],
    *,
    table: str = "trades",
    filled: Collection[str] = (),
) -> pl.DataFrame:
    """Rows of a journal in order of arrival, with `after_gap` where a declared hole ends; no columns without rows.

    Args:
        lake: where.
        journal: entries of one journal and stream.
        columns: `capture_ts` and `seq` among them.
        table: which rows.
        filled: gaps that turned out to be none.
    """
    parts = [rows_of(lake, entry, columns) for entry in journal if entry.table == table]
    if not parts:
        return pl.DataFrame()
    rows = pl.concat(parts).sort("capture_ts", "seq")
    marks = np.zeros(rows.height, dtype=np.bool_)
    for _, gaps in _gaps(lake, [journal], channel=table):
        holes = gaps.filter(ended_hole(), ~pl.col("gap_id").is_in(list(filled)))
        # a gap row stands before its rows, at their time
        first = rows["capture_ts"].search_sorted(holes["capture_ts"], side="left").to_numpy()
        marks[first[first < rows.height]] = True
    return rows.with_columns(after_gap=pl.Series(marks))


def latest_us(lake: Lake, entries: Iterable[Published]) -> int | None:
    """The largest exchange time in these files, us since 1970; a time that is none does not count, nor a lost file."""
    latest: list[int] = []
    for entry in entries:
        with suppress(FileNotFoundError):
            rows = rows_of(lake, entry, ("timestamp", "capture_ts"))
            found = rows.select(exchange_time().dt.timestamp("us").max()).item()
            latest += [found] if found is not None else []
    return max(latest, default=None)


def exchange_time() -> pl.Expr:
    """The time of a row by the exchange's clock; null where it says none, or one far ahead of the row's arrival."""
    return pl.when(pl.col("timestamp") <= pl.col("capture_ts") + AHEAD_MAX).then("timestamp").alias("timestamp")


def read_trades(
    lake: Lake, journals: list[list[Published]], columns: tuple[str, ...], *, holes_before: int, filled: Collection[str]
) -> pl.DataFrame:
    """Trades of these journals in order of arrival, with `holes_seen`: how many holes had ended, and those before."""
    require(lake, (entry for journal in journals for entry in journal))
    parts = [read_journal(lake, journal, columns, filled=filled) for journal in journals]
    parts = [rows for rows in parts if rows.height]
    if not parts:
        return pl.DataFrame()
    rows = pl.concat(parts)
    return rows.with_columns(holes_seen=holes_before + pl.col("after_gap").cum_sum().cast(pl.Int64)).drop("after_gap")


def ended_hole(*, gap_ids: Collection[str] | None = None) -> pl.Expr:
    """Whether a gap row marks a trade: a hole, told by the run that saw it. What others say later is a verdict."""
    ended = pl.col("end_ts").is_not_null() | pl.col("next_seq").is_not_null()  # else a revision tells its end
    own = (pl.col("revision") == 0) | pl.col("gap_id").str.starts_with(pl.col("epoch"))
    hole = (pl.col("status") != "filled") & ended & own
    return hole if gap_ids is None else hole & pl.col("gap_id").is_in(list(gap_ids))
