"""Order flow imbalance: what limit orders, cancellations and trades together did to the queues, level by level."""

from itertools import pairwise

import numpy as np

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatefulFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_CKS = "Cont, Kukanov and Stoikov 2014"
_XGH = "Xu, Gould and Howison 2018"
_SU = "Su et al. 2021"
_CCZ = "Cont, Cucuringu and Zhang 2023"
_DAY_NS = 86_400 * 10**9
_NEVER = -(2**63)


class OrderFlow(StatefulFamily):
    """Flow of each level over the updates of the row, and what makes one number of all levels."""

    rank = 80
    options = ("ofi_levels", "ofi_decay_alpha", "ofi_decay_kind", "min_obs_regression")

    def __init__(self, options: FeatureOptions) -> None:
        levels, self._min_rows = options.ofi_levels, options.min_obs_regression
        self._decay = decay(options)
        by = "alpha ** m" if options.ofi_decay_kind == "power" else "exp(-alpha m)"
        gained = "q_b [b >= b'] - q_b' [b <= b'] - q_a [a <= a'] + q_a' [a >= a'] summed over updates, ' the one before"
        self.features = (
            Feature("ofi", "base", gained, _CKS, "S12"),
            *(Feature(f"mlofi_L{m}", "base", f"ofi of level {m}", _XGH, "S13") for m in range(levels)),
            Feature("mlofi", "base", f"sum w_m mlofi_Lm, w_m = {by}", HOUSE, "S13"),
            Feature("mlofi_norm", "base", "mlofi / sum w_m", HOUSE, "S13"),
            Feature("log_gofi", "1", "ofi with ln(1 + q) for q", _SU, "A6"),
            Feature(
                "ofi_integrated",
                "1",
                "sum w_m mlofi_Lm / mean of (q_b + q_a) / 2 over levels and both ends of the row; w: first principal "
                "component of these over the last finished UTC day, sum |w| = 1, sum w > 0",
                _CCZ,
                "A5",
            ),
        )
        self.state = {
            "size": np.full(1, np.nan),  # mean size of a level of the book before
            "day": np.full(1, _NEVER),  # that rows are gathered of
            "count": np.zeros(1, np.int64),
            "mean": np.zeros(levels),
            "comoment": np.zeros((levels, levels)),  # its lower triangle
            "weights": np.full(levels, np.nan),
        }

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        flow = rows.event_ofi
        scalar = np.zeros(len(rows))
        for weight, of_level in zip(self._decay.tolist(), flow.T, strict=True):
            scalar += weight * of_level
        values = (flow[:, 0], *flow.T, scalar, scalar / self._decay.sum(), rows.event_log_gofi, self._integrated(rows))
        return self.named(values)

    def _integrated(self, rows: Rows) -> Floats:
        state, out = self.state, np.full(len(rows), np.nan)
        days = rows.t_ns // _DAY_NS
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(rows)]
        for start, stop in pairwise(edges):
            if start < stop and days[start] != state["day"][0]:
                self._begin(int(days[start]))
            part = slice(start, stop)
            sizes = rows.bid_size[part], rows.ask_size[part]
            _integrate(rows.event_ofi[part], sizes, state["weights"], self._gathered(), out[part])
        return out

    def _gathered(self) -> tuple[object, ...]:
        return tuple(self.state[name] for name in ("size", "count", "mean", "comoment"))

    def _begin(self, day: int) -> None:
        """Go by the day that has ended, if it had rows enough, and gather those of another."""
        state = self.state
        if state["count"][0] >= self._min_rows:
            state["weights"] = principal(state["comoment"])
        state["day"][0], state["count"][0] = day, 0
        state["mean"][:], state["comoment"][:] = 0.0, 0.0


def decay(options: FeatureOptions) -> Floats:
    """The weight of each level."""
    alpha, levels = options.ofi_decay_alpha, np.arange(options.ofi_levels)
    return np.asarray(alpha**levels if options.ofi_decay_kind == "power" else np.exp(-alpha * levels), np.float64)


def principal(comoment: Floats) -> Floats:
    """The first principal component, of absolute sum 1 and positive sum; NaN where nothing varies, or too much.

    Args:
        comoment: (n, n), sums of products of deviations; its lower triangle is enough.

    >>> principal(np.array([[4.0, 0.0], [4.0, 4.0]]))
    array([0.5, 0.5])
    """
    if not 0 < np.abs(comoment).sum() < np.inf:
        return np.full(len(comoment), np.nan)
    component: Floats = np.linalg.eigh(comoment).eigenvectors[:, -1]
    component = component / np.abs(component).sum()
    return component if component.sum() > 0 else -component


@kernel()
def _integrate(flow, sizes, weights, gathered, out):  # type: ignore[no-untyped-def]
    size_before, count, mean, comoment = gathered
    levels = flow.shape[1]
    vector, off = np.empty(levels), np.empty(levels)
    for k in range(len(flow)):
        size = _mean_size(sizes, k, levels)
        scale = (size_before[0] + size) / 2
        size_before[0] = size
        if flow[k, 0] != flow[k, 0]:  # a reset
            continue
        count[0] += 1
        total = 0.0
        for m in range(levels):
            vector[m] = flow[k, m] / scale
            total += weights[m] * vector[m]
            off[m] = vector[m] - mean[m]
            mean[m] += off[m] / count[0]
        out[k] = total
        for i in range(levels):
            for j in range(i + 1):
                comoment[i, j] += off[i] * off[j] * ((count[0] - 1) / count[0])


@kernel()
def _mean_size(sizes, row, levels):  # type: ignore[no-untyped-def]
    """Mean of (bid + ask) / 2 over the levels; one that is not there has 0."""
    bids, asks = sizes
    total = 0.0
    for m in range(levels):
        for size in (bids[row, m], asks[row, m]):
            if size == size:
                total += size
    return total / (2 * levels)
