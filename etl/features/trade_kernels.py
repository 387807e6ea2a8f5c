"""What trade features are computed by: exact values, the pace of trading, runs of signs, and what large trades weigh.

Kernels go trade by trade in one order of operations, so that how trades are cut into updates changes no bit.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.bars.kernels import BITS, MASK
from etl.bars.rounding import ratio
from etl.bars.scaling import NumberRefused, Prices, Sizes, Texts, scaled_prices, scaled_sizes
from etl.bars.trades import frozen
from etl.compiled import kernel
from etl.features.rows import Floats
from shared.errors import InputUnreadable

LARGE_QUANTILE = 0.9


def dollar_volumes(trades: pl.DataFrame) -> Floats:
    """Price x amount of each trade: the float64 nearest to the product of the two decimals.

    Args:
        trades: `price` and `amount`; where a `price_text` or `amount_text` stands, it is the exact number.

    Raises: InputUnreadable for a price or amount that is not positive and finite.

    >>> dollar_volumes(pl.DataFrame({"price": [0.1], "amount": [3.0]}))  # 0.1 * 3.0 is 0.30000000000000004
    array([0.3])
    """
    try:
        prices = scaled_prices(_floats(trades["price"]), texts=_texts(trades, "price_text"), scale=0)
        sizes = scaled_sizes(_floats(trades["amount"]), texts=_texts(trades, "amount_text"), scale=0)
    except NumberRefused as refused:
        raise InputUnreadable(
            f"{refused.what} of trade {refused.row} of {len(trades)} {refused.reason}",
            hint="Mend the numbers, or drop such rows",
        ) from refused
    price, hi, lo = (_wide(values, prices, sizes) for values in (prices.values, sizes.hi, sizes.lo))
    low = price * lo
    value = price * hi + (low >> BITS), low & MASK
    return ratio(value, np.ones(len(low), np.int64), tens=prices.scale + sizes.scale)


def _floats(numbers: pl.Series) -> Floats:
    return frozen(numbers.cast(pl.Float64).fill_null(float("nan")).to_numpy())


def _texts(trades: pl.DataFrame, name: str) -> Texts:
    if name not in trades.columns or trades[name].null_count() == len(trades):
        return {}
    return {row: text for row, text in enumerate(trades[name].to_list()) if text is not None}


def _wide(values: object, prices: Prices, sizes: Sizes) -> npt.NDArray[np.int64] | npt.NDArray[np.object_]:
    """As 64 bits, or as Python's whole numbers where either number is too large for the arrays of `etl.bars`."""
    is_plain = isinstance(prices.values, np.ndarray) and isinstance(sizes.hi, np.ndarray)
    return np.asarray(values, dtype=np.int64 if is_plain else object)


@kernel()
def pace(t_ns, sign, tau_s, last_ns, counts, out):  # type: ignore[no-untyped-def]
    """Fill `out` (3, trades): trades a second, of all, buys, sells, each weighted exp(-age / tau).

    Times ascend from `last_ns`, at which the decayed `counts` (3,) are; afterwards these are at the last trade.
    """
    for k in range(len(t_ns)):
        counts *= np.exp((last_ns - t_ns[k]) / (tau_s * 1e9))
        last_ns = t_ns[k]
        counts[0] += 1.0
        if sign[k] > 0:
            counts[1] += 1.0
        elif sign[k] < 0:
            counts[2] += 1.0
        out[:, k] = counts / tau_s


@kernel()
def runs(sign, streak, out):  # type: ignore[no-untyped-def]
    """The streak after these trades: sign x length of the run that each belongs to, which fills `out`."""
    for k in range(len(sign)):
        streak = streak + sign[k] if streak * sign[k] > 0 else np.int64(sign[k])
        out[k] = streak
    return streak


@kernel()
def autocorrelation(signs, first, window, out):  # type: ignore[no-untyped-def]
    """Fill `out` for the trades from `first` on: of the last `window` signs, at lag 1; NaN before there are as many.

    With sums of whole numbers alone, so that nothing is lost: both sides of the ratio are times window^2.
    """
    total = squares = products = 0
    for i in range(len(signs)):
        total += signs[i]
        squares += signs[i] * signs[i]
        products += signs[i] * signs[i - 1] if i else 0
        if i >= window:
            gone, next_ = signs[i - window], signs[i - window + 1]
            total -= gone
            squares -= gone * gone
            products -= gone * next_
        if i < first or i < window - 1:
            continue
        ends = signs[i] + signs[i - window + 1]
        below = window * (window * squares - total * total)
        if below:
            above = window * window * products - window * total * (2 * total - ends) + (window - 1) * total * total
            out[i - first] = above / below


@kernel()
def large_trades(amounts, first, window, ordered, share, hhi):  # type: ignore[no-untyped-def]
    """Fill `share` and `hhi` for the trades from `first` on, NaN before there are enough.

    `share`: of the last `window` amounts, in those at or above the quantile of the `window` before them. `amounts`
    begin two windows before `first`, or with the first trade; `ordered` are those of the first of the two, ascending.
    """
    before = np.empty(window)
    before[: len(ordered)] = ordered
    held = len(ordered)
    place = (window - 1) * LARGE_QUANTILE
    low = int(place)
    for i in range(first, len(amounts)):
        if i >= window:
            if held == window:
                held = _without(before, held, amounts[i - 2 * window])
            held = _with(before, held, amounts[i - window])
        if i < window - 1:
            continue
        total = squares = large = 0.0
        limit = np.inf
        if held == window:  # as numpy's quantile
            below, above, part = before[low], before[low + 1], place - low
            limit = below + (above - below) * part if part < 0.5 else above - (above - below) * (1 - part)
        for j in range(i - window + 1, i + 1):
            total += amounts[j]
            squares += amounts[j] * amounts[j]
            large += amounts[j] if amounts[j] >= limit else 0.0
        hhi[i - first] = squares / (total * total)
        if held == window:
            share[i - first] = large / total


@kernel()
def _with(ordered, held, value):  # type: ignore[no-untyped-def]
    at = held
    while at and ordered[at - 1] > value:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = value
    return held + 1


@kernel()
def _without(ordered, held, value):  # type: ignore[no-untyped-def]
    at = np.searchsorted(ordered[:held], value)
    for next_ in range(at + 1, held):
        ordered[next_ - 1] = ordered[next_]
    return held - 1
