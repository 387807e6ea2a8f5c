"""How size is spread over the first levels: slopes, center of gravity, entropy."""

import numpy as np

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatelessFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_SIDES = ("bid", "ask")
_SLOPE, _GN_SLOPE, _NS_SLOPE, _ENTROPY, _SIZE, _VALUE, _OFFSET = range(7)  # what the kernel tells of a side
_ONE_LOT = 1e-12  # how far a sum of sizes may be from the lot that it is


class Shape(StatelessFamily):
    """Features of the first n levels of each side, and of both."""

    rank = 55
    needs = ("price",)
    options = ("depth_levels", "slope_kinds", "lot_size")

    def __init__(self, options: FeatureOptions) -> None:
        self._levels, self._lot_size, kinds = options.depth_levels, options.lot_size, options.slope_kinds
        gn = "Ghysels and Nguyen 2019", "OLS slope of C_i / C_n on d_i"
        ns = "Naes and Skjeltorp 2006", "mean of relative changes of ln C_i over those of price, C_i in lots"
        slopes = [
            (_SLOPE, "slope", "base per bps", "OLS slope of C_i on d_i; C_i = sum of q_0 .. q_i", HOUSE),
            *([(_GN_SLOPE, "gn_slope", "1/bps", gn[1], gn[0])] if "gn" in kinds else []),
            *([(_NS_SLOPE, "ns_slope", "1", ns[1], ns[0])] if "ns" in kinds else []),
        ]
        self._slopes = [place for place, *_ in slopes]
        entropy = "-sum s_i ln s_i / ln n; s_i = q_i / D"
        self.features = (
            *(Feature(f"{side}_{name}", unit, text, by, "S9") for _, name, unit, text, by in slopes for side in _SIDES),
            Feature("center_of_gravity", "quote", "sum p q / sum q of both sides", HOUSE, "S10"),
            Feature("cog_vs_mid", "bps", "(center_of_gravity - mid) / mid * 1e4", HOUSE, "S10"),
            *(Feature(f"{side}_depth_entropy", "[0, 1]", entropy, "Shannon 1948", "A10") for side in _SIDES),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        n, mid = self._levels, rows.columns["mid_price"]
        bid, ask = np.full((2, 7, len(rows)), np.nan)
        _describe(rows.bid_price[:, :n], rows.bid_size[:, :n], mid, self._lot_size, bid)
        _describe(rows.ask_price[:, :n], rows.ask_size[:, :n], mid, self._lot_size, ask)
        size = bid[_SIZE] + ask[_SIZE]
        values = [side[place] for place in self._slopes for side in (bid, ask)]
        values += [(bid[_VALUE] + ask[_VALUE]) / size, (bid[_OFFSET] + ask[_OFFSET]) / size / mid * 1e4]
        values += [bid[_ENTROPY], ask[_ENTROPY]]
        return self.named(values)


@kernel(error_model="numpy")
def _describe(price, size, mid, lot_size, out):  # type: ignore[no-untyped-def]
    for k in range(len(price)):
        n = 0
        total, value, offset = 0.0, 0.0, 0.0
        while n < price.shape[1] and price[k, n] == price[k, n]:
            total += size[k, n]
            value += price[k, n] * size[k, n]
            offset += (price[k, n] - mid[k]) * size[k, n]
            n += 1
        if n == 0:
            continue
        out[_SIZE, k], out[_VALUE, k], out[_OFFSET, k] = total, value, offset
        if n > 1:
            out[_ENTROPY, k] = _entropy(size[k, :n], total)
            out[_SLOPE, k] = _slope(price[k, :n], size[k, :n], mid[k])
            out[_GN_SLOPE, k] = out[_SLOPE, k] / total
            out[_NS_SLOPE, k] = _ns_slope(price[k, :n], size[k, :n] / lot_size, mid[k])


@kernel(error_model="numpy")
def _entropy(size, total):  # type: ignore[no-untyped-def]
    spread = 0.0
    for i in range(len(size)):
        share = size[i] / total
        if share > 0.0:  # a tiny one is 0 in floats
            spread -= share * np.log(share)
    return spread / np.log(len(size))


@kernel(error_model="numpy")
def _slope(price, size, mid):  # type: ignore[no-untyped-def]
    n = len(price)
    mean_distance, mean_size, so_far = 0.0, 0.0, 0.0
    for i in range(n):
        so_far += size[i]
        mean_distance += abs(price[i] - mid) / n
        mean_size += so_far / n
    above, below, so_far = 0.0, 0.0, 0.0
    for i in range(n):
        so_far += size[i]
        distance = abs(price[i] - mid) - mean_distance
        above += distance * (so_far - mean_size)
        below += distance * distance
    return above / below * mid / 1e4 if below > 0.0 else np.nan


@kernel(error_model="numpy")
def _ns_slope(price, lots, mid):  # type: ignore[no-untyped-def]
    """Null where the price or the logarithm that something is divided by is 0: of a locked book, of just one lot."""
    if price[0] == mid:
        return np.nan
    so_far = lots[0]
    before = np.log(so_far)
    slope = before / (abs(price[0] - mid) / mid)
    for i in range(1, len(price)):
        if abs(so_far - 1.0) < _ONE_LOT:
            return np.nan
        so_far += lots[i]
        now = np.log(so_far)
        slope += (now - before) / before / (abs(price[i] - price[i - 1]) / price[i - 1])
        before = now
    return slope / len(price)
