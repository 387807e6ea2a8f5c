"""What goes in and what comes out, defined once."""

import polars as pl

TIME = pl.Datetime("us", "UTC")
EXACT = pl.Decimal(38, 18)

# Columns a trade must have; the others of `silver.trades` are read where they are present. Without `trade_id` no trade
# can be recognised as repeated, and the ids of bars are the trades' `trade_seq`, else the numbers of their rows.
TRADE_COLUMNS = ("timestamp", "price", "amount")

BAR_SCHEMA: pl.Schema = pl.Schema(
    {
        "bar_seq": pl.Int64(),  # contiguous from 0 within a bar set of one stream
        "time_start": TIME,  # of a time bar the bucket's start, else first_ts
        "time_end": TIME,  # of a time bar the bucket's exclusive end, else last_ts
        "first_ts": TIME,  # exchange time of the first trade
        "last_ts": TIME,  # the largest exchange time of its trades
        "time_span_us": pl.Int64(),  # last_ts - first_ts
        "first_trade_id": pl.String(),
        "last_trade_id": pl.String(),
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "vwap": pl.Float64(),  # the float64 nearest to dollar_volume / volume
        "volume": pl.Float64(),
        "dollar_volume": pl.Float64(),
        "volume_exact": EXACT,
        "dollar_volume_exact": EXACT,
        "tick_count": pl.Int64(),
        "buy_volume": pl.Float64(),
        "buy_dollar_volume": pl.Float64(),
        "buy_tick_count": pl.Int64(),
        "sell_volume": pl.Float64(),
        "sell_dollar_volume": pl.Float64(),
        "sell_tick_count": pl.Int64(),
        "unknown_volume": pl.Float64(),  # of trades without a side
        "unknown_dollar_volume": pl.Float64(),
        "unknown_tick_count": pl.Int64(),
        "close_reason": pl.String(),  # time | threshold | flush; open for `peek`
        "is_partial": pl.Boolean(),  # ended by a flush, or a bucket whose start was not seen
        "has_gap": pl.Boolean(),  # a declared hole lies inside the bar
        "threshold": pl.Float64(),  # null for time bars
        "available_at": TIME,  # the earliest exchange time at which the bar could be known
        "known_at": TIME,  # the largest capture time of its trades
    }
)


_NO_BARS = BAR_SCHEMA.to_frame()


def no_bars() -> pl.DataFrame:
    """An empty frame of bars."""
    return _NO_BARS.clone()
