"""Two tables of the same rows, column by column: equal to rounding, null where the other is null."""

import math
from collections.abc import Mapping
from typing import Any

Table = list[dict[str, Any]]

RELATIVE = 1e-9
CANCELLED = 1e-12  # of a column's largest value: a sum whose terms cancel is as exact as its terms
PRICE_ROUNDING = 8 * 2**-53  # of a price: as float64 it is not the decimal, and a difference of prices less so
_LARGE = {"[-1, 1]": 1.0, "1": 1e-2}  # what a column's values are parts of, where they may all be near nothing


def differences(ours: Table, theirs: Table, units: Mapping[str, str]) -> dict[str, tuple[int, Any, Any]]:
    """By column the first place where two tables differ, and both values there."""
    assert [row["timestamp"] for row in ours] == [row["timestamp"] for row in theirs]
    found: dict[str, tuple[int, Any, Any]] = {}
    if not ours:
        return found
    rounding = max((PRICE_ROUNDING * row["mid_price"] / row["spread"] for row in theirs if row["spread"]), default=0.0)
    assert ours[0].keys() == theirs[0].keys(), sorted(ours[0].keys() ^ theirs[0].keys())
    for name in theirs[0]:
        numbers = [abs(row[name]) for row in theirs if isinstance(row[name], float)]
        scale = max([*numbers, _LARGE.get(units.get(name, ""), 0.0)])
        absolute = (CANCELLED + rounding) * scale
        for place, (own, their) in enumerate(zip(ours, theirs, strict=True)):
            if not agree(own[name], their[name], max(RELATIVE, rounding), absolute):
                found[name] = place, own[name], their[name]
                break
    return found


def agree(own: Any, their: Any, relative: float, absolute: float) -> bool:
    """Whether a number is the same number, and all else the very same."""
    if isinstance(own, float) and isinstance(their, (int, float)) and not isinstance(their, bool):
        return math.isclose(own, their, rel_tol=relative, abs_tol=absolute)
    return own is their if own is None or their is None else bool(own == their)
