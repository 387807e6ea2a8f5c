"""Kraken's WebSocket v2: the venue's side of the conversation, without a socket.

Source: docs.kraken.com, WebSocket API v2 (trade, book, ticker, heartbeat, status, ping).
"""

from itertools import chain
from typing import Any

import msgspec

from ingestion.simulator.events import Book, Moment, stamp_us_full
from ingestion.simulator.kraken_frames import (
    Side,
    book_frame,
    instrument_entry,
    ticker_frame,
    trade_frame,
    trade_text,
)
from ingestion.simulator.lies import Mute
from ingestion.simulator.session import Frame
from ingestion.simulator.state import VenueState

SNAPSHOT_TRADES = 50
DEPTHS = (10, 25, 100, 500, 1000)
_CHANNELS = ("trade", "book", "ticker")


class _Params(msgspec.Struct):
    channel: str = ""
    symbol: list[str] = []
    snapshot: bool | None = None
    depth: int = 10


class _Request(msgspec.Struct):
    method: str
    params: _Params = msgspec.field(default_factory=_Params)
    req_id: int | None = None


class _View:
    """The part of a book that a subscription of one depth sees, and what changed in it."""

    def __init__(self, book: Book, depth: int) -> None:
        self._book, self._depth = book, depth
        self.bids, self.asks = book.top(depth)

    def changes(self) -> tuple[Side, Side]:
        """New sizes of changed, entering and removed levels. A level pushed out by depth is not told."""
        bids, asks = self._book.top(self._depth)
        changed = _changed(self.bids, bids, self._book.bids), _changed(self.asks, asks, self._book.asks)
        self.bids, self.asks = bids, asks
        return changed


class KrakenVenue:
    """Texts of the current moment, made at most once however many clients want them."""

    def __init__(self, state: VenueState) -> None:
        self.state = state
        self._sessions = 0
        self._moment: Moment | None = None
        self._texts: dict[tuple[str, int], bytes] = {}
        self._views: dict[tuple[str, int], _View] = {}

    def session(self) -> "KrakenSession":
        """A conversation for a new connection."""
        self._sessions += 1
        return KrakenSession(self, 1_000_000_000_000 + self._sessions)

    def watch(self, symbol: str, depth: int) -> None:
        """Follow the book at this depth from now on."""
        if (symbol, depth) not in self._views:
            self._views[symbol, depth] = _View(self.state.pairs[symbol].book, depth)

    def frame(self, channel: str, depth: int, moment: Moment) -> bytes:
        """The frame of `channel` for the moment; empty where nothing is to say."""
        if moment is not self._moment:
            self._moment, self._texts = moment, {}
            # Every watched depth must follow every moment, whoever listens just now.
            for (symbol, watched), view in self._views.items():
                if symbol == moment.symbol and moment.levels:
                    self._texts["book", watched] = self._book(moment, view)
        text = self._texts.get((channel, depth))
        if text is None:
            text = self._texts[channel, depth] = self._frame(channel, moment)
        return text

    def _book(self, moment: Moment, view: _View) -> bytes:
        bids, asks = view.changes()
        if not bids and not asks:
            return b""
        return book_frame("update", self.state.pairs[moment.symbol], (bids, asks), ts_ns=moment.ts_ns)

    def _frame(self, channel: str, moment: Moment) -> bytes:
        pair = self.state.pairs[moment.symbol]
        if channel == "trade" and moment.prints:
            return trade_frame("update", moment.prints, pair.instrument)
        if channel == "ticker" and moment.prints and self.state.has_book:
            return ticker_frame("update", pair)
        return b""


class KrakenSession:
    """One connection to Kraken."""

    def __init__(self, venue: KrakenVenue, connection_id: int) -> None:
        self._venue, self._connection_id = venue, connection_id
        self._subscriptions: dict[tuple[str, str], int] = {}  # (channel, symbol) -> depth
        self._spoke = False
        self._muted = Mute()

    @property
    def subscribed(self) -> bool:
        """Whether any channel is on."""
        return bool(self._subscriptions)

    @property
    def wants_market(self) -> bool:
        """Whether any channel is on: all of them are fed by the market."""
        return self.subscribed

    def open(self, now_ns: int) -> list[Frame]:
        """The status frame."""
        status = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": self._connection_id}
        return [_message("status", {"channel": "status", "type": "update", "data": [status]})]

    def receive(self, message: bytes, now_ns: int) -> list[Frame]:
        """One acknowledgement per symbol, each followed by its snapshot; a pong; or a refusal."""
        self._spoke = True
        try:
            request = msgspec.json.decode(message, type=_Request)
        except msgspec.MsgspecError:
            return [_message("error", {"error": "Malformed request", "success": False})]
        if request.method == "ping":
            return [_message("pong", {"method": "pong", **_times(now_ns), **_tag(request)})]
        if request.method not in ("subscribe", "unsubscribe"):
            return [_refusal(request, f"Unsupported method {request.method}", now_ns)]
        params = request.params
        if params.channel == "instrument":
            return self._instruments(request, now_ns)
        if params.channel not in _CHANNELS:
            return [_refusal(request, "Subscription channel not supported", now_ns)]
        if params.channel == "book" and params.depth not in DEPTHS:
            return [_refusal(request, "Subscription depth not supported", now_ns)]
        if not params.symbol:
            return [_refusal(request, "Symbol(s) not found", now_ns)]
        return list(chain.from_iterable(self._answer(request, symbol, now_ns) for symbol in params.symbol))

    def publish(self, moment: Moment) -> list[Frame]:
        """At most one frame per channel."""
        frames = []
        for (channel, symbol), depth in self._subscriptions.items():
            if symbol == moment.symbol:
                text = self._venue.frame(channel, depth, moment)
                if text:
                    frames.append(Frame(channel, text))
        if self._muted.swallows(moment.symbol):
            return []
        self._spoke = self._spoke or bool(frames)
        return frames

    def tick(self, now_ns: int) -> list[Frame]:
        """A heartbeat where a subscribed client was told nothing since the last."""
        spoke, self._spoke = self._spoke, False
        if spoke or not self.subscribed or self._muted.covers_all:
            return []
        return [Frame("heartbeat", b'{"channel":"heartbeat"}')]

    def bad_trade(self, price: str, now_ns: int) -> list[Frame]:
        """One trade at an impossible price, as a number where JSON has one for it and as text where not."""
        symbol = next((symbol for channel, symbol in self._subscriptions if channel == "trade"), "BTC-USD")
        number = price if price.lstrip("-").replace(".", "").isdigit() else f'"{price}"'
        trade = trade_text(symbol, "buy", number, "1.00000000", 0, stamp_us_full(now_ns))
        return [Frame("trade", f'{{"channel":"trade","type":"update","data":[{trade}]}}'.encode())]

    def oversize(self, count: int) -> None:
        """Nothing: Kraken's snapshots are bounded by their depth."""

    def mute(self, symbol: str, moments: int) -> None:
        """Say nothing of the next `moments` of `symbol`, or of all and no heartbeat either where it is empty."""
        self._muted.begin(symbol, moments)

    def _answer(self, request: _Request, name: str, now_ns: int) -> list[Frame]:
        params = request.params
        symbol = name.replace("/", "-")
        key = (params.channel, symbol)
        depth = params.depth if params.channel == "book" else 0
        if symbol not in self._venue.state.pairs or "-" in name:
            return [_refusal(request, f"Currency pair not supported {name}", now_ns, symbol=name)]
        if request.method == "unsubscribe":
            if self._subscriptions.pop(key, None) is None:
                return [_refusal(request, "Subscription Not Found", now_ns, symbol=name)]
            return [_acknowledgement(request, {"channel": params.channel, "symbol": name}, now_ns)]
        if key in self._subscriptions:
            return [_refusal(request, "Already subscribed", now_ns, symbol=name)]
        self._subscriptions[key] = depth
        # The newer documentation: trade snapshots only where asked for, the others unless declined.
        wanted = params.channel != "trade" if params.snapshot is None else params.snapshot
        result: dict[str, Any] = {"channel": params.channel, "symbol": name, "snapshot": wanted}
        if depth:
            result["depth"] = depth
            self._venue.watch(symbol, depth)
        frames = [_acknowledgement(request, result, now_ns)]
        wanted = wanted and not self._muted.covers(symbol)
        snapshot = self._snapshot(params.channel, symbol, depth) if wanted else b""
        return [*frames, Frame(params.channel, snapshot)] if snapshot else frames

    def _snapshot(self, channel: str, symbol: str, depth: int) -> bytes:
        pair = self._venue.state.pairs[symbol]
        if channel == "trade":
            return trade_frame("snapshot", pair.prints[-SNAPSHOT_TRADES:], pair.instrument) if pair.prints else b""
        if channel == "book":
            return book_frame("snapshot", pair, pair.book.top(depth), ts_ns=None)
        return ticker_frame("snapshot", pair) if self._venue.state.has_book else b""

    def _instruments(self, request: _Request, now_ns: int) -> list[Frame]:
        pairs = [instrument_entry(pair.instrument) for pair in self._venue.state.pairs.values()]
        ack = _acknowledgement(request, {"channel": "instrument", "snapshot": True}, now_ns)
        data = {"assets": [], "pairs": pairs}
        return [ack, _message("instrument", {"channel": "instrument", "type": "snapshot", "data": data})]


def _changed(old: Side, new: Side, standing: dict[int, int]) -> Side:
    before = dict(old)
    after = dict(new)
    removed = [(price, 0) for price in before if price not in after and price not in standing]
    return removed + [(price, size) for price, size in new if before.get(price) != size]


def _acknowledgement(request: _Request, result: dict[str, Any], now_ns: int) -> Frame:
    body = {"method": request.method, "result": result, "success": True, **_times(now_ns), **_tag(request)}
    return _message(request.method, body)


def _refusal(request: _Request, reason: str, now_ns: int, *, symbol: str = "") -> Frame:
    body = {"error": reason, "method": request.method, "success": False, **_times(now_ns), **_tag(request)}
    return _message("error", body | ({"symbol": symbol} if symbol else {}))


def _times(now_ns: int) -> dict[str, str]:
    return {"time_in": stamp_us_full(now_ns), "time_out": stamp_us_full(now_ns)}


def _tag(request: _Request) -> dict[str, int]:
    return {} if request.req_id is None else {"req_id": request.req_id}


def _message(channel: str, body: dict[str, Any]) -> Frame:
    return Frame(channel, msgspec.json.encode(body))
