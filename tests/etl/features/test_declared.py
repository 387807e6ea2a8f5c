"""Families are found by being there, and what they give is what they declare."""

from typing import Any, cast

import numpy as np
import pytest

from etl.features.declared import StatefulFamily, computed, families, family_types, features
from etl.features.options import FeatureOptions
from etl.features.saved import SavedArray, restored, saved
from tests.etl.features.made_rows import S0, S1, TRADES, columns_of, made_rows, portion

EVERYTHING = FeatureOptions(
    hf_emit_interval=0, slope_kinds=("gn", "ns"), cost_base_sizes=(10,), partial_windows=True, vpin_bucket_volume=1
)


@pytest.mark.parametrize("options", [FeatureOptions(hf_emit_interval=0), EVERYTHING], ids=["default", "everything"])
def test_every_family_gives_what_it_declares(options: FeatureOptions) -> None:
    rows = made_rows([S0, S1], TRADES, options=options)
    made = columns_of(rows, options=options)
    names = [feature.name for feature in features(options)]
    assert len(names) == len(set(names))
    assert sorted(made) == sorted(names)
    for values in made.values():
        assert values.dtype == np.float64
        assert values.shape == (2,)


def test_ranks_are_unique_and_options_exist() -> None:
    types = family_types()
    assert len({cls.rank for cls in types.values()}) == len(types)
    for cls in types.values():
        for option in cls.options:
            assert hasattr(FeatureOptions(), option)


class Watched:
    """Options that remember which of them were asked for."""

    def __init__(self, options: FeatureOptions) -> None:
        self._options, self.asked = options, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.asked.add(name)
        return getattr(self._options, name)


@pytest.mark.parametrize("name", family_types())
def test_families_go_by_no_options_but_those_they_declare(name: str) -> None:
    """What they declare is what their rows and states are known by: another one would change rows without a word."""
    rows = made_rows([S0, S1], TRADES, options=EVERYTHING)
    rows.columns.update(columns_of(rows, options=EVERYTHING))
    options = Watched(EVERYTHING)
    family_types()[name](cast("FeatureOptions", options)).update(rows)
    assert options.asked <= set(family_types()[name].options)


def test_no_family_remembers_outside_of_its_state() -> None:
    """Families that are made anew for every row, with the saved state alone, give the same bits."""
    books = [S0, S1, *((2.0 + k, S0[1], S1[2]) if k % 2 else (2.0 + k, S1[1], S0[2]) for k in range(30))]
    trades = [*TRADES, *((k + 0.5, 100.0 + k % 3 / 100, 1.0 + k, (-1) ** k) for k in range(1, 30))]
    rows = made_rows(books, trades, options=EVERYTHING)
    whole = columns_of(rows, options=EVERYTHING)
    kept: dict[str, dict[str, SavedArray]] = {}
    for k in range(len(books)):
        made_by = families(EVERYTHING)
        for name, family in made_by.items():
            if isinstance(family, StatefulFamily) and k:
                family.state.update(restored(kept[name]))
        made = computed(made_by, portion(rows, k, k + 1))
        for name, values in made.items():
            assert np.array_equal(values, whole[name][k : k + 1], equal_nan=True), (name, k)
        kept = {name: saved(f.state) for name, f in made_by.items() if isinstance(f, StatefulFamily)}
