"""Gold book bars: `etl.features.book_bars` as a transform over one stream's silver order book rows."""

import msgspec
import polars as pl

from etl.core.base import BaseTransform
from etl.core.registry import register_transform
from etl.features.book_bars import OPTIONS, VERSION, BookBars
from etl.features.options import FeatureOptions
from etl.features.saved import SavedState


@register_transform("book_bars")
class BookBarsTransform(BaseTransform):
    """The bars of one length of one stream."""

    name = "book_bars"
    version = VERSION

    def __init__(
        self, options: FeatureOptions, *, seconds: int, stream: tuple[str, str], state: bytes | None = None
    ) -> None:
        self.rules = options.identity(*OPTIONS)
        restored = msgspec.msgpack.decode(state, type=SavedState) if state else None
        self._bars = BookBars(bar_duration_sec=seconds, state=restored, **msgspec.structs.asdict(options))
        self._exchange, self._symbol = stream

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The bars that these rows close."""
        return self._table(self._bars.update(rows))

    def finish(self) -> pl.DataFrame:
        """The bar that is open."""
        return self._table(self._bars.flush())

    def snapshot(self) -> bytes:
        """The whole state as msgpack."""
        return msgspec.msgpack.encode(self._bars.snapshot())

    def _table(self, bars: pl.DataFrame) -> pl.DataFrame:
        start = pl.col("time_start").dt
        return bars.select(
            "bar_seq",
            pl.lit(self._exchange).alias("exchange"),
            pl.lit(self._symbol).alias("symbol"),
            pl.exclude("bar_seq"),
            start.year().cast(pl.Int32).alias("year"),
            start.month().cast(pl.Int32).alias("month"),
        )
