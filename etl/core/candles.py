"""The candles of one stream: a chain for every rung of the ladder, each after the chain of the rung it is made of."""

from collections.abc import Iterator

from etl.bars.candles import length_us
from etl.bars.ladder import rungs
from etl.core.base import BaseTransform
from etl.core.chains import Chain
from etl.core.config import EtlOptions, StreamKey
from etl.core.following import follow_revisions, run_bars
from etl.core.outputs import Output
from etl.core.silver import require_silver
from etl.transforms.candles import MergedCandlesTransform, TradeCandlesTransform
from shared.clock import us_from_utc

_HOUR_US = 3_600_000_000


def run_candles(key: StreamKey, silver: Chain, options: EtlOptions) -> Iterator[tuple[str, int]]:
    """Bring every rung up to silver; (set, candles written) of those that had something to do."""
    chains: dict[str, Chain] = {}
    reached_us: dict[str, int] = {}  # exchange time of the last trade used
    for interval, source in rungs(options.candles).items():
        chain = chains[interval] = candles_chain(key, interval, source, options)
        if source is None:
            follow_revisions(chain, silver)
            written = run_bars(chain, silver, rows_max=options.rows_per_step)
            reached_us[interval] = chain.current.position.get("near_us", 0)
        else:
            reached_us[interval] = reached_us[source]
            follow_revisions(chain, chains[source])
            written = _run_rung(chain, chains[source], reached_us[source], rows_max=options.rows_per_step)
        if written is not None:
            yield f"candles-{interval}", written


def candles_chain(key: StreamKey, interval: str, source: str | None, options: EtlOptions) -> Chain:
    """The chain of one rung. From an hour on a file holds a month: there would be too many small ones."""
    transform = MergedCandlesTransform if source else TradeCandlesTransform

    def make(state: bytes | None) -> BaseTransform:
        return transform(interval, exchange=key.exchange, symbol=key.symbol, state=state)

    unit = "day" if length_us(interval) < _HOUR_US else "month"
    root = options.lake.candles(interval)
    output = Output(root, key.exchange, key.symbol, "candles", "bar_seq", "time_start", unit, "month")
    return Chain(f"candles-{interval}", output, options, make=make, made_of=source or "trades")


def _run_rung(chain: Chain, source: Chain, reached_us: int, *, rows_max: int) -> int | None:
    """Bring one rung up to the rung it is made of; how many candles were written, None if there was nothing to do.

    A candle closes at the first trade behind its end, although the finer candle of that trade is still open. Such a
    trade always closes the finer candle before it, so where nothing finer is new there is nothing to do.

    Raises: SilverMissing.
    """
    finished = source.current.finished
    ended = finished and not chain.current.finished
    if not (chain.replaces or ended or chain.current.position.get("ordinal", 0) < source.current.rows_out):
        return None
    transform = chain.transform()
    assert isinstance(transform, MergedCandlesTransform)
    before = chain.current.rows_out
    while (first := chain.current.position.get("ordinal", 0)) < source.current.rows_out:
        near_us = chain.current.position.get("near_us", source.current.first_us)
        rows = source.read(first, rows_max=rows_max, near_us=near_us)
        if not rows.height or rows["bar_seq"][0] != first or rows["bar_seq"][-1] - first != rows.height - 1:
            require_silver(source, first)
        position = {"ordinal": rows["bar_seq"][-1] + 1, "near_us": us_from_utc(rows["time_start"][-1])}
        chain.add(transform.update(rows), position=position)
    chain.add(transform.finish() if finished else transform.passed(reached_us), position=chain.current.position)
    chain.commit(transform.snapshot(), input_generation=source.current.generation, finished=finished)
    return chain.current.rows_out - before
