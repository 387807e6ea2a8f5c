"""Features as people get them: NaN and infinite numbers are null, codes are words."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from etl.features.declared import Feature
from etl.features.rows import Floats

_VALUES_AT_ONCE = 1 << 16


def columns(features: Sequence[Feature], made: Mapping[str, Floats]) -> list[pl.Series]:
    """A column for each feature, in their order, all equally long.

    Numbers of many features become one column that is then parted: of a few rows a call costs more than its numbers.
    """
    if not features:
        return []
    rows = len(made[features[0].name])
    numbers = [feature.name for feature in features if feature.dtype is pl.Float64]
    found: dict[str, pl.Series] = {}
    at_once = max(1, _VALUES_AT_ONCE // max(1, rows))
    for start in range(0, len(numbers), at_once):
        names = numbers[start : start + at_once]
        values = np.concatenate([made[name] for name in names])
        values[~np.isfinite(values)] = np.nan
        whole = pl.Series(values, nan_to_null=True)
        found |= {name: whole.slice(place * rows, rows).alias(name) for place, name in enumerate(names)}
    return [
        found[feature.name] if feature.name in found else _coded(feature, made[feature.name]) for feature in features
    ]


def _coded(feature: Feature, values: Floats) -> pl.Series:
    known = np.isfinite(values)
    codes = pa.array(np.where(known, values, 0).astype(np.int64), mask=~known)
    if feature.dtype is pl.String:
        return pl.Series(feature.name, pa.array(feature.words, pa.large_string()).take(codes))
    return pl.Series(feature.name, codes).cast(feature.dtype)
