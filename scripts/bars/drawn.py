"""What is drawn of a bar set: each bar, or where they are too many a column for each stretch of time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from scripts.bars.file import collected

CANDLES_MAX = 480  # in the width of a page; more cannot be told apart
_COLUMNS_MAX = 640
_BARS_PER_COLUMN = 3  # on average at least, or columns with and without a bar would alternate
_STEPS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
    10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 31_536_000,
)  # fmt: skip
USUAL_REASONS = ("time", "threshold", "flush", "open")  # the last two say that a bar is partial, which is drawn
COLUMNS_DRAWN = (
    "bar_seq", "time_start", "time_end", "open", "high", "low", "close", "volume", "dollar_volume", "buy_volume",
    "sell_volume", "unknown_volume", "tick_count", "close_reason", "is_partial", "has_gap",
)  # fmt: skip
_UNUSUAL = ~pl.col("close_reason").is_in(USUAL_REASONS)


@dataclass(frozen=True)
class Drawn:
    """One bar set of one stream, ready to be drawn.

    `bars` has a row for each bar, or for each `step` of time in which bars begin: prices as those of one long bar,
    volumes and counts as sums, `measure_*` (least, median, most) of the single bars, `n_bars`, `reasons`: why bars
    closed, if not as is usual.
    """

    bar_set: str
    exchange: str
    symbol: str
    bars: pl.DataFrame
    step: timedelta | None  # None: a row is a bar
    measure: str  # duration_s | tick_count: the first, where it differs between bars
    reasons: dict[str, int]  # bars by why they closed, the usual left out

    @property
    def first(self) -> datetime:
        """Where the time axis has to begin."""
        return self.bars["time_start"].min()  # type: ignore[return-value]

    @property
    def last(self) -> datetime:
        """Where the time axis has to end."""
        return self.bars["time_end"].max()  # type: ignore[return-value]

    @property
    def n_bars(self) -> int:
        """How many bars the rows stand for."""
        return int(self.bars["n_bars"].sum())


def drawn(bars: pl.LazyFrame, bar_set: str, *, exchange: str, symbol: str) -> Drawn | None:
    """What to draw of these bars, read in one pass that never holds more than is drawn; None where there are none."""
    duration = (pl.col("time_end") - pl.col("time_start")).dt.total_microseconds() / 1e6
    named = bars.select(*COLUMNS_DRAWN, duration_s=duration)
    whole = pl.col("duration_s").filter(~pl.col("is_partial"))
    facts = named.select(
        n=pl.len(),
        first=pl.col("time_start").min(),
        last=pl.col("time_start").max(),
        differs=whole.min() != whole.max(),
    )
    n, first, last, differs = collected(facts, bar_set).row(0)
    if not n:
        return None
    measure = "duration_s" if differs else "tick_count"
    step = None if n <= CANDLES_MAX else _step(last - first, n)
    rows = collected(_rows(named, measure, step), bar_set)
    reasons = named.filter(_UNUSUAL).group_by("close_reason").len().sort("close_reason")
    return Drawn(bar_set, exchange, symbol, rows, step, measure, dict(collected(reasons, bar_set).iter_rows()))


def _rows(bars: pl.LazyFrame, measure: str, step: timedelta | None) -> pl.LazyFrame:
    n_bars = pl.len().alias("n_bars")
    spread = [getattr(pl.col(measure), name)().alias(f"measure_{name}") for name in ("min", "median", "max")]
    sums = pl.col("volume", "dollar_volume", "buy_volume", "sell_volume", "unknown_volume", "tick_count").sum()
    prices = [pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()]
    numbers = pl.col("bar_seq").first()
    marks = [pl.col("is_partial", "has_gap").any(), pl.col("close_reason").filter(_UNUSUAL).unique().alias("reasons")]
    # A bar is a column of its own where every bar is drawn: the row number tells them apart.
    column = (
        pl.int_range(pl.len()).alias("_column")
        if step is None
        else pl.col("time_start").dt.epoch("us").floordiv(step // timedelta(microseconds=1)).alias("_column")
    )
    ends = [pl.col("time_start").min(), pl.col("time_end").max()]
    return (
        bars.with_columns(column)
        .group_by("_column", maintain_order=True)
        .agg(numbers, *ends, *prices, sums, *spread, *marks, n_bars)
        .drop("_column")
    )


def _step(span: timedelta, bars: int) -> timedelta:
    """The shortest round stretch of which there are not too many."""
    most = min(_COLUMNS_MAX, bars / _BARS_PER_COLUMN)
    fitting = (step for step in _STEPS_S if span.total_seconds() / step <= most)
    return timedelta(seconds=next(fitting, _STEPS_S[-1]))
