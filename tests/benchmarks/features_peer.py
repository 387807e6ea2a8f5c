"""Runs in the peers' own interpreter and imports nothing of ours: the books of hftbacktest, fed with changes.

`python features_peer.py CHANGES.npz` (ns, ask, price, size) prints JSON: seconds by the name of the book. It goes
through the events as fast as it can, and stops at every second of their time.
"""

import json
import sys
import time
from typing import Any

import numpy as np
from numba import njit

_ROUNDS = 3
_SECOND_NS = 1_000_000_000


@njit
def _through(backtest: Any, step_ns: int) -> int:
    steps = 0
    while backtest.elapse(step_ns) == 0:
        steps += 1
    return steps


def main() -> None:
    """Time both books."""
    import hftbacktest as hft
    from hftbacktest.types import event_dtype

    changes = np.load(sys.argv[1])
    events = np.zeros(len(changes["ns"]), event_dtype)
    events["ev"] = np.where(changes["ask"], hft.SELL_EVENT, hft.BUY_EVENT) | hft.DEPTH_EVENT | hft.LOCAL_EVENT
    events["exch_ts"] = events["local_ts"] = changes["ns"]
    events["px"], events["qty"] = changes["price"], changes["size"]
    low, high = float(changes["price"].min()), float(changes["price"].max())
    seconds = {}
    for name in ("HashMapMarketDepth", "ROIVectorMarketDepth"):
        times = []
        for _ in range(_ROUNDS + 1):
            asset = (
                hft.BacktestAsset().data(events).linear_asset(1.0).constant_order_latency(0, 0)
                .risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0, 0)
                .tick_size(0.01).lot_size(0.001)
            )  # fmt: skip
            if name.startswith("ROI"):
                asset = asset.roi_lb(low).roi_ub(high)
            backtest = getattr(hft, f"{name}Backtest")([asset])
            began = time.perf_counter()
            _through(backtest, _SECOND_NS)
            times.append(time.perf_counter() - began)
            backtest.close()
        seconds[name] = min(times[1:])
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main()
