"""The top of the book: mid price, spread, and where the weight of the best sizes lies."""

import numpy as np

from etl.features.declared import Feature, StatelessFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_HOUSE = "definition"


class Price(StatelessFamily):
    """Features of the best bid and ask."""

    rank = 10

    def __init__(self, options: FeatureOptions) -> None:
        self.features = (
            Feature("mid_price", "quote", "(bid_0 + ask_0) / 2", _HOUSE, "S1"),
            Feature("spread", "quote", "ask_0 - bid_0", _HOUSE, "S2"),
            Feature("relative_spread", "fraction", "spread / mid", _HOUSE, "S2"),
            Feature("relative_spread_bps", "bps", "spread / mid * 1e4", _HOUSE, "S2"),
            Feature(
                "microprice",
                "quote",
                "(bid_0 q_a0 + ask_0 q_b0) / (q_a0 + q_b0)",
                "Gatheral and Oomen 2010 (weighted mid)",
                "S2",
            ),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        bid, ask = rows.bid_price[:, 0], rows.ask_price[:, 0]
        bid_size, ask_size = rows.bid_size[:, 0], rows.ask_size[:, 0]
        mid = (bid + ask) / 2
        spread = ask - bid
        relative = spread / mid
        micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
        return {
            "mid_price": mid,
            "spread": spread,
            "relative_spread": relative,
            "relative_spread_bps": relative * 1e4,
            "microprice": np.clip(micro, bid, ask),  # rounding must not put it outside of the spread
        }
