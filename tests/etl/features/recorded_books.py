"""Recorded books and trades as the feeds' own sessions decode them, in the words of the reference."""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingestion.exchanges.binance import Binance
from ingestion.exchanges.binanceusdm import BinanceUsdm
from ingestion.exchanges.protocol import Break, Exchange, Subscription
from shared.partitioning import stored_symbol
from shared.rows import L2Message
from shared.rows import Trade as StoredTrade
from tests.conformance.sampling import DATA, recorded, session_of
from tests.etl.features.reference import Message, Snapshot, Trade
from tests.ingestion.exchanges.book_reading import Stored

DEPTH = 40  # levels a side that a part begins with; more than features see
DEPTH_10 = b'{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD","depth":10},"success":true,"req_id":1}'
_SIGNS = {"buy": 1, "sell": -1}


@dataclass(frozen=True)
class Recording:
    """A stream's messages and trades; times in ns, those of books never go back."""

    messages: list[Message]
    trades: list[Trade]

    def part(self, first: int, count: int) -> tuple[list[Message], list[Snapshot], list[Trade]]:
        """So many messages, the first of them the book as it then was, the books after each, and trades meanwhile."""
        books = [
            Snapshot(message.t_ns, *(tuple(side.items()) for side in sides))
            for message, sides in self._replayed(first, count)
        ]
        levels = [("bid", *level) for level in books[0].bids] + [("ask", *level) for level in books[0].asks]
        messages = [Message(books[0].t_ns, True, levels), *self.messages[first + 1 : first + count]]
        since, until = messages[0].t_ns, messages[-1].t_ns
        return messages, books, [trade for trade in self.trades if since <= trade.t_ns <= until]

    def _replayed(self, first: int, count: int) -> list[tuple[Message, list[dict[float, float]]]]:
        sides: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
        shown = []
        for place, message in enumerate(self.messages[: first + count]):
            if message.is_snapshot:
                sides = {"bid": {}, "ask": {}}
            for side, price, size in message.levels:
                sides[side].pop(price, None)
                if size:
                    sides[side][price] = size
            if place == first:  # what is deeper is forgotten, by the messages and by the books alike
                sides = {side: best(levels, is_bid=side == "bid") for side, levels in sides.items()}
            if place >= first:
                shown.append((message, [dict(levels) for levels in sides.values()]))
        return shown


def best(levels: dict[float, float], *, is_bid: bool) -> dict[float, float]:
    return dict(sorted(levels.items(), reverse=is_bid)[:DEPTH])


def hftbacktest(exchange: Exchange, name: str, *tables: str) -> Stored:
    """What a collector would have stored of a file of `hftbacktest`."""
    symbol = "ETH/USDT" + (":USDT" if isinstance(exchange, BinanceUsdm) else "")
    wanted = [Subscription(table, stored_symbol(symbol), exchange.raw_symbol(symbol)) for table in tables]
    stored = Stored(exchange.session(wanted))
    for line in gzip.decompress((DATA / "hftbacktest" / name).read_bytes()).splitlines():
        if line:
            time, text = line.split(b" ", 1)
            (stored.answer if text.startswith(b'{"lastUpdateId') else stored.receive)(text, int(time))
    return stored


def conformance(name: str, *before: bytes) -> Stored:
    """What a collector would have stored of an exchange's recording, with these frames before it."""
    stored = Stored(session_of(name))
    stored.session.opening()
    for frame in (*before, *recorded(name)):
        stored.receive(frame)
    return stored


def recording(stored: Stored, symbol: str) -> Recording:
    """One symbol's stream; a break stands before the message that follows it."""
    messages: list[Message] = []
    trades: list[Trade] = []
    has_gap, t_us = False, 0
    for row in stored.rows:
        if isinstance(row, Break):
            has_gap |= row.symbols in (None, (symbol,)) and bool(messages)
        elif isinstance(row, L2Message) and row.symbol == symbol:
            t_us = max(t_us, row.timestamp or t_us)
            levels = list(zip(row.side, row.price, row.size, strict=True))
            messages.append(Message(t_us * 1000, row.is_snapshot, levels, has_gap))
            has_gap = False
        elif isinstance(row, StoredTrade) and row.symbol == symbol:
            trades.append(Trade((row.timestamp or 0) * 1000, row.price, row.amount, _SIGNS.get(row.side or "")))
    start_us = next(message.t_ns for message in messages if message.t_ns) // 1000
    messages = [m if m.t_ns else Message(start_us * 1000, m.is_snapshot, m.levels, m.gap_before) for m in messages]
    return Recording(messages, sorted(trades, key=lambda trade: trade.t_ns))


def busiest(stored: Stored) -> str:
    """The symbol with the most book messages."""
    symbols = [row.symbol for row in stored.rows if isinstance(row, L2Message)]
    return max(sorted(set(symbols)), key=symbols.count)


RECORDINGS: dict[str, Callable[[], Stored]] = {
    "binance": lambda: hftbacktest(Binance(), "spot/ethusdt_20240808.gz", "l2", "trades"),
    "binanceusdm": lambda: hftbacktest(BinanceUsdm(), "usdm/ethusdt_20240808.gz", "l2", "trades"),
    "okx": lambda: conformance("okx"),
    "kraken": lambda: conformance("kraken", DEPTH_10),
    "coinbaseadvanced": lambda: conformance("coinbaseadvanced"),
}


def parts(made: Recording, *, count: int, every: int) -> Sequence[int]:
    """Where parts of so many messages begin."""
    return range(0, max(1, len(made.messages) - count), every)
