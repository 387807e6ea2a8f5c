"""Features of order books: beside a plain row-by-row computation, and books from l2 beside hftbacktest's.

Ours is everything: a Polars frame of lists in, cleaning, every declared feature, a Polars frame out. The plain one has
ready arrays, makes the stateful features alone, and is held to ours to 1e-6. Everything runs in one thread.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from etl.features import given
from etl.features.book_levels import levels_of
from etl.features.events import BookEvents
from etl.features.options import FeatureOptions
from etl.features.stateful import StatefulFeatureProcessor
from tests.benchmarks.features_depth import applied, depth_of_peers
from tests.benchmarks.features_made import made_books, made_changes
from tests.benchmarks.features_plain import PlainFeatures
from tests.benchmarks.ingest import Line

ROWS, PLAIN_ROWS = 40_000, 2_500
ROWS_AT_ONCE = 5_000
SYMBOLS, POLLS, ROWS_A_POLL = 100, 3, 10
MESSAGES = 100_000
ROUNDS = 3
BUCKET, BUCKETS = 10.0, 50
_NEAR = 1e-6  # what floats may differ by, relatively


def measure() -> list[Line]:
    """Speed of ours over that of the others, and the share of a core that 100 symbols cost."""
    return [*_snapshots(), _share_of_a_core(), *_changes()]


def _snapshots() -> list[Line]:
    books, trades = made_books(ROWS)
    few = books[:PLAIN_ROWS], trades.filter(pl.col("timestamp") <= books["timestamp"][PLAIN_ROWS - 1])
    rows = _features(*few)
    plain_s = min(_plain(*few, rows if turn == 0 else None) for turn in range(ROUNDS)) / PLAIN_ROWS
    quarter = books[: ROWS // 4], trades.filter(pl.col("timestamp") <= books["timestamp"][ROWS // 4 - 1])
    all_s = _best_s(lambda: _features(books, trades)) / ROWS
    quarter_s = _best_s(lambda: _features(*quarter)) / (ROWS // 4)
    detail = f"{1 / all_s:,.0f} / {1 / plain_s:,.0f} rows/s, {rows.width} columns of 20 levels a side"
    return [
        Line("all features of snapshots / plain stateful ones", plain_s / all_s, ">= 20", detail),
        Line("a row among 4 times as many / a row", all_s / quarter_s, "<= 1.2", f"{all_s * 1e6:.1f} us a row"),
    ]


def _features(books: pl.DataFrame, trades: pl.DataFrame) -> pl.DataFrame:
    """In portions, as they come from files: memory is the same for any number of rows."""
    processor = StatefulFeatureProcessor(vpin_bucket_volume=BUCKET, vpin_window_buckets=BUCKETS)
    made, seen = [], 0
    for part in books.iter_slices(ROWS_AT_ONCE):
        upto = int((trades["timestamp"] <= part["timestamp"][-1]).sum())
        made.append(processor.update(part, trades[seen:upto]))
        seen = upto
    return pl.concat([*made, processor.flush()])


def _plain(books: pl.DataFrame, trades: pl.DataFrame, rows: pl.DataFrame | None) -> float:
    """Seconds of the plain computation; its numbers must be those of `rows`."""
    read = given.snapshots(books)
    sides = [of.reshape(len(books), -1) for side in (read.bids, read.asks) for of in (side.prices, side.sizes)]
    matrices = np.stack(sides, axis=1)
    t, row = read.t_ns / 1e9, np.searchsorted(read.t_ns, given.trades(trades).t_ns)
    mid, half = (matrices[:, 0, 0] + matrices[:, 2, 0]) / 2, (matrices[:, 2, 0] - matrices[:, 0, 0]) / 2
    told, before = given.trades(trades), np.maximum(row - 1, 0)
    tape = np.stack([told.price, told.amount, told.side.astype(float), mid[before], half[before]])
    ends = np.searchsorted(row, np.arange(len(books) + 1))
    plain, made = PlainFeatures(len(books), BUCKET, BUCKETS), []
    with np.errstate(all="ignore"):
        begun = time.perf_counter()
        for k in range(len(books)):
            last = matrices[k - 1] if k else None
            made.append(plain.update(t[k], matrices[k], last, tape[:, ends[k] : ends[k + 1]]))
        took_s = time.perf_counter() - begun
    for k, ours in enumerate(rows.iter_rows(named=True) if rows is not None else ()):
        for name, theirs in made[k].items():
            assert _are_close(ours[name], theirs, _zero(name)), (k, name, ours[name], theirs)
    return took_s


def _zero(name: str) -> float:
    """What a number may differ by where its terms cancel."""
    if name.startswith(("amihud", "hasbrouck", "kyle_r2")):
        return 1e-15
    return 1e-9 if name in ("eff_spread_bps", "trade_loc", "mid_velocity_bps") else 1e-12


def _are_close(ours: Any, theirs: Any, zero: float) -> bool:
    if theirs is None or theirs != theirs:
        return ours is None
    return ours is not None and math.isclose(ours, theirs, rel_tol=_NEAR, abs_tol=zero)


def _share_of_a_core() -> Line:
    """As the watcher does it: a processor per symbol, called once a poll with the rows since the last."""
    warm = 1000
    books, trades = made_books(warm + POLLS * ROWS_A_POLL)
    parts, start, seen = [], 0, 0
    for stop in range(warm, len(books) + 1, ROWS_A_POLL):
        upto = int((trades["timestamp"] <= books["timestamp"][stop - 1]).sum())
        parts.append((books[start:stop], trades[seen:upto]))
        start, seen = stop, upto
    processors = [StatefulFeatureProcessor(vpin_bucket_volume=BUCKET) for _ in range(SYMBOLS)]
    for processor in processors:
        processor.update(*parts[0])
    begun = time.process_time()
    for part in parts[1:]:
        for processor in processors:
            processor.update(*part)
    took_s = time.process_time() - begun
    update_s = took_s / (SYMBOLS * POLLS)
    detail = f"1 Hz, {SYMBOLS} symbols, a call each {ROWS_A_POLL} s: {update_s * 1e3:.2f} ms a call"
    return Line("share of a core", took_s / (POLLS * ROWS_A_POLL), "<= 0.05", detail)


def _changes() -> list[Line]:
    lines = []
    for levels in (1, 20):
        changes = made_changes(MESSAGES * 4 // (3 + levels), levels_a_message=levels)
        read = given.changes(changes)
        n = len(changes)

        def depth(read: given.Changes = read) -> None:
            applied(levels_of(np.empty((2, 0)), np.empty((2, 0)), room=4096), read.is_ask, read.price, read.size)

        depth_s = _best_s(depth)
        flow_s = _best_s(lambda changes=changes: BookEvents(FeatureOptions()).update(changes, None))
        peers = depth_of_peers(read)
        depth_s = min(depth_s, _best_s(depth))  # before and after, for what else the machine does
        what = f"l2 of {levels} a message"
        for name, target in (("HashMapMarketDepth", ">= 1"), ("ROIVectorMarketDepth", "")):
            theirs_s = peers[name] if peers else None
            detail = f"{n / depth_s / 1e6:.1f} / {n / theirs_s / 1e6:.1f} M updates/s" if theirs_s else ""
            lines.append(Line(f"{what}: book / hftbacktest {name}", theirs_s and theirs_s / depth_s, target, detail))
        lines.append(
            Line(
                f"{what}: book, flow of all levels and rows / book", depth_s / flow_s, "", f"{n / flow_s / 1e6:.1f} M/s"
            )
        )
    return lines


def _best_s(run: Callable[[], object]) -> float:
    run()
    best = math.inf
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begun)
    return best
