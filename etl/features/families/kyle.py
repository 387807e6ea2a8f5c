"""Kyle's lambda: how far the mid price moves for what takers buy and sell."""

import numpy as np

from etl.compiled import kernel
from etl.features.decimals import decimals, difference
from etl.features.declared import Feature, StatefulFamily
from etl.features.options import FeatureOptions
from etl.features.regression import TimeLines
from etl.features.rows import Floats, Rows

_KYLE = "Kyle 1985"
_ROUNDING = 1e-12  # of the volume: a smaller net flow is none


class Kyle(StatefulFamily):
    """A line through the intervals of a window: the change of the mid on the signed volume traded in each.

    It may be negative. Intervals without trades are in the fit, but do not count as observations.
    """

    rank = 110
    channels = ("orderbook", "trades")
    needs = ("price", "tradeflow")
    options = ("kyle_lambda_window", "kyle_intercept", "min_obs_regression", "partial_windows")

    def __init__(self, options: FeatureOptions) -> None:
        over = f"over {options.kyle_lambda_window:g} s"
        per, bps = "bps per 1e6 quote", f"OLS slope of log_return_k * 1e4 on sum b p v / 1e6 {over}"
        self.features = (
            Feature("kyle_lambda", "quote per base", f"OLS slope of mid_k - mid_k-1 on tfi_k {over}", _KYLE, "S18"),
            Feature("kyle_lambda_bps", per, bps, _KYLE, "S18"),
            Feature("kyle_t", "1", "kyle_lambda / its standard error", _KYLE, "S18"),
            Feature("kyle_r2", "[0, 1]", "share of the variance of the change that the line explains", _KYLE, "S18"),
        )
        self._options = options
        self.state = {"twice_mid": np.zeros((2, 1), np.int64)}  # whole units and parts
        window_s, intercept = options.kyle_lambda_window, options.kyle_intercept
        self._in_base = TimeLines(window_s, intercept=intercept, state=self.state, prefix="base")
        self._in_quote = TimeLines(window_s, intercept=intercept, state=self.state, prefix="quote")

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        flow, changes = rows.columns["tfi"], self._changes(rows)
        with np.errstate(all="ignore"):  # of the very first row; it is in no line
            returns = np.log1p(changes / (rows.columns["mid_price"] - changes))
        value = np.where(np.isnan(flow), np.nan, _signed_value(rows))
        clock, is_traded = (rows.t_ns, rows.is_reset), np.abs(flow) > _ROUNDING * rows.columns["trade_volume"]
        line, count, is_full = self._in_base.update(*clock, flow, changes, is_traded)
        in_bps, _, _ = self._in_quote.update(*clock, value / 1e6, returns * 1e4, is_traded)
        is_known = (is_full | self._options.partial_windows) & (count >= self._options.min_obs_regression)
        values = np.where(is_known, (line.slope, in_bps.slope, line.t, line.r2), np.nan)
        return self.named(values)

    def _changes(self, rows: Rows) -> Floats:
        """How far the mid moved since the row before, so that equal moves are equal."""
        bid, ask = (decimals(side[:, 0].copy(), what="price") for side in (rows.bid_price, rows.ask_price))
        twice_mid = np.concatenate([self.state["twice_mid"], np.add(bid, ask)], axis=1)
        self.state["twice_mid"] = twice_mid[:, -1:].copy()
        return difference(tuple(twice_mid[:, 1:]), tuple(twice_mid[:, :-1])) / 2


def _signed_value(rows: Rows) -> Floats:
    """What was bought less what was sold between the rows, in quote."""
    value, trades = np.zeros(len(rows)), rows.trades
    _add_signed(trades.row, trades.sign, trades.price, trades.amount, value)
    return value


@kernel()
def _add_signed(row, sign, price, amount, value):  # type: ignore[no-untyped-def]
    for i in range(len(row)):
        value[row[i]] += sign[i] * price[i] * amount[i]
