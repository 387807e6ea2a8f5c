"""The published way from the OFI of many levels to one number. Specification A5."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from tests.etl.features.reference.emission import Row
from tests.etl.features.reference.motion_flow import before, ofi_at
from tests.etl.features.reference.numbers import DAY_NS
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.windows import mean_level_size


class Integrated:
    """A5 over the rows of a stream."""

    def __init__(self, rows: Sequence[Row], options: Options) -> None:
        self.rows, self.options = rows, options
        self.weights = cache(self.fitted_before)

    def normalised(self, row: Row) -> np.ndarray | None:
        """The row's OFI of each level over the mean size per level of its book and the one before."""
        last = before(row)
        if last is None:
            return None
        vector = [ofi_at(row, place) or 0 for place in range(self.options.ofi_levels)]
        size = (mean_level_size(last, self.options) + mean_level_size(row, self.options)) / 2
        return np.array([float(e / size) for e in vector])

    def fitted_before(self, day: int) -> np.ndarray | None:
        """First principal component of the last finished day that has rows enough, over its L1 norm, its sum > 0."""
        by_day: dict[int, list[np.ndarray]] = {}
        for row in self.rows:
            vector = self.normalised(row)
            if vector is not None and row.t_ns // DAY_NS < day:
                by_day.setdefault(row.t_ns // DAY_NS, []).append(vector)
        enough = [of_day for of_day, vectors in by_day.items() if len(vectors) >= self.options.min_obs_regression]
        if not enough:
            return None
        deviations = np.array(by_day[max(enough)]) - np.mean(by_day[max(enough)], axis=0)
        covariance = deviations.T @ deviations
        if not covariance.any():
            return None
        component: np.ndarray = np.linalg.eigh(covariance).eigenvectors[:, -1]
        component = component / np.abs(component).sum()
        return component if component.sum() > 0 else -component

    def column(self, row: Row) -> float | None:
        weights, vector = self.weights(row.t_ns // DAY_NS), self.normalised(row)
        return None if weights is None or vector is None else float(weights @ vector)
