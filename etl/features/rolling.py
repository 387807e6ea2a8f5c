"""`compute_rolling_features`: any frame of rows in, the same frame with what its rows say over windows of time out."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl

from etl.features.columns import columns
from etl.features.declared import Feature, family_types
from etl.features.families.motion import Motion
from etl.features.given import nanoseconds, refuse_other_frames
from etl.features.horizons import HorizonFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Bools, Floats, Int64s, Rows, RowTrades
from etl.features.windows import LARGEST
from shared.errors import InputUnreadable

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

_STREAM = ("exchange", "symbol")
_TIMES = ("timestamp", "book_ts")
_SIZES = ("bid_size_L", "ask_size_L")
_NUMBERS = (
    "mid_price", "spread", "relative_spread", "log_return", "ofi", "mlofi", "tfi", "trade_value", "n_updates",
    "last_trade_price",
)  # fmt: skip
_STAND_IN = {"log_return": ("mid_price",), "relative_spread": ("mid_price", "spread")}


def compute_rolling_features(frame: Frame, *, features: Sequence[str] | None = None, **options: Any) -> Frame:
    """The frame with its rolling features, computed by the kernels that compute table `orderbook`, to the bit.

    A window of h seconds is (t - h, t]. Its features are null until it is full (`partial_windows` gives them, and
    `coverage`, before), and where too few rows have a value (`min_obs`). Windows begin anew where `is_reset`; without
    that column, at the first row and after a silence longer than `max_state_staleness_seconds`.

    Args:
        frame: rows of silver `orderbook`, or any with `timestamp` (in order) and some of `mid_price`, `spread`,
            `relative_spread`, `log_return`, `ofi`, `mlofi`, `tfi`, `trade_value`, `n_updates`, `book_ts`,
            `last_trade_price`, `bid_size_L0`, `ask_size_L0` and further levels. Streams (`exchange`, `symbol`) are
            never mixed. Rows without a positive mid price are left out, as crossed and one-sided books are.
            Columns of the features' names are replaced.
        features: which, by their names without horizon ("rv", "ofi_sum"); default: all that these columns allow.
        options: those of `FeatureOptions`, by name, `horizons` in seconds among them.

    Raises:
        ValueError: for an option or a feature that does not exist.
        InputUnreadable: for a column that is missing or of a wrong type, and for rows out of order.

    >>> from datetime import datetime, timedelta, UTC
    >>> times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s) for s in range(4)]
    >>> mids = pl.DataFrame({"timestamp": times, "mid_price": [100.0, 101.0, 100.0, 101.0]})
    >>> compute_rolling_features(mids, features=["rv", "sum_return"], horizons=(2,))["rv_2s"].round(6).to_list()
    [None, None, 0.014072, 0.014072]
    """
    chosen = FeatureOptions.of(options)
    refuse_other_frames(frame, "rows", pl.DataFrame, pl.LazyFrame)
    schema = frame.collect_schema()
    _check(schema)
    wanted = _wanted(schema.names(), features, chosen)

    def made(rows: pl.DataFrame) -> pl.DataFrame:
        return _by_stream(rows, wanted, chosen)

    if isinstance(frame, pl.DataFrame):
        return made(frame)
    told = dict(schema) | dict.fromkeys((feature.name for feature in wanted), pl.Float64())
    return frame.map_batches(
        made, schema=told, predicate_pushdown=False, projection_pushdown=False, slice_pushdown=False
    )


def _check(schema: pl.Schema) -> None:
    if "timestamp" not in schema:
        raise InputUnreadable("rows have no column 'timestamp'", hint=f"There are {', '.join(schema.names())}")
    for name, dtype in schema.items():
        if name in _TIMES and not (isinstance(dtype, pl.Datetime) and dtype.time_zone):
            raise InputUnreadable(f"column {name!r} of rows is {dtype}", hint="Times are Datetime with time zone UTC")
        if (name in _NUMBERS or name.startswith(_SIZES)) and not (dtype.is_numeric() or dtype == pl.Null):
            raise InputUnreadable(f"column {name!r} of rows is {dtype}", hint="It must be numbers")
    if (dtype := schema.get("is_reset", pl.Boolean())) != pl.Boolean:
        raise InputUnreadable(f"column 'is_reset' of rows is {dtype}", hint="It must be true or false")


def _families(options: FeatureOptions) -> list[HorizonFamily]:
    return [cls(options) for cls in family_types().values() if issubclass(cls, HorizonFamily)]


def _wanted(names: Sequence[str], asked: Sequence[str] | None, options: FeatureOptions) -> list[Feature]:
    """The features that are asked for, or that these columns allow."""
    families = _families(options)
    lacking = {stem: _lacking(of, names, options) for family in families for stem, of in family.made_from.items()}
    for stem in asked or ():
        if stem not in lacking:
            raise ValueError(f"{stem!r} is no rolling feature; there are {', '.join(lacking)}")
        if lacking[stem]:
            raise InputUnreadable(
                f"{stem} is made from what rows do not have: {', '.join(lacking[stem])}",
                hint="Add these columns, or leave that feature out",
            )
    stems = [stem for stem in lacking if not lacking[stem]] if asked is None else [*asked, "coverage"]
    if stems == ["coverage"]:
        raise InputUnreadable(
            f"rows have nothing that rolling features are made from; there are {', '.join(names)}",
            hint="Columns mid_price and spread, or ofi, are enough to begin with",
        )
    declared = [(family, feature) for family in families for feature in family.features]
    return [feature for family, feature in declared if family.stem(feature) in stems]


def _lacking(made_from: Sequence[str], names: Sequence[str], options: FeatureOptions) -> list[str]:
    """Columns that are not there and that nothing there stands in for; a number of levels stands for their sizes."""
    needed: list[str] = []
    for name in made_from:
        if name in ("ofi_levels", "depth_levels"):
            levels = range(min(getattr(options, name), options.max_levels))
            needed += [f"{side}{i}" for side in _SIZES for i in levels]
        else:
            needed += [name] if name in names else _STAND_IN.get(name, (name,))
    return [name for name in dict.fromkeys(needed) if name not in names]


def _by_stream(frame: pl.DataFrame, wanted: Sequence[Feature], options: FeatureOptions) -> pl.DataFrame:
    """The frame with the features, its rows as they were."""
    streams = [name for name in _STREAM if name in frame.columns]
    if not streams or frame.select(pl.struct(streams).n_unique()).item() <= 1:
        return frame.with_columns(_computed(frame, wanted, options))
    place = "row of the frame"
    parts = frame.with_row_index(place).partition_by(streams, maintain_order=True)
    return pl.concat(part.with_columns(_computed(part, wanted, options)) for part in parts).sort(place).drop(place)


def _computed(frame: pl.DataFrame, wanted: Sequence[Feature], options: FeatureOptions) -> list[pl.Series]:
    """The features of one stream's rows."""
    is_book = _numbers(frame, "mid_price") > 0 if "mid_price" in frame.columns else np.ones(len(frame), np.bool_)
    rows = _rows(frame.filter(pl.Series(is_book)), options)
    for family in _families(options):
        rows.columns.update(family.update(rows))
    made = {feature.name: np.full(len(frame), np.nan) for feature in wanted}
    for name, values in made.items():
        values[is_book] = rows.columns[name]
    return columns(wanted, made)


def _rows(frame: pl.DataFrame, options: FeatureOptions) -> Rows:
    """The rows as kernels see them; what the frame does not have is NaN, or nothing."""
    n, t_ns = len(frame), nanoseconds(frame["timestamp"], "rows")
    if frame["timestamp"].null_count() or (t_ns[1:] < t_ns[:-1]).any():
        raise InputUnreadable("rows are not in order of time", hint="Sort them by timestamp, and drop those without")
    is_reset = _resets(frame, t_ns, options)
    sizes = [_levels(frame, side, options) for side in _SIZES]
    nothing, zeros, no = np.full((n, 0), np.nan), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    none, none_whole = np.empty(0), np.empty(0, np.int64)
    rows = Rows(
        t_ns=t_ns,
        book_ns=nanoseconds(frame["book_ts"], "rows") if "book_ts" in frame.columns else t_ns,
        known_ns=t_ns,
        bid_price=nothing,
        bid_size=sizes[0],
        ask_price=nothing,
        ask_size=sizes[1],
        levels_bid=zeros,
        levels_ask=zeros,
        is_valid=~no,
        is_reset=is_reset,
        is_locked=no,
        is_crossed=no,
        is_one_sided=no,
        has_gap=no,
        n_updates=np.nan_to_num(_numbers(frame, "n_updates")).astype(np.int64),
        n_crossed=zeros,
        event_ofi=nothing,
        event_log_gofi=np.full(n, np.nan),
        has_trades=no,
        trades=RowTrades(none_whole, np.empty(0, np.int8), none, none, none, none, none_whole, np.empty(0, np.bool_)),
        columns={name: _numbers(frame, name) for name in _NUMBERS},
    )
    if "log_return" not in frame.columns:
        rows.columns["log_return"] = Motion(options).update(rows)["log_return"]
    if "relative_spread" not in frame.columns:
        with np.errstate(all="ignore"):
            rows.columns["relative_spread"] = rows.columns["spread"] / rows.columns["mid_price"]
    return rows


def _resets(frame: pl.DataFrame, t_ns: Int64s, options: FeatureOptions) -> Bools:
    """Where windows begin anew: in any case at the first row, before which nothing is known."""
    if "is_reset" in frame.columns:
        is_reset = frame["is_reset"].fill_null(False).to_numpy().copy()
    else:
        stale_ns = round(options.max_state_staleness_seconds * 1e9)
        is_reset = np.diff(t_ns, prepend=t_ns[:1]) > stale_ns
    is_reset[:1] = True
    return is_reset


def _levels(frame: pl.DataFrame, side: str, options: FeatureOptions) -> Floats:
    """(rows, levels): the sizes of one side."""
    deep = min(max(options.depth_levels, options.ofi_levels), options.max_levels)
    return np.column_stack([_numbers(frame, f"{side}{i}") for i in range(deep)])


def _numbers(frame: pl.DataFrame, name: str) -> Floats:
    """A column, NaN where it is null, beyond `LARGEST` or not there at all."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan)
    values: Floats = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    values[np.abs(values) > LARGEST] = np.nan
    return values
