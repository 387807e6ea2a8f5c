"""What the change from one book to the next says of order flow, level by level.

Source: Cont, Kukanov, Stoikov, The price impact of order book events, J. Financial Econometrics 12(1), 2014; by level:
Xu, Gould, Howison, Multi-level order-flow imbalance in a limit order book, 2018; of logarithms: Su et al., 2021.
"""

import numpy as np

from etl.compiled import kernel

BID_PRICE, BID_SIZE, ASK_PRICE, ASK_SIZE = range(4)  # rows of a book: (4, max_levels), best level first


@kernel(allocates=False)
def add_flow(flow, before, now):  # type: ignore[no-untyped-def]
    """Add to `flow` what each level gained on the bid less what it gained on the ask; the last is of logarithms.

    Args:
        flow: (levels + 1,), sums so far.
        before: (4, max_levels), the valid book before, NaN where there is no level.
        now: the next valid book.
    """
    for m in range(len(flow) - 1):
        gained, lost = _kept(before[BID_PRICE, m], now[BID_PRICE, m])
        bid = _part(now[BID_SIZE, m], gained) - _part(before[BID_SIZE, m], lost)
        # an ask that rises is a bid that rises, so that the same comparison of negated prices gives the ask's side
        gained, lost = _kept(-before[ASK_PRICE, m], -now[ASK_PRICE, m])
        ask = _part(now[ASK_SIZE, m], gained) - _part(before[ASK_SIZE, m], lost)
        flow[m] += bid - ask
    gained, lost = _kept(before[BID_PRICE, 0], now[BID_PRICE, 0])
    bid = _part(np.log1p(now[BID_SIZE, 0]), gained) - _part(np.log1p(before[BID_SIZE, 0]), lost)
    gained, lost = _kept(-before[ASK_PRICE, 0], -now[ASK_PRICE, 0])
    ask = _part(np.log1p(now[ASK_SIZE, 0]), gained) - _part(np.log1p(before[ASK_SIZE, 0]), lost)
    flow[len(flow) - 1] += bid - ask


@kernel(allocates=False)
def _kept(before, now):  # type: ignore[no-untyped-def]
    """Whether the size that is there counts, and the size that was; a missing level is worse than any price."""
    if now != now:
        return False, before == before
    if before != before:
        return True, False
    return now >= before, now <= before


@kernel(allocates=False)
def _part(size, counts):  # type: ignore[no-untyped-def]
    return size if counts else 0.0
