"""One symbol's order book, kept as its messages come: for snapshots at an interval and for checksums."""

from bisect import bisect_left, insort
from collections.abc import Sequence

from shared.rows import L2Message, Level, OrderBook


class BookSide:
    """The levels of one side, sorted by price."""

    def __init__(self, *, descending: bool) -> None:
        self._descending = descending
        self._prices: list[float] = []  # ascending
        self._sizes: dict[float, float] = {}
        self._labels: dict[float, str] = {}

    def __len__(self) -> int:
        """How many levels there are."""
        return len(self._prices)

    def load(self, levels: dict[float, float], labels: dict[float, str]) -> None:
        """Begin anew with these levels, none of which has size 0."""
        self._prices, self._sizes, self._labels = sorted(levels), levels, labels

    def set(self, price: float, size: float, label: str | None = None) -> None:
        """Put a level at its new size; size 0 removes it, and removing what is not there is normal."""
        if size == 0:
            if self._sizes.pop(price, None) is not None:
                del self._prices[bisect_left(self._prices, price)]
                self._labels.pop(price, None)
            return
        if price not in self._sizes:
            insort(self._prices, price)
        self._sizes[price] = size
        if label is not None:
            self._labels[price] = label

    def truncate(self, depth: int) -> None:
        """Let go what lies behind the best `depth` levels, where the exchange sends no deletes for that."""
        extra = self._prices[: len(self._prices) - depth] if self._descending else self._prices[depth:]
        for price in extra if len(self._prices) > depth else ():
            self._sizes.pop(price)
            self._labels.pop(price, None)
        if len(self._prices) > depth:
            self._prices = self._prices[-depth:] if self._descending else self._prices[:depth]

    def best(self, depth: int) -> list[float]:
        """The best prices, best first."""
        return self._prices[: -depth - 1 : -1] if self._descending else self._prices[:depth]

    def top(self, depth: int) -> list[Level]:
        """The best levels, best first."""
        sizes = self._sizes
        return [(price, sizes[price]) for price in self.best(depth)]

    def labels(self, depth: int) -> list[str]:
        """The labels of the best levels, best first."""
        return [self._labels[price] for price in self.best(depth)]


class BookKeeper:
    """A book that follows its messages, and gives a snapshot when one is due.

    >>> keeper = BookKeeper("BTC-USD", depth=2, interval_ns=0, emits=True)
    >>> message = L2Message("BTC-USD", 5, 1, True, ["bid", "ask", "bid"], [9.0, 11.0, 8.0], [1.0, 2.0, 3.0])
    >>> keeper.apply(message, 0).bids
    [(9.0, 1.0), (8.0, 3.0)]
    """

    def __init__(self, symbol: str, depth: int, interval_ns: int, *, emits: bool) -> None:
        self.symbol, self._depth, self._emits = symbol, depth, emits
        self.interval_ns = interval_ns
        self.bids, self.asks = BookSide(descending=True), BookSide(descending=False)
        self.is_known = False  # a snapshot has come, and nothing has broken since
        self._due_ns: int | None = None

    def lose(self) -> None:
        """What is here may be wrong: nothing is emitted until the next snapshot."""
        self.is_known = False

    def apply(self, message: L2Message, mono_ns: int, labels: Sequence[str] | None = None) -> OrderBook | None:
        """Follow one message; the snapshot, if one is due and the book is known."""
        if message.is_snapshot:
            self._load(message, labels)
            self.is_known = True
        elif not self.is_known:
            return None
        else:
            bids, asks = self.bids, self.asks
            for place, (side, price, size) in enumerate(zip(message.side, message.price, message.size, strict=True)):
                (bids if side == "bid" else asks).set(price, size, labels[place] if labels else None)
        if not self._emits or (self._due_ns is not None and mono_ns < self._due_ns):
            return None
        self._due_ns = mono_ns + self.interval_ns
        return self._snapshot(message)

    def _load(self, message: L2Message, labels: Sequence[str] | None) -> None:
        levels: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
        texts: dict[str, dict[float, str]] = {"bid": {}, "ask": {}}
        for place, (side, price, size) in enumerate(zip(message.side, message.price, message.size, strict=True)):
            if size:
                levels[side][price] = size
                if labels:
                    texts[side][price] = labels[place]
        self.bids.load(levels["bid"], texts["bid"])
        self.asks.load(levels["ask"], texts["ask"])

    def _snapshot(self, message: L2Message) -> OrderBook:
        bids, asks = self.bids.top(self._depth), self.asks.top(self._depth)
        best_bid, bid_size = bids[0] if bids else (None, None)
        best_ask, ask_size = asks[0] if asks else (None, None)
        moment, nonce = message.timestamp, message.update_id
        return OrderBook(self.symbol, moment, nonce, best_bid, bid_size, best_ask, ask_size, bids, asks)
