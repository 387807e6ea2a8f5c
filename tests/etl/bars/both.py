"""A test once of the reference and once of the kernels, trade by trade."""

from typing import Any

import pytest

from etl.bars import new_bars
from tests.etl.bars.reference import Reference, Trade, new_reference
from tests.etl.bars.trades_made import frame, rows


class Kernel:
    """A builder given trade by trade, as the reference is."""

    def __init__(self, kind: str, **params: Any) -> None:
        self.builder, self.bars = new_bars(kind, late="drop", **params), []

    def give(self, trade: Trade) -> None:
        self.bars += rows(self.builder.update(frame([trade])))

    def flush(self) -> None:
        self.bars += rows(self.builder.flush())

    def peek(self) -> dict[str, Any] | None:
        return next(iter(rows(self.builder.peek())), None)


both = pytest.mark.parametrize("make", [new_reference, Kernel], ids=["reference", "kernel"])


def given(bars: Kernel | Reference, trades: list[Trade]) -> list[dict[str, Any]]:
    for trade in trades:
        bars.give(trade)
    bars.flush()
    return bars.bars
