"""Lines through pairs: ordinary least squares from sums of products, also over windows of time."""

from typing import NamedTuple

import numpy as np

from etl.features.rows import Bools, Floats, Int64s
from etl.features.saved import Arrays
from etl.features.windows import TimeSums

EXACT = 1e-13  # a line that leaves a smaller share of the variance is exact: what is left is rounding


class Line(NamedTuple):
    """Of each window, NaN where it is not defined."""

    slope: Floats
    t: Floats
    r2: Floats


class TimeLines:
    """Lines of y on x over the pairs of (t - window, t].

    Its memory is in `state`, under names that begin with `prefix`.
    """

    def __init__(self, window_s: float, *, intercept: bool, state: Arrays, prefix: str = "line") -> None:
        self._intercept = intercept
        self._sums = TimeSums(3, [window_s], state=state, prefix=prefix, products=((0, 0), (0, 1), (1, 1)))

    def update(
        self, t_ns: Int64s, is_reset: Bools, x: Floats, y: Floats, is_counted: Bools
    ) -> tuple[Line, Int64s, Bools]:
        """(lines, pairs that count, whether the window is full) at each of these rows.

        There is no pair where x or y is NaN; `is_counted` says which pairs count.
        """
        is_pair = ~(np.isnan(x) | np.isnan(y))
        columns = np.stack([x, y, np.where(is_counted, 1.0, np.nan)], axis=1)
        columns[~is_pair] = np.nan
        windowed = self._sums.update(t_ns, is_reset, columns)
        products = windowed.centred[:, 0] if self._intercept else windowed.sums[:, 0, 3:]
        free = windowed.counts[:, 0, 0] - (2 if self._intercept else 1)
        is_full = windowed.known(0, length_ns=int(self._sums.lengths_ns[0]), partial=False)
        return fitted(products, free), windowed.counts[:, 0, 2], is_full


def fitted(products: Floats, free: Int64s) -> Line:
    """Lines through the origin, or with an intercept if products are of deviations from the means.

    The slope is NaN where x does not vary, R2 where y does not, t where the line is exact.

    Args:
        products: (windows, 3), sums of x x, x y and y y.
        free: pairs less what the line takes of them: 2 with intercept, 1 without.

    >>> x, y = np.array([3.0, -2, 1, 4, -1]), np.array([0.02, -0.01, 0.01, 0.03, -0.01])
    >>> line = fitted(np.array([[x @ x, x @ y, y @ y]]), np.array([4]))
    >>> round(float(line.slope[0]), 12)
    0.007096774194
    """
    xx, xy, yy = products.T
    with np.errstate(all="ignore"):
        slope = np.where(xx > 0, xy / xx, np.nan)
        r2 = np.where((xx > 0) & (yy > 0), np.clip(slope * xy / yy, 0.0, 1.0), np.nan)
        is_inexact = (free > 0) & (1.0 - r2 > EXACT)
        t = np.where(is_inexact, slope / np.sqrt(yy * (1.0 - r2) / free / xx), np.nan)
    return Line(slope, t, r2)
