"""Candles from finer candles: the same, in every column, as if they were built from the trades."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from etl.bars.calendar import calendar_of
from etl.bars.candles import CANDLE_SCHEMA, EXACT_SUMS, divides, interval_name, no_candles
from etl.bars.rounding import PLACES, decimals, limbs, ratio
from etl.bars.schema import EXACT, TIME
from etl.bars.threshold import Number
from shared.clock import us_from_utc, utc_from_us
from shared.errors import InputUnreadable, StateMismatch

VERSION = 1
_COUNTS = [
    name for name, dtype in CANDLE_SCHEMA.items() if dtype == pl.Int64 and name not in ("bar_seq", "time_span_us")
]
_GO_ON = ("time", "open")  # close reasons of candles that others of the same bucket may follow


class CandleState(Struct, frozen=True, kw_only=True):
    """All that `MergedCandles` knows."""

    interval: str
    version: int = VERSION
    bar_seq: int = 0  # of the next candle
    next_finer: int | None = None  # `bar_seq` of the next finer candle
    closed_us: int | None = None  # start of the last candle closed
    open_candle: dict[str, int | float | str | bool] | None = None  # times in us, decimals as text


class MergedCandles:
    """Candles of one interval from those of a finer one that divides it.

    They equal `TradeCandles` of the trades in every column. A candle closes when the finer candles have reached its
    end, or by `advance_watermark`: never by a clock. All state comes in at construction and goes out by `snapshot`.
    A call that raises has changed nothing.
    """

    def __init__(self, *, interval: Number, state: CandleState | None = None) -> None:
        self.interval = interval_name(interval)
        self._calendar = calendar_of(interval)
        if state is None:
            state = CandleState(interval=self.interval)
        if (state.interval, state.version) != (self.interval, VERSION):
            raise StateMismatch(
                f"the state is of {state.interval} candles, version {state.version}; "
                f"these are {self.interval} candles, version {VERSION}",
                hint="Build these candles anew",
            )
        self._state = state

    def update(self, finer: pl.DataFrame) -> pl.DataFrame:
        """The candles that these finer candles, the next ones in their order, close.

        Raises: InputUnreadable for candles that are not the next ones, or not of an interval that divides this one.
        """
        if finer.is_empty():
            return no_candles()
        state = self._state
        finer = self._readable(finer)
        if (finer["close_reason"] == "open").any():
            raise InputUnreadable("a candle is not closed yet", hint="Hand over what `peek` gives to `peek`")
        merged, is_last_open = self._merged(finer)
        done = merged.height - is_last_open
        self._state = CandleState(
            interval=self.interval,
            bar_seq=state.bar_seq + done,
            next_finer=finer["bar_seq"][-1] + 1,
            closed_us=us_from_utc(merged["time_start"][done - 1]) if done else state.closed_us,
            open_candle=_saved(merged.row(-1, named=True)) if is_last_open else None,
        )
        return merged.head(done)

    def advance_watermark(self, us: int) -> pl.DataFrame:
        """The open candle if it ends at or before `us` since 1970, else no row.

        For a caller who knows that all finer candles before `us` have been given.
        """
        candle = self._state.open_candle
        if candle is None or candle["time_end"] > us:  # type: ignore[operator]
            return no_candles()
        return self._closed("time", is_cut=False)

    def flush(self, reason: str = "flush") -> pl.DataFrame:
        """The open candle, ended here and marked partial; no row if there is none. Only for a declared end of data."""
        return self._closed(reason, is_cut=True) if self._state.open_candle else no_candles()

    def peek(self, finer: pl.DataFrame | None = None) -> pl.DataFrame:
        """The open candle as it stands, marked partial, its reason "open"; no row if there is none.

        Args:
            finer: the open candle of the finer interval, as its own `peek` gives it, to be counted in.
        """
        if finer is not None and finer.height:
            merged, _ = self._merged(self._readable(finer))
            candle = merged.tail(1)
        elif self._state.open_candle:
            candle = _restored(self._state.open_candle)
        else:
            return no_candles()
        return candle.with_columns(close_reason=pl.lit("open"), is_partial=pl.lit(value=True))

    def snapshot(self) -> CandleState:
        """All that another needs to go on from here."""
        return self._state

    def _closed(self, reason: str, *, is_cut: bool) -> pl.DataFrame:
        """The open candle, which ends here."""
        state = self._state
        assert state.open_candle
        candle = _restored(state.open_candle).with_columns(close_reason=pl.lit(reason))
        if is_cut:
            candle = candle.with_columns(is_partial=pl.lit(value=True))
        closed_us = us_from_utc(candle["time_start"][0])
        self._state = replace(state, bar_seq=state.bar_seq + 1, closed_us=closed_us, open_candle=None)
        return candle

    def _merged(self, finer: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
        """The candles that the open one and these come to, and whether the last of them stays open. Changes nothing."""
        state = self._state
        rows = pl.concat([_restored(state.open_candle), finer]) if state.open_candle else finer
        starts = self._calendar.starts(_us(rows["time_start"]))
        is_cut = ~rows["close_reason"].is_in(_GO_ON).to_numpy()
        begins = np.flatnonzero(np.append([True], (starts[1:] != starts[:-1]) | is_cut[:-1]))
        end_us = self._calendar.end_us(int(starts[-1]))
        is_whole = rows["close_reason"][-1] == "time" and _us(rows["time_end"])[-1] >= end_us
        is_last_open = not (is_whole or is_cut[-1])
        before = state.closed_us
        if before is None and _us(rows["time_start"])[0] > starts[0]:
            before = int(starts[0])  # the beginning of the first bucket was not seen
        starts = starts[begins]
        ends = self._calendar.ends(starts)
        is_rest = np.append([starts[0] == before], starts[1:] == starts[:-1])  # of a bucket that was cut
        candles = _added(rows, begins).with_columns(
            interval=pl.lit(self.interval),
            bar_seq=state.bar_seq + pl.int_range(pl.len()),
            time_start=pl.Series(starts).cast(TIME),
            time_end=pl.Series(ends).cast(TIME),
            available_at=pl.Series(ends).cast(TIME),
            time_span_us=(pl.col("last_ts") - pl.col("first_ts")).dt.total_microseconds(),
            close_reason=pl.when(pl.col("close_reason").is_in(_GO_ON)).then(pl.lit("time")).otherwise("close_reason"),
            is_partial=pl.col("is_partial") | pl.Series(is_rest),
        )
        return candles.select(CANDLE_SCHEMA.names()), is_last_open

    def _readable(self, finer: pl.DataFrame) -> pl.DataFrame:
        """The columns of candles that can be taken as the next ones."""
        for name, dtype in CANDLE_SCHEMA.items():
            if name not in finer.columns:
                raise InputUnreadable(f"candles have no column {name!r}", hint="Give candles of `CANDLE_SCHEMA`")
            if finer[name].dtype != dtype:
                raise InputUnreadable(f"column {name!r} of candles is {finer[name].dtype}, not {dtype}")
            if finer[name].null_count():
                raise InputUnreadable(f"column {name!r} of candles holds nulls")
        intervals = finer["interval"].unique().to_list()
        if len(intervals) > 1 or not divides(intervals[0], self.interval):
            raise InputUnreadable(f"{self.interval} candles cannot be made of those of {', '.join(sorted(intervals))}")
        first = finer["bar_seq"][0] if self._state.next_finer is None else self._state.next_finer
        expected = pl.int_range(first, first + finer.height, eager=True)
        for row in (finer["bar_seq"] != expected).arg_true().head(1):
            raise InputUnreadable(
                f"candle {finer['bar_seq'][row]} comes where {expected[row]} is the next one (row {row})",
                hint="Give the candles of one stream and interval, each once, in order of bar_seq",
            )
        return finer.select(CANDLE_SCHEMA.names())


def _added(rows: pl.DataFrame, begins: npt.NDArray[np.int64]) -> pl.DataFrame:
    """What candles come to together, those from each of these rows to before the next."""
    group = np.zeros(rows.height, dtype=np.int64)
    group[begins] = 1
    sums = {
        name: np.add.reduceat(np.array(rows[name].to_physical().to_list(), dtype=object), begins) for name in EXACT_SUMS
    }
    added = rows.group_by(pl.Series("_candle", group.cumsum()), maintain_order=True).agg(
        pl.col("open", "first_ts", "first_trade_id").first(),
        pl.col("close", "last_trade_id", "close_reason").last(),
        pl.col("high", "last_ts", "known_at").max(),
        pl.col("low").min(),
        pl.col("is_partial", "has_gap").any(),
        pl.col(_COUNTS).sum(),
    )
    columns = [
        decimals(limbs(total), scale=PLACES, name=name, first_ids=added["first_trade_id"]).alias(name)
        for name, total in sums.items()
    ]
    ones = np.ones(added.height, dtype=np.int64)
    for what in ("volume", "dollar_volume"):
        whole, buy, sell = (sums[f"{side}{what}_exact"] for side in ("", "buy_", "sell_"))
        for side, total in (("", whole), ("buy_", buy), ("sell_", sell), ("unknown_", whole - buy - sell)):
            columns.append(pl.Series(f"{side}{what}", ratio(limbs(total), ones, tens=PLACES)))
    columns.append(pl.Series("vwap", ratio(limbs(sums["dollar_volume_exact"]), sums["volume_exact"], tens=0)))
    return added.with_columns(columns)


def _us(times: pl.Series) -> npt.NDArray[np.int64]:
    return times.to_physical().to_numpy()


def _saved(candle: dict[str, Any]) -> dict[str, int | float | str | bool]:
    """A row as a checkpoint keeps it."""
    return {
        name: us_from_utc(value) if isinstance(value, datetime) else str(value) if isinstance(value, Decimal) else value
        for name, value in candle.items()
    }


def _restored(saved: dict[str, Any]) -> pl.DataFrame:
    """The row again, as a frame."""
    row = {
        name: utc_from_us(saved[name]) if dtype == TIME else Decimal(saved[name]) if dtype == EXACT else saved[name]
        for name, dtype in CANDLE_SCHEMA.items()
    }
    return pl.DataFrame([row], schema=CANDLE_SCHEMA)
