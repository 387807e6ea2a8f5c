"""Silver trade features: `etl.features.trade_features` as a transform over one stream's silver trades."""

import msgspec
import polars as pl

from etl.core.base import BaseTransform
from etl.core.registry import register_transform
from etl.features.options import FeatureOptions
from etl.features.saved import SavedState
from etl.features.trade_features import OPTIONS, VERSION, TradeFeatures
from etl.transforms.silver_rows import silver_rows


@register_transform("trade_features")
class TradeFeaturesTransform(BaseTransform):
    """A row for every silver trade of one stream, with its number. Time is `tape_ts`, which never goes back."""

    name = "trade_features"
    version = VERSION

    def __init__(self, options: FeatureOptions, *, stream: tuple[str, str], state: bytes | None = None) -> None:
        self.rules = options.identity(*OPTIONS)
        restored = msgspec.msgpack.decode(state, type=SavedState) if state else None
        self._features = TradeFeatures(state=restored, **msgspec.structs.asdict(options))
        self._stream = stream

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The features of these trades."""
        return silver_rows(self._features.update(rows.with_columns(timestamp="tape_ts")), stream=self._stream)

    def finish(self) -> pl.DataFrame:
        """Nothing is held back."""
        return pl.DataFrame()

    def snapshot(self) -> bytes:
        """The whole state as msgpack."""
        return msgspec.msgpack.encode(self._features.snapshot())
