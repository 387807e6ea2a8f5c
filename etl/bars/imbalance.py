"""Imbalance bars: a bar ends when signed ticks, volume or value add up to more than was expected.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.2.1. E[T] |2 v+ - E[v]| is E[T] |E[b v]|, so
one expectation serves ticks, volume and value. The literal rule collapses to bars of one tick or explodes: the fixed
point of E[T] is unstable both ways. `guarded` therefore keeps E[T] and puts a noise floor under the threshold.
"""

import math
from typing import Any, ClassVar, Unpack

import numpy as np

from etl.bars.adaptive import (
    EXACT_HIGH,
    MAX_TICKS,
    OPEN,
    REACHED,
    THRESHOLD,
    WARMUP,
    AdaptiveBars,
    Expected,
    Options,
    expected_next,
    far_below,
    finite,
)
from etl.bars.frame import Facts
from etl.bars.kernels import BITS, LIMB, MASK
from etl.bars.threshold import Number
from etl.bars.ticks import UNIT_PLACES, Weight
from etl.compiled import kernel

# Of `Expected.numbers`. F_: as they were when the threshold was frozen.
E_TICKS, LIMIT, MEAN, COUNT_WEIGHT, SQUARE, F_TICKS, F_MEAN, F_FLOOR = range(8)


@kernel()
def noise_floor(ticks, square, floor_k):  # type: ignore[no-untyped-def]
    """What the imbalance of that many ticks of independent signs is expected to reach, times `floor_k`."""
    return floor_k * math.sqrt(ticks * square)


@kernel()
def averaged(mean, square, value, weight):  # type: ignore[no-untyped-def]
    """The EWMAs of values and of their squares after one more: mean + (value - mean) / weight, each operation rounded.

    The next tick waits for this one, and longest for a division. So a quotient is put between two products with what
    lies on either side of 1 / weight, which waits for nothing. Rounding is monotone: where the sums with both products
    are one number, the sum with the quotient is it. Both means share a branch, or the compiler would always divide.
    """
    under, over = (1.0 / weight) * (1.0 - 2.0**-52), (1.0 / weight) * (1.0 + 2.0**-52)
    off, square_off = value - mean, value * value - square
    low, square_low = mean + off * under, square + square_off * under
    if low == mean + off * over and square_low == square + square_off * over:
        return low, square_low
    return mean + off / weight, square + square_off / weight


@kernel()
def imbalance_bars(sign, x, w_hi, w_lo, row, rule, numbers, counts, theta, ends, facts, thetas):  # type: ignore[no-untyped-def]
    """(how many bars end, the tick where it stopped) of the ticks from number `row` on.

    It stops early when `ends` is full, or at a sum too near to the threshold for floats: then it is called again with
    the verdict in `counts[-1]`. `numbers`, `counts` and `theta` are what is known before and after; `facts` and
    `thetas` get what each bar was made by.
    """
    ticks_init, is_ema, alpha, _, keep, low, high, floor_k, max_ticks, _, seed_alpha, up, down = rule
    expected, limit, mean, weight, square = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    ticks, is_warm, verdict = counts[0], counts[1], counts[-1]
    hi, lo = theta[0], theta[1]
    most, far = (ticks_init, np.inf) if is_warm else (max_ticks, far_below(limit, up, down))
    count = 0
    signs, sizes, his, los = sign[row:], x[row:], w_hi[row:], w_lo[row:]  # counted from 0, as in `accumulate`
    for i in range(len(signs)):
        if count == len(ends):
            break
        if verdict == OPEN:
            value = signs[i] * sizes[i]
            lo += signs[i] * los[i]
            hi += signs[i] * his[i] + (lo >> BITS)
            lo &= MASK
            ticks += 1
            weight = 1.0 + keep * weight
            seeded = mean + seed_alpha * (value - mean)
            mean, square = averaged(mean, square, value, weight)
            mean = seeded if seed_alpha > 0.0 else mean
        raw = abs(hi * float(LIMB) + lo)
        if raw < far and ticks < most:
            row += 1
            continue
        reason = WARMUP
        if not is_warm:
            total = raw * up / down
            is_exact = -EXACT_HIGH <= hi < EXACT_HIGH
            if verdict == OPEN and not is_exact and abs(total - limit) <= total * 2.0**-50:
                break
            is_reached = verdict == REACHED or (verdict == OPEN and total >= limit)
            reason = THRESHOLD if is_reached else MAX_TICKS if ticks >= max_ticks else -1
            verdict = OPEN
        row += 1
        if reason < 0:
            continue
        ends[count] = row
        facts[count, 0], facts[count, 1] = reason, np.nan if is_warm else limit
        facts[count, 2], facts[count, 3], facts[count, 4] = numbers[5], numbers[6], numbers[7]
        thetas[count, 0], thetas[count, 1] = hi, lo
        count += 1
        if is_ema and not is_warm:
            expected = expected_next(expected, ticks, alpha, low, high)
        floor = noise_floor(expected, square, floor_k)
        limit = max(expected * abs(mean), floor)
        numbers[5], numbers[6], numbers[7] = expected, mean, floor
        is_warm, ticks, hi, lo = 0, 0, 0, 0
        most, far = max_ticks, far_below(limit, up, down)
    numbers[0], numbers[1], numbers[2], numbers[3], numbers[4] = expected, limit, mean, weight, square
    counts[0], counts[1], counts[-1] = ticks, is_warm, OPEN
    theta[0], theta[1] = hi, lo
    return count, row


class ImbalanceBars(AdaptiveBars):
    """Bars that end when |theta|, the sum of signed weights, reaches E[T] |E[b w]|, frozen at the bar's first trade.

    The first bar warms up: it ends at `expected_ticks_init` ticks, whatever their signs.

    Args:
        expected_ticks_init: E0, the ticks a bar is expected to have; trades a day / bars wanted a day is a good start.
        floor_k: the threshold is at least floor_k sqrt(E[T] E[(b w)^2]); with 1 and independent signs a bar has about
            E0 ticks. Signs of real flow come in runs, which makes bars shorter.
        init_imbalance: E[b w] to begin with, in ticks, units of volume or of value; then there is no warm-up.
        options: see `etl.bars.adaptation.Tuning` and `etl.bars.builder.BuilderOptions`.
    """

    sums: ClassVar[tuple[str, ...]] = ("theta",)
    cells: ClassVar[int] = 5
    kernel = staticmethod(imbalance_bars)

    def __init__(
        self,
        *,
        expected_ticks_init: int,
        floor_k: float | None = None,
        init_imbalance: Number | None = None,
        **options: Unpack[Options],
    ) -> None:
        own = {"floor_k": floor_k, "init_imbalance": init_imbalance}
        super().__init__(expected_ticks_init, own=own, **options)

    def _first(self) -> Expected:
        ticks_init, init = self._adaptation.expected_ticks_init, self._adaptation.init_imbalance
        numbers = [float(ticks_init), 0.0, 0.0, 0.0, 0.0, float(ticks_init), math.inf, math.inf]
        if init is None:
            return Expected(numbers=finite(numbers), ticks_init=ticks_init)
        numbers[MEAN] = float(init.scaleb(UNIT_PLACES[self.weight]))
        return Expected(numbers=finite(self._frozen(numbers)), ticks_init=ticks_init, is_warm=False)

    def _frozen(self, numbers: list[float]) -> list[float]:
        expected, _, mean, weight, square, *_ = numbers
        floor = noise_floor(expected, square, self._adaptation.floor)
        return [expected, max(expected * abs(mean), floor), mean, weight, square, expected, mean, floor]

    def _learned(self, numbers: list[float], sign: int, x: float) -> list[float]:
        limits, value = self._adaptation.limits(1), sign * x
        numbers[COUNT_WEIGHT] = 1.0 + limits.keep_tick * numbers[COUNT_WEIGHT]
        off = value - numbers[MEAN]
        numbers[MEAN] += limits.seed_alpha * off if limits.seed_alpha > 0.0 else off / numbers[COUNT_WEIGHT]
        numbers[SQUARE] += (value * value - numbers[SQUARE]) / numbers[COUNT_WEIGHT]
        return numbers

    def _with_pending(self, progress: Expected) -> list[int]:
        pending = progress.pending
        return [int(progress.theta[0]) + (pending.sign * int(pending.weight) if pending else 0)]

    def _averages(self, facts: Any) -> Facts:
        return {"expected_imbalance": self._in_units(facts[:, 3]), "noise_floor": self._in_units(facts[:, 4])}


class TickImbalanceBars(ImbalanceBars):
    """Imbalance bars of signs: buys less sells. See `ImbalanceBars` for the parameters.

    >>> from datetime import UTC, datetime; import polars as pl
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(9)]
    >>> trades = pl.DataFrame({"trade_id": list("abcdefghi"), "timestamp": times, "price": 10.0, "amount": 2.0})
    >>> bars = TickImbalanceBars(expected_ticks_init=4, preset="afml_literal")
    >>> bars.update(trades.with_columns(side=pl.lit("buy"))).select("last_trade_id", "close_reason", "theta").rows()
    [('d', 'warmup', 4.0), ('h', 'threshold', 4.0)]
    """

    kind: ClassVar[str] = "tick_imbalance"
    alias: ClassVar[str] = "tib"
    weight: ClassVar[Weight] = "tick"


class VolumeImbalanceBars(ImbalanceBars):
    """Imbalance bars of volume: bought less sold, in units of the base asset. See `ImbalanceBars`."""

    kind: ClassVar[str] = "volume_imbalance"
    alias: ClassVar[str] = "vib"
    weight: ClassVar[Weight] = "volume"


class DollarImbalanceBars(ImbalanceBars):
    """Imbalance bars of value: bought less sold, in units of the quote asset. See `ImbalanceBars`."""

    kind: ClassVar[str] = "dollar_imbalance"
    alias: ClassVar[str] = "dib"
    weight: ClassVar[Weight] = "value"
