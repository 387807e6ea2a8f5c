"""Reading bronze: what a stream has not consumed yet, and the rows of it in order of arrival."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from shared.errors import DaedalusError
from shared.partitioning import Lake, SegmentName
from storage.published import Published, log_paths, read_log
from storage.segments import read_segment

EPOCHS_REMEMBERED = 256  # of which a position keeps the last journal; older ones are wholly consumed


class BronzeMissing(DaedalusError):
    """Published files that a run needs are not there any more."""

    hint = "Bring them back (`daedalus sync --direction down`), then run again"


def counter_of(entry: Published) -> int:
    """The number of the journal an entry came from, within its epoch."""
    return SegmentName.parse(Path(entry.path).name).counter


def unconsumed(entries: Iterable[Published], position: Mapping[str, int]) -> list[list[Published]]:
    """The entries behind a position, one list per journal, in order of arrival; named twice counts once."""
    journals: dict[tuple[str, int], dict[str, Published]] = {}
    oldest = min(position, default="")
    for entry in entries:
        place = (entry.epoch, counter_of(entry))
        consumed = position.get(entry.epoch, -1 if len(position) < EPOCHS_REMEMBERED or entry.epoch > oldest else 2**62)
        if place[1] > consumed:
            journals.setdefault(place, {})[entry.path] = entry
    return [list(journals[place].values()) for place in sorted(journals)]


def advanced(position: Mapping[str, int], journals: Iterable[list[Published]]) -> dict[str, int]:
    """The position after these journals."""
    after = dict(position)
    for journal in journals:
        for entry in journal:
            after[entry.epoch] = max(after.get(entry.epoch, -1), counter_of(entry))
    return {epoch: after[epoch] for epoch in sorted(after)[-EPOCHS_REMEMBERED:]}


def steps(journals: list[list[Published]], *, rows_max: int) -> Iterator[list[list[Published]]]:
    """Whole journals in portions of about `rows_max` rows."""
    portion: list[list[Published]] = []
    rows = 0
    for journal in journals:
        portion.append(journal)
        rows += sum(entry.rows for entry in journal)
        if rows >= rows_max:
            yield portion
            portion, rows = [], 0
    if portion:
        yield portion


def history(lake: Lake) -> list[Published]:
    """Every file ever published, oldest first. For rebuilds; a watcher reads from its position instead."""
    return [entry for path in log_paths(lake) for entry in read_log(path)[0]]


def require(lake: Lake, entries: Iterable[Published]) -> None:
    """Make sure that these files are there. Raises: BronzeMissing."""
    missing = [entry.path for entry in entries if not (lake.ready / entry.path).exists()]
    if missing:
        raise BronzeMissing(f"{len(missing)} published files are missing in {lake.ready}, first {missing[0]}")


def read_trades(lake: Lake, journals: list[list[Published]], columns: tuple[str, ...]) -> pl.DataFrame:
    """Trades of these journals in order of arrival, with `after_gap` where a declared hole ends."""
    parts = []
    require(lake, (entry for journal in journals for entry in journal))
    for journal in journals:
        trades = [
            read_segment(lake.ready / entry.path, entry.table, columns) for entry in journal if entry.table == "trades"
        ]
        if not trades:
            continue
        gaps = [read_segment(lake.ready / entry.path, "gaps") for entry in journal if entry.table == "gaps"]
        rows = pl.concat(trades).sort("capture_ts", "seq")
        parts.append(rows.with_columns(after_gap=_after_gap(rows["capture_ts"], gaps)))
    return pl.concat(parts) if parts else pl.DataFrame()


def _after_gap(captured: pl.Series, gaps: list[pl.DataFrame]) -> pl.Series:
    """Which trades are the first to arrive after a declared hole; a gap row stands before its rows, at their time."""
    marks = np.zeros(len(captured), dtype=np.bool_)
    if gaps:
        is_hole = (pl.col("channel") == "trades") & (pl.col("status") != "filled")
        has_ended = pl.col("end_ts").is_not_null() | pl.col("next_seq").is_not_null()  # else a revision tells its end
        holes = pl.concat(gaps).filter(is_hole & has_ended)
        first = captured.search_sorted(holes["capture_ts"], side="left").to_numpy()
        marks[first[first < len(captured)]] = True
    return pl.Series(marks)
