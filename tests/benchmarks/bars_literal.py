"""Imbalance and run bars by the book, a trade at a time, with a switch for each rule in which others differ from us."""

from typing import Any, NamedTuple

import numpy as np


class Rules(NamedTuple):
    """What a library does."""

    first_bar_ends_at_expected: bool  # else it runs on until a trade crosses; of runs once both sides have that many
    is_strict: bool  # closes at > and not at >=
    is_truncated: bool  # an EWMA sees its window's values and forgets the rest
    keeps_first_expectation: bool  # as the prior of E[T]; else the first bar's length replaces it
    counts_unsigned: bool  # among the ticks that the share of buys is taken of


class Sizes(NamedTuple):
    """What the bars were asked for."""

    expected: int  # ticks
    bars_window: int
    ticks_window: int


OURS = Rules(
    first_bar_ends_at_expected=True,
    is_strict=False,
    is_truncated=False,
    keeps_first_expectation=True,
    counts_unsigned=False,
)
RISKLABAI = Rules(
    first_bar_ends_at_expected=False,
    is_strict=False,
    is_truncated=True,
    keeps_first_expectation=False,
    counts_unsigned=True,
)
MLFINPY = RISKLABAI._replace(is_strict=True)


def imbalance_ends(x: Any, rules: Rules, sizes: Sizes) -> list[int]:
    """Per bar, how many trades lie before its end; `x` is the sign times the weight of each trade."""
    ends: list[int] = []
    lengths: list[int] = []
    theta, begun, threshold = 0.0, 0, np.inf
    for end, imbalance in enumerate(x.tolist(), 1):
        theta += imbalance
        is_warm = not ends
        if is_warm and end == sizes.expected:
            threshold = sizes.expected * abs(_recent(x[:end], sizes.ticks_window, rules))
        if not _closes(abs(theta), threshold, end if is_warm else None, rules, sizes):
            continue
        if not (is_warm and rules.first_bar_ends_at_expected):
            lengths.append(end - begun)
        threshold = _length(lengths, rules, sizes) * abs(_recent(x[:end], sizes.ticks_window, rules))
        ends.append(end)
        theta, begun = 0.0, end
    return ends


def run_ends(x: Any, rules: Rules, sizes: Sizes) -> list[int]:
    """As `imbalance_ends`, of run bars."""
    ends: list[int] = []
    lengths: list[int] = []
    shares: list[float] = []
    begun, threshold = 0, np.inf
    for end in range(1, len(x) + 1):
        bar, is_warm = x[begun:end], not ends
        buys, sells = bar[bar > 0], -bar[bar < 0]
        share = len(buys) / max(1, len(bar) if rules.counts_unsigned else len(buys) + len(sells))
        if is_warm and threshold == np.inf and min(len(buys), len(sells)) >= sizes.expected:
            threshold = sizes.expected * _larger_side(x[:end], share, rules, sizes)
        if not _closes(max(buys.sum(), sells.sum()), threshold, end if is_warm else None, rules, sizes):
            continue
        if not (is_warm and rules.first_bar_ends_at_expected):
            lengths.append(end - begun)
        shares.append(share)
        larger = _larger_side(x[:end], _recent(np.array(shares), sizes.bars_window, rules, is_bars=True), rules, sizes)
        threshold = _length(lengths, rules, sizes) * larger
        ends.append(end)
        begun = end
    return ends


def tick_signs(price: Any) -> Any:
    """The tick rule's signs: of the last change of price, 0 before the first."""
    moves = np.sign(np.diff(price, prepend=price[:1]))
    last = np.maximum.accumulate(np.where(moves != 0, np.arange(len(moves)), 0))
    return moves[last]


def _closes(total: float, threshold: float, first_bar_ticks: int | None, rules: Rules, sizes: Sizes) -> bool:
    if first_bar_ticks is not None and rules.first_bar_ends_at_expected:
        return first_bar_ticks >= sizes.expected
    return total > threshold or (total == threshold and not rules.is_strict)


def _length(lengths: list[int], rules: Rules, sizes: Sizes) -> float:
    """E[T]."""
    if not rules.keeps_first_expectation:
        return _adjusted(np.array(lengths[-sizes.bars_window :]), sizes.bars_window)
    length = float(sizes.expected)
    for ticks in lengths:
        length += 2 / (sizes.bars_window + 1) * (ticks - length)
    return length


def _larger_side(x: Any, share: float, rules: Rules, sizes: Sizes) -> float:
    buys, sells = x[x > 0], -x[x < 0]
    bought, sold = (_recent(side, sizes.ticks_window, rules) if len(side) else 0.0 for side in (buys, sells))
    return max(share * bought, (1 - share) * sold)


def _recent(x: Any, window: int, rules: Rules, *, is_bars: bool = False) -> float:
    """The EWMA as the library has it; over ticks theirs has the span of what it sees, over bars the one asked for."""
    if not rules.is_truncated:
        return _adjusted(x, window)
    return _adjusted(x[-window:], window if is_bars else min(window, len(x)))


def _adjusted(values: Any, span: int) -> float:
    """The adjusted EWMA's last value."""
    weights = (1 - 2 / (span + 1)) ** np.arange(len(values) - 1, -1, -1)
    return float(values @ weights / weights.sum())
