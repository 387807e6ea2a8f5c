"""Families run in portions, each from the saved state of the one before."""

from collections.abc import Sequence

import numpy as np

from etl.features.declared import StatefulFamily, computed, families
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows
from etl.features.saved import restored, saved
from tests.etl.features.made_rows import portion


def columns_in_portions(rows: Rows, cuts: Sequence[int], *, options: FeatureOptions) -> dict[str, Floats]:
    """Every column of every family; all rows must be valid."""
    parts, kept, start = [], {}, 0
    for stop in [*sorted(cuts), len(rows)]:
        made_by = families(options)
        stateful = {name: family for name, family in made_by.items() if isinstance(family, StatefulFamily)}
        for name, arrays in kept.items():
            stateful[name].state.update(restored(arrays))
        parts.append(computed(made_by, portion(rows, start, stop)))
        kept = {name: saved(family.state) for name, family in stateful.items()}
        start = stop
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
