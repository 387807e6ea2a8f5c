"""The state of the book over windows of time: spread, depth, and how often it changes."""

from typing import ClassVar

import numpy as np

from etl.features.declared import HOUSE, Feature
from etl.features.families.imbalance import depth
from etl.features.horizons import HorizonFamily, Window
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_SPREAD, _DEPTH, _UPDATES = range(3)
_AGE = Feature("book_age", "s", "time of the row - time of the last update of the book", HOUSE, "A15")
_COVERAGE = Feature("coverage", "fraction", "min(1, time since the last reset / h)", HOUSE, "0.2")


class RollingBook(HorizonFamily):
    """Means over the rows, each of one weight; and updates per second."""

    rank = 132
    needs = ("price",)
    options = ("horizons", "partial_windows", "min_obs", "depth_levels")
    each: tuple[Feature, ...] = (
        Feature("mean_spread", "fraction", "mean of relative_spread", HOUSE, "S25"),
        Feature("depth_var", "base^2", "sample variance of the size of the first n levels, both sides", HOUSE, "S26"),
        Feature("depth_mean", "base", "mean size of the first n levels, both sides", HOUSE, "S26"),
        Feature("quote_rate", "1/s", "valid updates of the book / h", HOUSE, "A15"),
    )
    made_from: ClassVar = {
        "mean_spread": ("relative_spread",),
        "depth_var": ("depth_levels",),
        "depth_mean": ("depth_levels",),
        "quote_rate": ("n_updates",),
        "book_age": ("book_ts",),
        "coverage": (),
    }
    columns = 3
    products = ((_DEPTH, _DEPTH),)

    def __init__(self, options: FeatureOptions) -> None:
        if options.partial_windows:
            self.each = (*self.each, _COVERAGE)
        super().__init__(options)
        self.features += (_AGE,)

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        age_s = (rows.t_ns - rows.book_ns) / 1e9
        return super().update(rows) | {"book_age": np.where(rows.is_reset, np.nan, age_s)}

    def terms(self, rows: Rows) -> list[Floats]:
        """Relative spread, depth, updates."""
        n = self._options.depth_levels
        size = depth(rows.bid_size[:, :n]) + depth(rows.ask_size[:, :n])
        return [rows.columns["relative_spread"], size, rows.n_updates.astype(np.float64)]

    def of_window(self, window: Window) -> dict[str, Floats]:
        """Means, the variance of depth, and the rate of updates."""
        least = self._options.min_obs
        told = {
            "mean_spread": window.if_enough(_SPREAD, least, window.mean(_SPREAD)),
            "depth_var": window.if_enough(_DEPTH, least, window.variance(_DEPTH, 0)),
            "depth_mean": window.if_enough(_DEPTH, least, window.mean(_DEPTH)),
            "quote_rate": window.if_enough(_UPDATES, least, window.sums[:, _UPDATES] / window.seconds),
        }
        return told | {"coverage": window.coverage} if self._options.partial_windows else told
