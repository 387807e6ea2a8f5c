"""How much stands near the mid price: mean prices, and depth that counts less the further away it is."""

import math

import numpy as np

from etl.features.declared import Feature, StatelessFamily
from etl.features.families.imbalance import depth, imbalance
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_HOUSE = "definition"


class Depth(StatelessFamily):
    """Mean prices of the first n levels, and smart depth of all of them."""

    rank = 50
    needs = ("price",)
    options = ("depth_levels", "smart_depth_kind", "smart_half_life_bps", "smart_alpha")

    def __init__(self, options: FeatureOptions) -> None:
        self._options = options
        n = options.depth_levels
        by = "exp(-ln 2 / half-life d_i)" if options.smart_depth_kind == "distance" else "exp(-alpha i)"
        self.features = (
            *(Feature(f"vwap_{side}_{n}", "quote", "sum p q / sum q", _HOUSE, "S7") for side in ("bid", "ask")),
            Feature("vwap_spread", "quote", "vwap_ask - vwap_bid", _HOUSE, "S7"),
            Feature("vwap_spread_bps", "bps", "vwap_spread / mid * 1e4", _HOUSE, "S7"),
            Feature(f"wmid_{n}", "quote", "(vwap_bid D_a + vwap_ask D_b) / (D_a + D_b)", _HOUSE, "A3"),
            *(Feature(f"smart_{side}_depth", "base", f"sum q_i {by}", _HOUSE, "S8") for side in ("bid", "ask")),
            Feature("smart_depth_imbalance", "[-1, 1]", "(b - a) / (b + a) of smart depth", _HOUSE, "S8"),
            Feature("inv_dist_imbalance", "[-1, 1]", "(b - a) / (b + a) of sum q_i / d_i", _HOUSE, "A12"),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        n, mid = self._options.depth_levels, rows.columns["mid_price"]
        bid, ask = (vwap(p[:, :n], q[:, :n]) for p, q in _sides(rows))
        bid_depth, ask_depth = (depth(q[:, :n]) for _, q in _sides(rows))
        smart = [np.where(np.isnan(mid), np.nan, self._smart(p, q, mid)) for p, q in _sides(rows)]
        inverse = [_inverse_distance(p, q, mid) for p, q in _sides(rows)]
        with np.errstate(all="ignore"):
            weighted = (bid * ask_depth + ask * bid_depth) / (ask_depth + bid_depth)
            values = (bid, ask, ask - bid, (ask - bid) / mid * 1e4, weighted, *smart)
            values = (*values, imbalance(smart[0], smart[1]), imbalance(inverse[0], inverse[1]))
        return {feature.name: value for feature, value in zip(self.features, values, strict=True)}

    def _smart(self, price: Floats, size: Floats, mid: Floats) -> Floats:
        if self._options.smart_depth_kind == "index":
            decay = np.exp(-self._options.smart_alpha * np.arange(price.shape[1]))[None, :]
        else:
            decay = np.exp(-math.log(2) / self._options.smart_half_life_bps * distance_bps(price, mid))
        weighted: Floats = np.nansum(size * decay, axis=1)
        return weighted


def _sides(rows: Rows) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    return (rows.bid_price, rows.bid_size), (rows.ask_price, rows.ask_size)


def vwap(price: Floats, size: Floats) -> Floats:
    """The size-weighted mean price of (rows, levels); NaN where there is no level."""
    total = depth(size)
    out = np.full(len(total), np.nan)
    np.divide(np.nansum(price * size, axis=1), total, out=out, where=total > 0)
    return out


def distance_bps(price: Floats, mid: Floats) -> Floats:
    """How far levels are from the mid price, (rows, levels)."""
    return np.abs(price - mid[:, None]) / mid[:, None] * 1e4


def _inverse_distance(price: Floats, size: Floats, mid: Floats) -> Floats:
    """The sum of size / distance; NaN where the book is locked, so that a distance is 0."""
    distance = distance_bps(price, mid)
    parts = np.divide(size, distance, out=np.full(size.shape, np.nan), where=distance > 0)
    return np.where(distance[:, 0] > 0, np.nansum(parts, axis=1), np.nan)
