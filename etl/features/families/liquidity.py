"""What trading through the book would cost, and how concentrated it is."""

import numpy as np

from etl.features.declared import Feature, StatelessFamily
from etl.features.families.depth import vwap
from etl.features.families.imbalance import depth
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_HOUSE = "definition"


class Liquidity(StatelessFamily):
    """Price of depth, and shares of the levels."""

    rank = 60
    needs = ("price",)
    options = ("depth_levels",)

    def __init__(self, options: FeatureOptions) -> None:
        self._levels = options.depth_levels
        herfindahl, top = "sum (q_i / D)^2", "q_0 / D"
        self.features = (
            Feature("lambda_like", "quote per base", "vwap_spread / (D_b + D_a)", _HOUSE, "S11"),
            Feature("amihud_like", "1/quote", "vwap_spread / mid / sum p q of both sides", _HOUSE, "S11"),
            *(Feature(f"{side}_concentration", "[0, 1]", herfindahl, "Herfindahl", "S11") for side in ("bid", "ask")),
            *(Feature(f"{side}_top_share", "[0, 1]", top, _HOUSE, "S11") for side in ("bid", "ask")),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        n, mid = self._levels, rows.columns["mid_price"]
        bid_price, ask_price, bid, ask = (
            matrix[:, :n] for matrix in (rows.bid_price, rows.ask_price, rows.bid_size, rows.ask_size)
        )
        spread = vwap(ask_price, ask) - vwap(bid_price, bid)
        value = np.nansum(bid_price * bid, axis=1) + np.nansum(ask_price * ask, axis=1)
        with np.errstate(all="ignore"):
            values = (
                spread / (depth(bid) + depth(ask)),
                spread / mid / value,
                *(_concentration(size) for size in (bid, ask)),
                *(size[:, 0] / depth(size) for size in (bid, ask)),
            )
        return {feature.name: found for feature, found in zip(self.features, values, strict=True)}


def _concentration(size: Floats) -> Floats:
    total = depth(size)
    return np.where(np.isnan(total), np.nan, np.nansum((size / total[:, None]) ** 2, axis=1))
