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
        "unknown_volume": pl.Float64(),  # of trades without a sign: neither side nor price change so far
        "unknown_dollar_volume": pl.Float64(),
        "unknown_tick_count": pl.Int64(),
        "close_reason": pl.String(),  # time | threshold | max_ticks | warmup | gap | flush; open for `peek`
        "is_partial": pl.Boolean(),  # ended before its time, or a bucket whose start was not seen
        "has_gap": pl.Boolean(),  # a declared hole lies inside the bar
        "threshold": pl.Float64(),  # in force since the bar's first trade; null for time bars and while warming up
        "theta": pl.Float64(),  # of imbalance bars: the signed sum of ticks, volume or value
        "theta_buy": pl.Float64(),  # of run bars: the sum of the buys
        "theta_sell": pl.Float64(),  # of run bars: the sum of the sells
        "overshoot": pl.Float64(),  # what was counted, less the threshold
        "expected_ticks": pl.Float64(),  # E[T] that the threshold was made from
        "expected_imbalance": pl.Float64(),  # E[b w] that the threshold was made from
        "noise_floor": pl.Float64(),  # of imbalance bars: the threshold is at least this
        "p_buy": pl.Float64(),  # of run bars: expected share of buys
        "v_plus": pl.Float64(),  # of run bars: expected ticks, volume or value of a buy
        "v_minus": pl.Float64(),  # of run bars: the same of a sell
        "n_side": pl.Int64(),  # trades signed by the side that the exchange told
        "n_tick": pl.Int64(),  # by the price change
        "n_carry": pl.Int64(),  # as the trade before them, or unknown where none came before
        "n_ts_regress": pl.Int64(),  # trades stamped before the trade before them
        "available_at": TIME,  # the earliest exchange time at which the bar could be known
        "known_at": TIME,  # the largest capture time of its trades
    }
)
FACT_COLUMNS = ("threshold", "theta", "theta_buy", "theta_sell", "overshoot", "expected_ticks", "expected_imbalance",
                "noise_floor", "p_buy", "v_plus", "v_minus")  # fmt: skip

_NO_BARS = BAR_SCHEMA.to_frame()


def no_bars() -> pl.DataFrame:
    """An empty frame of bars."""
    return _NO_BARS.clone()
