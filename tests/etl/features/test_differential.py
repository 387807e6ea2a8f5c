"""The kernels against the exact reference, every column of every row: simulated books, and recorded ones.

Books come as snapshots and l2, with all that feeds do wrong: resets, holes, lost messages, crossed, locked, one-sided
and empty books, equal prices, levels of nothing, equal books at one time, bursts and long silences. Options are random.
The short form is part of every test run; the long form is `pytest -m slow tests/etl/features/test_differential.py`.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from etl.features.declared import features
from etl.features.options import FeatureOptions
from etl.features.tables import TABLES, FeatureTable
from tests.conformance.sampling import DATA
from tests.etl.features.agreement import differences
from tests.etl.features.implementations import Reference
from tests.etl.features.kernels import Kernels
from tests.etl.features.recorded_books import RECORDINGS, busiest, parts, recording
from tests.etl.features.reference import Message, Snapshot, Trade
from tests.etl.features.simulated import simulated
from tests.etl.features.spec_cases import S0, S1, TRADES

LONG = int(os.environ.get("DAEDALUS_DIFFERENTIAL_EXAMPLES") or 300)
FOUND = (Phase.explicit, Phase.reuse, Phase.generate)  # a smaller seed is no smaller example
ours, theirs = Kernels(), Reference()

OPTIONS = st.fixed_dictionaries(
    {
        "hf_emit_interval": st.sampled_from((0, 0.25, 1, 1, 5)),
        "horizons": st.sampled_from(((5, 15), (1, 60), (2,), (0.5, 3))),
        "min_obs_regression": st.sampled_from((3, 5, 10)),
        "max_levels": st.sampled_from((4, 5, 20)),
        "ofi_levels": st.sampled_from((1, 2)),
    },
    optional={
        "depth_levels": st.sampled_from((2, 3, 10)),
        "level_columns": st.just(False),
        "bands_bps": st.sampled_from(((0, 1, 2), (0, 5, 10, 25, 50, 100), (0, 10, 3000))),
        "smart_depth_kind": st.just("index"),
        "smart_half_life_bps": st.sampled_from((1.0, 20.0)),
        "slope_kinds": st.sampled_from((("gn",), ("ns",), ("gn", "ns"))),
        "lot_size": st.sampled_from((0.001, 10.0)),
        "cost_base_sizes": st.sampled_from(((1,), (0.5, 100))),
        "cost_quote_sizes": st.sampled_from(((), (100,), (1000, 100_000))),
        "ofi_decay_alpha": st.sampled_from((0, 0.1, 2)),
        "ofi_decay_kind": st.just("power"),
        "use_dynamic_spread_regime": st.just(False),
        "spread_regime_window": st.sampled_from((20, 3600)),
        "spread_tight_percentile": st.sampled_from((0.05, 0.5)),
        "spread_wide_percentile": st.sampled_from((0.6, 0.95)),
        "tight_spread_threshold": st.sampled_from((1e-4, 1e-3)),
        "kyle_lambda_window": st.sampled_from((5, 60)),
        "kyle_intercept": st.just(False),
        "enable_vpin": st.just(False),
        "vpin_bucket_volume": st.sampled_from((0.1, 2, 10)),
        "vpin_window_buckets": st.sampled_from((1, 2, 5)),
        "max_state_staleness_seconds": st.sampled_from((2, 10)),
        "partial_windows": st.just(True),
        "min_obs": st.sampled_from((1, 3)),
        "ew_taus_s": st.sampled_from(((), (1, 10), (0.5,))),
    },
)


def lossy(messages: Sequence[Message], rng: random.Random) -> list[Message]:
    """Some messages are lost, and the next one that comes knows it."""
    kept: list[Message] = []
    is_lost = False
    for message in messages:
        if rng.random() < 0.02:
            is_lost = True
            continue
        kept.append(replace(message, gap_before=message.gap_before or is_lost))
        is_lost = False
    return kept


def assert_agreement(events: Sequence[Snapshot | Message], trades: Sequence[Trade], options: dict[str, Any]) -> None:
    units = {feature.name: feature.unit for feature in features(FeatureOptions.of(options))}
    found = differences(ours.book_rows(events, trades, options), theirs.book_rows(events, trades, options), units)
    assert not found


def compare_simulated(seed: int, options: dict[str, Any], *, events: int) -> None:
    rng = random.Random(seed)
    told = simulated(
        seed, events=events, trades_per_event=rng.choice((0, 0.1, 0.7)), long_pauses=rng.choice((0, 0.02)),
        gap_marks=rng.choice((0, 0.02)),
    )  # fmt: skip
    books = rng.choice((told.snapshots, told.messages, lossy(told.messages, rng)))
    assert_agreement(books, told.trades, options)


@settings(max_examples=20, phases=FOUND)
@given(seed=st.integers(0, 10**9), options=OPTIONS)
def test_simulated_books(seed: int, options: dict[str, Any]) -> None:
    compare_simulated(seed, options, events=60)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@settings(max_examples=LONG, phases=FOUND)
@given(seed=st.integers(0, 10**9), options=OPTIONS)
def test_simulated_books_at_length(seed: int, options: dict[str, Any]) -> None:
    compare_simulated(seed, options, events=200)


EVERYTHING: dict[str, Any] = {
    "slope_kinds": ("gn", "ns"),
    "cost_base_sizes": (10,),
    "partial_windows": True,
    "bands_bps": (0, 1, 5, 10),
    "variance_ratio_lags": (2, 3),
    "yang_zhang_bars": (2, 5),
}


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["default", "everything"])
@pytest.mark.parametrize("table", [table for table in TABLES if table.name != "ticker"], ids=lambda table: table.name)
def test_every_feature_is_compared_and_every_column_of_the_reference_is_a_feature(
    table: FeatureTable, options: dict[str, Any]
) -> None:
    rows = theirs.book_rows([S0, S1], TRADES, options)
    made = {
        "orderbook": rows,
        "trade_features": theirs.trade_rows(TRADES, options),
        "book_bars": theirs.bar_rows(rows, 60, options),
    }[table.name]
    facts = {fact.name for fact in table.facts}
    declared = [feature.name for feature in table.features(FeatureOptions.of(options))]
    assert sorted(made[0].keys() - facts) == sorted(declared)


RECORDED: dict[str, Any] = {
    "horizons": (1, 5),
    "vpin_bucket_volume": 5,
    "vpin_window_buckets": 5,
    "kyle_lambda_window": 5,
}
here = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}; set DAEDALUS_TEST_DATA")


def compare_recorded(name: str, *, count: int, every: int, first_alone: bool) -> None:
    stored = RECORDINGS[name]()
    made = recording(stored, busiest(stored))
    for first in [*parts(made, count=count, every=every)][-1 if first_alone else 0 :]:
        messages, books, trades = made.part(first, count)
        for interval_s in (0, 0.25):
            assert_agreement(messages, trades, RECORDED | {"hf_emit_interval": interval_s})
        assert_agreement(books, trades, RECORDED | {"hf_emit_interval": 1, "partial_windows": True})


@here
@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_books(name: str) -> None:
    compare_recorded(name, count=80, every=1500, first_alone=True)


@here
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_books_at_length(name: str) -> None:
    compare_recorded(name, count=300, every=600, first_alone=False)
