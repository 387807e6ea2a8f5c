"""The sign of each trade: the taker's side, else the tick rule, else the sign before it.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.2.1; Lee and Ready (1991).
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from etl.bars.kernels import SUM_LIMIT, on
from etl.bars.scaling import Ints, decimal_of, whole_number
from etl.bars.state import Signs
from etl.bars.trades import Int64s
from etl.compiled import kernel

Int8s: TypeAlias = npt.NDArray[np.int8]

BY_SIDE, BY_TICK, BY_CARRY = range(3)
_MIN = -(2**63)
_NEVER_US = 2**62


class Signed(NamedTuple):
    """The signs of some trades in a row, +1, -1 or 0; where each comes from, None if all from sides; what follows."""

    sign: Int8s
    source: Int8s | None
    last_price: int  # 0: none
    last_sign: int


def signed(side: Int8s, price: Ints, ts: Int64s, *, before: "Signed", last_us: int, reset_us: int | None) -> Signed:
    """The signs of trades with these sides, scaled prices and times.

    Args:
        side: +1 buy, -1 sell, 0 unknown.
        price: scaled; `before.last_price` has the same scale.
        ts: us since 1970.
        before: what the trades before them left behind.
        last_us: the time of the trade before them.
        reset_us: a longer silence forgets the price and the sign before it; None: nothing is forgotten.
    """
    if side.all():
        return Signed(side, None, int(price[-1]), int(side[-1]))
    sign, source = np.empty(len(side), dtype=np.int8), np.empty(len(side), dtype=np.int8)
    rule = on(price, tick_rule)
    last_price = before.last_price if isinstance(price, list) else min(before.last_price, SUM_LIMIT)  # above any here
    rule(side, price, ts, last_price, before.last_sign, last_us, reset_us or _NEVER_US, sign, source)
    return Signed(sign, source, int(price[-1]), int(sign[-1]))


@kernel()
def tick_rule(side, price, ts, last_price, last_sign, last_us, reset_us, sign, source):  # type: ignore[no-untyped-def]
    """Fill `sign` and `source`; exact comparison of prices. The arguments are those of `signed`."""
    for i in range(len(side)):
        if i > 0:
            last_us = ts[i - 1]
        if last_price > 0 and ts[i] > last_us and ts[i] - last_us > reset_us:
            last_price, last_sign = 0, 0
        if side[i] != 0:
            last_sign, source[i] = side[i], BY_SIDE
        elif last_price == 0 or price[i] == last_price:
            source[i] = BY_CARRY
        else:
            last_sign, source[i] = (1 if price[i] > last_price else -1), BY_TICK
        last_price, sign[i] = price[i], last_sign


def signed_before(signs: Signs, scale: int) -> Signed:
    """What saved signs leave behind for trades whose prices have this scale, at least that of the saved price."""
    price = whole_number(decimal_of(signs.last_price), scale) if signs.last_price else 0
    return Signed(np.empty(0, np.int8), None, price, signs.last_sign)


def saved(signs: Signed, scale: int) -> Signs:
    """The form a checkpoint keeps."""
    text = format(decimal_of(str(signs.last_price)).scaleb(-scale), "f") if signs.last_price else ""
    return Signs(last_price=text, last_sign=signs.last_sign)
