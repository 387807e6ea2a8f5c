"""What flow does to the price over windows of time, and what the bounce of trades says of the spread."""

from typing import ClassVar

import numpy as np

from etl.compiled import kernel
from etl.features.declared import Feature
from etl.features.horizons import HorizonFamily, Window
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_FLOW, _CHANGE, _PER_QUOTE, _SIGNED, _RETURN, _BOUNCE, _EITHER_WAY = range(7)
_ROUNDING = 1e-12  # what is less of a sum of products than of their sizes, is what rounding left
_FLOW2, _FLOW_CHANGE, _SIGNED2, _SIGNED_RETURN = range(4)  # products


class RollingImpact(HorizonFamily):
    """Regressions and means over the rows, each taken for a bar; `trade_value` is what it traded, `tfi` its sign."""

    rank = 133
    needs = ("price", "motion", "orderflow", "tradeflow")
    channels = ("orderbook", "trades")
    options = ("horizons", "partial_windows", "min_obs_regression")
    each: tuple[Feature, ...] = (
        Feature(
            "ofi_beta",
            "quote per base",
            "slope of the change of mid_price on ofi, with intercept",
            "Cont, Kukanov and Stoikov 2014",
            "A17",
        ),
        Feature(
            "amihud",
            "1/quote",
            "mean of |log_return| / trade_value over the rows with trades",
            "Amihud 2002",
            "A25",
        ),
        Feature(
            "hasbrouck_lambda",
            "1/sqrt(quote)",
            "slope of log_return on sign(tfi) sqrt(trade_value) over the rows with trades, without intercept",
            "Hasbrouck 2009; Lopez de Prado 2018, 19.4.3",
            "A26",
        ),
        Feature(
            "roll_spread",
            "quote",
            "2 sqrt(-mean(dp_j dp_j-1)), p the last trade of each row with trades; null unless the mean is negative",
            "Roll 1984",
            "A27",
        ),
    )
    made_from: ClassVar = {
        "ofi_beta": ("ofi", "mid_price"),
        "amihud": ("log_return", "trade_value"),
        "hasbrouck_lambda": ("log_return", "trade_value", "tfi"),
        "roll_spread": ("last_trade_price",),
    }
    columns = 7
    products = ((_FLOW, _FLOW), (_FLOW, _CHANGE), (_SIGNED, _SIGNED), (_SIGNED, _RETURN))

    def __init__(self, options: FeatureOptions) -> None:
        super().__init__(options)
        self.state |= {"mid": np.full(1, np.nan), "traded": np.full(2, np.nan)}  # last price, the change to it

    def terms(self, rows: Rows) -> list[Floats]:
        """The two regressions' variables, |return| per quote unit, and products of neighbouring changes of price."""
        ofi, returns = rows.columns["ofi"], rows.columns["log_return"]
        tfi, value = rows.columns["tfi"], rows.columns["trade_value"]
        mid, before = rows.columns["mid_price"], self.state["mid"]
        change = np.where(rows.is_reset, np.nan, np.diff(mid, prepend=before))
        if len(mid):
            before[0] = mid[-1]
        has_traded = value > 0
        with np.errstate(all="ignore"):
            per_quote = np.where(has_traded, np.abs(returns) / value, np.nan)
            signed = np.where(has_traded, np.sign(tfi) * np.sqrt(value), np.nan)
        bounce = np.empty(len(rows))
        _bounces(rows.is_reset, rows.columns["last_trade_price"], self.state["traded"], bounce)
        return [*_paired(ofi, change), per_quote, *_paired(signed, returns), bounce, np.abs(bounce)]

    def of_window(self, window: Window) -> dict[str, Floats]:
        """Impact and spread."""
        least, products = self._options.min_obs_regression, window.sums[:, self.columns :]
        beta = _slope(window.centred[:, _FLOW_CHANGE], window.centred[:, _FLOW2])
        price_of_size = _slope(products[:, _SIGNED_RETURN], products[:, _SIGNED2])
        bounce, either_way = window.mean(_BOUNCE), window.mean(_EITHER_WAY)
        spread = np.where(bounce < -_ROUNDING * either_way, 2 * np.sqrt(-bounce), np.nan)
        return {
            "ofi_beta": window.if_enough(_FLOW, least, beta),
            "amihud": window.if_enough(_PER_QUOTE, least, window.mean(_PER_QUOTE)),
            "hasbrouck_lambda": window.if_enough(_SIGNED, least, price_of_size),
            "roll_spread": window.if_enough(_BOUNCE, least, spread),
        }


def _slope(xy: Floats, xx: Floats) -> Floats:
    return np.where(xx > 0, xy / xx, np.nan)


def _paired(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Both where both are known, else NaN."""
    known = np.isfinite(x) & np.isfinite(y)
    return np.where(known, x, np.nan), np.where(known, y, np.nan)


@kernel()
def _bounces(is_reset, price, before, out):  # type: ignore[no-untyped-def]
    """Products of a change of price and the one before it, at the row where the second is known."""
    for k in range(len(price)):
        if is_reset[k]:
            before[:] = np.nan
        out[k] = np.nan
        if price[k] > 0:
            places = 10.0 ** (14 - np.floor(np.log10(price[k])))  # prices are decimals of 15 digits: so is their change
            change = np.round((price[k] - before[0]) * places) / places
            out[k] = change * before[1]
            before[0], before[1] = price[k], change
