"""Trades as lists, frames and hypothesis strategies; and bars as plain rows, for `==`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
from hypothesis import strategies as st

from etl.bars import BAR_SCHEMA, Bars
from tests.etl.bars.golden_vectors import golden as golden
from tests.etl.bars.reference import Reference, Trade

UTC_US = pl.Datetime("us", "UTC")
START = datetime(1970, 1, 1, tzinfo=UTC)


def frame(trades: Sequence[Trade], *, texts: bool = False) -> pl.DataFrame:
    """Silver trades; with `texts` the numbers also stand in the text columns, and the floats are wrong."""
    has_arrival = any(t.arrival for t in trades)
    columns = {
        "trade_id": pl.Series([t.trade_id for t in trades], dtype=pl.String),
        "trade_seq": pl.Series([t.trade_seq for t in trades], dtype=pl.Int64),
        "timestamp": pl.Series([t.us for t in trades], dtype=pl.Int64).cast(UTC_US),
        "side": pl.Series([t.side for t in trades], dtype=pl.String),
        "price": pl.Series([1.5 if texts else float(t.price) for t in trades], dtype=pl.Float64),
        "amount": pl.Series([1.5 if texts else float(t.amount) for t in trades], dtype=pl.Float64),
        "price_text": pl.Series([str(t.price) if texts else None for t in trades], dtype=pl.String),
        "amount_text": pl.Series([str(t.amount) if texts else None for t in trades], dtype=pl.String),
        "known_at": pl.Series([t.known_us for t in trades], dtype=pl.Int64).cast(UTC_US),
        "gap_before": pl.Series([t.gap_before for t in trades], dtype=pl.Boolean),
    }
    if has_arrival:
        columns["epoch"] = pl.Series([t.arrival[0] for t in trades if t.arrival], dtype=pl.String)
        columns["seq"] = pl.Series([t.arrival[1] for t in trades if t.arrival], dtype=pl.Int64)
    return pl.DataFrame(columns)


def put_in_order(trades: Sequence[Trade]) -> list[Trade]:
    """The trades as a sound tape: each once, in the order of their times, numbered."""
    sound = sorted({t.trade_id: t for t in trades}.values(), key=lambda t: t.us)
    return [replace(trade, trade_seq=number, arrival=None) for number, trade in enumerate(sound)]


def rows(bars: pl.DataFrame) -> list[dict[str, Any]]:
    """The bars in the reference's terms: times in us, exact numbers as fractions."""
    assert bars.schema == BAR_SCHEMA
    return [
        {
            name: (value - START) // timedelta(microseconds=1)
            if isinstance(value, datetime)
            else Fraction(value)
            if isinstance(value, Decimal)
            else value
            for name, value in bar.items()
        }
        for bar in bars.to_dicts()
    ]


def built(bars: Bars, trades: Sequence[Trade], *, texts: bool = False, flush: bool = True) -> list[dict[str, Any]]:
    """All bars of the trades given at once."""
    out = [bars.update(frame(trades, texts=texts))]
    return rows(pl.concat([*out, bars.flush()] if flush else out))


def referred(reference: Reference, trades: Sequence[Trade], *, flush: str = "flush") -> list[dict[str, Any]]:
    """All bars of the reference so far, these trades given too."""
    for trade in trades:
        reference.give(trade)
    if flush:
        reference.flush(flush)
    return [shown(bar) for bar in reference.bars]


def shown(bar: dict[str, Any]) -> dict[str, Any]:
    """The reference's bar in the columns that bars have."""
    return {name: bar[name] for name in BAR_SCHEMA}


# Numbers: ticks, cents, very small and large ones; and such as need more digits than a float or a kernel has. The
# product of two has at most 18 decimal places, and forty of them fit the exact columns.
NUMBERS = st.one_of(
    st.integers(1, 40).map(lambda n: Decimal(n) / 2),
    st.integers(1, 10_000_000).map(lambda n: Decimal(n) / 100),
    st.sampled_from(["0.1", "1e-8", "1.23e-7", "3e5", "1e9", "60000.01", "123456.789"]).map(Decimal),
)
LONG_NUMBERS = st.sampled_from(["123456789.123456789", "900719925.474099301", "0.123456789", "2147483648"]).map(Decimal)


@st.composite
def streams(
    draw: st.DrawFn, *, max_size: int = 40, with_seq: bool | None = None, long: bool = False, days: bool = False
) -> list[Trade]:
    """Trades in order, or with the order spoiled: ties, jumps, gaps, repeated and late ones; with `days`, over days."""
    n = draw(st.integers(0, max_size))
    with_seq = draw(st.booleans()) if with_seq is None else with_seq
    with_arrival = not with_seq and draw(st.booleans())
    numbers = st.one_of(NUMBERS, LONG_NUMBERS) if long else NUMBERS
    us, seq = draw(st.integers(0, 10)) * 7_000_000, 100
    jumps = [0, 0, 1, 900_000, 5_000_000, 61_000_000, -3_000_000 if with_seq else 0]
    jumps += [30_000_000_000, 90_000_000_000, -30_000_000_000 if with_seq else 1] if days else []
    trades: list[Trade] = []
    for row in range(n):
        us += draw(st.sampled_from(jumps))
        us = max(us, 0)
        seq += draw(st.sampled_from([1, 1, 1, 3]))
        trades.append(
            Trade(
                f"t{row}",
                us,
                draw(numbers),
                draw(numbers),
                draw(st.sampled_from(["buy", "sell", None])),
                trade_seq=seq if with_seq else None,
                arrival=(f"e{row // 7:03d}", row) if with_arrival else None,
                known_us=draw(st.sampled_from([None, us + 35_000, us + 5_000_000])),
                gap_before=draw(st.integers(0, 9)) == 0,
            )
        )
    for _ in range(draw(st.integers(0, 3)) if n > 3 else 0):  # a repeated slice, or a trade that comes late
        at = draw(st.integers(1, len(trades)))
        if draw(st.booleans()):
            first = draw(st.integers(0, at - 1))
            trades[at:at] = trades[first:at]
        else:
            trades.insert(at, trades.pop(draw(st.integers(0, at - 1))))
    return trades
