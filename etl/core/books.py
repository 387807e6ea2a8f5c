"""The chain of order book features: books from bronze, and beside them the trades of silver.

A book is used when silver holds every trade up to it. A trade that comes later than that, rows of silver that are
replaced, and books of an earlier journal than those used make the chain go back to a checkpoint before them.
"""

from collections.abc import Mapping

import polars as pl

from etl.core.base import BaseTransform
from etl.core.bronze import advanced, steps
from etl.core.chains import Chain
from etl.core.checkpoints import Checkpoint
from etl.core.config import EtlOptions, StreamKey
from etl.core.feeds import Feed, Files, is_overtaken
from etl.core.following import unharmed
from etl.core.outputs import Output
from etl.core.silver import require_silver
from etl.transforms.book_bars import BookBarsTransform
from etl.transforms.orderbook import BOOK_COLUMNS, OrderbookTransform, moment_us
from etl.transforms.trades import TradesTransform
from shared.clock import us_from_utc
from storage.published import Published

_HOUR_S = 3600  # from here on a file of bars holds a month: there would be too many small ones
_TRADE_AGE_MAX_US = 86_400_000_000
_SNAPSHOTS_PER_STEP = 0.1  # of the rows of other tables: each holds many levels


def orderbook_chain(key: StreamKey, feed: Feed, options: EtlOptions) -> Chain:
    """The chain of a stream's order book features."""

    def make(state: bytes | None) -> BaseTransform:
        return OrderbookTransform(options.features.options, stream=key, made_of=str(feed), state=state)

    root, unit = options.lake.silver("orderbook"), options.features.orderbook_unit
    output = Output(root, key.exchange, key.symbol, "orderbook", "ordinal", "timestamp", "hour", unit)
    return Chain("orderbook", output, options, make=make)


def book_bars_chain(key: StreamKey, seconds: int, options: EtlOptions) -> Chain:
    """The chain of a stream's book bars of one length, which follow its order book features."""

    def make(state: bytes | None) -> BaseTransform:
        return BookBarsTransform(options.features.options, seconds=seconds, stream=key, state=state)

    root, unit = options.lake.book_bars(seconds), "day" if seconds < _HOUR_S else "month"
    output = Output(root, key.exchange, key.symbol, "book_bars", "bar_seq", "time_start", unit, "month")
    return Chain(f"book-bars-{seconds}", output, options, make=make)


def run_books(
    chain: Chain, feed: Feed, silver: Chain, files: Files, options: EtlOptions
) -> tuple[int, Mapping[str, int]]:
    """Bring order book features up to the files of their feed and to silver trades.

    Returns how many rows were written, and what their input was like.
    """
    unused = feed.unused(files.new, chain.current.position)
    _make_good(chain, silver, unused, rows_max=options.rows_per_step)
    if chain.replaces or not chain.current.position:
        unused = feed.unused(files.every(), chain.current.position)
    return _Run(chain, silver, feed, options).over(unused)


class _Run:
    """One run of the chain: how far it and silver are."""

    def __init__(self, chain: Chain, silver: Chain, feed: Feed, options: EtlOptions) -> None:
        self._chain, self._silver, self._feed, self._options = chain, silver, feed, options
        transform, trades = chain.transform(), silver.transform()
        assert isinstance(transform, OrderbookTransform)
        assert isinstance(trades, TradesTransform)
        self._transform = transform
        complete_us = -1 if trades.complete_us is None else trades.complete_us
        self._complete_us = 2**62 if silver.current.finished else complete_us  # silver holds every trade up to it

    def over(self, journals: list[list[Published]]) -> tuple[int, Mapping[str, int]]:
        """Make the rows of these journals and of the books that wait."""
        chain, transform = self._chain, self._transform
        rows_before, counts_before = chain.current.rows_out, dict(transform.counts)
        share = _SNAPSHOTS_PER_STEP if self._feed.table == "orderbook" else 1
        rows_max = max(1, int(self._options.rows_per_step * share))
        portions = list(steps(journals, rows_max=rows_max, table=self._feed.table))
        if not portions and transform.waits_until_us <= self._complete_us:
            portions = [[]]
        is_ended = self._silver.current.finished and not chain.current.finished
        for portion in portions:
            self._step(portion)
            if not chain.replaces:  # readers go from all of the old rows to all of the new ones
                self._commit()
        if is_ended:
            self._end()
        if is_ended or chain.replaces:
            self._commit()
        counts = {name: count - counts_before.get(name, 0) for name, count in transform.counts.items()}
        return chain.current.rows_out - rows_before, counts

    def _step(self, journals: list[list[Published]]) -> None:
        """Stage what these journals complete."""
        chain, transform = self._chain, self._transform
        given = self._feed.read(self._options.lake, journals, BOOK_COLUMNS[self._feed.table])
        books = transform.ready(given, complete_us=self._complete_us)
        beside, rows = chain.current.beside, pl.DataFrame()
        if books.height:
            times = moment_us(books).cum_max().clip(lower_bound=beside.get("reached_us", 0))
            trades, beside = self._trades(times)
            rows = transform.update(books, trades=trades)
        chain.add(rows, position=advanced(chain.current.position, journals), beside=beside)

    def _end(self) -> None:
        """Stage the row that is open, with the trades up to its end."""
        chain, beside = self._chain, self._chain.current.beside
        end_us = beside.get("reached_us", 0) + self._transform.interval_us
        trades, beside = self._trades(pl.Series([end_us]))
        chain.add(self._transform.finish(trades=trades), position=chain.current.position, beside=beside, finished=True)

    def _commit(self) -> None:
        self._chain.commit(self._transform.snapshot(), input_generation=self._silver.current.generation)

    def _trades(self, times: pl.Series) -> tuple[pl.DataFrame | None, dict[str, int]]:
        """The trades up to the last of these times, behind those used before; and how far that is in silver.

        A trade that is older than a day when the next of the times comes is passed over: what was traded while there
        were no books for long need not fit into memory.
        """
        until_us = int(times[-1])
        parts: list[pl.DataFrame] = []
        beside = self._chain.current.beside | {"reached_us": until_us}
        while (rows := _next_trades(self._silver, beside, rows_max=self._options.rows_per_step)).height:
            part = rows.filter(pl.col("tape_ts").dt.timestamp("us") <= until_us)
            if part.height:
                near_us = us_from_utc(part["tape_ts"][-1])
                beside |= {"ordinal": beside.get("ordinal", 0) + part.height, "near_us": near_us}
                traded = part["tape_ts"].dt.timestamp("us")
                parts.append(
                    part.filter(times.gather(times.search_sorted(traded, side="left")) - traded <= _TRADE_AGE_MAX_US)
                )
            if part.height < rows.height:
                break
        return (pl.concat(parts) if parts else None), beside


def _make_good(chain: Chain, silver: Chain, unused: list[list[Published]], *, rows_max: int) -> None:
    """Go back where something came that belongs before what was used, or after a declared end."""

    def stands(kept: Checkpoint) -> bool:
        if is_overtaken(kept.position, unused) or not unharmed(kept, silver):
            return False
        following = _next_trades(silver, kept.beside, rows_max=rows_max)
        return not following.height or us_from_utc(following["tape_ts"][0]) > kept.beside.get("reached_us", -1)

    went_on = chain.current.finished and (bool(unused) or not silver.current.finished)
    if went_on or not stands(chain.current):
        chain.go_back(next(chain.earlier(stands)))


def _next_trades(silver: Chain, beside: Mapping[str, int], *, rows_max: int) -> pl.DataFrame:
    """The next trades of silver behind those used; no rows where there are none.

    Raises: SilverMissing.
    """
    first = beside.get("ordinal", 0)
    if first >= silver.current.rows_out:
        return pl.DataFrame()
    rows = silver.read(first, rows_max=rows_max, near_us=beside.get("near_us", silver.current.first_us))
    if not rows.height or rows["ordinal"][0] != first or rows["ordinal"][-1] - first != rows.height - 1:
        require_silver(silver, first)
    return rows
