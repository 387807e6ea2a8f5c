"""Bars from the specification alone: one trade at a time, `Decimal` and `Fraction`, no arrays; plain on purpose."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.etl.bars.reference.builder import Reference
from tests.etl.bars.reference.information import ImbalanceReference, RunReference
from tests.etl.bars.reference.standard import StandardReference, StreakReference
from tests.etl.bars.reference.time_bars import TimeReference
from tests.etl.bars.reference.trade import Trade

__all__ = ["KINDS", "Reference", "Trade", "new_reference"]

KINDS: dict[str, Callable[..., Reference]] = {
    "time": TimeReference,
    **{weighting: partial(StandardReference, weighting) for weighting in ("tick", "volume", "dollar")},
    **{f"{weighting}_imbalance": partial(ImbalanceReference, weighting) for weighting in ("tick", "volume", "dollar")},
    **{f"{weighting}_run": partial(RunReference, weighting) for weighting in ("tick", "volume", "dollar")},
    "streak": StreakReference,
}


def new_reference(kind: str, **params: Any) -> Reference:
    """The reference of the builder that `etl.bars.new_bars` makes with the same parameters."""
    return KINDS[kind](**params)
