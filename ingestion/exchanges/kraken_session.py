"""One connection to Kraken v2: what is asked for, what is confirmed, and books that are checked message by message."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from ingestion.exchanges import kraken_wire as wire
from ingestion.exchanges.book import BookKeeper
from ingestion.exchanges.kraken_book import (
    Decimals,
    Decoded,
    checksum_of,
    cut_to_depth,
    decode_book,
    unknown_book,
)
from ingestion.exchanges.protocol import Break, Exchange, Refused, Send, Session, Subscription
from ingestion.exchanges.resync import ResyncPace, untrusted
from shared.rows import Row

CHANNEL_OF = {"trades": "trade", "ticker": "ticker", "candles": "ohlc", "l2": "book", "orderbook": "book"}
BOOK_TABLES = ("l2", "orderbook")
DEPTHS = (10, 25, 100, 500, 1000)
L2_DEPTH = 1000  # the deepest there is: what is stored can be cut later, and not the other way round
CANDLE_MINUTES = 1
_REQUESTS_MAX = 1000  # remembered, to tell what a late refusal speaks of


class KrakenSession(Session):
    """One connection. Each book is rebuilt here, because only its checksum tells whether something is missing."""

    follows_books: ClassVar[bool] = True

    def __init__(self, exchange: Exchange, wanted: Iterable[Subscription]) -> None:
        self._depths: dict[str, int] = {}  # of the books that are asked for, by Kraken's symbol
        self._decimals: dict[str, Decimals] = {}
        self._empty: set[str] = set()  # ours; whose snapshot had no level: the first message with one is the whole book
        self._requests: dict[int, tuple[str, str, tuple[str, ...]]] = {}  # by number: method, channel, symbols
        self._request_count = 0
        self._pace = ResyncPace()
        super().__init__(exchange, wanted)

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """A frame per channel and depth. A book that was asked for before is asked for anew: a snapshot comes with each
        subscription, and the depth may have to change.
        """
        books = _books(subscriptions)
        frames = self._book_frames("unsubscribe", [raw for raw in books if raw in self._depths])
        self._depths |= {raw: self._depth(self.symbols.get(raw, ""), subscriptions) for raw in books}
        for channel, names in _grouped(subscriptions).items():
            frames += self._frames("subscribe", channel, names)
        return frames + self._book_frames("subscribe", books)

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """A frame per channel and depth; a book that another table still needs stays."""
        kept = {(CHANNEL_OF[each.table], each.raw_symbol) for each in self.wanted}
        gone = [each for each in subscriptions if (CHANNEL_OF[each.table], each.raw_symbol) not in kept]
        frames: list[bytes] = []
        for channel, names in _grouped(gone).items():
            frames += self._frames("unsubscribe", channel, names)
        books = [raw for raw in _books(gone) if raw in self._depths]
        frames += self._book_frames("unsubscribe", books)
        for raw in books:
            del self._depths[raw]
        return frames

    def resync(self, symbol: str) -> list[bytes]:
        """Off and on again: the snapshot comes with the subscription."""
        books = sorted(self._books_of(symbol))
        self.unconfirmed |= set(books)
        return self.subscribe(books)

    def receive(self, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """The rows of one frame, oldest first."""
        self.frame_count += 1
        message = wire.decode(frame)
        if isinstance(message, wire.Books):
            return [row for book in message.data for row in self._book(book, message.type == "snapshot", mono_ns)]
        if isinstance(message, wire.Answer):
            self._answered(message)
            return []
        return wire.rows_of(message, self.symbols, former=self.former, keep_info=self.options.keep_info)

    def _books_of(self, symbol: str) -> set[Subscription]:
        return {each for each in self.wanted if each.symbol == symbol and each.table in BOOK_TABLES}

    def _book(self, book: wire.Book, is_snapshot: bool, mono_ns: int) -> list[Row]:
        symbol = self.symbols.get(book.symbol)
        if symbol is None:
            return [] if book.symbol in self.former else [unknown_book(book)]
        keeper = self._books.get(symbol)
        if keeper is None:  # neither table of the book is wanted any more
            return []
        if is_snapshot:  # proves more than a confirmation, which may have been lost
            self.unconfirmed -= self._books_of(symbol)
        decimals = self._decimals.setdefault(book.symbol, Decimals())
        begins = is_snapshot or symbol in self._empty
        decoded = decode_book(book, symbol, decimals, msg_seq=self.frame_count, is_snapshot=begins)
        if begins and decoded.message is None and not decoded.rejects:
            self._empty.add(symbol)
            keeper.lose()
            return []
        self._empty.discard(symbol)
        was_known = keeper.is_known or begins
        rows: list[Row] = []
        if decoded.message is not None:
            rows, _ = self.book_rows(decoded.message, mono_ns, labels=decoded.labels)
            if keeper.is_known:
                cut_to_depth(keeper, decoded.message, self._depths.get(book.symbol, L2_DEPTH))
        problem = self._problem(keeper, decoded, book.checksum, begins) if was_known else ""
        if problem:
            rows = untrusted(rows)
            self._lost(keeper, problem, mono_ns)
        elif not keeper.is_known:
            self._ask_again(symbol, mono_ns)
        return rows + decoded.rejects

    def _problem(self, keeper: BookKeeper, decoded: Decoded, checksum: int | None, is_snapshot: bool) -> str:
        """Why the book cannot be trusted after this message; empty where it can."""
        if decoded.rejects:
            return f"{len(decoded.rejects)} parts of a message are impossible"
        if decoded.has_more_decimals and not is_snapshot and len(keeper.bids) + len(keeper.asks) > len(decoded.labels):
            return "numbers with more decimals than the snapshot's: its labels do not fit the checksum any more"
        if checksum is None or not keeper.is_known:
            return ""
        own = checksum_of(keeper.bids, keeper.asks)
        return "" if own == checksum else f"checksum {checksum} was sent, the book has {own}"

    def _lost(self, keeper: BookKeeper, problem: str, mono_ns: int) -> None:
        keeper.lose()
        self.events.append(Break("checksum", problem, (keeper.symbol,), BOOK_TABLES))
        self._ask_again(keeper.symbol, mono_ns)

    def _ask_again(self, symbol: str, mono_ns: int) -> None:
        """Ask for a lost book, unless its snapshot is on its way or was asked for too lately."""
        awaited = self.unconfirmed & self._books_of(symbol)
        if not awaited and self._pace.may_ask(symbol, mono_ns):
            self.events.append(Send(self.resync(symbol)))

    def _answered(self, answer: wire.Answer) -> None:
        if answer.Error:
            self.events.append(Refused(answer.Error[:300]))
        if answer.method == "subscribe" and answer.success and answer.result is not None:
            there = answer.result.channel, answer.result.symbol
            if answer.result.depth is not None and answer.result.symbol in self._depths:
                self._depths[answer.result.symbol] = answer.result.depth
            self.unconfirmed -= {
                each for each in self.unconfirmed if (CHANNEL_OF[each.table], each.raw_symbol) == there
            }
        elif answer.error and answer.method in {"subscribe", ""}:
            self._refused(answer)

    def _refused(self, answer: wire.Answer) -> None:
        reason = answer.error[:300]
        method, channel, names = self._requests.get(answer.req_id or 0, ("subscribe", "", ()))
        named = {answer.symbol} if answer.symbol else set(names)
        refused = [
            each
            for each in sorted(self.unconfirmed)
            if each.raw_symbol in named and channel in {"", CHANNEL_OF[each.table]}
        ]
        if "already subscribed" in reason.lower():  # asked for twice, because the first answer was lost
            self.unconfirmed -= set(refused)
        elif method == "subscribe":  # of what is confirmed, or wanted no more, a late refusal says nothing
            self.events += [Refused(reason, each) for each in refused] or ([] if named else [Refused(reason)])

    def _depth(self, symbol: str, subscriptions: Sequence[Subscription]) -> int:
        is_l2 = symbol in self._l2 or any(each.symbol == symbol and each.table == "l2" for each in subscriptions)
        needed = max(self.options.orderbook_depth, L2_DEPTH if is_l2 else 0)
        return next((depth for depth in DEPTHS if depth >= needed), DEPTHS[-1])

    def _book_frames(self, method: str, names: Iterable[str]) -> list[bytes]:
        by_depth: dict[int, list[str]] = {}
        for raw in names:
            by_depth.setdefault(self._depths[raw], []).append(raw)
        return [frame for depth, group in by_depth.items() for frame in self._frames(method, "book", group, depth)]

    def _frames(self, method: str, channel: str, names: Sequence[str], depth: int | None = None) -> list[bytes]:
        size = self.exchange.profile.limits.symbols_per_message
        extra: dict[str, object] = {} if depth is None else {"depth": depth}
        if channel == "ohlc":
            extra["interval"] = CANDLE_MINUTES
        if method == "subscribe":
            extra["snapshot"] = True  # its default changed between editions of the documentation
        frames = []
        for first in range(0, len(names), size):
            some = list(names[first : first + size])
            self._request_count += 1
            self._requests[self._request_count] = (method, channel, tuple(some))
            self._requests.pop(self._request_count - _REQUESTS_MAX, None)
            params = {"channel": channel, "symbol": some, **extra}
            frames.append(msgspec.json.encode({"method": method, "params": params, "req_id": self._request_count}))
        return frames


def _books(subscriptions: Sequence[Subscription]) -> list[str]:
    return list(dict.fromkeys(each.raw_symbol for each in subscriptions if each.table in BOOK_TABLES))


def _grouped(subscriptions: Sequence[Subscription]) -> dict[str, list[str]]:
    """Kraken's symbols by channel, without books."""
    channels: dict[str, list[str]] = {}
    for each in subscriptions:
        if each.table not in BOOK_TABLES:
            channels.setdefault(CHANNEL_OF[each.table], []).append(each.raw_symbol)
    return channels
