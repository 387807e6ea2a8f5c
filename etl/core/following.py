"""Chains that follow another: bars and candles follow silver, and a rung of candles the rung below."""

from etl.core.base import BaseTransform
from etl.core.chains import GENERATIONS_REMEMBERED, Chain
from etl.core.checkpoints import Checkpoint
from etl.core.silver import require_silver
from shared.clock import us_from_utc


def run_bars(chain: Chain, silver: Chain, *, rows_max: int) -> int | None:
    """Bring one bar set up to silver; how many bars were written, None if there was nothing to do."""
    written: int | None = None
    transform = chain.transform()
    while chain.replaces or not caught_up(chain, silver):
        if not caught_up(chain, silver):
            written = (written or 0) + advance(chain, silver, transform, rows_max=rows_max)
        if chain.replaces and not caught_up(chain, silver):
            continue  # readers go from all of the old bars to all of the new ones
        chain.commit(transform.snapshot(), input_generation=silver.current.generation)
    return written


def caught_up(chain: Chain, silver: Chain) -> bool:
    """Whether a bar set was made from all of silver, its end included."""
    behind = chain.current.position.get("ordinal", 0) < silver.current.rows_out
    return not behind and (chain.current.finished or not silver.current.finished)


def advance(chain: Chain, silver: Chain, transform: BaseTransform, *, rows_max: int) -> int:
    """Stage the bars of the next portion of silver, or of its declared end; how many there are.

    Raises: SilverMissing.
    """
    now = chain.current.position
    first = now.get("ordinal", 0)
    if first == silver.current.rows_out:
        bars = transform.finish()
        chain.add(bars, position=now, finished=True)
        return bars.height
    rows = silver.read(first, rows_max=rows_max, near_us=now.get("near_us", silver.current.first_us))
    if not rows.height or rows["ordinal"][0] != first or rows["ordinal"][-1] - first != rows.height - 1:
        require_silver(silver, first)
    bars = transform.update(rows)
    chain.add(bars, position={"ordinal": first + rows.height, "near_us": us_from_utc(rows[silver.output.moment][-1])})
    return bars.height


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
    used = checkpoint.beside or checkpoint.position
    return not forgotten and used.get("ordinal", 0) <= min(since, default=2**62)
