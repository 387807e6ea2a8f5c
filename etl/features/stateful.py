"""`StatefulFeatureProcessor`: books and trades of one stream in, rows of features out, and a state to go on from."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import polars as pl

from etl.features.columns import columns
from etl.features.declared import TIME, StatefulFamily, computed, families
from etl.features.events import OPTIONS, BookEvents
from etl.features.options import FeatureOptions
from etl.features.rows import Rows
from etl.features.saved import SavedArray, other_state, restore, saved
from shared.errors import StateMismatch

VERSION = 2


class FeatureState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a processor remembers."""

    version: int = VERSION
    options: str  # canonical JSON of what the rows depend on
    arrays: dict[str, dict[str, SavedArray]]  # by family; "" is the book and its events
    counts: dict[str, int]


class StatefulFeatureProcessor:
    """Features of one stream's order book and trades, equal however the input is cut and wherever it is restarted.

    Options are those of `FeatureOptions`, by name.

    Raises: ValueError for an option that does not exist or a value that it cannot have.
    """

    def __init__(self, *, state: FeatureState | None = None, **options: Any) -> None:
        self.options = FeatureOptions.of(options)
        self._events = BookEvents(self.options)
        self._families = families(self.options)
        ordered = sorted(self._families.values(), key=lambda family: family.rank)
        self._features = [feature for family in ordered for feature in family.features]
        if state:
            self._restore(state)

    def update(self, books: pl.DataFrame, trades: pl.DataFrame | None = None) -> pl.DataFrame:
        """The rows that these updates of the book complete.

        Args:
            books: snapshots (`timestamp`, `bids`, `asks`: lists of (price, size), best first or not) or messages of
                table `l2`; optionally `capture_ts`, and `gap_before` where something is missing before an update.
            trades: `timestamp`, `price`, `amount`, `side`, in order, each once; all up to the last of these updates,
                and later ones where there are.

        Raises: InputUnreadable naming a column that is missing or of a wrong type.
        """
        return self._frame(self._events.update(books, trades))

    def flush(self, trades: pl.DataFrame | None = None) -> pl.DataFrame:
        """The row that is still open, at a declared end of the data; `trades` are those not given before."""
        return self._frame(self._events.flush(trades))

    @property
    def counts(self) -> Mapping[str, int]:
        """What was seen and what was left out, since the very beginning."""
        return self._events.counts

    @property
    def identity(self) -> str:
        """The options that rows depend on, as canonical JSON; those of other tables are not among them."""
        names = {name for family in self._families.values() for name in family.options}
        return self.options.identity(*sorted(names | set(OPTIONS)))

    def snapshot(self) -> FeatureState:
        """The whole state, for `state=` of an equal processor."""
        arrays = {name: saved(family.state) for name, family in self._stateful().items()}
        return FeatureState(
            options=self.identity, arrays={"": saved(self._events.state), **arrays}, counts=dict(self._events.counts)
        )

    def _restore(self, state: FeatureState) -> None:
        if (state.version, state.options) != (VERSION, self.identity):
            raise other_state((state.version, state.options), (VERSION, self.identity))
        made = {"": self._events.state} | {name: family.state for name, family in self._stateful().items()}
        if made.keys() != state.arrays.keys():
            differ = ", ".join(sorted(made.keys() ^ state.arrays.keys()))
            raise StateMismatch(f"the state is damaged: {differ} missing or unknown", hint="Begin without a state")
        for name, arrays in made.items():
            restore(arrays, state.arrays[name])
        self._events.counts.update(state.counts)

    def _stateful(self) -> dict[str, StatefulFamily]:
        return {name: family for name, family in self._families.items() if isinstance(family, StatefulFamily)}

    def _frame(self, rows: Rows) -> pl.DataFrame:
        series = columns(self._features, computed(self._families, rows))
        return facts(rows, source=self._events.source).hstack(series)


def facts(rows: Rows, *, source: str) -> pl.DataFrame:
    """What stands before the features of each row."""
    return pl.DataFrame(
        {
            "timestamp": moments(rows.t_ns),
            "book_ts": moments(rows.book_ns),
            "known_at": moments(rows.known_ns),
            "is_reset": rows.is_reset,
            "is_locked": rows.is_locked,
            "is_crossed": rows.is_crossed,
            "is_one_sided": rows.is_one_sided,
            "has_gap": rows.has_gap,
            "levels_bid": rows.levels_bid,
            "levels_ask": rows.levels_ask,
            "n_updates": rows.n_updates,
            "n_crossed": rows.n_crossed,
            "ofi_source": pl.Series([source]).new_from_index(0, len(rows)),
        }
    )


def moments(t_ns: Any) -> pl.Series:
    """Times as the lake has them, in us. A row never claims to be older than it is, so parts of a us count as one."""
    return pl.Series(-(-np.asarray(t_ns) // 1000)).cast(TIME)
