"""How much the mid price moved over windows of time."""

import math
from typing import ClassVar

import numpy as np

from etl.features.declared import HOUSE, Feature
from etl.features.horizons import HorizonFamily, Window
from etl.features.rows import Floats, Rows

_YEAR_S = 365 * 86_400  # markets that never close


class RollingVolatility(HorizonFamily):
    """Sums and moments of the log returns from row to row."""

    rank = 131
    needs = ("motion",)
    options = ("horizons", "partial_windows", "min_obs")
    each: tuple[Feature, ...] = (
        Feature("rv", "1", "sqrt(sum of log_return^2)", "Andersen, Bollerslev, Diebold and Labys 2003", "S22"),
        Feature("rv_ann", "1/sqrt(year)", "rv sqrt(365 days / h)", HOUSE, "S22"),
        Feature("rstd", "1", "sample standard deviation of log_return", HOUSE, "S23"),
        Feature("mean_return", "1", "mean of log_return", HOUSE, "S24"),
        Feature("sum_return", "1", "sum of log_return", HOUSE, "S24"),
    )
    made_from: ClassVar = dict.fromkeys((feature.name for feature in each), ("log_return",))
    columns = 1
    products = ((0, 0),)

    def terms(self, rows: Rows) -> list[Floats]:
        """Log returns."""
        return [rows.columns["log_return"]]

    def of_window(self, window: Window) -> dict[str, Floats]:
        """Volatility and drift."""
        least = self._options.min_obs
        rv = window.if_enough(0, least, np.sqrt(window.sums[:, 1]))
        return {
            "rv": rv,
            "rv_ann": rv * math.sqrt(_YEAR_S / window.seconds),
            "rstd": window.if_enough(0, least, np.sqrt(window.variance(0, 0))),
            "mean_return": window.if_enough(0, least, window.mean(0)),
            "sum_return": window.if_enough(0, least, window.sums[:, 0]),
        }
