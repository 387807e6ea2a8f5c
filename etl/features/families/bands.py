"""Depth by its distance from the mid price, in bands whose edges are decided exactly."""

from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatelessFamily
from etl.features.families.imbalance import imbalance
from etl.features.options import FeatureOptions, number_label
from etl.features.rows import Floats, Int64s, Rows

_SIDES = ("bid", "ask")
_POWERS = np.array([10.0**places for places in range(23)])  # all of them exact
_WHOLE = 2.0**53  # below it floats hold every whole number
_UNSURE_BPS = 1e-10  # the error of a distance in floats is a tenth of it at most


class Edges(NamedTuple):
    """Distances at which bands end, ascending; as a decimal each is numerator / denominator."""

    bps: Floats
    numerator: Int64s
    denominator: Int64s


class Bands(StatelessFamily):
    """Size between two distances from the mid price and up to each; an edge belongs to the band beyond it."""

    rank = 40
    options = ("bands_bps", "max_levels")

    def __init__(self, options: FeatureOptions) -> None:
        bands = [float(edge) for edge in options.bands_bps]
        places = sorted({*bands[1:], 5.0, 10.0})
        exact = [Fraction(repr(edge)) for edge in places]
        columns = zip(*((float(edge), edge.numerator, edge.denominator) for edge in exact), strict=True)
        bps, numerator, denominator = columns
        self._edges = Edges(np.array(bps), np.array(numerator, np.int64), np.array(denominator, np.int64))
        self._ends = [places.index(edge) + 1 for edge in bands[1:]]
        self._five, self._ten = (places.index(edge) + 1 for edge in (5.0, 10.0))
        self.features = tuple(_declared(bands))

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        best = rows.bid_price[:, 0], rows.ask_price[:, 0]
        sides = [
            _near(price, size, best, self._edges, self._ten)
            for price, size in ((rows.bid_price, rows.bid_size), (rows.ask_price, rows.ask_size))
        ]
        depths = [[_total(sizes[:end]) for end in self._ends] for sizes, _, _ in sides]
        values = [_total(sizes[low:high]) for sizes, _, _ in sides for low, high in pairwise([0, *self._ends])]
        values += [np.where(np.isnan(last), np.nan, last < self._ends[-1]) for _, _, last in sides]
        values += [*depths[0], *depths[1]]
        values += [imbalance(bid, ask) for bid, ask in zip(*depths, strict=True)]
        values += [_share(_total(sizes[: self._five]), _total(sizes[: self._ten])) for sizes, _, _ in sides]
        values += [imbalance(sides[0][1], sides[1][1])]
        return self.named(values)


def _declared(bands: list[float]) -> list[Feature]:
    ranges = [f"{number_label(low)}_{number_label(high)}bps" for low, high in pairwise(bands)]
    within = [f"{number_label(edge)}bps" for edge in bands[1:]]
    between, cut = (
        "sum q_i of low <= d_i < high",
        "max_levels are there, and the last is nearer than the outermost edge",
    )
    convexity = "depth within 5 bps / depth within 10 bps"
    return [
        *(Feature(f"{side}_vol_band_{band}", "base", between, HOUSE, "S5") for side in _SIDES for band in ranges),
        *(Feature(f"band_truncated_{side}", "flag", cut, HOUSE, "S5", dtype=pl.Boolean) for side in _SIDES),
        *(Feature(f"{side}_depth_{x}", "base", "sum q_i of d_i < x", HOUSE, "S6") for side in _SIDES for x in within),
        *(Feature(f"imbalance_{x}", "[-1, 1]", "(b - a) / (b + a) of depth", HOUSE, "S6") for x in within),
        *(Feature(f"{side}_depth_convexity", "[0, 1]", convexity, HOUSE, "A13") for side in _SIDES),
        Feature("notional_imbalance_10bps", "[-1, 1]", "(b - a) / (b + a) of sum p_i q_i", HOUSE, "A14"),
    ]


def _total(parts: Floats) -> Floats:
    """The sum over bands, the nearest first whatever the number of rows."""
    total: Floats = sum(parts[1:], parts[0])
    return total


def _share(part: Floats, whole: Floats) -> Floats:
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole != 0)
    return share


def _near(price: Floats, size: Floats, best: tuple[Floats, Floats], edges: Edges, ten: int) -> tuple[Any, Any, Any]:
    """Of one side: size per band (bands, rows), value within 10 bps, and in which band the last level is.

    That is the number of bands where it is beyond all, or where there may be no further level that is not shown.
    """
    rows = len(price)
    sizes, value, last = np.zeros((len(edges.bps), rows)), np.zeros(rows), np.empty(rows)
    _measure(price, size, best, edges, ten, (sizes, value, last))
    return sizes, value, last


@kernel(error_model="numpy")
def _measure(price, size, best, edges, ten, out):  # type: ignore[no-untyped-def]
    sizes, value, last = out
    bands = len(edges.bps)
    for k in range(len(price)):
        bid, ask = best[0][k], best[1][k]
        if not bid <= ask:  # a side is missing
            sizes[:, k], value[k], last[k] = np.nan, np.nan, np.nan
            continue
        band, levels = 0, 0
        for i in range(price.shape[1]):
            if price[k, i] != price[k, i]:
                break
            while band < bands and not _is_nearer(price[k, i], bid, ask, edges, band):
                band += 1
            if band == bands:
                break
            levels += 1
            sizes[band, k] += size[k, i]
            if band < ten:
                value[k] += price[k, i] * size[k, i]
        last[k] = band if levels == price.shape[1] else bands


@kernel(error_model="numpy")
def _is_nearer(price, bid, ask, edges, band):  # type: ignore[no-untyped-def]
    """Whether a level is nearer to the mid price than the end of a band: |2p - (a + b)| * 1e4 < edge * (a + b).

    A level often lies exactly at an edge, as 99.95 does 5 bps from 100, where rounding would tell by chance and
    differently at other prices. There the same is asked of whole numbers of the smallest unit that all prices have.
    """
    total = bid + ask
    difference = abs(2.0 * price - total) * 1e4 - edges.bps[band] * total
    if abs(difference) > _UNSURE_BPS * total:
        return difference < 0.0
    for power in _POWERS:
        p, b, a = _units(price, power), _units(bid, power), _units(ask, power)
        if p and b and a:
            # the products may be beyond 64 bits, where they wrap; their difference, small as just seen, is right
            off = abs(2 * p - (a + b)) * (10_000 * edges.denominator[band])
            return off - edges.numerator[band] * (a + b) < 0
    return difference < 0.0  # more than 15 digits: no price of an exchange


@kernel(error_model="numpy")
def _units(price, power):  # type: ignore[no-untyped-def]
    """How many units of 1 / power a price has; 0 where it is no whole number of them, or too many to tell."""
    units = np.rint(price * power)
    return np.int64(units) if units < _WHOLE and units / power == price else 0
