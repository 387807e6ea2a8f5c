"""What it costs to trade an amount at once, by walking through the book."""

import numpy as np
import polars as pl

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatelessFamily
from etl.features.options import FeatureOptions, number_label
from etl.features.rows import Floats, Rows

_XLM = "Gomber, Schweickert and Theissen 2015 (Xetra Liquidity Measure)"
_FILLED = 1e-12  # what rounding may leave of an amount that the book just holds


class Costs(StatelessFamily):
    """Distance of the mean price from the mid price, there and back and one way; null where the book is too thin."""

    rank = 65
    needs = ("price",)
    options = ("cost_base_sizes", "cost_quote_sizes", "max_levels")

    def __init__(self, options: FeatureOptions) -> None:
        self._amounts = [
            *((float(amount), False) for amount in options.cost_base_sizes),
            *((float(amount), True) for amount in options.cost_quote_sizes),
        ]
        both, one = "(mean ask - mean bid of an amount) / mid * 1e4", "|mean price of an amount - mid| / mid * 1e4"
        names = []
        for amount, is_quote in self._amounts:
            label = f"{number_label(amount)}_{'quote' if is_quote else 'base'}"
            names.append((f"cost_to_trade_{label}", both))
            names += [(f"{side}_cost_{label}", one) for side in ("buy", "sell") if is_quote]
        self.features = (
            *(Feature(name, "bps", formula, _XLM, "A9") for name, formula in names),
            Feature("ctt_exhausted", "flag", "an amount is beyond a side", HOUSE, "A9", dtype=pl.Boolean),
        )

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        mid, values = rows.columns["mid_price"], []
        is_exhausted = np.zeros(len(rows), np.bool_)
        for amount, is_quote in self._amounts:
            sell, buy = np.full((2, len(rows)), np.nan)
            _walk(rows.bid_price, rows.bid_size, mid, (amount, is_quote), sell)
            _walk(rows.ask_price, rows.ask_size, mid, (amount, is_quote), buy)
            values += [sell + buy, buy, sell] if is_quote else [sell + buy]
            is_exhausted |= np.isnan(sell + buy)
        values.append(np.where(np.isnan(mid), np.nan, is_exhausted))
        return self.named(values)


@kernel(error_model="numpy")
def _walk(price, size, mid, asked, out):  # type: ignore[no-untyped-def]
    amount, is_quote = asked
    for k in range(len(price)):
        left, taken, moved = amount, 0.0, 0.0
        for i in range(price.shape[1]):
            if not (left > 0.0 and mid[k] == mid[k] and price[k, i] == price[k, i]):
                break
            worth = price[k, i] if is_quote else 1.0
            part = size[k, i]
            if part * worth < left:
                left -= part * worth
            else:
                part, left = left / worth, 0.0
            taken += part
            moved += part * abs(price[k, i] - mid[k])
        if left <= amount * _FILLED:
            out[k] = moved / taken / mid[k] * 1e4
