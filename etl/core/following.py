"""Chains that follow another: bars and candles follow silver, and a rung of candles the rung below."""

import polars as pl

from etl.core.chains import GENERATIONS_REMEMBERED, Chain
from etl.core.checkpoints import Checkpoint
from shared.clock import us_from_utc


def run_bars(chain: Chain, silver: Chain, *, rows_max: int) -> int | None:
    """Bring one bar set up to silver; how many bars were written, None if there was nothing to do."""
    written: int | None = None
    transform = chain.transform()
    while True:
        position = chain.current.position
        behind = position.get("ordinal", 0) < silver.current.rows_out
        ended = not behind and silver.current.finished and not chain.current.finished
        if not behind and not ended and not chain.replaces:
            return written
        bars = transform.finish() if ended else pl.DataFrame()
        if behind:
            rows = silver.read(
                position.get("ordinal", 0), rows_max=rows_max, near_us=position.get("near_us", silver.current.first_us)
            )
            assert rows.height, "silver counts rows that its files do not hold"
            assert rows["ordinal"][0] == position.get("ordinal", 0), "a hole in silver's numbers"
            bars = transform.update(rows)
            position = {"ordinal": rows["ordinal"][-1] + 1, "near_us": us_from_utc(rows["tape_ts"][-1])}
        chain.add(bars, position=position)
        written = (written or 0) + bars.height
        if chain.replaces and position.get("ordinal", 0) < silver.current.rows_out:
            continue  # readers go from all of the old bars to all of the new ones
        chain.commit(transform.snapshot(), input_generation=silver.current.generation, finished=ended)


def follow_revisions(chain: Chain, source: Chain) -> None:
    """Go back if the source replaced rows that the chain had used, or goes on after an end that had been declared."""
    current = chain.current
    revised = current.input_generation != source.current.generation and not unharmed(current, source)
    went_on = current.finished and current.position.get("ordinal", 0) < source.current.rows_out
    if revised or went_on:
        chain.go_back(next(chain.earlier(lambda checkpoint: unharmed(checkpoint, source))))


def unharmed(checkpoint: Checkpoint, source: Chain) -> bool:
    """Whether every row that a checkpoint was made from still stands."""
    revised = source.current.revised
    since = [first for generation, first in revised if generation > checkpoint.input_generation]
    oldest = revised[0][0] if revised else 0
    forgotten = len(revised) == GENERATIONS_REMEMBERED and checkpoint.input_generation < oldest
    return not forgotten and checkpoint.position.get("ordinal", 0) <= min(since, default=2**62)
