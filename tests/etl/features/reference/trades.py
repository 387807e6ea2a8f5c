"""The row of each trade: `trade_features`. Specification 5 and A21-A24."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from tests.etl.features.reference.numbers import NS, exact, log_ratio, ratio
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.signs import Print, signed

Columns = dict[str, object]
ZERO = Fraction(0)
LARGE_QUANTILE = 0.9


def trade_rows(trades: Sequence[tuple[int, float, float, int | None]], options: Options) -> list[Columns]:
    prints = signed(trades)
    return [of_trade(prints[: place + 1], options) for place in range(len(prints))]


def of_trade(past: Sequence[Print], options: Options) -> Columns:
    """The columns of the last trade of `past`."""
    now = past[-1]
    buys, sells = (rate([trade for trade in past if trade.sign == sign], now, options) for sign in (1, -1))
    return {
        "ordinal": len(past) - 1,
        "timestamp": now.t_ns,
        "direction": now.sign,
        "dollar_volume": float(now.value),
        "log_return": log_ratio(now.price, past[-2].price) if len(past) > 1 else None,
        "trade_rate_ew": rate(past, now, options),
        "trade_rate_ew_buy": buys,
        "trade_rate_ew_sell": sells,
        "trade_rate_log_ratio": math.log(buys / sells) if buys > 0 and sells > 0 else None,
        "sign_autocorr": sign_autocorr([trade.sign for trade in past], options.sign_window),
        "sign_streak": sign_streak([trade.sign for trade in past]),
        "large_share": large_share([trade.amount for trade in past], options.large_trade_window),
        "trade_hhi": trade_hhi([trade.amount for trade in past], options.large_trade_window),
    }


def rate(past: Sequence[Print], now: Print, options: Options) -> float:
    """A21, per second."""
    tau = options.trade_rate_tau_s
    return math.fsum(math.exp(-(now.t_ns - trade.t_ns) / (tau * NS)) for trade in past) / tau


def sign_autocorr(signs: Sequence[int], window: int) -> float | None:
    """A22 over the last `window` signs; null before there are as many."""
    if len(signs) < window:
        return None
    last = [Fraction(sign) for sign in signs[-window:]]
    mean = sum(last, ZERO) / window
    products = [(now - mean) * (before - mean) for before, now in itertools.pairwise(last)]
    return ratio(sum(products, ZERO), sum(((sign - mean) ** 2 for sign in last), ZERO))


def sign_streak(signs: Sequence[int]) -> int:
    """A23; a trade without sign ends the run and is 0."""
    length = 0
    for sign in reversed(signs):
        if sign != signs[-1]:
            break
        length += 1
    return length * signs[-1]


def large_share(amounts: Sequence[Fraction], window: int) -> float | None:
    """A24: the share of the last `window` trades' volume in those at or above the q90 of the `window` before them."""
    if len(amounts) < 2 * window:
        return None
    threshold = exact(np.quantile([float(amount) for amount in amounts[-2 * window : -window]], LARGE_QUANTILE))
    last = amounts[-window:]
    return ratio(sum((amount for amount in last if amount >= threshold), ZERO), sum(last, ZERO))


def trade_hhi(amounts: Sequence[Fraction], window: int) -> float | None:
    """A24."""
    if len(amounts) < window:
        return None
    last = amounts[-window:]
    return float(sum(((amount / sum(last, ZERO)) ** 2 for amount in last), ZERO))
