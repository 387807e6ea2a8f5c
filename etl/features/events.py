"""Updates of a book to rows: cleaning, rebuilding from l2, order flow between updates, and when a row is emitted."""

import polars as pl

from etl.features.options import FeatureOptions
from etl.features.rows import Rows
from etl.features.saved import Arrays


class BookEvents:
    """The book of one stream, its updates and its trades, as rows."""

    def __init__(self, options: FeatureOptions) -> None:
        self.options = options
        self.state: Arrays = {}
        self.counts: dict[str, int] = {}
        self.source = "snapshot"  # or "event": made from every update of table l2

    def update(self, books: pl.DataFrame, trades: pl.DataFrame | None) -> Rows:
        """The rows that these updates complete."""
        raise NotImplementedError

    def flush(self) -> Rows:
        """The row that is still open."""
        raise NotImplementedError
