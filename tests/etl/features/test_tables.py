"""The list of tables says what their frames hold."""

import polars as pl
import pytest

from etl.features.options import FeatureOptions
from etl.features.stateful import StatefulFeatureProcessor
from etl.features.tables import TABLES, FeatureTable
from tests.etl.features.event_frames import snapshots

OPTIONS = FeatureOptions()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_names_each_column_once_and_says_what_it_is(table: FeatureTable) -> None:
    names = table.columns(OPTIONS)
    assert len(names) == len(set(names))
    assert table.about.endswith(".")
    for fact in table.facts:
        assert fact.what
    for feature in table.features(OPTIONS):
        assert feature.formula
        assert feature.source
        assert feature.spec


def test_rows_of_books_have_the_declared_columns() -> None:
    books = snapshots([(k * 10**9, [(100.0, 1.0)], [(100.01, 1.0)]) for k in range(3)])
    rows = StatefulFeatureProcessor().update(books)
    assert declared("orderbook") == rows.schema


def declared(name: str) -> pl.Schema:
    """The schema that the list of tables gives one of them."""
    (table,) = (one for one in TABLES if one.name == name)
    facts = {fact.name: fact.dtype for fact in table.facts}
    return pl.Schema(facts | {feature.name: feature.dtype() for feature in table.features(OPTIONS)})
