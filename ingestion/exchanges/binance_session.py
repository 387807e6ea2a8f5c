"""One connection to Binance: streams asked for and acknowledged, events into rows, books begun and begun anew."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from ingestion.exchanges import binance_rest
from ingestion.exchanges.binance_depth import Arrival, DepthSync, Step
from ingestion.exchanges.binance_rows import book_message, market_row
from ingestion.exchanges.binance_wire import DepthEvent, MarketEvent, Reply, Shutdown, info_text, read
from ingestion.exchanges.protocol import (
    Break,
    Earlier,
    Exchange,
    Fetch,
    Leaving,
    Refused,
    Repeated,
    Request,
    Session,
    Subscription,
)
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from shared.errors import FrameMalformed
from shared.rows import Reject, Row

BOOK_TABLES = frozenset({"l2", "orderbook"})
PING_ID = 0
PING = msgspec.json.encode(
    {"method": "LIST_SUBSCRIPTIONS", "id": PING_ID}
)  # the one request whose answer changes nothing
_PAYLOAD_CHARS_MAX = 4096
_CONTROLS = (Shutdown, Reply)


class BinanceSession(Session):
    """One connection of any of the venues that speak this protocol.

    `streams` says which stream carries a table; `book` which REST document begins a book, by our symbol and theirs.
    """

    def __init__(
        self,
        exchange: Exchange,
        wanted: Iterable[Subscription],
        streams: Mapping[str, str],
        book: Callable[[str, str], Request],
    ) -> None:
        self._streams, self._book = streams, book
        self._name = exchange.profile.name
        self._syncs: dict[str, DepthSync] = {}
        self._raw_symbols: dict[str, str] = {}
        self._asked: dict[int, list[Subscription]] = {}
        self._last_request = PING_ID
        super().__init__(exchange, wanted)

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """SUBSCRIBE with the streams' names, each once."""
        return self._frames("SUBSCRIBE", subscriptions)

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """UNSUBSCRIBE; a stream that another table still needs stays."""
        kept = {self._stream(each) for each in self.wanted}
        return self._frames("UNSUBSCRIBE", [each for each in subscriptions if self._stream(each) not in kept])

    def resync(self, symbol: str) -> list[bytes]:
        """No frames: the stream goes on, and a snapshot is fetched."""
        if any(each.symbol == symbol and each.table in BOOK_TABLES for each in self.wanted):
            if symbol in self._books:
                self._books[symbol].lose()
            self._follow_step(symbol, self._sync(symbol).lose())
        return []

    def receive(self, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """The rows of one frame, oldest first."""
        self.frame_count += 1
        event = read(self._name, frame)
        if event is None or isinstance(event, _CONTROLS):
            self._control(event, mono_ns)
            return []
        symbol = self.symbols.get(event.s)
        if symbol is None:
            return self._stranger(event, frame)
        if isinstance(event, DepthEvent):
            return self._depth(symbol, event, wall_ns, mono_ns)
        row = market_row(symbol, event)
        if self.options.keep_info and type(row) is not Reject:
            row = msgspec.structs.replace(row, info_json=info_text(frame))
        return [row]

    def fetched(self, request: Request, body: bytes | None, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """Nothing at once: a book's rows come as `Earlier`, each with its own time. Raises: FrameMalformed."""
        symbol = request.symbol
        if symbol not in self._raw_symbols:
            return []
        try:
            message = None if body is None else binance_rest.snapshot(symbol, body, self.frame_count)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise FrameMalformed(self._name, f"book by REST: {error}") from error
        arrival = None if message is None else Arrival(message, wall_ns, mono_ns)
        self._follow_step(symbol, self._sync(symbol).snapshot(arrival))
        return []

    def _follow(self) -> None:
        super()._follow()
        self._raw_symbols = {each.symbol: each.raw_symbol for each in self.wanted if each.table in BOOK_TABLES}
        for symbol in set(self._syncs) - set(self._raw_symbols):
            del self._syncs[symbol]

    def _stream(self, subscription: Subscription) -> str | None:
        suffix = self._streams.get(subscription.table)
        return None if suffix is None else f"{subscription.raw_symbol.lower()}@{suffix}"

    def _frames(self, method: str, subscriptions: Sequence[Subscription]) -> list[bytes]:
        streams: dict[str, list[Subscription]] = {}
        for each in subscriptions:
            stream = self._stream(each)
            if stream is None:  # polled, not streamed
                self.unconfirmed.discard(each)
            else:
                streams.setdefault(stream, []).append(each)
        names, frames = list(streams), []
        size = self.exchange.profile.limits.symbols_per_message
        for first in range(0, len(names), size):
            params = names[first : first + size]
            self._last_request += 1
            if method == "SUBSCRIBE":
                self._asked[self._last_request] = [each for name in params for each in streams[name]]
            frames.append(msgspec.json.encode({"method": method, "params": params, "id": self._last_request}))
        return frames

    def _control(self, event: Shutdown | Reply | None, mono_ns: int) -> None:
        if isinstance(event, Shutdown):
            self.events.append(Leaving("serverShutdown"))
        elif isinstance(event, Reply):
            if event.id == PING_ID and event.refusal is None:
                for symbol, sync in self._syncs.items():
                    self._follow_step(symbol, sync.settle(mono_ns))
            elif event.id != PING_ID:
                self._answered(event)

    def _answered(self, reply: Reply) -> None:
        asked = self._asked.pop(reply.id, []) if isinstance(reply.id, int) else []
        if reply.refusal is not None:
            self.events += [Refused(reply.refusal, each) for each in asked] or [Refused(reply.refusal)]
            self.unconfirmed -= set(asked)
            return
        self.unconfirmed -= set(asked)
        for symbol in sorted({each.symbol for each in asked if each.table in BOOK_TABLES} & set(self._raw_symbols)):
            self._follow_step(symbol, self._sync(symbol).begin())

    def _stranger(self, event: MarketEvent | DepthEvent, frame: bytes) -> list[Row]:
        """What is of no symbol that is wanted: under way when it was given up, or never asked for."""
        if event.s in self.former:
            return []
        reason = f"{event.s[:80]!r} was not asked for"
        payload = frame[:_PAYLOAD_CHARS_MAX].decode(errors="backslashreplace")
        return [Reject(UNKNOWN_SYMBOL, None, "frames", reason, payload)]

    def _depth(self, symbol: str, event: DepthEvent, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        if symbol not in self._raw_symbols:
            return []
        sync = self._sync(symbol)
        try:
            message = book_message(symbol, event, self.frame_count)
        except ValueError as error:
            raise FrameMalformed(self._name, str(error)) from error
        if message is None:
            sync.empty(event.U - 1 if event.pu is None else event.pu, event.u)
            return []
        if sync.follows(message):
            return self.book_rows(message, mono_ns)[0]
        step = sync.update(Arrival(message, wall_ns, mono_ns))
        self._follow_step(symbol, step)
        return self.book_rows(message, mono_ns)[0] if step.emits else []

    def _sync(self, symbol: str) -> DepthSync:
        return self._syncs.setdefault(symbol, DepthSync())

    def _follow_step(self, symbol: str, step: Step) -> None:
        if step.is_repeated:
            self.events.append(Repeated())
        self._release(step.before)
        if step.cause is not None:
            self.events.append(Break(step.cause, step.evidence, (symbol,), ("l2", "orderbook")))
            if symbol in self._books:
                self._books[symbol].lose()
        self._release(step.after)
        if step.fetches:
            self.events.append(Fetch(self._book(symbol, self._raw_symbols[symbol])))

    def _release(self, arrivals: Sequence[Arrival]) -> None:
        for message, wall_ns, mono_ns in arrivals:
            rows = self.book_rows(message, mono_ns)[0]
            if rows:
                self.events.append(Earlier(rows, wall_ns, mono_ns))
