"""Coinbase Advanced Trade over WebSocket: the venue's side of the conversation, without a socket.

Field order, time texts and the place of the acknowledgement (behind the snapshots) follow frames recorded
on 2026-08-09. `sequence_num` counts every frame of every channel of one connection, from 0.

Source: docs.cdp.coinbase.com, Advanced Trade WebSocket overview and channels.
"""

from itertools import chain

import msgspec

from ingestion.simulator.events import Book, Instrument, Moment, Print, plain, stamp_ns, stamp_us
from ingestion.simulator.lies import Mute
from ingestion.simulator.session import Frame
from ingestion.simulator.state import Pair, VenueState

SNAPSHOT_TRADES = 100
LEVEL2_PRODUCTS_MAX = 16
OVERSIZE_BYTES = 10_485_760 + 65_536  # above the 10 MiB that ccxt and others accept
_CHANNELS = ("market_trades", "level2", "ticker")
_KEEPS_USDC = frozenset({"USDT-USDC", "EURC-USDC"})


class _Request(msgspec.Struct):
    type: str
    channel: str = ""
    product_ids: list[str] = []


class CoinbaseVenue:
    """Texts of the current moment, made at most once however many clients want them."""

    def __init__(self, state: VenueState) -> None:
        self.state = state
        self._moment: Moment | None = None
        self._tails: dict[str, bytes] = {}

    def session(self) -> "CoinbaseSession":
        """A conversation for a new connection."""
        return CoinbaseSession(self)

    def tail(self, channel: str, moment: Moment) -> bytes:
        """The frame of `channel` from behind its sequence number; empty where nothing is to say."""
        if moment is not self._moment:
            self._moment = moment
            self._tails = {}
        tail = self._tails.get(channel)
        if tail is None:
            tail = self._tails[channel] = self._tail(channel, moment)
        return tail

    def _tail(self, channel: str, moment: Moment) -> bytes:
        pair = self.state.pairs[moment.symbol]
        if channel == "market_trades":
            return trades_tail("update", moment.prints[::-1], pair.instrument) if moment.prints else b""
        if channel == "level2":
            return _levels_tail(moment, pair.instrument) if moment.levels else b""
        return _ticker_tail("update", pair) if moment.prints and self.state.has_book else b""


class CoinbaseSession:
    """One connection to Coinbase."""

    def __init__(self, venue: CoinbaseVenue) -> None:
        self._venue = venue
        self._sequence = 0
        self._beats = 0
        self._oversized = 0
        self._muted = Mute()
        self._subscriptions: dict[str, list[str]] = {}

    @property
    def subscribed(self) -> bool:
        """Whether any channel is on."""
        return bool(self._subscriptions)

    @property
    def wants_market(self) -> bool:
        """Whether a channel other than heartbeats is on."""
        return any(channel in _CHANNELS for channel in self._subscriptions)

    def open(self, now_ns: int) -> list[Frame]:
        """Nothing: Coinbase waits for the client."""
        return []

    def receive(self, message: bytes, now_ns: int) -> list[Frame]:
        """Snapshots and the cumulative acknowledgement, or an error frame."""
        try:
            request = msgspec.json.decode(message, type=_Request)
        except msgspec.MsgspecError:
            return [_error("failed to parse message")]
        products = [_answered_as(product) for product in request.product_ids]
        complaint = self._complaint(request, products)
        if complaint:
            return [_error(complaint)]
        if request.channel == "heartbeats":
            products = ["heartbeats"]
        products = list(dict.fromkeys(products)) or list(self._venue.state.pairs)
        standing = self._subscriptions.get(request.channel, [])
        if request.type == "unsubscribe":
            gone = products if request.product_ids else standing
            left = [product for product in standing if product not in gone]
            self._subscriptions.pop(request.channel, None)
            if left:
                self._subscriptions[request.channel] = left
            return [self._acknowledgement(now_ns)]
        self._subscriptions[request.channel] = list(dict.fromkeys(standing + products))
        snapshots = (self._snapshot(request.channel, product, now_ns) for product in products)
        return [*chain.from_iterable(snapshots), self._acknowledgement(now_ns)]

    def publish(self, moment: Moment) -> list[Frame]:
        """At most one frame per subscribed channel."""
        if self._muted.swallows(moment.symbol):
            return []
        frames = []
        for channel, products in self._subscriptions.items():
            if moment.symbol in products:
                tail = self._venue.tail(channel, moment)
                if tail:
                    frames.append(self._frame(channel, tail, moment.ts_ns))
        return frames

    def tick(self, now_ns: int) -> list[Frame]:
        """The heartbeat, where asked for."""
        if "heartbeats" not in self._subscriptions or self._muted.covers_all:
            return []
        self._beats += 1
        current = stamp_ns(now_ns).replace("T", " ").removesuffix("Z")
        event = f'{{"current_time":"{current} +0000 UTC","heartbeat_counter":{self._beats}}}'
        return [self._frame("heartbeats", _events(event), now_ns)]

    def bad_trade(self, price: str, now_ns: int) -> list[Frame]:
        """One trade of the first subscribed product, at an impossible price."""
        product = self._subscriptions.get("market_trades", ["BTC-USD"])[0]
        trade = _trade(product, "0", price, "1", stamp_us(now_ns), "BUY")
        return [self._frame("market_trades", _events(f'{{"type":"update","trades":[{trade}]}}'), now_ns)]

    def oversize(self, count: int) -> None:
        """Make the next `count` level2 snapshots larger than 10 MiB."""
        self._oversized += count

    def mute(self, symbol: str, moments: int) -> None:
        """Say nothing of the next `moments` of `symbol`, or of all and no heartbeat either where it is empty."""
        self._muted.begin(symbol, moments)

    def _complaint(self, request: _Request, products: list[str]) -> str:
        if request.type not in ("subscribe", "unsubscribe"):
            return f"unknown message type {request.type}"
        if request.channel != "heartbeats" and request.channel not in _CHANNELS:
            return f"channel {request.channel} is not supported"
        if request.channel == "heartbeats":
            return ""
        unknown = [product for product in products if product not in self._venue.state.pairs]
        if unknown:
            return f"{unknown[0]} is not a valid product"
        level2 = {*self._subscriptions.get("level2", ()), *products}
        if request.type == "subscribe" and request.channel == "level2" and len(level2) > LEVEL2_PRODUCTS_MAX:
            return "too many L2 streams requested in a single session"
        return ""

    def _snapshot(self, channel: str, product: str, now_ns: int) -> list[Frame]:
        if channel == "heartbeats" or self._muted.covers(product):
            return []
        pair = self._venue.state.pairs[product]
        if channel == "market_trades":
            if not pair.prints:  # a market that has not begun has no trades to show
                return []
            tail = trades_tail("snapshot", pair.newest(SNAPSHOT_TRADES), pair.instrument)
        elif channel == "level2":
            tail = book_tail(pair.book, pair.instrument, now_ns, oversized=self._oversized > 0)
            self._oversized = max(0, self._oversized - 1)
        else:
            if not pair.prints or not self._venue.state.has_book:
                return []
            tail = _ticker_tail("snapshot", pair)
        return [self._frame(channel, tail, now_ns)]

    def _acknowledgement(self, now_ns: int) -> Frame:
        event = msgspec.json.encode({"subscriptions": self._subscriptions}).decode()
        return self._frame("subscriptions", _events(event), now_ns)

    def _frame(self, channel: str, tail: bytes, now_ns: int) -> Frame:
        if channel == "level2":
            channel = "l2_data"
        head = f'{{"channel":"{channel}","timestamp":"{stamp_ns(now_ns)}","sequence_num":{self._sequence}'
        self._sequence += 1
        return Frame(channel, head.encode() + tail)


def trades_tail(kind: str, prints: tuple[Print, ...] | list[Print], item: Instrument) -> bytes:
    """Trades as given (newest first), behind the sequence number. `side` is the maker's."""
    trades = ",".join(
        _trade(
            item.symbol,
            str(fill.trade_id),
            plain(fill.price, item.price_decimals),
            plain(fill.size, item.size_decimals),
            stamp_us(fill.ts_ns),
            "SELL" if fill.taker_buys else "BUY",
        )
        for fill in prints
    )
    return _events(f'{{"type":"{kind}","trades":[{trades}]}}')


def book_tail(book: Book, item: Instrument, ts_ns: int, *, oversized: bool = False) -> bytes:
    """A whole book, bids first, each side from the touch outwards."""
    bids, asks = book.top(len(book.bids) + len(book.asks))
    when = stamp_us(ts_ns)
    updates = [_update("bid", price, size, item, when) for price, size in bids]
    updates += [_update("offer", price, size, item, when) for price, size in asks]
    if oversized:
        far = max(book.asks, default=1) * 10
        each = len(_update("offer", far, 1, item, when)) + 1
        updates += [_update("offer", far + step, 1, item, when) for step in range(OVERSIZE_BYTES // each + 1)]
    return _events(f'{{"type":"snapshot","product_id":"{item.symbol}","updates":[{",".join(updates)}]}}')


def _levels_tail(moment: Moment, item: Instrument) -> bytes:
    when = stamp_us(moment.ts_ns)
    updates = ",".join(
        _update("bid" if level.is_bid else "offer", level.price, level.size, item, when) for level in moment.levels
    )
    kind = "snapshot" if moment.resets_book else "update"
    return _events(f'{{"type":"{kind}","product_id":"{item.symbol}","updates":[{updates}]}}')


def _update(side: str, price: int, size: int, item: Instrument, when: str) -> str:
    return (
        f'{{"side":"{side}","event_time":"{when}","price_level":"{plain(price, item.price_decimals)}",'
        f'"new_quantity":"{plain(size, item.size_decimals)}"}}'
    )


def _ticker_tail(kind: str, pair: Pair) -> bytes:
    item, day = pair.instrument, pair.day
    bids, asks = pair.book.top(1)

    def price(value: int) -> str:
        return plain(value, item.price_decimals)

    def size(value: int) -> str:
        return plain(value, item.size_decimals)

    bid, ask = bids[0] if bids else (day.last, 0), asks[0] if asks else (day.last, 0)
    event = (
        f'{{"type":"{kind}","tickers":[{{"type":"ticker","product_id":"{item.symbol}","price":"{price(day.last)}",'
        f'"volume_24_h":"{size(day.size)}","low_24_h":"{price(day.low)}","high_24_h":"{price(day.high)}",'
        f'"low_52_w":"{price(day.low)}","high_52_w":"{price(day.high)}",'
        f'"price_percent_chg_24_h":"{(day.last / day.first - 1) * 100:.8f}",'
        f'"best_bid":"{price(bid[0])}","best_ask":"{price(ask[0])}",'
        f'"best_bid_quantity":"{size(bid[1])}","best_ask_quantity":"{size(ask[1])}"}}]}}'
    )
    return _events(event)


def _trade(product: str, trade_id: str, price: str, size: str, when: str, side: str) -> str:
    return (
        f'{{"product_id":"{product}","trade_id":"{trade_id}","price":"{price}","size":"{size}",'
        f'"time":"{when}","side":"{side}"}}'
    )


def _events(event: str) -> bytes:
    return f',"events":[{event}]}}'.encode()


def _error(message: str) -> Frame:
    return Frame("error", msgspec.json.encode({"type": "error", "message": message}))


def _answered_as(product: str) -> str:
    """The product whose market a name stands for: USDC pairs share the USD book."""
    if product.endswith("-USDC") and product not in _KEEPS_USDC:
        return product.removesuffix("C")
    return product
