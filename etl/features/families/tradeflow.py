"""Who traded since the row before, how much, and at what price against the book."""

import numpy as np
import polars as pl

from etl.compiled import kernel
from etl.features.declared import HOUSE, Feature, StatefulFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_NET, _VOLUME, _VALUE, _COUNT, _LAST, _SPREAD, _SPREAD_WEIGHT, _PLACE, _PLACE_WEIGHT = range(9)


class TradeFlow(StatefulFamily):
    """Sums and means by amount of the row's trades; null before the stream's first trade and where a row was reset."""

    rank = 90
    channels = ("orderbook", "trades")
    needs = ("orderflow",)

    def __init__(self, options: FeatureOptions) -> None:
        met = "m, s: mid and spread before the trade"
        self.features = (
            Feature("tfi", "base", "sum sign v", HOUSE, "S14"),
            Feature("tfi_norm", "[-1, 1]", "tfi / sum v", HOUSE, "S14"),
            Feature("trade_volume", "base", "sum v", HOUSE, "S14"),
            Feature("trade_value", "quote", "sum p v", HOUSE, "S14"),
            Feature("trade_count", "trades", "number of trades", HOUSE, "S14", dtype=pl.Int64),
            Feature("last_trade_price", "quote", "p of the last trade", HOUSE, "A27"),
            Feature("lofi", "base", "ofi - tfi", HOUSE, "A7"),
            Feature(
                "eff_spread_bps",
                "bps",
                f"mean of 2 sign (p - m) / m * 1e4 weighted by v; {met}",
                "Huang and Stoll 1996",
                "A19",
            ),
            Feature("trade_loc", "1", f"mean of (p - m) / (s / 2) weighted by v; {met}", HOUSE, "A20"),
        )
        self.state = {}  # the trades of a row come with it

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        trades = rows.trades
        sums = np.zeros((9, len(rows)))
        tape = (trades.row, trades.is_dropped, trades.sign, trades.price, trades.amount)
        _sum(tape, trades.bid_before, trades.ask_before, sums)
        sums[:, ~rows.has_trades | rows.is_reset] = np.nan
        net = sums[_NET]
        with np.errstate(all="ignore"):
            values = (
                net,
                net / sums[_VOLUME],
                *sums[_VOLUME : _COUNT + 1],
                np.where(sums[_COUNT] > 0, sums[_LAST], np.nan),
                rows.columns["ofi"] - net,
                sums[_SPREAD] / sums[_SPREAD_WEIGHT],
                sums[_PLACE] / sums[_PLACE_WEIGHT],
            )
        return self.named(values)


@kernel()
def _sum(tape, bid_before, ask_before, sums):  # type: ignore[no-untyped-def]
    """Add what each trade brings to the sums of its row."""
    row, is_dropped, sign, price, amount = tape
    for i in range(len(row)):
        if is_dropped[i]:
            continue
        k, volume, bid, ask = row[i], amount[i], bid_before[i], ask_before[i]
        beyond_mid = (price[i] - bid) + (price[i] - ask)  # twice; at a best price exactly the spread
        sums[_NET, k] += sign[i] * volume
        sums[_VOLUME, k] += volume
        sums[_VALUE, k] += price[i] * volume
        sums[_COUNT, k] += 1
        sums[_LAST, k] = price[i]
        if sign[i] != 0 and bid == bid:
            sums[_SPREAD, k] += volume * (sign[i] * beyond_mid / ((bid + ask) / 2) * 1e4)
            sums[_SPREAD_WEIGHT, k] += volume
        if ask > bid:
            sums[_PLACE, k] += volume * (beyond_mid / (ask - bid))
            sums[_PLACE_WEIGHT, k] += volume
