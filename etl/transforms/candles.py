"""Gold candles: one rung of a stream's ladder, from silver trades or from the candles of the rung below."""

import msgspec
import polars as pl

from etl.bars.candles import CANDLE_SCHEMA, TradeCandles
from etl.bars.merging import CandleState, MergedCandles
from etl.core.base import BaseTransform
from etl.core.registry import register_transform


@register_transform("candles")
class TradeCandlesTransform(BaseTransform):
    """Candles of one stream from its silver trades, which go by `tape_ts` (docs/decisions/0006)."""

    name = "candles"
    version = 1

    def __init__(self, interval: str, *, exchange: str, symbol: str, state: bytes | None = None) -> None:
        restored = msgspec.msgpack.decode(state, type=TradeCandles.State) if state else None
        self._builder = TradeCandles(interval=interval, late="raise", dedup_window=1, state=restored)
        self._keys = {"exchange": exchange, "symbol": symbol}

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The candles that these silver trades close."""
        return _table(self._builder.update(rows.with_columns(trade_seq="ordinal", timestamp="tape_ts")), self._keys)

    def finish(self) -> pl.DataFrame:
        """The open candle, marked partial."""
        return _table(self._builder.flush(), self._keys)

    def snapshot(self) -> bytes:
        """The builder's state as msgpack."""
        return msgspec.msgpack.encode(self._builder.snapshot())


@register_transform("merged_candles")
class MergedCandlesTransform(BaseTransform):
    """Candles of one stream from its candles of a finer interval."""

    name = "merged_candles"
    version = 1

    def __init__(self, interval: str, *, exchange: str, symbol: str, state: bytes | None = None) -> None:
        restored = msgspec.msgpack.decode(state, type=CandleState) if state else None
        self._merged = MergedCandles(interval=interval, state=restored)
        self._keys = {"exchange": exchange, "symbol": symbol}

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The candles that these finer ones close."""
        return _table(self._merged.update(rows), self._keys)

    def passed(self, us: int) -> pl.DataFrame:
        """The open candle, if a trade at `us` since 1970 has closed it: every finer candle before has been given."""
        return _table(self._merged.advance_watermark(us), self._keys)

    def finish(self) -> pl.DataFrame:
        """The open candle, marked partial."""
        return _table(self._merged.flush(), self._keys)

    def snapshot(self) -> bytes:
        """The state as msgpack."""
        return msgspec.msgpack.encode(self._merged.snapshot())


def _table(candles: pl.DataFrame, keys: dict[str, str]) -> pl.DataFrame:
    start = pl.col("time_start").dt
    return candles.select(
        "interval",
        *(pl.lit(value).alias(name) for name, value in keys.items()),
        *(name for name in CANDLE_SCHEMA if name != "interval"),
        start.year().cast(pl.Int32).alias("year"),
        start.month().cast(pl.Int32).alias("month"),
    )
