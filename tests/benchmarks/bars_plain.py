"""The plainest honest loop for each kind of bar: floats, one pass, what one writes who wants no more than the bars.

Every loop reads ready arrays (price, size, side, time in us), writes one column of `out` per bar and returns how many.
Nothing is exact, no trade is checked, and there is no state to go on from.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Arrays = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int8], npt.NDArray[np.int64]]
Loop = Callable[..., int]

OUT_ROWS = 12
_TICK, _VOLUME, _DOLLAR = range(3)
_WEIGHTS = {"tick": _TICK, "volume": _VOLUME, "dollar": _DOLLAR}


def plain_loop(kind: str, params: dict[str, Any]) -> Callable[[Arrays, npt.NDArray[np.float64]], int]:
    """The loop of this kind with these parameters."""
    weight, _, family = kind.partition("_")
    if family == "imbalance":
        imbalance, given = _imbalance(_WEIGHTS[weight]), _guards(params)
        return lambda arrays, out: imbalance(*arrays[:3], *given, out)
    if family == "run":
        run, given = _run(_WEIGHTS[weight]), _guards(params)
        return lambda arrays, out: run(*arrays[:3], *given, out)
    if kind == "time":
        return lambda arrays, out: _time(arrays[0], arrays[1], arrays[3], params["interval"] * 1_000_000, out)
    standard, threshold = _standard(_WEIGHTS[weight]), float(params["threshold"])
    return lambda arrays, out: standard(*arrays[:2], threshold, out)


def _guards(params: dict[str, Any]) -> tuple[int, float, int]:
    """(E0, what an EWMA keeps of its weight, most ticks of a bar), of the guarded presets."""
    expected = params["expected_ticks_init"]
    return expected, 1 - 2 / (params["ewma_window"] * expected + 1), 10 * expected


@njit
def _time(price, size, ts, step_us, out):
    count = ticks = 0
    value = volume = open_ = high = low = 0.0
    end_us = (ts[0] // step_us + 1) * step_us
    for i in range(len(price)):
        if ts[i] >= end_us:
            out[0, count], out[1, count], out[2, count], out[3, count] = open_, high, low, price[i - 1]
            out[4, count], out[5, count], out[6, count] = volume, value, ticks
            count += 1
            ticks = 0
            value = volume = 0.0
            end_us = (ts[i] // step_us + 1) * step_us
        p = price[i]
        if ticks == 0:
            open_ = high = low = p
        high = max(high, p)
        low = min(low, p)
        volume += size[i]
        value += p * size[i]
        ticks += 1
    return count


def _standard(weight: int) -> Loop:
    @njit
    def loop(price, size, threshold, out):
        count = ticks = 0
        value = volume = open_ = high = low = 0.0
        for i in range(len(price)):
            p = price[i]
            if ticks == 0:
                open_ = high = low = p
            high = max(high, p)
            low = min(low, p)
            volume += size[i]
            value += p * size[i]
            ticks += 1
            if (ticks if weight == _TICK else volume if weight == _VOLUME else value) >= threshold:
                out[0, count], out[1, count], out[2, count], out[3, count] = open_, high, low, p
                out[4, count], out[5, count], out[6, count] = volume, value, ticks
                count += 1
                ticks = 0
                value = volume = 0.0
        return count

    return loop


def _imbalance(weight: int) -> Loop:
    @njit
    def loop(price, size, side, expected, kept, ticks_max, out):
        count = ticks = 0
        value = volume = open_ = high = low = theta = 0.0
        total = mean = square = 0.0  # the EWMAs' weight, E[x] and E[x^2]
        threshold = 0.0
        for i in range(len(price)):
            p = price[i]
            if ticks == 0:
                open_ = high = low = p
            high = max(high, p)
            low = min(low, p)
            volume += size[i]
            value += p * size[i]
            ticks += 1
            x = side[i] * (1.0 if weight == _TICK else size[i] if weight == _VOLUME else p * size[i])
            theta += x
            total = 1 + kept * total
            mean += (x - mean) / total
            square += (x * x - square) / total
            if (abs(theta) >= threshold or ticks >= ticks_max) if count else ticks == expected:
                out[0, count], out[1, count], out[2, count], out[3, count] = open_, high, low, p
                out[4, count], out[5, count], out[6, count] = volume, value, ticks
                out[7, count], out[8, count] = theta, threshold
                count += 1
                ticks = 0
                value = volume = theta = 0.0
                threshold = max(expected * abs(mean), np.sqrt(expected * square))
        return count

    return loop


def _run(weight: int) -> Loop:
    @njit
    def loop(price, size, side, expected, kept, ticks_max, out):
        count = ticks = buys = 0
        value = volume = open_ = high = low = theta_buy = theta_sell = 0.0
        buy_total = buy_mean = sell_total = sell_mean = 0.0
        share_total = share = 0.0
        threshold = 0.0
        kept_bars = 1 - 2 / 16
        for i in range(len(price)):
            p = price[i]
            if ticks == 0:
                open_ = high = low = p
            high = max(high, p)
            low = min(low, p)
            volume += size[i]
            value += p * size[i]
            ticks += 1
            x = 1.0 if weight == _TICK else size[i] if weight == _VOLUME else p * size[i]
            if side[i] > 0:
                theta_buy += x
                buys += 1
                if weight != _TICK:
                    buy_total = 1 + kept * buy_total
                    buy_mean += (x - buy_mean) / buy_total
            else:
                theta_sell += x
                if weight != _TICK:
                    sell_total = 1 + kept * sell_total
                    sell_mean += (x - sell_mean) / sell_total
            if (max(theta_buy, theta_sell) >= threshold or ticks >= ticks_max) if count else ticks == expected:
                out[0, count], out[1, count], out[2, count], out[3, count] = open_, high, low, p
                out[4, count], out[5, count], out[6, count] = volume, value, ticks
                out[7, count], out[8, count], out[9, count] = theta_buy, theta_sell, threshold
                count += 1
                share_total = 1 + kept_bars * share_total
                share += (buys / ticks - share) / share_total
                if weight == _TICK:
                    threshold = expected * max(share, 1 - share)
                else:
                    threshold = expected * max(share * buy_mean, (1 - share) * sell_mean)
                ticks = buys = 0
                value = volume = theta_buy = theta_sell = 0.0
        return count

    return loop
