"""Spread regime, Kyle and VPIN on simulated books and trades: equal to the slow reference."""

import math
from typing import Any

import pytest

from etl.features.declared import families
from etl.features.options import FeatureOptions
from tests.etl.features import reference
from tests.etl.features.kernels import Kernels
from tests.etl.features.simulated import simulated

CHOICES: list[dict[str, Any]] = [
    {
        "hf_emit_interval": 0, "spread_regime_window": 60, "kyle_lambda_window": 30, "vpin_window_buckets": 5,
        "min_obs_regression": 5,
    },
    {
        "hf_emit_interval": 1, "spread_regime_window": 900, "partial_windows": True, "kyle_intercept": False,
        "vpin_bucket_volume": 2.5, "vpin_window_buckets": 20, "min_obs_regression": 4,
    },
]  # fmt: skip


@pytest.mark.parametrize(("chosen", "seed"), [(CHOICES[0], 3), (CHOICES[1], 2)], ids=["each event", "grid"])
def test_each_feature_is_the_references(chosen: dict[str, Any], seed: int) -> None:
    options = {"horizons": (5, 15), "level_columns": False, **chosen}
    told = simulated(seed, events=120, long_pauses=0.01, gap_marks=0.01)
    names = [
        feature.name
        for name, family in families(FeatureOptions.of(options)).items()
        for feature in family.features
        if name in ("regime", "kyle", "vpin")
    ]
    expected = reference.book_rows(told.snapshots, told.trades, reference.Options(**options))
    made = Kernels().book_rows(told.snapshots, told.trades, options)
    known = dict.fromkeys(names, 0)
    for row, slow in zip(made, expected, strict=True):
        for name in names:
            number = slow[name]
            if isinstance(number, float) and math.isfinite(number):
                assert row[name] == pytest.approx(number, rel=1e-9, abs=1e-12), (name, row["timestamp"])
            else:
                assert row[name] == number, (name, row["timestamp"])
            known[name] += number is not None
    assert all(known.values()), known
