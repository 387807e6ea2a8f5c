"""Tables of bars to frames of bars."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.bars import kernels
from etl.bars.rounding import Ints, Limbs, decimals, limbs, minus, ratio
from etl.bars.schema import BAR_SCHEMA, FACT_COLUMNS, TIME
from etl.bars.trades import Int64s

Column: TypeAlias = pl.Series | npt.NDArray[Any]


class Table(NamedTuple):
    """Bars before rounding: sums as scaled whole numbers, times in us; see `etl.bars.kernels` for the cells."""

    sums: Ints
    times: Int64s
    price_scale: int
    size_scale: int

    def rescaled(self, price_scale: int, size_scale: int) -> "Table":
        """The same numbers at scales that are not smaller."""
        if (price_scale, size_scale) == (self.price_scale, self.size_scale):
            return self
        by_price, by_size = 10 ** (price_scale - self.price_scale), 10 ** (size_scale - self.size_scale)
        sums = self.sums.astype(object)
        sums[list(kernels.PRICE_CELLS)] *= by_price
        sums[list(kernels.SIZE_CELLS)] *= by_size
        for hi, lo in kernels.VALUE_CELLS:
            sums[hi], sums[lo] = limbs((sums[hi] * kernels.LIMB + sums[lo]) * (by_price * by_size))
        return Table(sums, self.times, price_scale, size_scale)


Facts: TypeAlias = dict[str, Column]  # columns that the kind of bar fills, of equal length


class Labels(NamedTuple):
    """When bars begin, end, and could be known; us since 1970."""

    time_start: Int64s
    time_end: Int64s
    available_at: Int64s


def joined(tables: list[Table]) -> Table:
    """The tables as one, at the largest scales, which the last table has."""
    times = np.concatenate([table.times for table in tables], axis=1)
    scales = (tables[-1].price_scale, tables[-1].size_scale)
    whole = np.concatenate([table.rescaled(*scales).sums for table in tables], axis=1)
    if whole.dtype == object and whole.max() < kernels.SUM_LIMIT:
        whole = whole.astype(np.int64)
    return Table(whole, times, *scales)


def joined_facts(parts: list[Facts]) -> Facts:
    """The facts of bars one after the other; what a part does not say is null."""
    if all(part.keys() == parts[0].keys() for part in parts):
        return {name: _chained([part[name] for part in parts]) for name in parts[0]}
    frames = [pl.DataFrame({name: pl.Series(values) for name, values in part.items()}) for part in parts]
    columns = pl.concat(frames, how="diagonal").to_dict()
    return {name: column.fill_null(False) if name == "is_partial" else column for name, column in columns.items()}


def _chained(columns: list[Any]) -> Column:
    joined_columns: Column = np.concatenate(columns) if isinstance(columns[0], np.ndarray) else pl.concat(columns)
    return joined_columns


def frame_of(
    table: Table, labels: Labels, facts: Facts, *, ids: tuple[pl.Series, pl.Series], bar_seq: int
) -> pl.DataFrame:
    """The bars as a frame of `BAR_SCHEMA`, numbered from `bar_seq`; floats are rounded here and only here.

    Raises: InputUnreadable where an exact column cannot hold a sum.
    """
    times, count = table.times, table.times.shape[1]
    n_tick, n_carry = times[kernels.TICK_RULE], times[kernels.CARRIED_SIGN]
    columns: dict[str, Column] = {
        "bar_seq": np.arange(bar_seq, bar_seq + count, dtype=np.int64),
        "time_start": _utc(labels.time_start),
        "time_end": _utc(labels.time_end),
        "first_ts": _utc(times[kernels.FIRST_US]),
        "last_ts": _utc(times[kernels.LAST_US]),
        "time_span_us": times[kernels.LAST_US] - times[kernels.FIRST_US],
        "first_trade_id": ids[0],
        "last_trade_id": ids[1],
        **_amounts(table, ids[0]),
        "has_gap": times[kernels.GAP] > 0,
        "n_tick": n_tick,
        "n_carry": n_carry,
        "n_ts_regress": times[kernels.REGRESSED],
        "available_at": _utc(labels.available_at),
        "known_at": _utc(times[kernels.KNOWN_US]),
        "is_partial": np.zeros(count, dtype=np.bool_),
        **facts,
    }
    columns["n_side"] = columns["tick_count"] - n_tick - n_carry
    return pl.DataFrame([_column(name, dtype, columns.get(name), count) for name, dtype in BAR_SCHEMA.items()])


def _column(name: str, dtype: pl.DataType, values: Column | None, count: int) -> pl.Series:
    if values is None:
        return pl.Series(name, [None], dtype=dtype).new_from_index(0, count)
    column = pl.Series(name, values)
    return column.fill_nan(None) if name in FACT_COLUMNS and dtype == pl.Float64 else column


def exact_sides(table: Table, first_ids: pl.Series) -> list[pl.Series]:
    """What buyers and sellers took, to the last digit: volume and value of each side."""
    sums, scales = table.sums, (table.size_scale, table.price_scale + table.size_scale)
    columns = []
    for side, size, value in (
        ("buy", kernels.BUY_VOLUME, kernels.VALUE_CELLS[1]),
        ("sell", kernels.SELL_VOLUME, kernels.VALUE_CELLS[2]),
    ):
        exact = {"volume": limbs(sums[size]), "dollar_volume": (sums[value[0]], sums[value[1]])}
        for (what, numbers), scale in zip(exact.items(), scales, strict=True):
            name = f"{side}_{what}"
            columns.append(decimals(numbers, scale=scale, name=name, first_ids=first_ids).alias(f"{name}_exact"))
    return columns


def _amounts(table: Table, first_ids: pl.Series) -> dict[str, Column]:
    """Prices, sums and counts."""
    sums, ones = table.sums, np.ones(table.times.shape[1], dtype=np.int64)
    value_scale = table.price_scale + table.size_scale
    sizes = _parts(limbs(sums[kernels.VOLUME]), limbs(sums[kernels.BUY_VOLUME]), limbs(sums[kernels.SELL_VOLUME]))
    values = _parts(*((sums[hi], sums[lo]) for hi, lo in kernels.VALUE_CELLS))
    counts = [sums[cell].astype(np.int64) for cell in (kernels.COUNT, kernels.BUY_COUNT, kernels.SELL_COUNT)]
    columns: dict[str, Column] = {
        name: ratio(limbs(sums[cell]), ones, tens=table.price_scale)
        for name, cell in (
            ("open", kernels.OPEN),
            ("high", kernels.HIGH),
            ("low", kernels.LOW),
            ("close", kernels.CLOSE),
        )
    }
    columns["vwap"] = ratio(values[""], sums[kernels.VOLUME], tens=table.price_scale)
    columns["volume_exact"] = decimals(sizes[""], scale=table.size_scale, name="volume", first_ids=first_ids)
    columns["dollar_volume_exact"] = decimals(values[""], scale=value_scale, name="dollar_volume", first_ids=first_ids)
    for side in sizes:
        columns[f"{side}volume"] = ratio(sizes[side], ones, tens=table.size_scale)
        columns[f"{side}dollar_volume"] = ratio(values[side], ones, tens=value_scale)
    columns["tick_count"], columns["buy_tick_count"], columns["sell_tick_count"] = counts
    columns["unknown_tick_count"] = counts[0] - counts[1] - counts[2]
    return columns


def _parts(total: Limbs, buy: Limbs, sell: Limbs) -> dict[str, Limbs]:
    """By column prefix: all, buys, sells, and the rest."""
    return {"": total, "buy_": buy, "sell_": sell, "unknown_": minus(total, buy, sell)}


def _utc(us: Int64s) -> pl.Series:
    return pl.Series(us).cast(TIME)
