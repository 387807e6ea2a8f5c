"""Gold bars: a builder of `etl.bars` as a transform over one stream's silver trades."""

from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from etl.bars import BAR_SCHEMA, bar_set_id, bar_types, new_bars
from etl.core.base import BaseTransform
from etl.core.registry import register_transform
from shared.clock import us_from_utc, utc_from_us


class BarsState(msgspec.Struct, frozen=True):
    """All that `BarsTransform` knows."""

    builder: bytes
    latest_us: int | None = None


@register_transform("bars")
class BarsTransform(BaseTransform):
    """One bar set of one stream. Silver is already in order and each trade once, so anything else is our error.

    Where the order is the exchange's sequence, its times may go back a little. For time bars a trade then counts at the
    latest time seen, so that no trade is dropped and bars stay slices of the order (docs/decisions/0006).
    """

    name = "bars"
    version = 1

    def __init__(
        self, kind: str, params: Mapping[str, Any], *, exchange: str, symbol: str, state: bytes | None = None
    ) -> None:
        restored = msgspec.msgpack.decode(state, type=BarsState) if state else None
        inner = msgspec.msgpack.decode(restored.builder, type=bar_types()[kind].State) if restored else None
        self._builder = new_bars(kind, **params, late="raise", dedup_window=1, state=inner)
        self._keys = {"bar_set": bar_set_id(kind, params), "exchange": exchange, "symbol": symbol}
        self._by_time = kind == "time"
        self._latest_us = restored.latest_us if restored else None

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The bars that these silver trades close."""
        if self._by_time and rows.height:
            rows = rows.with_columns(self._never_back())
            self._latest_us = us_from_utc(rows["timestamp"][-1])
        return self._table(self._builder.update(rows))

    def _never_back(self) -> pl.Expr:
        latest = pl.col("timestamp").cum_max()
        if self._latest_us is None:
            return latest
        before = pl.lit(utc_from_us(self._latest_us)).cast(pl.Datetime("us", "UTC"))
        return pl.max_horizontal(latest, before).alias("timestamp")

    def finish(self) -> pl.DataFrame:
        """The open bar, marked partial."""
        return self._table(self._builder.flush())

    def snapshot(self) -> bytes:
        """The builder's state as msgpack."""
        return msgspec.msgpack.encode(BarsState(msgspec.msgpack.encode(self._builder.snapshot()), self._latest_us))

    def _table(self, bars: pl.DataFrame) -> pl.DataFrame:
        start = pl.col("time_start").dt
        return bars.select(
            *(pl.lit(value).alias(name) for name, value in self._keys.items()),
            *BAR_SCHEMA,
            start.year().cast(pl.Int32).alias("year"),
            start.month().cast(pl.Int32).alias("month"),
        )
