"""Candles: time bars that longer ones can be made of, because all their sums are exact."""

from typing import Unpack

import polars as pl

from etl.bars.builder import BuilderOptions
from etl.bars.calendar import Months, Steps, calendar_of
from etl.bars.frame import Facts, Table, exact_sides
from etl.bars.interval import TimeBars
from etl.bars.schema import BAR_SCHEMA, EXACT, FACT_COLUMNS
from etl.bars.threshold import Number, interval_us

# What candles add up; the floats beside are rounded from it.
EXACT_SUMS = (
    "volume_exact", "dollar_volume_exact", "buy_volume_exact", "buy_dollar_volume_exact", "sell_volume_exact",
    "sell_dollar_volume_exact",
)  # fmt: skip

CANDLE_SCHEMA: pl.Schema = pl.Schema(
    {
        "interval": pl.String(),  # as `interval_name` writes it
        **{name: dtype for name, dtype in BAR_SCHEMA.items() if name not in FACT_COLUMNS},
        **dict.fromkeys(EXACT_SUMS, EXACT),
    }
)
_UNITS_US = {
    "w": 604_800_000_000, "d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000,
}  # fmt: skip
_MONTH_US = 30.4 * _UNITS_US["d"]


class TradeCandles(TimeBars):
    """Candles of one interval, from trades: `TimeBars` with columns `CANDLE_SCHEMA`.

    Args:
        interval: as of `TimeBars`.
        options: see `etl.bars.builder.BuilderOptions`.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in (0, 0, 1)]
    >>> trades = pl.DataFrame({"trade_id": list("abc"), "timestamp": times, "price": 10.0, "amount": 2.0})
    >>> TradeCandles(interval=60).update(trades).select("interval", "tick_count", "volume").rows()
    [('1m', 2, 4.0)]
    """

    def __init__(self, *, interval: Number, **options: Unpack[BuilderOptions]) -> None:
        super().__init__(interval=interval, **options)
        self.interval = interval_name(interval)

    @staticmethod
    def _no_bars() -> pl.DataFrame:
        return no_candles()

    def _framed(self, table: Table, facts: Facts, ids: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
        bars = super()._framed(table, facts, ids)
        sides = exact_sides(table, ids[0])
        return bars.with_columns(sides, interval=pl.lit(self.interval)).select(CANDLE_SCHEMA.names())


def no_candles() -> pl.DataFrame:
    """An empty frame of candles."""
    return CANDLE_SCHEMA.to_frame()


def interval_name(interval: Number) -> str:
    """The one name of an interval, in the largest unit that it is a whole number of.

    Raises: ValueError for what is no interval.

    >>> interval_name(60), interval_name("90m"), interval_name("24h"), interval_name("7d"), interval_name("12mo")
    ('1m', '90m', '1d', '1w', '1y')
    """
    calendar = calendar_of(interval)
    if isinstance(calendar, Months):
        return f"{calendar.months}mo" if calendar.months % 12 else f"{calendar.months // 12}y"
    us = int(length_us(interval))
    for unit, unit_us in _UNITS_US.items():
        if us % unit_us == 0:
            return f"{us // unit_us}{unit}"
    raise ValueError(f"interval must be whole milliseconds, was {interval!r}")


def divides(finer: Number, interval: Number) -> bool:
    """Whether candles of `interval` can be made of those of `finer`.

    >>> divides("1m", "5m"), divides("2m", "5m"), divides("1d", "1w"), divides("7h", "1w"), divides("1d", "1mo")
    (True, False, True, False, True)
    """
    parts, whole = calendar_of(finer), calendar_of(interval)
    if isinstance(parts, Months):
        return isinstance(whole, Months) and parts.months < whole.months and whole.months % parts.months == 0
    assert isinstance(parts, Steps)
    step_us = whole.step_us if isinstance(whole, Steps) else _UNITS_US["d"]  # months begin with a day
    begins = parts.start_us(whole.start_us(0)) == whole.start_us(0)
    return parts != whole and step_us % parts.step_us == 0 and begins


def length_us(interval: Number) -> float:
    """How long an interval is, or about how long where that varies."""
    calendar = calendar_of(interval)
    return calendar.months * _MONTH_US if isinstance(calendar, Months) else float(interval_us(interval))
