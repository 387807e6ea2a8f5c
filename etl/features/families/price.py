"""The top of the book: mid price, spread, and where the weight of the best sizes lies."""

import numpy as np

from etl.features.declared import HOUSE, Feature, StatelessFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows


class Price(StatelessFamily):
    """Features of the best bid and ask."""

    rank = 10

    def __init__(self, options: FeatureOptions) -> None:
        self.features = (
            Feature("mid_price", "quote", "(bid_0 + ask_0) / 2", HOUSE, "S1"),
            Feature("spread", "quote", "ask_0 - bid_0", HOUSE, "S2"),
            Feature("relative_spread", "fraction", "spread / mid", HOUSE, "S2"),
            Feature("relative_spread_bps", "bps", "spread / mid * 1e4", HOUSE, "S2"),
            Feature(
                "microprice",
                "quote",
                "(bid_0 q_a0 + ask_0 q_b0) / (q_a0 + q_b0)",
                "Gatheral and Oomen 2010 (weighted mid)",
                "S2",
            ),
            Feature("micro_dev", "[-1, 1]", "(microprice - mid) / (spread / 2)", HOUSE, "A8"),
            Feature("queue_log_ratio", "1", "ln(q_b0 / q_a0)", HOUSE, "A1"),
            *(Feature(f"gap_{side}", "bps", "|p_1 - p_0| / mid * 1e4", HOUSE, "A11") for side in ("bid", "ask")),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        bid, ask = rows.bid_price[:, 0], rows.ask_price[:, 0]
        bid_size, ask_size = rows.bid_size[:, 0], rows.ask_size[:, 0]
        mid = (bid + ask) / 2
        spread = ask - bid
        relative = spread / mid
        micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
        # the same as from the microprice, where the difference of two nearly equal prices would be mostly rounding
        deviation = np.where(spread > 0, (bid_size - ask_size) / (bid_size + ask_size), np.nan)
        return {
            "mid_price": mid,
            "spread": spread,
            "relative_spread": relative,
            "relative_spread_bps": relative * 1e4,
            "microprice": np.clip(micro, bid, ask),  # rounding must not put it outside of the spread
            "micro_dev": deviation,
            "queue_log_ratio": np.log(bid_size / ask_size),
            "gap_bid": _gap_bps(rows.bid_price, mid),
            "gap_ask": _gap_bps(rows.ask_price, mid),
        }


def _gap_bps(price: Floats, mid: Floats) -> Floats:
    if price.shape[1] < 2:
        return np.full(len(mid), np.nan)
    return np.abs(price[:, 1] - price[:, 0]) / mid * 1e4
