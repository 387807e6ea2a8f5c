"""One connection to Bybit v5: topics asked for and acknowledged, messages into rows, broken books begun anew."""

from collections.abc import Iterable, Sequence

import msgspec

from ingestion.exchanges.bybit_rows import TickerState, book_message, candle_row, liquidation_row, trade_row
from ingestion.exchanges.bybit_wire import (
    EXCHANGE,
    BookMessage,
    Klines,
    Liquidations,
    Reply,
    TickerMessage,
    Trades,
    info_texts,
    read,
)
from ingestion.exchanges.protocol import Break, Exchange, Refused, Repeated, Send, Session, Subscription
from ingestion.exchanges.resync import ResyncPace
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL, unix_us
from shared.errors import FrameMalformed
from shared.rows import Reject, Row

BOOK_TABLES = frozenset({"l2", "orderbook"})
BOOK_DEPTH, BOOK_DEPTH_DEEP = 200, 1000
LINEAR_TABLES = frozenset({"funding", "liquidations", "open_interest"})
ARGS_PER_REQUEST = 10  # on spot; a request with more is refused as a whole
_PAYLOAD_CHARS_MAX = 4096
_TICKERS = "tickers"
_BEST = "orderbook.1"


def category(subscription: Subscription) -> str:
    """`spot` or `linear`, by the symbol's form in the lake.

    >>> category(Subscription("trades", "BTC-USDT_USDT", "BTCUSDT"))
    'linear'
    """
    return "linear" if "_" in subscription.symbol else "spot"


class BybitSession(Session):
    """One connection, of one category."""

    def __init__(self, exchange: Exchange, wanted: Iterable[Subscription]) -> None:
        self._tables: dict[str, set[str]] = {}
        self._versions: dict[str, int] = {}  # of the books that are whole
        self._empty: set[str] = set()  # whose snapshot had no level: the first message with one is the whole book
        self._tickers: dict[str, TickerState] = {}
        self._asked: dict[str, list[str]] = {}
        self._last_request = 0
        self._pace = ResyncPace()
        deep = exchange.options.orderbook_depth > BOOK_DEPTH
        self._book = f"orderbook.{BOOK_DEPTH_DEEP if deep else BOOK_DEPTH}"
        super().__init__(exchange, wanted)

    def topics(self, subscription: Subscription) -> list[str]:
        """The topics that carry a table, the one that says most first: spot's ticker lacks the best bid and ask."""
        is_spot = category(subscription) == "spot"
        if is_spot and subscription.table in LINEAR_TABLES:
            return []
        names = {
            "trades": ["publicTrade"],
            "ticker": [_TICKERS, _BEST] if is_spot else [_TICKERS],
            "funding": [_TICKERS],
            "open_interest": [_TICKERS],
            "liquidations": ["allLiquidation"],
            "candles": ["kline.1"],
            "l2": [self._book],
            "orderbook": [self._book],
        }
        return [f"{name}.{subscription.raw_symbol}" for name in names[subscription.table]]

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """Requests of ten topics, each topic once."""
        topics = dict.fromkeys(topic for each in subscriptions for topic in self.topics(each))
        nowhere = [each for each in subscriptions if not self.topics(each)]
        self.unconfirmed -= set(nowhere)
        self.events += [Refused(f"spot has no {each.table}", each) for each in nowhere]
        return self._requests("subscribe", list(topics))

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """The same; a topic that another table still needs stays."""
        kept = {topic for each in self.wanted for topic in self.topics(each)}
        topics = dict.fromkeys(topic for each in subscriptions for topic in self.topics(each) if topic not in kept)
        return self._requests("unsubscribe", list(topics))

    def resync(self, symbol: str) -> list[bytes]:
        """Off and on again: the snapshot comes with the subscription."""
        books = [each for each in self.wanted if each.symbol == symbol and each.table in BOOK_TABLES]
        topics = {topic for each in books for topic in self.topics(each)}
        self.unconfirmed |= set(books)
        self._versions.pop(symbol, None)
        self._empty.discard(symbol)
        if symbol in self._books:
            self._books[symbol].lose()
        return [*self._requests("unsubscribe", sorted(topics)), *self._requests("subscribe", sorted(topics))]

    def receive(self, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """The rows of one frame, oldest first."""
        self.frame_count += 1
        event = read(frame)
        if event is None:
            return []
        if isinstance(event, Reply):
            self._answered(event)
            return []
        try:
            rows = self._rows(event, mono_ns)
        except ValueError as error:
            raise FrameMalformed(EXCHANGE, str(error)) from error
        if self.options.keep_info and rows and not isinstance(event, BookMessage):
            return self._with_info(rows, info_texts(frame))
        return rows

    def _rows(self, event: Trades | BookMessage | TickerMessage | Liquidations | Klines, mono_ns: int) -> list[Row]:
        names = self.symbols
        if isinstance(event, Trades):
            return [
                trade_row(names[each.s], each) if each.s in names else self._stranger("trades", each.s, each)
                for each in event.data
                if each.s not in self.former
            ]
        if isinstance(event, Liquidations):
            return [
                liquidation_row(names[each.s], each)
                if each.s in names
                else self._stranger("liquidations", each.s, each)
                for each in event.data
                if each.s not in self.former
            ]
        if isinstance(event, Klines):
            raw = event.topic.rpartition(".")[2]
            if raw in names:
                return [candle_row(names[raw], each) for each in event.data]
            return [self._stranger("candles", raw, each) for each in event.data if raw not in self.former]
        raw = event.data.s if isinstance(event, BookMessage) else event.data.symbol
        if raw not in names:
            table = "l2" if isinstance(event, BookMessage) else "ticker"
            return [] if raw in self.former else [self._stranger(table, raw, event)]
        symbol = names[raw]
        if isinstance(event, TickerMessage):
            return self._state(symbol).update(
                unix_us(event.ts), event.data, is_snapshot=event.type == "snapshot", tables=self._tables[symbol]
            )
        if event.topic.startswith(f"{_BEST}."):
            wanted = "ticker" in self._tables[symbol]
            return self._state(symbol).set_best(unix_us(event.cts or event.ts), event) if wanted else []
        return self._book_rows(symbol, event, mono_ns)

    def _book_rows(self, symbol: str, event: BookMessage, mono_ns: int) -> list[Row]:
        message, version, number = (
            book_message(symbol, event, self.frame_count),
            self._versions.get(symbol),
            event.data.u,
        )
        if event.type == "snapshot":
            if version is not None and (number == 1 or number > version + 1):
                self._break(symbol, f"the exchange sent its book anew at u={number} after u={version}")
            self._versions[symbol] = number
            if message is None:
                self._empty.add(symbol)
                if symbol in self._books:
                    self._books[symbol].lose()
                return []
            self._empty.discard(symbol)
        elif version is not None:
            if number <= version:
                self.events.append(Repeated())
                return []
            if number > version + 1:
                self._break(symbol, f"u={version + 1}..{number - 1} missing")
                self.events.append(Send(self.resync(symbol)))
            else:
                self._versions[symbol] = number
                if message is not None and symbol in self._empty:
                    self._empty.discard(symbol)
                    message = msgspec.structs.replace(message, is_snapshot=True, prev_update_id=None)
        elif self._must_ask(symbol, mono_ns):
            self.events.append(Send(self.resync(symbol)))
        return [] if message is None else self.book_rows(message, mono_ns)[0]

    def _must_ask(self, symbol: str, mono_ns: int) -> bool:
        """Whether a book whose changes come has no snapshot on its way: the one that came could not be read."""
        awaited = any(each.symbol == symbol and each.table in BOOK_TABLES for each in self.unconfirmed)
        return not awaited and self._pace.may_ask(symbol, mono_ns)

    def _break(self, symbol: str, evidence: str) -> None:
        self.events.append(Break("sequence_break", evidence, (symbol,), ("l2", "orderbook")))
        if symbol in self._books:
            self._books[symbol].lose()

    def _follow(self) -> None:
        super()._follow()
        self._tables = {}
        for each in self.wanted:
            self._tables.setdefault(each.symbol, set()).add(each.table)
        for symbol in (set(self._versions) | set(self._tickers)) - set(self._tables):
            self._versions.pop(symbol, None)
            self._tickers.pop(symbol, None)

    def _state(self, symbol: str) -> TickerState:
        return self._tickers.setdefault(symbol, TickerState(symbol))

    def _requests(self, op: str, topics: Sequence[str], size: int = ARGS_PER_REQUEST) -> list[bytes]:
        frames = []
        for first in range(0, len(topics), size):
            self._last_request += 1
            args, number = list(topics[first : first + size]), str(self._last_request)
            if op == "subscribe":
                self._asked[number] = args
            frames.append(msgspec.json.encode({"op": op, "args": args, "req_id": number}))
        return frames

    def _answered(self, reply: Reply) -> None:
        if reply.op not in {"subscribe", ""} or not self._asked:
            return
        number = reply.req_id if reply.req_id in self._asked else next(iter(self._asked))  # spot may leave the id away
        topics = self._asked.pop(number)
        if reply.success is not False:
            self._confirm(topics)
        elif len(topics) > 1:  # one bad topic refuses all of its request: find out which
            self.events.append(Send(self._requests("subscribe", topics, 1)))
        else:
            concerned = [each for each in sorted(self.wanted) if topics[0] in self.topics(each)]
            self.unconfirmed -= set(concerned)
            self.events += [Refused(reply.ret_msg or "refused", each) for each in concerned]

    def _confirm(self, topics: Sequence[str]) -> None:
        """What the topics carry is on its way; a ticker that needs two is confirmed by its first."""
        there = set(topics)
        self.unconfirmed -= {each for each in self.unconfirmed if set(self.topics(each)[:1]) & there}

    def _stranger(self, table: str, raw: str, record: msgspec.Struct) -> Row:
        payload = msgspec.json.encode(record).decode()[:_PAYLOAD_CHARS_MAX]
        return Reject(UNKNOWN_SYMBOL, None, table, f"{raw[:80]!r} was not asked for", payload)

    def _with_info(self, rows: list[Row], texts: list[str]) -> list[Row]:
        if len(texts) == 1:
            texts = texts * len(rows)
        if len(texts) != len(rows):
            return rows
        return [
            row if isinstance(row, Reject) else msgspec.structs.replace(row, info_json=text)
            for row, text in zip(rows, texts, strict=True)
        ]
