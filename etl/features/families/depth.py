"""How much stands near the mid price: mean prices, and depth that counts less the further away it is."""

import math

import numpy as np

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatelessFamily
from etl.features.families.imbalance import depth, imbalance
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows


class Depth(StatelessFamily):
    """Mean prices of the first n levels, and smart depth of all of them."""

    rank = 50
    needs = ("price",)
    options = ("depth_levels", "smart_depth_kind", "smart_half_life_bps", "smart_alpha")

    def __init__(self, options: FeatureOptions) -> None:
        n = self._levels = options.depth_levels
        is_by_level = options.smart_depth_kind == "index"
        by = "exp(-alpha i)" if is_by_level else "exp(-ln 2 / half-life d_i)"
        self._decay = options.smart_alpha if is_by_level else math.log(2) / options.smart_half_life_bps, is_by_level
        self.features = (
            *(Feature(f"vwap_{side}_{n}", "quote", "sum p q / sum q", HOUSE, "S7") for side in ("bid", "ask")),
            Feature("vwap_spread", "quote", "vwap_ask - vwap_bid", HOUSE, "S7"),
            Feature("vwap_spread_bps", "bps", "vwap_spread / mid * 1e4", HOUSE, "S7"),
            Feature(f"wmid_{n}", "quote", "(vwap_bid D_a + vwap_ask D_b) / (D_a + D_b)", HOUSE, "A3"),
            *(Feature(f"smart_{side}_depth", "base", f"sum q_i {by}", HOUSE, "S8") for side in ("bid", "ask")),
            Feature("smart_depth_imbalance", "[-1, 1]", "(b - a) / (b + a) of smart depth", HOUSE, "S8"),
            Feature("inv_dist_imbalance", "[-1, 1]", "(b - a) / (b + a) of sum q_i / d_i", HOUSE, "A12"),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        n, mid = self._levels, rows.columns["mid_price"]
        bid, ask = (_vwap(price[:, :n], size[:, :n]) for price, size in _sides(rows))
        bid_depth, ask_depth = (depth(size[:, :n]) for _, size in _sides(rows))
        near = np.empty((2, 2, len(rows)))  # smart depth and sum q_i / d_i of each side
        for (price, size), found in zip(_sides(rows), near, strict=True):
            _weigh(price, size, mid, self._decay, found)
        smart, inverse = near[:, 0], near[:, 1]
        weighted = (bid * ask_depth + ask * bid_depth) / (ask_depth + bid_depth)
        values = (bid, ask, ask - bid, (ask - bid) / mid * 1e4, weighted, *smart)
        values = (*values, imbalance(smart[0], smart[1]), imbalance(inverse[0], inverse[1]))
        return self.named(values)


def _sides(rows: Rows) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    return (rows.bid_price, rows.bid_size), (rows.ask_price, rows.ask_size)


def _vwap(price: Floats, size: Floats) -> Floats:
    """Of (rows, levels); NaN where there is no level."""
    out = np.empty(len(price))
    _average(price, size, out)
    return out


@kernel(error_model="numpy")
def _average(price, size, out):  # type: ignore[no-untyped-def]
    for k in range(len(price)):
        value, total = 0.0, 0.0
        for i in range(price.shape[1]):
            if price[k, i] != price[k, i]:
                break
            value += price[k, i] * size[k, i]
            total += size[k, i]
        out[k] = value / total


@kernel(error_model="numpy")
def _weigh(price, size, mid, decay, out):  # type: ignore[no-untyped-def]
    """`decay` is the rate per bps, or per level, and whether it is by level."""
    rate, is_by_level = decay
    for k in range(len(price)):
        if mid[k] != mid[k]:
            out[:, k] = np.nan
            continue
        smart, inverse = 0.0, 0.0
        for i in range(price.shape[1]):
            if price[k, i] != price[k, i]:
                break
            distance_bps = abs(price[k, i] - mid[k]) / mid[k] * 1e4
            smart += size[k, i] * np.exp(-rate * (i if is_by_level else distance_bps))
            inverse += size[k, i] / distance_bps
        out[0, k] = smart
        out[1, k] = inverse if inverse < np.inf else np.nan  # locked: a distance is 0
