"""Order flow and trade flow over windows of time, and order flow that fades with time."""

from typing import ClassVar

import numpy as np

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature
from etl.features.families.imbalance import depth
from etl.features.horizons import HorizonFamily, Window
from etl.features.options import FeatureOptions, seconds_label
from etl.features.rows import Floats, Rows

_CKS = "Cont, Kukanov and Stoikov 2014"
_OFI, _MLOFI, _TFI, _SIZE = range(4)


class RollingFlow(HorizonFamily):
    """Sums of flow; in units of the depth that it met; and exponentially weighted, null until the first flow."""

    rank = 130
    needs = ("orderflow", "tradeflow")
    channels = ("orderbook", "trades")
    options = ("horizons", "partial_windows", "min_obs", "ofi_levels", "ew_taus_s")
    each: tuple[Feature, ...] = (
        Feature("ofi_sum", "base", "sum of ofi", _CKS, "S21"),
        Feature("mlofi_sum", "base", "sum of mlofi", "Xu, Gould and Howison 2018", "S21"),
        Feature("tfi_sum", "base", "sum of tfi", HOUSE, "S21"),
        Feature(
            "ofi_norm",
            "1",
            "ofi_sum / mean over the rows of the mean size of the first M levels, both sides",
            "Cont, Cucuringu and Zhang 2023",
            "A4",
        ),
    )
    made_from: ClassVar = {
        "ofi_sum": ("ofi",),
        "mlofi_sum": ("mlofi",),
        "tfi_sum": ("tfi",),
        "ofi_norm": ("ofi", "ofi_levels"),
        "ew_ofi": ("ofi",),
    }
    columns = 4

    def __init__(self, options: FeatureOptions) -> None:
        super().__init__(options)
        taus = options.ew_taus_s
        self.features += tuple(
            Feature(f"ew_ofi_{seconds_label(tau)}", "base", f"sum of ofi_j exp(-(t - t_j) / {tau:g} s)", HOUSE, "A18")
            for tau in taus
        )
        self.state |= {"ew": np.full(len(taus), np.nan), "ew_t_ns": np.zeros(1, np.int64)}

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        taus = self._options.ew_taus_s
        faded = np.empty((len(taus), len(rows)))
        taus_ns = np.array(taus, dtype=np.float64) * 1e9
        _fade(rows.t_ns, rows.is_reset, rows.columns["ofi"], taus_ns, self.state["ew"], self.state["ew_t_ns"], faded)
        names = (f"ew_ofi_{seconds_label(tau)}" for tau in taus)
        return super().update(rows) | dict(zip(names, faded, strict=True))

    def terms(self, rows: Rows) -> list[Floats]:
        """Flows, and the mean size of a level; a level that is not there counts as 0, as it does in order flow."""
        m = self._options.ofi_levels
        size = (depth(rows.bid_size[:, :m]) + depth(rows.ask_size[:, :m])) / (2 * m)
        return [rows.columns["ofi"], rows.columns["mlofi"], rows.columns["tfi"], size]

    def of_window(self, window: Window) -> dict[str, Floats]:
        """The sums, and order flow in units of depth."""
        least, sums = self._options.min_obs, window.sums
        ofi = window.if_enough(_OFI, least, sums[:, _OFI])
        return {
            "ofi_sum": ofi,
            "mlofi_sum": window.if_enough(_MLOFI, least, sums[:, _MLOFI]),
            "tfi_sum": window.if_enough(_TFI, least, sums[:, _TFI]),
            "ofi_norm": ofi / window.mean(_SIZE),
        }


@kernel()
def _fade(t_ns, is_reset, ofi, taus_ns, before, t_before, out):  # type: ignore[no-untyped-def]
    for k in range(len(t_ns)):
        dt_ns = t_ns[k] - t_before[0]
        t_before[0] = t_ns[k]
        for j in range(len(taus_ns)):
            total = np.nan if is_reset[k] else before[j] * np.exp(-dt_ns / taus_ns[j])
            if ofi[k] == ofi[k]:
                total = ofi[k] if total != total else total + ofi[k]
            before[j] = out[j, k] = total
