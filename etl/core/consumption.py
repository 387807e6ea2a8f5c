"""What has been used: of bronze by every chain that reads it, of silver and gold by every chain that follows.

Read from checkpoints, beside a watcher at work; nothing is changed. A chain that the settings want and that has never
run has used nothing. What no chain of the settings reads is used up.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import ParamSpec

from etl.bars.ladder import rungs
from etl.core.books import book_bars_chain, orderbook_chain
from etl.core.bronze import is_behind
from etl.core.candles import candles_chain
from etl.core.chains import Chain, bars_chain, trade_features_chain, trades_chain
from etl.core.config import EtlOptions, FilterSpec, StreamKey
from etl.core.executor import known_streams
from etl.core.feeds import Feed, feed_of
from etl.core.tickers import ticker_chain
from shared.clock import us_from_utc
from shared.disk import Disk
from shared.partitioning import Partition, SegmentName

_P = ParamSpec("_P")
_ATTEMPTS = 10  # a checkpoint may be dropped between two looks at its folder


def consumption(options: EtlOptions) -> Callable[[Path], bool]:
    """Whether a file of bronze has been used by every chain that reads it, by the checkpoints there are now.

    The function takes the file's published path, relative to `ready`; where its rows lie by now makes no difference.

    Trades are read by silver trades, books by it too (their times) and by the order book features, tickers by silver
    tickers: each of the one source and table that the stream's feed is. Gaps are used when all three have passed them;
    they are needed again whenever a hole turns out to be filled, so nothing ever removes them.
    """
    readers: dict[StreamKey, list[_Reader]] = {}
    looking = _looking(options)

    def is_used(path: Path) -> bool:
        feed, partition, name = Feed(*path.parts[:2]), Partition.parse(path), SegmentName.parse(path.name)
        key = StreamKey(partition.exchange, partition.symbol)
        if feed.table not in looking.features.tables:
            return True
        if key not in readers:
            readers[key] = list(_readers(key, looking))
        journal = (name.epoch, name.counter)
        return all(is_behind(journal, reader.position) for reader in readers[key] if reader.reads(feed))

    return is_used


def following(options: EtlOptions) -> Callable[[Path, datetime], bool]:
    """Whether a file of silver or gold has been used by every chain that follows, by the checkpoints there are now.

    The function takes the file's path and the first moment behind its hour, day or month.
    """
    looking = _looking(options)
    known = set(known_streams(options.lake))
    streams: dict[StreamKey, dict[Path, int]] = {}

    def is_used(path: Path, end: datetime) -> bool:
        stream = next(folder for folder in path.parents if folder.name.startswith("symbol="))
        key = StreamKey(*(part.partition("=")[2] for part in stream.parts[-2:]))
        if key not in known:
            return False
        if key not in streams:
            streams[key] = dict(_used_us(key, looking))
        # a row of a later file was used: numbers rise from file to file
        return us_from_utc(end) <= streams[key].get(stream, 2**62)

    return is_used


@dataclass(frozen=True)
class _Reader:
    """A chain that reads bronze: which, and how far it is."""

    feed: Feed | None
    position: Mapping[str, int]
    reads_trades: bool = False

    def reads(self, feed: Feed) -> bool:
        if feed.table == "gaps":
            return self.reads_trades or (self.feed is not None and self.feed.source == feed.source)
        return feed == self.feed or (self.reads_trades and feed.table == "trades")


def _readers(key: StreamKey, options: EtlOptions) -> Iterator[_Reader]:
    features = options.features
    books = feed_of(key, features.book_tables, options.lake)
    yield _Reader(books, _seen(trades_chain, key, options).current.position, reads_trades=True)
    if books:
        yield _Reader(books, _seen(orderbook_chain, key, books, options).current.position)
    if features.ticker and (tickers := feed_of(key, ("ticker",), options.lake)):
        yield _Reader(tickers, _seen(ticker_chain, key, tickers, options).current.position)


def _used_us(key: StreamKey, options: EtlOptions) -> Iterator[tuple[Path, int]]:
    """Folders of silver and gold that others follow, with a moment that all of them have passed in it."""
    for source, followers in _followed(key, options):
        if followers:
            used = (chain.current.beside or chain.current.position for chain in followers)
            yield source.output.stream, min(moments.get("near_us", 0) for moments in used)


def _followed(key: StreamKey, options: EtlOptions) -> Iterator[tuple[Chain, list[Chain]]]:
    """Each chain that others follow, with those."""
    ladder = rungs(options.candles)
    candles = {name: _seen(candles_chain, key, name, below, options) for name, below in ladder.items()}
    of_trades = [candles[name] for name, below in ladder.items() if below is None]
    of_trades += [_seen(bars_chain, key, each, options) for each in options.bars if each.where.allows(key)]
    if options.features.trades:
        of_trades.append(_seen(trade_features_chain, key, options))
    if feed := feed_of(key, options.features.book_tables, options.lake):
        books = _seen(orderbook_chain, key, feed, options)
        of_trades.append(books)
        lengths_s = options.features.options.bar_durations
        yield books, [_seen(book_bars_chain, key, length_s, options) for length_s in lengths_s]
    yield _seen(trades_chain, key, options), of_trades
    for name, chain in candles.items():
        yield chain, [candles[upper] for upper, below in ladder.items() if below == name]


def _seen(make: Callable[_P, Chain], *args: _P.args, **kwargs: _P.kwargs) -> Chain:
    """A chain as its newest checkpoint has it."""
    for _ in range(_ATTEMPTS):
        try:
            return make(*args, **kwargs)
        except FileNotFoundError:  # a watcher made a newer one and dropped this
            continue
    return make(*args, **kwargs)


def _looking(options: EtlOptions) -> EtlOptions:
    return replace(options, disk=_Still(), only=FilterSpec())


class _Still(Disk):
    """A disk on which nothing is changed: a chain that is looked at repairs nothing."""

    def __init__(self) -> None:
        super().__init__(durable=False)

    def make_dirs(self, path: Path) -> None:
        """Nothing."""

    def rename(self, source: Path, target: Path) -> None:
        """Nothing."""

    def exchange(self, new: Path, current: Path) -> None:
        """Nothing."""

    def remove(self, path: Path) -> None:
        """Nothing."""
