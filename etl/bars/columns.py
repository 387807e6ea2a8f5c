"""Compiled passes over the columns of a frame, in chunks that are fetched from memory ahead of their use."""

import numpy as np

from etl.bars.kernels import LIMB, MASK, PRICE_LIMIT
from etl.bars.prefetch import AHEAD, CHUNK, prefetch
from etl.compiled import kernel


@kernel()
def scale_prices(values, factor, out):  # type: ignore[no-untyped-def]
    """(rows that are not a positive whole number of 1/factor below the limit, a bound of all); fills `out`, int32.

    Proof of exactness: k < 10^15 has at most 15 digits and k / factor rounds to the value, so k / factor is the one
    decimal of that many digits that the float stands for, which is its shortest text.
    """
    bad = bound = 0
    for start in range(0, len(values), CHUNK):
        prefetch(values, start + AHEAD)
        value, whole = values[start : start + CHUNK], out[start : start + CHUNK]
        for i in range(len(value)):
            k = np.rint(value[i] * factor)
            good = (k / factor == value[i]) and (k < PRICE_LIMIT) and (k > 0.5)
            bad += not good
            whole[i] = np.int32(k)
            bound |= whole[i]  # as wide as the largest; a maximum of floats would not be vectorised
    return bad, bound


@kernel()
def scale_sizes(values, factor, out_hi, out_lo):  # type: ignore[no-untyped-def]
    """As `scale_prices`, into two limbs."""
    bad = bound = 0
    for start in range(0, len(values), CHUNK):
        prefetch(values, start + AHEAD)
        stop = start + CHUNK
        value, whole_hi, whole_lo = values[start:stop], out_hi[start:stop], out_lo[start:stop]
        for i in range(len(value)):
            k = np.rint(value[i] * factor)
            good = (k / factor == value[i]) and (k < 1e15) and (k > 0.5)
            bad += not good
            hi = np.floor(k * (1.0 / LIMB))
            whole_hi[i], whole_lo[i] = np.int32(hi), np.int32(k - hi * LIMB)
            bound |= whole_hi[i]
    return bad, bound * LIMB + MASK


@kernel()
def side_codes(views, buy, sell, codes):  # type: ignore[no-untyped-def]
    """How many string views are neither `buy` nor `sell` by their first word; sets `codes[i]` to +1, -1 or 0."""
    others = 0
    words = np.empty(CHUNK, dtype=np.int64)  # side by side, so that the comparisons are vectorised
    for start in range(0, len(codes), CHUNK):
        prefetch(views, start + AHEAD)
        view, code = views[start : start + CHUNK], codes[start : start + CHUNK]
        for i in range(len(code)):
            words[i] = view[i, 0]
        for i in range(len(code)):
            is_buy, is_sell = words[i] == buy, words[i] == sell
            code[i] = np.int8(is_buy) - np.int8(is_sell)
            others += not (is_buy | is_sell)
    return others


@kernel()
def are_equal(views):  # type: ignore[no-untyped-def]
    """Whether all string views have the same two words; of one view or more."""
    difference = 0
    first, second = views[0, 0], views[0, 1]
    for start in range(0, len(views), CHUNK):
        prefetch(views, start + AHEAD)
        view = views[start : start + CHUNK]
        for i in range(len(view)):
            difference |= (view[i, 0] ^ first) | (view[i, 1] ^ second)
    return difference == 0
