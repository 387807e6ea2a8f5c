"""One connection to OKX v5: what is asked for and confirmed, and books whose every message names the one before it."""

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from ingestion.exchanges import okx_wire as wire
from ingestion.exchanges.book import BookKeeper
from ingestion.exchanges.okx_book import Decoded, checksum_of, decode_books
from ingestion.exchanges.okx_rows import rows_of
from ingestion.exchanges.protocol import Break, Exchange, Leaving, Refused, Repeated, Send, Session, Subscription
from ingestion.exchanges.resync import ResyncPace, untrusted
from shared.errors import FrameMalformed
from shared.rows import Row

CHANNEL_OF = {
    "trades": "trades-all",
    "ticker": "tickers",
    "l2": "books",
    "orderbook": "books",
    "candles": "candle1m",
    "funding": "funding-rate",
    "liquidations": "liquidation-orders",
    "open_interest": "open-interest",
}
BOOK_TABLES = ("l2", "orderbook")
_REQUESTS_MAX = 500  # remembered, to tell what a late refusal speaks of; the venue allows 480 an hour
_NAMED_IN_REFUSAL = re.compile(r"channel:\s*([\w-]+)\s*,\s*inst(?:Id|Type):\s*([\w-]+)", re.ASCII)


class _Topic(NamedTuple):
    """What OKX calls a stream: a channel of an instrument, or of a kind of instruments."""

    channel: str
    name: str

    def arg(self) -> dict[str, str]:
        """As it stands in a request."""
        key = "instType" if self.channel == "liquidation-orders" else "instId"
        return {"channel": self.channel, key: self.name}


class OkxSession(Session):
    """One connection. Of books `prevSeqId` must be the `seqId` before, and a checksum, where given, must fit."""

    follows_books: ClassVar[bool] = True

    def __init__(self, exchange: Exchange, wanted: Iterable[Subscription]) -> None:
        self._seq_ids: dict[str, int | None] = {}  # of each known book's last message; None: it has none
        self._empty: set[str] = set()  # whose snapshot had no level: the first message with one is the whole book
        self._labelled: set[str] = set()  # books whose snapshot came with a checksum
        self._requests: dict[str, tuple[_Topic, ...]] = {}
        self._request_count = 0
        self._pace = ResyncPace()
        super().__init__(exchange, wanted)

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """Frames that each name as many streams as fit."""
        return self._frames("subscribe", _topics(subscriptions))

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """The same; what another wanted stream still needs stays."""
        kept = set(_topics(self.wanted))
        return self._frames("unsubscribe", [topic for topic in _topics(subscriptions) if topic not in kept])

    def resync(self, symbol: str) -> list[bytes]:
        """Off and on again: the snapshot comes with the subscription."""
        books = sorted(self._books_of(symbol))
        self.unconfirmed |= set(books)
        topics = _topics(books)
        return [*self._frames("unsubscribe", topics), *self._frames("subscribe", topics)]

    def receive(self, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """The rows of one frame, oldest first."""
        self.frame_count += 1
        if frame == b"pong":
            return []
        envelope = wire.open_envelope(frame)
        if envelope.event:
            self._happened(envelope)
            return []
        if envelope.arg is None:
            raise FrameMalformed(wire.EXCHANGE_NAME, "neither an event nor the data of a channel")
        if envelope.arg.inst_id in self.former:
            return []
        if envelope.arg.channel == "books":
            return self._of_book(envelope, envelope.arg.inst_id, mono_ns)
        return rows_of(envelope, self.symbols, keep_info=self.options.keep_info) or []

    def _books_of(self, symbol: str) -> set[Subscription]:
        return {each for each in self.wanted if each.symbol == symbol and each.table in BOOK_TABLES}

    def _of_book(self, envelope: wire.Envelope, inst_id: str, mono_ns: int) -> list[Row]:
        symbol = self.symbols.get(inst_id)
        if symbol is None:
            reason = f"instId {inst_id[:80]!r} is not subscribed"
            return [wire.reject(None, "l2", reason, envelope.arg)]
        keeper = self._books.get(symbol)
        if keeper is None:  # neither table of the book is wanted any more
            return []
        is_snapshot = envelope.action == "snapshot"
        if not is_snapshot and envelope.action != "update":
            raise FrameMalformed(wire.EXCHANGE_NAME, f"action {envelope.action[:40]!r} of books")
        known = keeper.is_known or symbol in self._empty
        rows: list[Row] = []
        for decoded in decode_books(
            envelope.data,
            symbol,
            msg_seq=self.frame_count,
            is_snapshot=is_snapshot or symbol in self._empty,
            labelled=symbol in self._labelled and known,
        ):
            rows += self._follow_book(keeper, decoded, is_snapshot, mono_ns)
        return rows

    def _follow_book(self, keeper: BookKeeper, decoded: Decoded, is_snapshot: bool, mono_ns: int) -> list[Row]:
        symbol, is_empty = keeper.symbol, keeper.symbol in self._empty
        was_known, problem = keeper.is_known or is_empty, None
        if is_snapshot:
            self.unconfirmed -= self._books_of(symbol)  # proves more than a confirmation, which may have been lost
            (self._labelled.add if decoded.checksum else self._labelled.discard)(symbol)
        elif was_known:
            if self._is_old(symbol, decoded):
                self.events.append(Repeated())
                return []
            problem = self._missing(symbol, decoded)
        self._seq_ids[symbol] = decoded.seq_id
        if (is_snapshot or is_empty) and decoded.message is None and not decoded.rejects and not problem:
            self._empty.add(symbol)
            keeper.lose()
            return []
        self._empty.discard(symbol)
        rows: list[Row] = []
        if decoded.message is not None:
            labels = decoded.labels if symbol in self._labelled else None
            rows, _ = self.book_rows(decoded.message, mono_ns, labels=labels)
        if was_known or is_snapshot:
            problem = problem or self._wrong(keeper, decoded)
        if problem:
            rows = untrusted(rows)
            self._lost(keeper, *problem, mono_ns)
        elif not keeper.is_known:
            self._ask_again(symbol, mono_ns)
        return rows + decoded.rejects

    def _is_old(self, symbol: str, decoded: Decoded) -> bool:
        """Whether a message came again: it ends at or before where the book stands. (Where the venue resets its
        numbers, a message begins where the book stands and ends below.)
        """
        last, seq_id, previous = self._seq_ids.get(symbol), decoded.seq_id, decoded.prev_seq_id
        if last is None or seq_id is None or previous is None:
            return False
        return previous != last and previous < seq_id <= last

    def _missing(self, symbol: str, decoded: Decoded) -> tuple[str, str] | None:
        last, previous = self._seq_ids.get(symbol), decoded.prev_seq_id
        if last is None or previous is None or previous == last:
            return None
        return "sequence_break", f"prevSeqId {previous} does not follow on seqId {last}"

    def _wrong(self, keeper: BookKeeper, decoded: Decoded) -> tuple[str, str] | None:
        if decoded.rejects:
            return "sequence_break", f"{len(decoded.rejects)} levels of a message are impossible"
        if not decoded.checksum or not keeper.is_known or keeper.symbol not in self._labelled:
            return None
        own = checksum_of(keeper.bids, keeper.asks)
        if own == decoded.checksum:
            return None
        return "checksum", f"checksum {decoded.checksum} was sent, the book has {own}"

    def _lost(self, keeper: BookKeeper, cause: str, evidence: str, mono_ns: int) -> None:
        keeper.lose()
        self.events.append(Break(cause, evidence, (keeper.symbol,), BOOK_TABLES))
        self._ask_again(keeper.symbol, mono_ns)

    def _ask_again(self, symbol: str, mono_ns: int) -> None:
        """Ask for a lost book, unless its snapshot is on its way or was asked for too lately."""
        awaited = self.unconfirmed & self._books_of(symbol)
        if not awaited and self._pace.may_ask(symbol, mono_ns):
            self.events.append(Send(self.resync(symbol)))

    def _happened(self, envelope: wire.Envelope) -> None:
        if envelope.event == "subscribe" and envelope.arg is not None:
            there = _Topic(envelope.arg.channel, envelope.arg.inst_id or envelope.arg.inst_type)
            self.unconfirmed -= {each for each in self.unconfirmed if _topic(each) == there}
        elif envelope.event == "notice":
            self.events.append(Leaving(f"{envelope.code} {envelope.msg}".strip()[:300] or "notice without a text"))
        elif envelope.event == "error":
            self._refused(envelope)

    def _refused(self, envelope: wire.Envelope) -> None:
        reason = f"{envelope.code} {envelope.msg}".strip()[:300] or "error without a text"
        named = _NAMED_IN_REFUSAL.search(envelope.msg)
        if envelope.arg is not None:
            topics = {_Topic(envelope.arg.channel, envelope.arg.inst_id or envelope.arg.inst_type)}
        elif named is not None:
            topics = {_Topic(*named.groups())}
        else:
            topics = set(self._requests.get(envelope.id, ()))
        refused = [each for each in sorted(self.unconfirmed) if _topic(each) in topics]
        # Of what is confirmed, or wanted no more, a late refusal says nothing.
        self.events += [Refused(reason, each) for each in refused] or ([] if topics else [Refused(reason)])

    def _frames(self, operation: str, topics: Sequence[_Topic]) -> list[bytes]:
        size = self.exchange.profile.limits.symbols_per_message
        frames = []
        for first in range(0, len(topics), size):
            some = topics[first : first + size]
            self._request_count += 1
            number = str(self._request_count)
            if operation == "subscribe":
                self._requests[number] = tuple(some)
                self._requests.pop(str(self._request_count - _REQUESTS_MAX), None)
            request = {"id": number, "op": operation, "args": [topic.arg() for topic in some]}
            frames.append(msgspec.json.encode(request))
        return frames


def instrument_type(inst_id: str) -> str:
    """OKX's word for what an instrument is, by its name.

    >>> [instrument_type(each) for each in ("BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-220527", "BTC-USD-220527-30000-C")]
    ['SPOT', 'SWAP', 'FUTURES', 'OPTION']
    """
    parts = inst_id.count("-")
    if parts == 2:
        return "SWAP" if inst_id.endswith("-SWAP") else "FUTURES"
    return "SPOT" if parts < 2 else "OPTION"


def _topic(subscription: Subscription) -> _Topic:
    channel, raw = CHANNEL_OF[subscription.table], subscription.raw_symbol
    return _Topic(channel, instrument_type(raw) if channel == "liquidation-orders" else raw)


def _topics(subscriptions: Iterable[Subscription]) -> list[_Topic]:
    return list(dict.fromkeys(map(_topic, subscriptions)))
