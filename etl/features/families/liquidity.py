"""What trading through the book would cost, and how concentrated it is."""

import numpy as np

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatelessFamily
from etl.features.families.imbalance import depth
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows


class Liquidity(StatelessFamily):
    """Price of depth, and shares of the levels."""

    rank = 60
    needs = ("price", "depth")
    options = ("depth_levels",)

    def __init__(self, options: FeatureOptions) -> None:
        self._levels = options.depth_levels
        herfindahl, top = "sum (q_i / D)^2", "q_0 / D"
        self.features = (
            Feature("lambda_like", "quote per base", "vwap_spread / (D_b + D_a)", HOUSE, "S11"),
            Feature("amihud_like", "1/quote", "vwap_spread / mid / sum p q of both sides", HOUSE, "S11"),
            *(Feature(f"{side}_concentration", "[0, 1]", herfindahl, "Herfindahl", "S11") for side in ("bid", "ask")),
            *(Feature(f"{side}_top_share", "[0, 1]", top, HOUSE, "S11") for side in ("bid", "ask")),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        n, mid, spread = self._levels, rows.columns["mid_price"], rows.columns["vwap_spread"]
        bid, ask = rows.bid_size[:, :n], rows.ask_size[:, :n]
        bid_depth, ask_depth = depth(bid), depth(ask)
        value = rows.columns[f"vwap_bid_{n}"] * bid_depth + rows.columns[f"vwap_ask_{n}"] * ask_depth
        values = (
            spread / (bid_depth + ask_depth),
            spread / mid / value,
            _concentration(bid, bid_depth),
            _concentration(ask, ask_depth),
            bid[:, 0] / bid_depth,
            ask[:, 0] / ask_depth,
        )
        return self.named(values)


def _concentration(size: Floats, total: Floats) -> Floats:
    out = np.empty(len(size))
    _square(size, total, out)
    return out


@kernel(error_model="numpy")
def _square(size, total, out):  # type: ignore[no-untyped-def]
    for k in range(len(size)):
        out[k] = (size[k, 0] / total[k]) ** 2
        for i in range(1, size.shape[1]):
            if size[k, i] != size[k, i]:
                break
            out[k] += (size[k, i] / total[k]) ** 2
