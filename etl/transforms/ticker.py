"""Silver tickers: what the exchange said of itself, with its spread, as a transform over one stream's bronze rows."""

import msgspec
import polars as pl

from etl.core.base import BaseTransform
from etl.core.registry import register_transform
from etl.features.ticker import FACTS, ticker_features
from etl.transforms.silver_rows import silver_rows

TICKER_COLUMNS = ("capture_ts", "seq", *(fact.name for fact in FACTS if fact.name != "known_at"))


@register_transform("ticker")
class TickerTransform(BaseTransform):
    """The rows of one stream, numbered. Each is made from one row of bronze alone."""

    name = "ticker"
    version = 1

    def __init__(self, *, stream: tuple[str, str], made_of: str, state: bytes | None = None) -> None:
        self.rules = made_of
        self._stream = stream
        self._ordinal = msgspec.msgpack.decode(state, type=int) if state else 0

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A row for each of these."""
        first, self._ordinal = self._ordinal, self._ordinal + rows.height
        numbers = pl.int_range(first, self._ordinal, dtype=pl.Int64, eager=True).alias("ordinal")
        return silver_rows(ticker_features(rows).insert_column(0, numbers), stream=self._stream)

    def finish(self) -> pl.DataFrame:
        """Nothing is held back."""
        return pl.DataFrame()

    def snapshot(self) -> bytes:
        """How many rows there were, as msgpack."""
        return msgspec.msgpack.encode(self._ordinal)
