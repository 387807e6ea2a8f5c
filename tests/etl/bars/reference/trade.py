"""A trade as it comes, and as a bar holds it."""

from dataclasses import dataclass
from decimal import Decimal

from tests.etl.bars.reference.exact import times


@dataclass
class Trade:
    trade_id: str
    us: int
    price: Decimal
    amount: Decimal
    side: str | None = None
    trade_seq: int | None = None
    arrival: tuple[str, int] | None = None  # None: the order in which they come
    known_us: int | None = None
    gap_before: bool = False


@dataclass
class Print:
    """A trade let in, with the sign it was given."""

    trade: Trade
    sign: int  # +1, -1; 0 before anything is known
    source: str  # of the sign: side, tick, carry
    is_regress: bool  # stamped before the trade used just before

    @property
    def us(self) -> int:
        return self.trade.us

    @property
    def value(self) -> Decimal:
        return times(self.trade.price, self.trade.amount)

    @property
    def known_us(self) -> int:
        return self.trade.us if self.trade.known_us is None else self.trade.known_us
