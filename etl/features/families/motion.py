"""How the mid price moves from row to row: return, velocity, acceleration."""

import numpy as np

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatefulFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows


class Motion(StatefulFamily):
    """Differences of the mid price over the real time between rows; null where a row was reset."""

    rank = 70
    needs = ("price",)

    def __init__(self, options: FeatureOptions) -> None:
        self.features = (
            Feature("log_return", "1", "ln(mid_k / mid_k-1)", HOUSE, "S22"),
            Feature("mid_velocity", "quote/s", "(mid_k - mid_k-1) / dt", HOUSE, "S15"),
            Feature("mid_velocity_bps", "bps/s", "(mid_k - mid_k-1) / mid_k-1 / dt * 1e4", HOUSE, "S15"),
            Feature("mid_acceleration", "quote/s2", "(velocity_k - velocity_k-1) / dt", HOUSE, "S16"),
        )
        self.state = {"before": np.full(2, np.nan), "t_ns": np.zeros(1, np.int64)}  # mid, velocity

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        out = np.full((len(self.features), len(rows)), np.nan)
        _move(rows.t_ns, rows.is_reset, rows.columns["mid_price"], self.state["before"], self.state["t_ns"], out)
        return self.named(out)


@kernel()
def _move(t_ns, is_reset, mid, before, t_before, out):  # type: ignore[no-untyped-def]
    for k in range(len(t_ns)):
        last, velocity_before = before[0], before[1]
        dt_s = (t_ns[k] - t_before[0]) / 1e9
        before[0], t_before[0] = mid[k], t_ns[k]
        if is_reset[k]:
            before[1] = np.nan
            continue
        out[0, k] = np.log(mid[k] / last)
        if dt_s > 0:  # of two books at one moment the second has no velocity; the one before it stays
            before[1] = (mid[k] - last) / dt_s
            out[1, k] = before[1]
            out[2, k] = before[1] / last * 1e4
            out[3, k] = (before[1] - velocity_before) / dt_s
