"""Runs in the peers' own interpreter and imports nothing of ours: bars of mlfinpy, RiskLabAI and nautilus_trader.

`python peer_process.py TASKS.json`: each task names a peer, a kind, its parameters and a file of trades (.npz: price,
size, us). Prints JSON: per task the seconds, and per bar how many trades lie before its end, by the peer's own count.
Timed is the call alone, with the trades in the form that the peer asks for.
"""

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Task = dict[str, Any]
Run = Callable[[], dict[str, list[Any]]]


def main() -> None:
    """Do the tasks."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    results = []
    tasks: list[Task] = json.loads(Path(sys.argv[1]).read_text())
    for task in tasks:
        run = _PEERS[task["peer"]](task, np.load(task["trades"]))
        began = time.perf_counter()
        found = run()
        results.append({"seconds": time.perf_counter() - began, **found})
    json.dump(results, sys.stdout)


def _mlfinpy(task: Task, trades: Any) -> Run:
    from mlfinpy.data_structure import imbalance_bars, run_bars, standard_bars, time_bars

    frame = pd.DataFrame({"date_time": _moments(trades), "price": trades["price"], "volume": trades["size"]})
    kind, params = task["kind"], {"verbose": False, **task["params"]}
    weight, _, family = kind.partition("_")
    if kind == "time":
        make = time_bars.get_time_bars
    elif family:
        module = imbalance_bars if family == "imbalance" else run_bars
        make = getattr(module, f"get_ema_{weight}_{family}_bars")
    else:
        make = getattr(standard_bars, f"get_{weight}_bars")

    def run() -> dict[str, list[Any]]:
        bars = make(frame, **params)
        bars = bars[0] if isinstance(bars, tuple) else bars
        if bars is None:
            return {"ends": [], "labels": []}
        return {"ends": bars["tick_num"].tolist(), "labels": [str(label) for label in bars["date_time"]]}

    return run


def _risklabai(task: Task, trades: Any) -> Run:
    from RiskLabAI.data.structures import imbalance_bars, run_bars, standard_bars, time_bars

    kind, params = task["kind"], task["params"]
    _, _, family = kind.partition("_")
    if kind == "time":
        bars = time_bars.TimeBars(**params)
    elif family == "imbalance":
        bars = imbalance_bars.ExpectedImbalanceBars(kind, **params)
    elif family == "run":
        bars = run_bars.ExpectedRunBars(kind, **params)
    else:
        names = {"tick": "Cumulative Ticks", "volume": "Cumulative Volume", "dollar": "Cumulative Dollar Value"}
        bars = standard_bars.StandardBars(names[kind], **params)
    rows = list(zip(_moments(trades), trades["price"].tolist(), trades["size"].tolist(), strict=True))

    def run() -> dict[str, list[Any]]:
        found = bars.construct_bars_from_data(rows)
        return {
            "ends": [bar[1] for bar in found],
            "labels": [str(bar[0]) for bar in found],
            "sell_volume": [bar[8] for bar in found],
        }

    return run


def _nautilus(task: Task, trades: Any) -> Run:
    from nautilus_trader.data import aggregation
    from nautilus_trader.model.data import BarSpecification, BarType, TradeTick
    from nautilus_trader.model.enums import AggregationSource, AggressorSide, BarAggregation, PriceType
    from nautilus_trader.model.identifiers import TradeId
    from nautilus_trader.model.objects import Price, Quantity
    from nautilus_trader.test_kit.providers import TestInstrumentProvider

    instrument = TestInstrumentProvider.btcusdt_binance()
    name = {"tick": "Tick", "volume": "Volume", "dollar": "Value"}[task["kind"]]
    measure = getattr(BarAggregation, name.upper())
    spec = BarSpecification(task["params"]["threshold"], measure, PriceType.LAST)
    found: list[Any] = []
    kind = BarType(instrument.id, spec, AggregationSource.INTERNAL)
    bars = getattr(aggregation, f"{name}BarAggregator")(instrument, kind, found.append)
    ticks = [
        TradeTick(
            instrument.id, Price(p, 2), Quantity(v, 6), AggressorSide.BUYER, TradeId(str(i)), us * 1000, us * 1000
        )
        for i, (p, v, us) in enumerate(zip(*(trades[name].tolist() for name in ("price", "size", "us")), strict=True))
    ]

    def run() -> dict[str, list[Any]]:
        handle = bars.handle_trade_tick
        for tick in ticks:
            handle(tick)
        return {"ends": [0] * len(found)}

    return run


def _moments(trades: Any) -> Any:
    return pd.to_datetime(trades["us"], unit="us")


_PEERS: dict[str, Callable[[Task, Any], Run]] = {
    "mlfinpy": _mlfinpy, "RiskLabAI": _risklabai, "nautilus_trader": _nautilus,
}  # fmt: skip

if __name__ == "__main__":
    main()
