"""VPIN: how one-sided trading was, over the last buckets of equal volume."""

from fractions import Fraction

import numpy as np
import polars as pl

from etl.compiled import kernel
from etl.features import buckets as volume
from etl.features.decimals import ONE, Decimals, decimal, decimals
from etl.features.declared import HOUSE, Feature, StatefulFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Int64s, Rows

_DAY_NS = 86_400 * 10**9
_DAYS = 20  # finished ones that the mean volume is taken over
_BUCKETS_A_DAY = 50
_EASLEY = "Easley, Lopez de Prado and O'Hara 2012"


class Vpin(StatefulFamily):
    """Buckets of traded volume, split exactly at their edges. Every trade of the stream counts, whatever its row.

    Sides are the takers' own; VPIN of volume classified in bulk behaves otherwise (Andersen and Bondarenko 2014).
    """

    rank = 120
    channels = ("orderbook", "trades")
    options = ("enable_vpin", "vpin_bucket_volume", "vpin_window_buckets")

    def __init__(self, options: FeatureOptions) -> None:
        n = options.vpin_window_buckets
        size = "mean volume of the last 20 finished days / 50" if options.vpin_bucket_volume is None else "configured"
        self.features = (
            Feature("vpin", "[0, 1]", f"sum |V_B - V_S| / sum V of the last {n} buckets", _EASLEY, "S19"),
            Feature("vpin_bucket_fill", "[0, 1)", f"volume in the open bucket / V, V {size}", _EASLEY, "S19"),
            Feature("vpin_gap", "", f"less than {n} buckets since a reset", HOUSE, "S19", pl.Boolean),
        )
        self._is_on, self._bucket_volume = options.enable_vpin, options.vpin_bucket_volume
        self.state = {
            **volume.empty(n),
            "days": np.empty((0, 3), np.int64),  # day, its volume (whole, parts); the last may be unfinished
            "has_begun": np.zeros(1, np.bool_),
        }

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        out = np.full((len(self.features), len(rows)), np.nan)
        if self._is_on:
            trades = rows.trades
            amounts, day = decimals(trades.amount, what="amount"), trades.t_ns // _DAY_NS
            sizes = self._sizes(day, amounts)
            held, flags = volume.buckets(self.state), (rows.is_reset, rows.has_trades, self.state["has_begun"])
            _tick(held, trades.row, trades.sign, amounts, sizes, flags, out)
        return self.named(out)

    def _sizes(self, day: Int64s, amounts: Decimals) -> Decimals:
        """The size of buckets that open with each of these trades, 0 where it is not known; the days are counted."""
        whole, parts = np.zeros(len(day), np.int64), np.zeros(len(day), np.int64)
        if self._bucket_volume is not None:
            whole[:], parts[:] = decimal(self._bucket_volume, what="vpin_bucket_volume")
            return whole, parts
        days = {int(d): int(w) * ONE + int(p) for d, w, p in self.state["days"]}
        for today in np.unique(day).tolist():
            trades = slice(*np.searchsorted(day, (today, today + 1)))
            finished = [days[d] for d in sorted(days) if d < today][-_DAYS:]
            if finished:
                mean = Fraction(sum(finished), len(finished) * _BUCKETS_A_DAY * ONE)
                whole[trades], parts[trades] = decimal(float(mean), what="volume of a bucket")
            days[today] = days.get(today, 0) + _total(amounts[0][trades], amounts[1][trades])
        kept = sorted(days)[-_DAYS - 1 :]
        self.state["days"] = np.array([(d, *divmod(days[d], ONE)) for d in kept], np.int64).reshape(-1, 3)
        return whole, parts


def _total(whole: Int64s, parts: Int64s) -> int:
    """The sum in parts, whatever its size."""
    half = 10**9
    high, low = (int(some.sum()) for some in (parts // half, parts % half))
    return int(whole.sum()) * ONE + high * half + low


@kernel()
def _tick(held, row, signs, amounts, sizes, flags, out):  # type: ignore[no-untyped-def]
    is_reset, has_trades, has_begun = flags
    trade = 0
    for k in range(len(is_reset)):
        while trade < len(row) and row[trade] == k:
            amount = amounts[0][trade], amounts[1][trade]
            volume.take(held, signs[trade], amount, (sizes[0][trade], sizes[1][trade]))
            trade += 1
        if is_reset[k] and has_begun[0]:
            volume.reset(held)
        has_begun[0] = True
        if has_trades[k]:
            out[0, k] = volume.toxicity(held)
            out[1, k] = volume.fill(held)
            out[2, k] = volume.is_mixed(held)
