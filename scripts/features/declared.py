"""Every feature as the tables have it, out of its one declaration: what lists and pages are made of."""

from collections.abc import Iterator
from typing import NamedTuple

from etl.features.declared import families
from etl.features.options import FeatureOptions
from etl.features.tables import TABLES, FeatureTable

BOOKS = "orderbook"


class Described(NamedTuple):
    """A column of a table of features."""

    table: str
    family: str  # of those that are made in families: the order book's
    name: str
    type: str  # float64 | boolean | int64 | string
    unit: str
    formula: str
    source: str
    spec: str  # id in the specification
    channels: list[str]


def described(options: FeatureOptions) -> list[Described]:
    """Every feature as these options make it, table after table, in the order of columns."""
    return [each for table in TABLES for each in _of(table, options)]


def _of(table: FeatureTable, options: FeatureOptions) -> Iterator[Described]:
    made_by = {}
    if table.name == BOOKS:
        made = families(options).items()
        made_by = {each.name: (name, family) for name, family in made for each in family.features}
    for each in table.features(options):
        name, family = made_by.get(each.name, ("", None))
        yield Described(
            table=table.name,
            family=name,
            name=each.name,
            type=str(each.dtype()).lower(),
            unit=each.unit,
            formula=each.formula,
            source=each.source,
            spec=each.spec,
            channels=list(family.channels) if family else [table.made_from],
        )
