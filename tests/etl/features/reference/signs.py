"""Trades with their taker's sign: the tick rule with carry of bars-spec 3 where the side is not known."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from tests.etl.features.reference.numbers import exact


class Trade(NamedTuple):
    """A print; `sign` is +1 (buy), -1 (sell) or none."""

    t_ns: int
    price: float
    amount: float
    sign: int | None = None


@dataclass(frozen=True)
class Print:
    """A trade whose sign is resolved; 0 only before anything is known."""

    t_ns: int
    price: Fraction
    amount: Fraction
    sign: int

    @property
    def value(self) -> Fraction:
        return self.price * self.amount


def signed(trades: Sequence[tuple[int, float, float, int | None]]) -> list[Print]:
    prints: list[Print] = []
    for t_ns, price, amount, sign in trades:
        last = prints[-1] if prints else None
        if sign is None and last is not None:
            rise = exact(price) - last.price
            sign = last.sign if rise == 0 else (1 if rise > 0 else -1)
        prints.append(Print(t_ns, exact(price), exact(amount), sign or 0))
    return prints
