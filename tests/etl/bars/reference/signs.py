"""The sign of a trade: its side, else the tick rule, else the sign before it. Specification 3."""

from decimal import Decimal

from tests.etl.bars.reference.exact import exact
from tests.etl.bars.reference.trade import Trade


class Signs:
    def __init__(self, gap_reset_s: object = None) -> None:
        self.reset_us = None if gap_reset_s is None else exact(gap_reset_s) * 1_000_000
        self.last_price: Decimal | None = None
        self.last_sign = 0

    def of(self, trade: Trade, *, last_us: int | None) -> tuple[int, str]:
        """(sign, source); `last_us`: of the trade used just before."""
        if self.reset_us is not None and last_us is not None and trade.us - last_us > self.reset_us:
            self.last_price, self.last_sign = None, 0
        if trade.side == "buy":
            sign, source = 1, "side"
        elif trade.side == "sell":
            sign, source = -1, "side"
        elif self.last_price is not None and trade.price > self.last_price:
            sign, source = 1, "tick"
        elif self.last_price is not None and trade.price < self.last_price:
            sign, source = -1, "tick"
        else:
            sign, source = self.last_sign, "carry"
        self.last_price, self.last_sign = trade.price, sign
        return sign, source
