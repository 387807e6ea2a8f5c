"""The chain of silver tickers: bronze rows of one feed, in order of arrival."""

from etl.core.base import BaseTransform
from etl.core.bronze import advanced, steps
from etl.core.chains import Chain
from etl.core.config import EtlOptions, StreamKey
from etl.core.feeds import Feed, Files, feed_of, is_overtaken
from etl.core.outputs import Output
from etl.transforms.ticker import TICKER_COLUMNS, TickerTransform


def run_ticker(key: StreamKey, files: Files, options: EtlOptions) -> int:
    """Bring a stream's tickers up to its files; how many rows were written."""
    feed = feed_of(key, ("ticker",), options.lake) if options.features.ticker else None
    if not feed:
        return 0
    chain = ticker_chain(key, feed, options)
    unused = feed.unused(files.new, chain.current.position)
    if is_overtaken(chain.current.position, unused):
        chain.go_back(next(chain.earlier(lambda kept: not is_overtaken(kept.position, unused))))
    if chain.replaces or not chain.current.position:
        unused = feed.unused(files.every(), chain.current.position)
    before, transform = chain.current.rows_out, chain.transform()
    for journals in steps(unused, rows_max=options.rows_per_step, table=feed.table):
        rows = feed.read(options.lake, journals, TICKER_COLUMNS)
        chain.add(transform.update(rows), position=advanced(chain.current.position, journals))
        if not chain.replaces:
            chain.commit(transform.snapshot())
    if chain.replaces:
        chain.commit(transform.snapshot())
    return chain.current.rows_out - before


def ticker_chain(key: StreamKey, feed: Feed, options: EtlOptions) -> Chain:
    """The chain of a stream's tickers."""

    def make(state: bytes | None) -> BaseTransform:
        return TickerTransform(stream=key, made_of=str(feed), state=state)

    root, unit = options.lake.silver("ticker"), options.features.ticker_unit
    output = Output(root, key.exchange, key.symbol, "ticker", "ordinal", "timestamp", "hour", unit)
    return Chain("ticker", output, options, make=make)
