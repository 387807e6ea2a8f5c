"""`extract_structural_features`: what every single book shows, without memory of the books before it."""

from collections.abc import Mapping
from typing import Any, TypeVar

import polars as pl

from etl.features.columns import columns
from etl.features.declared import Family, StatelessFamily, computed, families
from etl.features.events import BookEvents
from etl.features.given import refuse_other_frames
from etl.features.options import FeatureOptions
from etl.features.rows import Rows
from shared.errors import InputUnreadable

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
_ROWS_AT_ONCE = 16_384  # of 20 levels: some MB of matrices, whatever the length of the frame


def extract_structural_features(books: Frame, **options: Any) -> Frame:
    """A row for every snapshot, in the same order: its columns but for the sides, then flags and features of the book.

    The features are those of `StatefulFeatureProcessor` that remember nothing; a snapshot that it would leave out, late
    or repeated, has a row here too. Levels of no price or size are dropped, of equal prices the last counts. A
    crossed book has null features, a book without a side those of the other side that need no mid price.

    Args:
        books: snapshots `timestamp`, `bids`, `asks` (lists of (price, size), best first or not). Of a lazy frame
            only what is collected is computed.
        options: those of `FeatureOptions`, by name.

    Raises: InputUnreadable for a column that is missing, of a wrong type, or named as a feature; ValueError for an
        option that does not exist or a value that it cannot have.

    >>> from datetime import UTC, datetime
    >>> books = pl.DataFrame(
    ...     {
    ...         "timestamp": [datetime(2024, 5, 1, tzinfo=UTC)],
    ...         "bids": [[{"price": 99.75, "size": 5.0}, {"price": 99.5, "size": 10.0}]],
    ...         "asks": [[{"price": 100.25, "size": 4.0}]],
    ...     }
    ... )
    >>> made = extract_structural_features(books, max_levels=10, ofi_levels=5)
    >>> made.select("mid_price", "imbalance_L1", "bid_vol_band_10_25bps", "bid_vol_band_25_50bps").row(0)
    (100.0, 0.1111111111111111, 0.0, 5.0)
    """
    chosen = FeatureOptions.of(options)
    refuse_other_frames(books, "books", pl.DataFrame, pl.LazyFrame)
    if isinstance(books, pl.LazyFrame):
        nothing = pl.DataFrame(schema=books.collect_schema())
        return books.map_batches(
            lambda part: _extracted(part, chosen),
            schema=_extracted(nothing, chosen).schema,
            # a row depends on no other, and what it had stays as it was
            predicate_pushdown=True,
            slice_pushdown=True,
            streamable=True,
        )
    return _extracted(books, chosen)


def _extracted(books: pl.DataFrame, options: FeatureOptions) -> pl.DataFrame:
    events = BookEvents(options)
    made_by = {name: family for name, family in families(options).items() if isinstance(family, StatelessFamily)}
    parts = [_features(part, events, made_by) for part in books.iter_slices(_ROWS_AT_ONCE)]
    features = pl.concat(parts or [_features(books, events, made_by)])
    own = books.drop("bids", "asks")
    for name in own.columns:
        if name in features.columns:
            raise InputUnreadable(f"column {name!r} of books is a feature", hint="Drop or rename it")
    return own.hstack(features)


def _features(books: pl.DataFrame, events: BookEvents, made_by: Mapping[str, Family]) -> pl.DataFrame:
    rows = events.each(books)
    ordered = sorted(made_by.values(), key=lambda family: family.rank)
    features = [feature for family in ordered for feature in family.features]
    return _flags(rows).hstack(columns(features, computed(made_by, rows)))


def _flags(rows: Rows) -> pl.DataFrame:
    names = ("is_locked", "is_crossed", "is_one_sided", "levels_bid", "levels_ask")
    return pl.DataFrame({name: getattr(rows, name) for name in names})
