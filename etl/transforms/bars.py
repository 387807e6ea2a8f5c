"""Gold bars: a builder of `etl.bars` as a transform over one stream's silver trades."""

from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from etl.bars import BAR_SCHEMA, bar_set_id, new_bars, read_state
from etl.core.base import BaseTransform
from etl.core.registry import register_transform


@register_transform("bars")
class BarsTransform(BaseTransform):
    """One bar set of one stream. Silver is in order and each trade once: its `ordinal` is the sequence.

    Time bars go by `tape_ts`, which never goes back, so that no trade of an exchange whose times do is dropped
    (docs/decisions/0006).
    """

    name = "bars"
    version = 2

    def __init__(
        self, kind: str, params: Mapping[str, Any], *, exchange: str, symbol: str, state: bytes | None = None
    ) -> None:
        restored = read_state(kind, state) if state else None
        self._builder = new_bars(kind, **params, late="raise", dedup_window=1, state=restored)
        self._keys = {"bar_set": bar_set_id(kind, params), "exchange": exchange, "symbol": symbol}
        self._clock = clock_of(kind)

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The bars that these silver trades close."""
        return self._table(self._builder.update(sequenced(rows, clock=self._clock)))

    def finish(self) -> pl.DataFrame:
        """The open bar, marked partial."""
        return self._table(self._builder.flush())

    def snapshot(self) -> bytes:
        """The builder's state as msgpack."""
        return msgspec.msgpack.encode(self._builder.snapshot())

    def _table(self, bars: pl.DataFrame) -> pl.DataFrame:
        return gold_bars(bars, **self._keys)


def clock_of(kind: str) -> str:
    """The column of silver trades that bars of this kind go by."""
    return "tape_ts" if kind == "time" else "timestamp"


def sequenced(rows: pl.DataFrame, *, clock: str) -> pl.DataFrame:
    """Silver trades of one stream as a builder takes them, which need not look at every row for whose they are."""
    return rows.with_columns(trade_seq="ordinal", timestamp=clock).drop("exchange", "symbol", strict=False)


def gold_bars(bars: pl.DataFrame, **keys: str) -> pl.DataFrame:
    """Bars as rows of gold: behind the columns that say whose they are, before those of their partition."""
    start = pl.col("time_start").dt
    return bars.select(
        *(pl.lit(value).alias(name) for name, value in keys.items()),
        *BAR_SCHEMA,
        start.year().cast(pl.Int32).alias("year"),
        start.month().cast(pl.Int32).alias("month"),
    )


def bar_facts(kind: str, params: Mapping[str, Any]) -> dict[str, str]:
    """What a Parquet file of these bars says of itself, so that it explains itself alone."""
    bars = new_bars(kind, **params)
    return {
        "daedalus.table": "bars",
        "daedalus.bar_set": bar_set_id(kind, params),
        "daedalus.bar_type": bars.kind,
        "daedalus.parameters": msgspec.json.encode(bars.params).decode(),
        "daedalus.parameters_hash": bars.params_hash(),
        "daedalus.tick_unit": str(bars.params.get("tick_unit", "print")),
        "daedalus.side": "taker",  # whose side buys and sells are counted by
    }
