"""Features of windows: the specification's numbers, and the slow reference over simulated books and trades."""

from typing import Any

import numpy as np
import pytest

from etl.features.declared import families
from etl.features.options import FeatureOptions
from tests.etl.features.kernels import Kernels
from tests.etl.features.made_rows import S0, S1, made_rows
from tests.etl.features.reference import Options, book_rows
from tests.etl.features.simulated import simulated
from tests.etl.features.spec_cases import EACH_EVENT, Case
from tests.etl.features.spec_cases_windows import ROLLING

FAMILIES = ("rolling_flow", "rolling_volatility", "rolling_book", "rolling_impact")
SMALL: dict[str, Any] = {
    "max_levels": 6,
    "ofi_levels": 3,
    "depth_levels": 2,
    "level_columns": False,
    "horizons": (5, 60),
    "ew_taus_s": (10,),
    "enable_vpin": False,
    "min_obs_regression": 3,
}


def names(options: dict[str, Any]) -> list[str]:
    made_by = families(FeatureOptions.of(options))
    return [feature.name for family in FAMILIES for feature in made_by[family].features]


@pytest.mark.parametrize("case", ROLLING, ids=lambda case: case.name)
def test_the_worked_numbers(case: Case) -> None:
    row = Kernels().book_rows(case.events, case.trades, EACH_EVENT | case.options)[case.row]
    for name, value in case.expected.items():
        meant = pytest.approx(value, rel=1e-9, abs=1e-15) if isinstance(value, float) else value
        assert row[name] == meant, name


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "chosen",
    [
        {"hf_emit_interval": 0.0},
        {"hf_emit_interval": 1.0, "partial_windows": True, "min_obs": 1},
        {"hf_emit_interval": 0.0, "partial_windows": True, "min_obs": 4, "max_state_staleness_seconds": 19.0},
    ],
    ids=["each event", "grid, partial", "many resets"],
)
def test_every_column_is_the_references(seed: int, chosen: dict[str, Any]) -> None:
    """Gaps within windows, resets, crossed and one-sided books, rows of one time, trades with and without a side."""
    told, options = simulated(seed, events=120, long_pauses=0.05), SMALL | chosen
    ours = Kernels().book_rows(told.snapshots, told.trades, options)
    theirs = book_rows(told.snapshots, told.trades, Options(**options))
    known = dict.fromkeys(names(options), 0)
    for row, expected in zip(ours, theirs, strict=True):
        for name in known:
            number = expected[name]
            # sums that nearly cancel are as exact as what is summed
            meant = None if number is None else pytest.approx(number, rel=1e-9, abs=1e-12)
            assert row[name] == meant, (name, row["timestamp"])
            known[name] += number is not None
    assert [name for name, times in known.items() if not times and "_60s" not in name] == []


def made(rows: Any, options: FeatureOptions, *only: str) -> dict[str, np.ndarray]:
    made_by = families(options)
    columns: dict[str, np.ndarray] = {}
    for name in only:
        columns |= dict(made_by[name].update(rows))
    return columns


def test_a_quiet_window_is_exactly_quiet() -> None:
    """What came before leaves no trace: variance 0, volatility 0, and no regression on what does not vary."""
    options = FeatureOptions(hf_emit_interval=0, horizons=(5,), min_obs_regression=3)
    rows = made_rows([(float(s), *S0[1:]) for s in range(12)], options=options)
    lively = np.arange(12) < 4
    rows.columns.update(
        mid_price=np.where(lively, 60_000.1 + np.arange(12) / 7, 60_000.3),
        log_return=np.where(lively, np.arange(12) / 7e4, 0.0),
        ofi=np.where(lively, np.arange(12) / 3, 0.1),
        tfi=np.where(lively, 1e16 / 3, 0.0),
        trade_value=np.full(12, 7.7),
        mlofi=np.where(lively, 0.1, 0.3),
        relative_spread=np.where(lively, 1e-4 / 3, 0.0),
        last_trade_price=np.where(lively, 60_000.1 + np.arange(12) % 2, 60_000.3),
    )
    last = {name: values[-1] for name, values in made(rows, options, *FAMILIES).items()}
    for name in ("rv_5s", "rstd_5s", "mean_return_5s", "tfi_sum_5s", "mean_spread_5s", "depth_var_5s", "amihud_5s"):
        assert last[name] == 0, name
    assert last["ofi_sum_5s"] == 0.5
    for name in ("ofi_beta_5s", "hasbrouck_lambda_5s", "roll_spread_5s"):
        assert np.isnan(last[name]), name


def test_the_reset_row_begins_every_window_anew() -> None:
    options = FeatureOptions(hf_emit_interval=0, horizons=(2,), partial_windows=True, min_obs=1, ew_taus_s=(1,))
    books = [(float(s), *(S0, S1)[s % 2][1:]) for s in range(6)]
    rows = made_rows(books, options=options, resets=(0, 3))
    flow = np.where(rows.is_reset, np.nan, 1.0)
    rows.columns.update(dict.fromkeys(("ofi", "mlofi", "tfi", "log_return", "relative_spread"), flow))
    columns = made(rows, options, *FAMILIES[:3])
    assert columns["coverage_2s"].tolist() == [0, 0.5, 1, 0, 0.5, 1]
    for name in ("ofi_sum_2s", "mlofi_sum_2s", "tfi_sum_2s", "sum_return_2s"):
        assert columns[name].tolist() == pytest.approx([np.nan, 1, 2, np.nan, 1, 2], nan_ok=True), name
    assert columns["ew_ofi_1s"][[3, 4]].tolist() == pytest.approx([np.nan, 1], nan_ok=True)
    assert np.isnan(columns["book_age"]).tolist() == rows.is_reset.tolist()
    assert columns["quote_rate_2s"].tolist() == [0.5, 1, 1, 0.5, 1, 1]
