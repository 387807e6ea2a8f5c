"""Run bars: a bar ends when either side alone adds up to more than was expected, without offsetting the two.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3.2.2. The counted runs may be broken by the
other side. An E[T] that adapts can only fall, as E max(B, S) > max(E B, E S), so it is kept by default.
"""

import math
from typing import Any, ClassVar, Unpack

import numpy as np

from etl.bars.adaptation import RunThreshold
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
    finite,
)
from etl.bars.frame import Facts
from etl.bars.kernels import BITS, LIMB, MASK
from etl.bars.ticks import Weight
from etl.compiled import kernel

# Of `Expected.numbers`. F_: as they were when the threshold was frozen.
E_TICKS, LIMIT, P, P_WEIGHT, PLUS, PLUS_WEIGHT, MINUS, MINUS_WEIGHT, F_TICKS, F_P, F_PLUS, F_MINUS = range(12)


@kernel()
def run_limit(ticks, p, plus, minus, is_jensen):  # type: ignore[no-untyped-def]
    """The threshold: E[T] max(P v+, (1-P) v-); of "jensen" about the expectation of the larger of the two sums."""
    if not is_jensen:
        return ticks * max(p * plus, (1.0 - p) * minus)
    size = p * plus + (1.0 - p) * minus
    drift = ticks * (p * plus - (1.0 - p) * minus)
    spread = 2.0 * size * math.sqrt(ticks * p * (1.0 - p))
    folded = abs(drift)  # the mean of |N(drift, spread^2)|
    if spread > 0.0:
        folded = spread * math.sqrt(2.0 / math.pi) * math.exp(-drift * drift / (2.0 * spread * spread))
        folded += drift * math.erf(drift / (spread * math.sqrt(2.0)))
    return 0.5 * (ticks * size + folded)


@kernel()
def run_bars(sign, x, w_hi, w_lo, row, rule, numbers, counts, theta, ends, facts, thetas):  # type: ignore[no-untyped-def]
    """As `etl.bars.imbalance.imbalance_bars`, of two sums that are not netted; `theta` holds buys, then sells."""
    ticks_init, keep, max_ticks, up, down = rule[0], rule[4], rule[8], rule[11], rule[12]
    plus, plus_weight, minus, minus_weight = numbers[4], numbers[5], numbers[6], numbers[7]
    ticks, is_warm, buys, sells, verdict = counts[0], counts[1], counts[2], counts[3], counts[-1]
    buy_hi, buy_lo, sell_hi, sell_lo = theta[0], theta[1], theta[2], theta[3]
    limit, count, first = numbers[1], 0, row
    signs, sizes, his, los = sign[row:], x[row:], w_hi[row:], w_lo[row:]  # counted from 0, as in `accumulate`
    for i in range(len(signs)):
        if count == len(ends):
            break
        if verdict == OPEN:
            ticks += 1
            if signs[i] > 0:
                buys += 1
                buy_lo += los[i]
                buy_hi, buy_lo = buy_hi + his[i] + (buy_lo >> BITS), buy_lo & MASK
                plus_weight = 1.0 + keep * plus_weight
                plus += (sizes[i] - plus) / plus_weight
            elif signs[i] < 0:
                sells += 1
                sell_lo += los[i]
                sell_hi, sell_lo = sell_hi + his[i] + (sell_lo >> BITS), sell_lo & MASK
                minus_weight = 1.0 + keep * minus_weight
                minus += (sizes[i] - minus) / minus_weight
        reason = -1
        if is_warm:
            if ticks >= ticks_init:
                reason = WARMUP
        else:
            total = max(buy_hi * float(LIMB) + buy_lo, sell_hi * float(LIMB) + sell_lo) * up / down
            is_exact = buy_hi < EXACT_HIGH and sell_hi < EXACT_HIGH
            if verdict == OPEN and not is_exact and abs(total - limit) <= total * 2.0**-50:
                break
            if verdict == REACHED or (verdict == OPEN and total >= limit):
                reason = THRESHOLD
            elif ticks >= max_ticks:
                reason = MAX_TICKS
            verdict = OPEN
        row += 1
        if reason < 0:
            continue
        ends[count] = first + i + 1
        thetas[count, 0], thetas[count, 1], thetas[count, 2], thetas[count, 3] = buy_hi, buy_lo, sell_hi, sell_lo
        numbers[4], numbers[5], numbers[6], numbers[7] = plus, plus_weight, minus, minus_weight
        limit = next_limit(reason, ticks, buys, sells, rule, numbers, facts[count])
        count += 1
        is_warm, ticks, buys, sells, buy_hi, buy_lo, sell_hi, sell_lo = 0, 0, 0, 0, 0, 0, 0, 0
    numbers[4], numbers[5], numbers[6], numbers[7] = plus, plus_weight, minus, minus_weight
    counts[0], counts[1], counts[2], counts[3], counts[-1] = ticks, is_warm, buys, sells, OPEN
    theta[0], theta[1], theta[2], theta[3] = buy_hi, buy_lo, sell_hi, sell_lo
    return count, row


@kernel()
def tick_run_bars(sign, x, w_hi, w_lo, row, rule, numbers, counts, theta, ends, facts, thetas):  # type: ignore[no-untyped-def]
    """As `run_bars` where each tick weighs 1: the sums are counts, and the mean weight of a side is 1."""
    count, n = 0, len(sign)
    while row < n and count < len(ends):
        ticks, is_warm = counts[0], counts[1]
        most = rule[0] if is_warm else rule[8]
        limit = np.inf if is_warm else numbers[1]
        stop = row + max(1, int(most) - ticks)
        behind, buys, sells = counted_until(sign[row:stop], limit, counts[2], counts[3])
        ticks, row = ticks + behind, row + behind
        numbers[4] = numbers[5] = 1.0 if buys > 0 else numbers[4]
        numbers[6] = numbers[7] = 1.0 if sells > 0 else numbers[6]
        counts[0], counts[2], counts[3] = ticks, buys, sells
        theta[0], theta[1], theta[2], theta[3] = buys >> BITS, buys & MASK, sells >> BITS, sells & MASK
        is_reached = max(buys, sells) >= limit
        if not is_reached and ticks < most:
            break
        ends[count] = row
        for cell in range(4):
            thetas[count, cell] = theta[cell]
            theta[cell] = 0
        reason = THRESHOLD if is_reached else WARMUP if is_warm else MAX_TICKS
        next_limit(reason, ticks, buys, sells, rule, numbers, facts[count])
        counts[0], counts[1], counts[2], counts[3] = 0, 0, 0, 0
        count += 1
    return count, row


@kernel()
def counted_until(sign, limit, buys, sells):  # type: ignore[no-untyped-def]
    """(ticks up to the one by which a side reaches the limit, else all; buys, sells)."""
    for i in range(len(sign)):
        buys += sign[i] > 0
        sells += sign[i] < 0
        if max(buys, sells) >= limit:
            return i + 1, buys, sells
    return len(sign), buys, sells


@kernel()
def next_limit(reason, ticks, buys, sells, rule, numbers, facts):  # type: ignore[no-untyped-def]
    """The threshold of the next bar, once the bar with these ticks was learned from; fills `facts`."""
    _, is_ema, alpha, keep_bar, _, low, high, _, _, is_jensen, _, _, _ = rule
    is_warm = reason == WARMUP
    facts[0], facts[1] = reason, np.nan if is_warm else numbers[1]
    facts[2], facts[3], facts[4], facts[5] = numbers[8], numbers[9], numbers[10], numbers[11]
    expected, p, p_weight = numbers[0], numbers[2], numbers[3]
    if buys + sells > 0:
        p_weight = 1.0 + keep_bar * p_weight
        p += (buys / (buys + sells) - p) / p_weight
    if is_ema and not is_warm:
        expected = expected_next(expected, ticks, alpha, low, high)
    limit = run_limit(expected, p, numbers[4], numbers[6], is_jensen)
    numbers[0], numbers[1], numbers[2], numbers[3] = expected, limit, p, p_weight
    numbers[8], numbers[9] = expected, p if p_weight > 0.0 else np.nan
    numbers[10] = numbers[4] if numbers[5] > 0.0 else np.nan
    numbers[11] = numbers[6] if numbers[7] > 0.0 else np.nan
    return limit


class RunBars(AdaptiveBars):
    """Bars that end when the buys' or the sells' sum reaches E[T] max(P v+, (1-P) v-), frozen at the first trade.

    P is the expected share of buys among ticks, v+ and v- the expected weight of a buy and of a sell. The first bar
    warms up: it ends at `expected_ticks_init` ticks.

    Args:
        expected_ticks_init: E0, the ticks a bar is expected to have.
        run_threshold: "afml" as above; "jensen" uses the expectation of the larger sum, not the larger expectation.
        options: see `etl.bars.adaptation.Tuning` and `etl.bars.builder.BuilderOptions`.
    """

    sums: ClassVar[tuple[str, ...]] = ("theta_buy", "theta_sell")
    cells: ClassVar[int] = 6
    kernel = staticmethod(run_bars)

    def __init__(
        self, *, expected_ticks_init: int, run_threshold: RunThreshold = "afml", **options: Unpack[Options]
    ) -> None:
        super().__init__(expected_ticks_init, own={"run_threshold": run_threshold}, **options)

    def _first(self) -> Expected:
        ticks_init = self._adaptation.expected_ticks_init
        numbers = [float(ticks_init), *[0.0] * 7, float(ticks_init), *[0.0] * 3]
        return Expected(numbers=finite(numbers), theta=("0", "0"), ticks_init=ticks_init)

    def _frozen(self, numbers: list[float]) -> list[float]:
        expected, _, *averages = numbers[:F_TICKS]
        is_jensen = self._adaptation.run_threshold == "jensen"
        limit = run_limit(expected, numbers[P], numbers[PLUS], numbers[MINUS], float(is_jensen))
        frozen = [numbers[mean] if numbers[mean + 1] > 0.0 else math.nan for mean in (P, PLUS, MINUS)]
        return [expected, limit, *averages, expected, *frozen]

    def _learned(self, numbers: list[float], sign: int, x: float) -> list[float]:
        if sign:
            mean = PLUS if sign > 0 else MINUS
            numbers[mean + 1] = 1.0 + self._adaptation.limits(1).keep_tick * numbers[mean + 1]
            numbers[mean] += (x - numbers[mean]) / numbers[mean + 1]
        return numbers

    def _with_pending(self, progress: Expected) -> list[int]:
        sums = [int(text) for text in progress.theta]
        if progress.pending and progress.pending.sign:
            sums[progress.pending.sign < 0] += int(progress.pending.weight)
        return sums

    def _averages(self, facts: Any) -> Facts:
        sizes = {"v_plus": self._in_units(facts[:, 4]), "v_minus": self._in_units(facts[:, 5])}
        return {"p_buy": facts[:, 3], **sizes}


class TickRunBars(RunBars):
    """Run bars of trades: as many buys, or sells, as were expected of one side. See `RunBars` for the parameters."""

    kernel = staticmethod(tick_run_bars)
    kind: ClassVar[str] = "tick_run"
    alias: ClassVar[str] = "trb"
    weight: ClassVar[Weight] = "tick"


class VolumeRunBars(RunBars):
    """Run bars of volume, in units of the base asset. See `RunBars` for the parameters."""

    kind: ClassVar[str] = "volume_run"
    alias: ClassVar[str] = "vrb"
    weight: ClassVar[Weight] = "volume"


class DollarRunBars(RunBars):
    """Run bars of value, in units of the quote asset. See `RunBars` for the parameters."""

    kind: ClassVar[str] = "dollar_run"
    alias: ClassVar[str] = "drb"
    weight: ClassVar[Weight] = "value"
