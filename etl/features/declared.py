"""What a feature is and what computes it: from these declarations come columns, pages and lists; there is no other.

A family is a class in a module of `etl.features.families`. Being there is all it takes to be part of the house.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from typing import ClassVar

import numpy as np
import polars as pl

from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows
from etl.features.saved import Arrays

HOUSE = "definition"  # the source of what this house defines
TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Feature:
    """One column: what it is called, measured in, computed by, and who says so."""

    name: str
    unit: str
    formula: str
    source: str  # a paper, or HOUSE
    spec: str  # id in the specification: S1, A8
    dtype: type[pl.DataType] = pl.Float64  # Float64 | Boolean | Int64 | String
    words: tuple[str, ...] = ()  # of a String: what the numbers 0, 1, ... stand for


@dataclass(frozen=True)
class Fact:
    """One column that is no feature: whose and when a row is, and what is to be known of it."""

    name: str
    dtype: pl.DataType
    what: str


class Family(ABC):
    """Features that are computed together. Kernels see float64 arrays in which NaN stands for null."""

    rank: ClassVar[int]  # place of its columns among those of other families
    channels: ClassVar[tuple[str, ...]] = ("orderbook",)  # what it is made from: orderbook, trades
    needs: ClassVar[tuple[str, ...]] = ()  # families whose columns it reads
    options: ClassVar[tuple[str, ...]] = ()  # names of the options it goes by
    features: tuple[Feature, ...]

    @abstractmethod
    def __init__(self, options: FeatureOptions) -> None:
        """Declare `features` as these options make them, and begin with nothing remembered."""

    @abstractmethod
    def update(self, rows: Rows) -> Mapping[str, Floats]:
        """A float64 array per feature, as long as `rows`; NaN is null, a Boolean is 0 or 1."""

    def named(self, values: Iterable[Floats]) -> dict[str, Floats]:
        """Values of the features in their order, by name."""
        return {feature.name: value for feature, value in zip(self.features, values, strict=True)}


class StatelessFamily(Family):
    """Features of one row alone. It sees crossed (no levels) and one-sided books too."""


class StatefulFamily(Family):
    """Features that remember earlier rows. It sees valid rows alone: two-sided and not crossed.

    All that is remembered is in `state`, arrays by name, so that it can be saved without a word from the family.
    Kernels go row by row in one order of operations: how rows are cut into updates changes no bit.
    """

    state: Arrays


@cache
def family_types() -> dict[str, type[Family]]:
    """Every family by the name of its module, each after those whose columns it needs, else by rank."""
    package = importlib.import_module("etl.features.families")
    found: dict[str, type[Family]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        own = [
            cls
            for cls in vars(module).values()
            if isinstance(cls, type) and issubclass(cls, Family) and cls.__module__ == module.__name__
        ]
        assert len(own) == 1, f"{module.__name__} must hold one family, found {len(own)}"
        found[info.name] = own[0]
    by_rank = sorted(found, key=lambda name: found[name].rank)
    order = TopologicalSorter({name: found[name].needs for name in by_rank}).static_order()
    return {name: found[name] for name in order}


def families(options: FeatureOptions) -> dict[str, Family]:
    """Every family as these options make it, in the order of computing."""
    return {name: cls(options) for name, cls in family_types().items()}


def features(options: FeatureOptions) -> list[Feature]:
    """Every feature as these options make it, in the order of columns."""
    made = sorted(families(options).values(), key=lambda family: family.rank)
    return [feature for family in made for feature in family.features]


@np.errstate(all="ignore")  # what is not defined is null, whatever was divided by
def computed(made_by: Mapping[str, Family], rows: Rows) -> dict[str, Floats]:
    """Every column of these families, NaN where a row has none: stateful ones see valid rows alone."""
    for family in made_by.values():
        if isinstance(family, StatelessFamily):
            rows.columns.update(family.update(rows))
    valid = rows.valid()
    for family in made_by.values():
        if isinstance(family, StatefulFamily):
            valid.columns.update(family.update(valid))
    if valid is rows:
        return rows.columns
    for name in valid.columns.keys() - rows.columns.keys():
        whole = np.full(len(rows), np.nan)
        whole[rows.is_valid] = valid.columns[name]
        rows.columns[name] = whole
    return rows.columns
