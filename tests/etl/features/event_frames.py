"""Frames of books and trades for the tests of events, and the rows that come of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from etl.features.events import BookEvents
from etl.features.options import FeatureOptions
from etl.features.rows import Rows, RowTrades
from etl.features.saved import restored, saved

Side = Sequence[tuple[float, float]]
Book = tuple[int, Side, Side]  # ns, bids, asks
NS = pl.Datetime("ns", "UTC")
EVERY_EVENT = FeatureOptions(hf_emit_interval=0)


def snapshots(books: Sequence[Book], *, gaps: Sequence[int] = ()) -> pl.DataFrame:
    """Snapshots as table orderbook has them; `gaps` are the places before which something is missing."""
    level = pl.List(pl.Struct({"price": pl.Float64, "size": pl.Float64}))
    sides = [[[{"price": p, "size": q} for p, q in book[at]] for book in books] for at in (1, 2)]
    return pl.DataFrame(
        {
            "timestamp": pl.Series([book[0] for book in books], dtype=pl.Int64).cast(NS),
            "bids": pl.Series(sides[0], dtype=level),
            "asks": pl.Series(sides[1], dtype=level),
            "gap_before": pl.Series([place in gaps for place in range(len(books))], dtype=pl.Boolean),
        }
    )


def trades(given: Sequence[tuple[int, float, float, str | None]]) -> pl.DataFrame:
    """Trades as silver has them: (ns, price, amount, side)."""
    schema = {"timestamp": pl.Int64, "price": pl.Float64, "amount": pl.Float64, "side": pl.String}
    return pl.DataFrame(list(given), schema=schema, orient="row").with_columns(pl.col("timestamp").cast(NS))


def rows_of(
    books: pl.DataFrame,
    given: pl.DataFrame | None = None,
    *,
    options: FeatureOptions = EVERY_EVENT,
    cuts: Sequence[int] = (),
) -> tuple[Rows, dict[str, int]]:
    """All rows and counts; at each cut of the frame the state is saved, and another goes on from it."""
    events, parts, start, before = BookEvents(options), [], 0, None
    for stop in [*cuts, len(books)]:
        part = books[start:stop]
        own = given
        if given is not None:
            times = part["timestamp"].max() if len(part) else None
            upto = given.filter(pl.col("timestamp") <= times) if times is not None else given.clear()
            upto = given if stop == len(books) else upto
            own = upto[before or 0 :]
            before = max(before or 0, len(upto))
        parts.append(events.update(part, own))
        again = BookEvents(options)
        again.state.update(restored(saved(events.state)))
        again.counts.update(events.counts)
        events, start = again, stop
    parts.append(events.flush())
    return joined(parts), events.counts


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of several updates in one."""
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name, value in vars(parts[0]).items()
        if isinstance(value, np.ndarray)
    }
    moved, valid = [], 0
    for part in parts:
        moved.append(replace(part.trades, row=part.trades.row + valid))
        valid += int(part.is_valid.sum())
    names = vars(moved[0])
    return Rows(**arrays, trades=RowTrades(**{n: np.concatenate([getattr(p, n) for p in moved]) for n in names}))


def assert_same(one: Rows, other: Rows, *, but: Sequence[str] = ()) -> None:
    """Bit for bit, all but some arrays."""
    for name, value in [*vars(one).items(), *vars(one.trades).items()]:
        if not isinstance(value, np.ndarray) or name in but:
            continue
        twin = getattr(other if name in vars(other) and value is vars(one).get(name) else other.trades, name)
        assert np.array_equal(value, twin, equal_nan=value.dtype.kind == "f"), name
