"""`run_stream`: everything one (exchange, symbol) has to do, bronze to silver to gold, as a plain picklable function.

Each chain (silver trades, each bar set) has its own checkpoints. A chain's step is: restore, read, update, stage,
commit, publish; a kill between any two leaves either the old state or the new. What has to be replaced is staged step
by step and published by one commit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from etl.bars import bar_set_id
from etl.core.base import LateRows
from etl.core.books import book_bars_chain, orderbook_chain, run_books
from etl.core.bronze import (
    advanced,
    consumed,
    filled_gaps,
    history,
    journals_that_mark,
    latest_us,
    read_trades,
    require,
    steps,
    unconsumed,
)
from etl.core.candles import run_candles
from etl.core.chains import Chain, bars_chain, trade_features_chain, trades_chain
from etl.core.checkpoints import Checkpoint
from etl.core.config import EtlOptions, StreamKey
from etl.core.feeds import Feed, Files, feed_of
from etl.core.following import follow_revisions, run_bars
from etl.core.replay import Replay
from etl.core.tickers import run_ticker
from etl.transforms.trades import BRONZE_COLUMNS, TradesTransform
from shared.exchange_facts import ids_prove_order
from storage.published import Published


@dataclass
class StreamResult:
    """What one run of a stream did."""

    key: StreamKey
    trades_in: int = 0  # bronze rows read
    trades_out: int = 0  # silver rows written
    rebuilds: int = 0  # late rows made it go back
    bars: dict[str, int] = field(default_factory=dict)  # bars written, per set
    features: dict[str, int] = field(default_factory=dict)  # rows of features written, per table
    counts: dict[str, Mapping[str, int]] = field(default_factory=dict)  # what their input was like, per table


def run_stream(
    key: StreamKey, entries: list[Published], options: EtlOptions, *, end_of_data: bool = False
) -> StreamResult:
    """Bring one stream's silver and gold up to these bronze files; files consumed before are passed over.

    Args:
        key: the stream.
        entries: published bronze files of it, from the log; any that were missed before may be named again.
        options: where and what.
        end_of_data: nothing will come any more: release what is held back and close open bars as partial.
    """
    result = StreamResult(key)
    chain = trades_chain(key, options)
    feed = feed_of(key, options.features.book_tables, options.lake)
    _run_trades(chain, entries, feed, options, result)
    if end_of_data and not chain.current.finished:
        transform = chain.transform()
        rows = transform.finish()
        result.trades_out += rows.height
        chain.add(rows, position=chain.current.position, finished=True)
        chain.commit(transform.snapshot())
    result.bars.update(run_candles(key, chain, options))
    for bar_set in options.bars:
        if bar_set.where.allows(key):
            bars = bars_chain(key, bar_set, options)
            follow_revisions(bars, chain)
            written = run_bars(bars, chain, rows_max=options.rows_per_step)
            if written is not None:
                result.bars[bar_set_id(bar_set.type, bar_set.params)] = written
    _run_features(chain, feed, entries, options, result)
    return result


def _run_features(
    silver: Chain, feed: Feed | None, entries: list[Published], options: EtlOptions, result: StreamResult
) -> None:
    key, features = result.key, result.features
    if options.features.trades:
        of_trades = trade_features_chain(key, options)
        follow_revisions(of_trades, silver)
        features["trade_features"] = run_bars(of_trades, silver, rows_max=options.rows_per_step) or 0

    files = Files(entries, every=lambda: _history(key, options))
    features["ticker"] = run_ticker(key, files, options)
    if feed:
        books = orderbook_chain(key, feed, options)
        features["orderbook"], result.counts["orderbook"] = run_books(books, feed, silver, files, options)
        for seconds in options.features.options.bar_durations:
            bars = book_bars_chain(key, seconds, options)
            follow_revisions(bars, books)
            features[f"book_bars-{seconds}"] = run_bars(bars, books, rows_max=options.rows_per_step) or 0


def _run_trades(
    chain: Chain, entries: list[Published], feed: Feed | None, options: EtlOptions, result: StreamResult
) -> None:
    key = result.key
    if chain.replaces:  # its newest checkpoint is of another version, or could not be read
        rebuild_trades(chain, options, result)
        return
    if not chain.current.position:
        entries = _history(key, options)
        require(options.lake, entries)
    transform = _trades_transform(chain)
    for journals in steps(unconsumed(entries, chain.current.position), rows_max=options.rows_per_step):
        position = advanced(chain.current.position, journals)
        filled = set() if ids_prove_order(key.exchange) else filled_gaps(options.lake, journals)
        if filled and (marking := _declared_in(chain, key, options, filled)):  # not a hole after all
            result.rebuilds += 1
            rebuild_trades(chain, options, result, fits=_before(marking))
            return
        rows = read_trades(options.lake, journals, BRONZE_COLUMNS, holes_before=transform.holes_seen, filled=filled)
        books = feed.files(journals) if feed else []
        result.trades_in += rows.height
        try:
            out = transform.update(rows) if rows.height else rows
        except LateRows:
            result.rebuilds += 1
            rebuild_trades(chain, options, result)
            return
        passed_us = latest_us(options.lake, books)
        if passed_us is not None:
            released = transform.passed(passed_us)
            out = pl.concat([out, released]) if rows.height else released
        result.trades_out += out.height
        chain.add(out, position=position, finished=chain.current.finished and not rows.height and not books)
        chain.commit(transform.snapshot())


def rebuild_trades(
    chain: Chain,
    options: EtlOptions,
    result: StreamResult,
    *,
    fits: Callable[[Checkpoint], bool] = lambda _: True,
    end_of_data: bool = False,
) -> None:
    """Go back to the newest checkpoint before the late rows, and do everything after it again in one order."""
    everything = _history(result.key, options)
    now = chain.current
    for checkpoint in chain.earlier(fits):
        journals = unconsumed(everything, checkpoint.position)
        filled = filled_gaps(options.lake, journals)
        chain.current = now
        chain.go_back(checkpoint)
        transform = _trades_transform(chain)
        replay = Replay(options.lake, journals, order=transform.order, holes_before=transform.holes_seen, filled=filled)
        position, written = advanced(checkpoint.position, journals), 0
        try:
            for part in replay.slices(BRONZE_COLUMNS, rows_max=options.rows_per_step):
                out = transform.update(part.rows, before=part.before)
                written += out.height
                chain.add(out, position=position)
        except LateRows:  # they come first in a replay, so little was done in vain
            continue
        rest = transform.finish() if end_of_data else pl.DataFrame()
        result.trades_out += written + rest.height
        chain.add(rest, position=position, finished=end_of_data)
        chain.commit(transform.snapshot())
        return


def _declared_in(chain: Chain, key: StreamKey, options: EtlOptions, gap_ids: set[str]) -> list[list[Published]]:
    """The journals already consumed in which these gaps were declared as holes."""
    return journals_that_mark(options.lake, consumed(_history(key, options), chain.current.position), gap_ids)


def _before(journals: list[list[Published]]) -> Callable[[Checkpoint], bool]:
    """Whether a checkpoint has consumed none of these journals."""
    return lambda checkpoint: not consumed([entry for journal in journals for entry in journal], checkpoint.position)


def _history(key: StreamKey, options: EtlOptions) -> list[Published]:
    """Every file of bronze that the stream is made from."""
    published = (entry for entry in history(options.lake) if entry.table in options.features.tables)
    return [entry for entry in published if (entry.exchange, entry.symbol) == key]


def _trades_transform(chain: Chain) -> TradesTransform:
    transform = chain.transform()
    assert isinstance(transform, TradesTransform)
    return transform
