"""What every native exchange module is: facts about a venue, and one connection's protocol as a pure value.

`Exchange` knows what is true at any time: names, addresses, limits, REST documents. `Session` is one connection: bytes
go in, rows come out, and what else follows (send this, fetch that, these rows do not follow on those) waits in
`events`. Neither reads a clock, a socket or a file; the collector does.

To add an exchange: one module in this folder with a subclass of each, the class of the first named `EXCHANGE`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from ingestion.exchanges.book import BookKeeper
from shared.rows import Instrument, L2Message, Row

Guarantee: TypeAlias = Literal[
    "connection sequence", "symbol sequence", "contiguous ids", "checksum", "none", "polled", "derived from l2"
]


class Subscription(NamedTuple):
    """One stream that is wanted: a table of a symbol, by its name in the lake and the exchange's own."""

    table: str
    symbol: str
    raw_symbol: str


class Request(NamedTuple):
    """A REST document that is wanted, and what it costs of the exchange's weight budget."""

    url: str
    weight: float
    purpose: Literal["book", "look", "poll", "instruments"]
    table: str = ""
    symbol: str = ""


class Newest(NamedTuple):
    """What a cheap REST look says of a stream: its newest trade's id or its newest change's time, where told."""

    trade_seq: int | None
    timestamp_us: int | None


@dataclass(frozen=True)
class Channel:
    """How a venue delivers one table, and what its protocol lets us prove."""

    name: str  # the venue's own word
    guarantees: tuple[Guarantee, ...]
    note: str = ""


@dataclass(frozen=True)
class Limits:
    """What the venue allows; a collector that keeps below them is never banned for them."""

    streams_per_connection: int
    streams_of_table: Mapping[str, int] = field(default_factory=dict)  # tighter, per connection
    symbols_per_message: int = 100
    messages_per_s: float = 5.0
    connections_per_minute: float = 60.0
    lifetime_s: float | None = None  # the venue cuts a connection of this age
    rest_weight_per_minute: float = 60.0


@dataclass(frozen=True)
class Profile:
    """A venue as the documentation page shows it."""

    name: str  # in the lake
    title: str
    ws_url: str
    rest_url: str
    source: str  # where the protocol is documented, or recorded
    channels: Mapping[str, Channel]  # by table
    limits: Limits
    silence_timeout_s: float  # something comes at least this often on a living connection
    ping: bytes | None = None  # sent by us every `ping_every_s`, where the venue wants that
    ping_every_s: float = 0.0
    compression: bool = False  # permessage-deflate: off where the venue does not force it
    notes: str = ""


@dataclass(frozen=True)
class SessionOptions:
    """What the settings choose for every connection of one exchange."""

    keep_info: bool = False
    orderbook_depth: int = 50
    orderbook_interval_ns: int = 1_000_000_000
    ws_url: str = ""  # in place of the profile's, for a local exchange
    rest_url: str = ""


class Break(NamedTuple):
    """What comes next (of these symbols and tables, None: of all) may not follow on what came before."""

    cause: str
    evidence: str
    symbols: tuple[str, ...] | None = None
    tables: tuple[str, ...] | None = None


class Send(NamedTuple):
    """Frames to send now."""

    frames: list[bytes]


class Fetch(NamedTuple):
    """A REST document that the session waits for; its answer goes to `Session.fetched`."""

    request: Request


class Refused(NamedTuple):
    """The exchange said no: to one subscription, or (None) to the connection."""

    reason: str
    subscription: Subscription | None = None


class Leaving(NamedTuple):
    """The exchange announced that it will close this connection: make the next one first."""

    evidence: str


class Repeated(NamedTuple):
    """A frame came again, or later than its number says: nothing is missing for it. It is counted."""


class Earlier(NamedTuple):
    """Rows that were held back until the book they belong to was known; they arrived at these times."""

    rows: Sequence[Row]
    wall_ns: int
    mono_ns: int


Event: TypeAlias = Break | Send | Fetch | Refused | Leaving | Repeated | Earlier


class Session(ABC):
    """One connection's protocol. The collector asks `opening` what to send, gives every frame to `receive`, and deals
    with `events` before it takes the rows that `receive` returned.
    """

    def __init__(self, exchange: "Exchange", wanted: Iterable[Subscription]) -> None:
        self.exchange, self.options = exchange, exchange.options
        self.events: list[Event] = []
        self.frame_count = 0  # received on this connection; the `msg_seq` of a book message
        self.wanted: set[Subscription] = set()
        self.unconfirmed: set[Subscription] = set()  # asked for, and not yet heard of
        self.symbols: dict[str, str] = {}  # the exchange's own name -> ours
        self.former: set[str] = set()  # the exchange's; no longer wanted: what is still on its way is let go in silence
        self._l2: set[str] = set()  # ours; whose every update is stored
        self._books: dict[str, BookKeeper] = {}  # ours; whose book is followed: for snapshots, or to check it
        self.want(wanted)

    @property
    def l2_symbols(self) -> set[str]:
        """Ours; whose every update is stored from this connection."""
        return self._l2

    def want(self, more: Iterable[Subscription]) -> None:
        """Add to what is wanted; `subscribe` makes the frames that ask for it."""
        added = set(more) - self.wanted
        self.wanted |= added
        self.unconfirmed |= added
        self._follow()

    def forget(self, less: Iterable[Subscription]) -> None:
        """Take from what is wanted; `unsubscribe` makes the frames that say so."""
        self.wanted -= set(less)
        self.unconfirmed -= set(less)
        self._follow()

    def _follow(self) -> None:
        before, self.symbols = set(self.symbols), {each.raw_symbol: each.symbol for each in self.wanted}
        self.former = (self.former | before) - set(self.symbols)
        self._l2 = {each.symbol for each in self.wanted if each.table == "l2"}
        snapshots = {each.symbol for each in self.wanted if each.table == "orderbook"}
        followed = snapshots | (self._l2 if self.follows_books else set())
        for symbol in followed - set(self._books):
            self._books[symbol] = BookKeeper(
                symbol, self.options.orderbook_depth, self.options.orderbook_interval_ns, emits=symbol in snapshots
            )
        for symbol in set(self._books) - followed:
            del self._books[symbol]

    follows_books: ClassVar[bool] = False  # whether each book is rebuilt here, because its checksum must be checked

    def opening(self) -> list[bytes]:
        """The frames to send on a new connection."""
        return self.subscribe(sorted(self.wanted))

    @abstractmethod
    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """The frames that ask for these."""

    @abstractmethod
    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> list[bytes]:
        """The frames that end these."""

    @abstractmethod
    def receive(self, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """The rows of one frame, oldest first.

        Raises:
            FrameMalformed: the frame is not what the exchange documents; it is kept as a reject, the session goes on.
        """

    def fetched(self, request: Request, body: bytes | None, wall_ns: int, mono_ns: int) -> Sequence[Row]:
        """The rows of a REST document that a `Fetch` asked for; `body` is None where it could not be had.

        Raises:
            FrameMalformed: it is not what the exchange documents; `fetched` is called again with None.
        """
        raise NotImplementedError(f"{type(self).__name__} fetches nothing")

    def resync(self, symbol: str) -> list[bytes]:
        """The frames that bring one symbol's book anew, whatever became of the one that is followed."""
        books = [each for each in self.wanted if each.symbol == symbol and each.table in {"l2", "orderbook"}]
        self.unconfirmed |= set(books)
        return [*self.unsubscribe(books), *self.subscribe(books)] if books else []

    def book_rows(
        self, message: L2Message, mono_ns: int, *, labels: Sequence[str] | None = None
    ) -> tuple[list[Row], BookKeeper | None]:
        """What to store of a book message: itself where l2 is wanted, and a snapshot where one is due.

        `labels` are the levels' texts for a checksum; the keeper, where the book is followed, can compute it.
        """
        rows: list[Row] = [message] if message.symbol in self._l2 else []
        keeper = self._books.get(message.symbol)
        if keeper is not None:
            snapshot = keeper.apply(message, mono_ns, labels)
            if snapshot is not None:
                rows.append(snapshot)
        return rows, keeper


class Exchange(ABC):
    """What is true of a venue at any time; made once per settings entry."""

    profile: ClassVar[Profile]

    def __init__(self, options: SessionOptions | None = None) -> None:
        self.options = options or SessionOptions()

    @property
    def ws_url(self) -> str:
        """The base of the WebSocket addresses."""
        return self.options.ws_url or self.profile.ws_url

    @property
    def rest_url(self) -> str:
        """The base of the REST addresses."""
        return self.options.rest_url or self.profile.rest_url

    @abstractmethod
    def raw_symbol(self, symbol: str) -> str:
        """The exchange's name of a symbol in the unified form, as BTC/USD or BTC/USDT:USDT; `ValueError` for none."""

    def endpoint(self, subscription: Subscription) -> str:
        """The WebSocket address that carries a stream; most venues have one for all."""
        return self.ws_url

    @abstractmethod
    def session(self, wanted: Iterable[Subscription]) -> Session:
        """The protocol of one connection."""

    def look(self, subscription: Subscription) -> Request | None:
        """The cheap REST document that tells a quiet market from a dead stream; None where the venue has none."""
        return None

    def newest(self, subscription: Subscription, body: bytes) -> Newest:
        """What that document says. Raises: FrameMalformed."""
        raise NotImplementedError

    def polls(self, subscription: Subscription) -> Request | None:
        """The REST document of a table that the venue has no stream for."""
        return None

    def polled(self, subscription: Subscription, body: bytes) -> Sequence[Row]:
        """The rows of that document, marked as polled. Raises: FrameMalformed."""
        raise NotImplementedError

    @abstractmethod
    def instruments_requests(self, wanted: Iterable[Subscription]) -> list[Request]:
        """The REST documents that describe the markets of these streams."""

    @abstractmethod
    def instruments(self, body: bytes, wanted: Iterable[Subscription]) -> list[Instrument]:
        """The wanted markets of one such document. Raises: FrameMalformed."""
