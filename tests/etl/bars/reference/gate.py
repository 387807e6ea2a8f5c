"""Order and repetition: specification 1.1."""

from tests.etl.bars.reference.trade import Trade


class Gate:
    """Lets each trade in once, and in order."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.last_seq: int | None = None
        self.last_key: tuple[int, tuple[str, int]] | None = None

    def judge(self, trade: Trade) -> str:
        """new, dup or late."""
        if trade.trade_id in self.seen:
            return "dup"
        if self._is_behind(trade):
            return "late"
        self.seen.add(trade.trade_id)
        return "new"

    def _is_behind(self, trade: Trade) -> bool:
        if trade.trade_seq is not None:
            behind = self.last_seq is not None and trade.trade_seq <= self.last_seq
            self.last_seq = self.last_seq if behind else trade.trade_seq
            return behind
        if trade.arrival is None:
            behind = self.last_key is not None and trade.us < self.last_key[0]
        else:
            behind = self.last_key is not None and (trade.us, trade.arrival) <= self.last_key
        self.last_key = self.last_key if behind else (trade.us, trade.arrival or ("", 0))
        return behind
