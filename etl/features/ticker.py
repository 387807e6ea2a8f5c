"""Silver `ticker`: the exchange's own summary, with what its best bid and ask say."""

import polars as pl

from etl.features.declared import HOUSE, TIME, Fact, Feature
from etl.features.options import FeatureOptions
from shared.errors import InputUnreadable

_SENT = {
    "bid": "best bid [quote]",
    "ask": "best ask [quote]",
    "bid_volume": "size of the best bid [base]",
    "ask_volume": "size of the best ask [base]",
    "last": "price of the last trade [quote]",
    "open": "price 24 hours ago [quote]",
    "high": "highest price of 24 hours [quote]",
    "low": "lowest price of 24 hours [quote]",
    "close": "as last [quote]",
    "vwap": "volume-weighted price of 24 hours [quote]",
    "base_volume": "volume of 24 hours [base]",
    "quote_volume": "value of 24 hours [quote]",
    "change": "last less open [quote]",
    "percentage": "change in percent of open",
}
FACTS = (
    Fact("timestamp", TIME, "the exchange's time; where it sent none, that of the capture"),
    Fact("known_at", TIME, "time of the capture"),
    *(Fact(name, pl.Float64(), what) for name, what in _SENT.items()),
)
_FEATURES = (
    Feature("mid_price", "quote", "(bid + ask) / 2", HOUSE, "S1"),
    Feature("spread", "quote", "ask - bid", HOUSE, "S2"),
    Feature("relative_spread", "fraction", "spread / mid", HOUSE, "S2"),
    Feature("relative_spread_bps", "bps", "spread / mid * 1e4", HOUSE, "S2"),
)


def features(_: FeatureOptions) -> tuple[Feature, ...]:
    """The features of each row; no option changes them."""
    return _FEATURES


def ticker_features(rows: pl.DataFrame) -> pl.DataFrame:
    """A row of silver for each row of bronze: facts, then features.

    They are null where a side is missing or no price, and where the bid is above the ask.

    Args:
        rows: bronze `ticker`: `timestamp`, `bid`, `ask`, and of `capture_ts` and the other columns those there are.

    Raises: InputUnreadable for a column that is missing or of a wrong type, and for a row without any time.

    >>> from datetime import datetime, UTC
    >>> one = pl.DataFrame({"timestamp": [datetime(2024, 1, 1, tzinfo=UTC)], "bid": [100.0], "ask": [100.5]})
    >>> ticker_features(one)["mid_price", "spread"].row(0)
    (100.25, 0.5)
    """
    for name in ("timestamp", "bid", "ask"):
        if name not in rows.columns:
            raise InputUnreadable(f"ticker rows have no column {name!r}", hint=f"There are {', '.join(rows.columns)}")
    for name, dtype in rows.schema.items():
        if name in ("timestamp", "capture_ts") and not (isinstance(dtype, pl.Datetime) and dtype.time_zone):
            raise InputUnreadable(f"column {name!r} of ticker is {dtype}", hint="Times are Datetime with time zone UTC")
        if name in _SENT and not (dtype.is_numeric() or dtype == pl.Null):
            raise InputUnreadable(f"column {name!r} of ticker is {dtype}", hint="It must be numbers")
    captured = "capture_ts" if "capture_ts" in rows.columns else "timestamp"
    moments = pl.coalesce("timestamp", captured), pl.coalesce(captured, "timestamp")
    if rows.select(moments[0].is_null().any()).item():
        raise InputUnreadable("timestamp of ticker is null where no capture_ts stands in for it", hint="Drop such rows")
    given = (pl.col(name) if name in rows.columns else pl.lit(None).alias(name) for name in _SENT)
    sent = [column.cast(pl.Float64) for column in given]
    table = rows.select(
        moments[0].cast(TIME).alias("timestamp"),
        moments[1].cast(TIME).alias("known_at"),
        *(pl.when(column.is_finite()).then(column) for column in sent),
    )
    bid, ask = (pl.when(pl.col(name) > 0).then(pl.col(name)) for name in ("bid", "ask"))
    sides = table.select(pl.when(bid <= ask).then(bid).alias("bid"), pl.when(bid <= ask).then(ask).alias("ask"))
    mid, spread = (sides["bid"] + sides["ask"]) / 2, sides["ask"] - sides["bid"]
    made = (mid, spread, spread / mid, spread / mid * 1e4)
    return table.with_columns(values.alias(one.name) for one, values in zip(_FEATURES, made, strict=True))
