"""Every level of the book in columns of its own."""

from etl.features.declared import HOUSE, Feature, StatelessFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows


class Levels(StatelessFamily):
    """Price and size of each level, best first; null beyond the book's depth."""

    rank = 20
    options = ("max_levels", "level_columns")

    def __init__(self, options: FeatureOptions) -> None:
        self._count = options.max_levels if options.level_columns else 0
        self.features = tuple(
            Feature(f"{side}_{what}_L{i}", "quote" if what == "price" else "base", f"level {i}", HOUSE, "S4")
            for side in ("bid", "ask")
            for i in range(self._count)
            for what in ("price", "size")
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The levels of these rows."""
        matrices = {
            "bid_price": rows.bid_price,
            "bid_size": rows.bid_size,
            "ask_price": rows.ask_price,
            "ask_size": rows.ask_size,
        }
        return {f"{name}_L{i}": matrix[:, i] for name, matrix in matrices.items() for i in range(self._count)}
