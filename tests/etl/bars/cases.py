"""Every kind of bar with every option, a line each: what the tests of properties and of equality go through."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from etl.bars import Bars, new_bars
from tests.etl.bars.reference import Reference, new_reference

MEASURES = ("tick", "volume", "dollar")


@dataclass(frozen=True)
class Case:
    kind: str
    params: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{name}={value}" for name, value in self.params.items())])

    @property
    def measure(self) -> str:
        """tick, volume or dollar; of time bars time, of streaks tick."""
        return "tick" if self.kind == "streak" else self.kind.split("_")[0]

    @property
    def is_information(self) -> bool:
        return self.kind.endswith(("_imbalance", "_run"))

    @property
    def needs_days(self) -> bool:
        return "adv_fraction" in self.params.values() or "e0_update" in self.params

    def bars(self, **options: Any) -> Bars:
        return new_bars(self.kind, **self.params, late="drop", **options)

    def reference(self) -> Reference:
        return new_reference(self.kind, **self.params)


def _information(kind: str, **params: Any) -> Case:
    return Case(kind, {"expected_ticks_init": 3, "ewma_window": 3, "imbalance_window": 5} | params)


CASES = [
    Case("time", {"interval": "1m"}),
    Case("time", {"interval": 7}),
    Case("time", {"interval": "7s", "on_gap": "close"}),
    Case("time", {"interval": "5m", "skip_first_partial": True}),
    Case("time", {"interval": "1mo"}),
    Case("time", {"interval": "1y"}),
    Case("tick", {"threshold": 1}),
    Case("tick", {"threshold": 3}),
    Case("tick", {"threshold": 2, "tick_unit": "order"}),
    Case("tick", {"threshold": 2, "tick_unit": "order", "on_gap": "close"}),
    Case("tick", {"threshold": "adv_fraction", "adv_fraction": "0.3"}),
    Case("tick", {"threshold": "adv_fraction", "adv_fraction": "0.3", "adv_days": 2, "tick_unit": "order"}),
    Case("volume", {"threshold": "20.25"}),
    Case("volume", {"threshold": 3e3, "gap_reset_s": 60}),
    Case("volume", {"threshold": "20.25", "carry": "phase"}),
    Case("volume", {"threshold": "adv_fraction", "adv_fraction": 0.2, "threshold_init": 5}),
    Case("volume", {"threshold": "adv_fraction", "adv_fraction": 0.2, "adv_days": 1, "on_gap": "close"}),
    Case("dollar", {"threshold": 200}),
    Case("dollar", {"threshold": "1e-3"}),
    Case("dollar", {"threshold": "777.7", "carry": "phase", "on_gap": "close"}),
    Case("dollar", {"threshold": "adv_fraction"}),
    *(_information(f"{measure}_imbalance") for measure in MEASURES),
    *(_information(f"{measure}_imbalance", preset="afml_literal") for measure in MEASURES),
    *(_information(f"{measure}_imbalance", preset="guarded_ema", on_gap="close") for measure in MEASURES),
    *(_information(f"{measure}_imbalance", init_imbalance="0.125") for measure in MEASURES),
    *(_information(f"{measure}_imbalance", tick_unit="order", preset="guarded_ema") for measure in MEASURES),
    *(_information(f"{measure}_imbalance", e0_update="daily", bars_per_day=2) for measure in MEASURES),
    _information("tick_imbalance", preset="mlfinlab_like", bounds=(2, 4)),
    _information("volume_imbalance", preset="mlfinlab_like", bounds=(1.5, 6), gap_reset_s=30),
    _information("volume_imbalance", expected_ticks="ema", floor_k=0.5, max_ticks=4, imbalance_window=None),
    _information("dollar_imbalance", preset="guarded_ema", e0_update="daily", bars_per_day="1.5", tick_unit="order"),
    *(_information(f"{measure}_run") for measure in MEASURES),
    *(_information(f"{measure}_run", preset="afml_literal") for measure in MEASURES),
    *(_information(f"{measure}_run", preset="guarded_ema", on_gap="close", gap_reset_s=60) for measure in MEASURES),
    *(_information(f"{measure}_run", run_threshold="jensen") for measure in MEASURES),
    *(_information(f"{measure}_run", tick_unit="order", expected_ticks="ema", max_ticks=6) for measure in MEASURES),
    *(_information(f"{measure}_run", e0_update="daily", bars_per_day=2) for measure in MEASURES),
    _information("volume_run", preset="mlfinlab_like", bounds=(2, 4), run_threshold="jensen"),
    Case("streak", {"threshold": 2}),
    Case("streak", {"threshold": 3, "gap_reset_s": 60}),
    Case("streak", {"threshold": 2, "tick_unit": "order", "on_gap": "close"}),
]

every_case = pytest.mark.parametrize("case", CASES, ids=str)
