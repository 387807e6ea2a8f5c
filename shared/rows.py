"""Row types: one struct per bronze table, the single truth from which every schema is derived.

A row says what the exchange said about one symbol. What we know of its arrival (capture times, `epoch`, `seq`,
`origin`, partition) is stamped around it, see `shared.tables.COMMON`. Field metadata reaches Parquet and the docs.
"""

from typing import Annotated, NamedTuple, TypeAlias

from msgspec import Meta, Struct

TimestampUs: TypeAlias = Annotated[int, Meta(extra={"arrow": "timestamp", "unit": "us since 1970 UTC"})]
Int32: TypeAlias = Annotated[int, Meta(extra={"arrow": "int32"})]
UInt32: TypeAlias = Annotated[int, Meta(extra={"arrow": "int64"})]
QuotePrice: TypeAlias = Annotated[float, Meta(extra={"unit": "quote per base"})]
BaseSize: TypeAlias = Annotated[float, Meta(extra={"unit": "base"})]
QuoteValue: TypeAlias = Annotated[float, Meta(extra={"unit": "quote"})]
Level: TypeAlias = tuple[float, float]  # (price, size)


class Stream(NamedTuple):
    """What one running count `seq` belongs to: a table of one symbol as one source captured it."""

    source: str  # native | ccxt | rest | csv
    exchange: str
    table: str
    symbol: str


class Row(Struct, frozen=True, gc=False):
    """What every row has: whose it is, and when the exchange says it happened."""

    symbol: str
    timestamp: TimestampUs | None


class Trade(Row, frozen=True, gc=False):
    """One print as the exchange delivered it."""

    trade_id: str
    trade_seq: int | None  # where the id is a per-symbol increasing integer
    side: str | None  # the taker's: buy | sell, by the side convention known at capture
    side_raw: str | None  # the exchange's own word; silver decides anew from this one
    price: QuotePrice
    amount: BaseSize
    price_text: str | None = None  # only where float64 cannot give the text back
    amount_text: str | None = None
    cost: QuoteValue | None = None  # only where it is not price x amount
    info_json: str | None = None


class Ticker(Row, frozen=True, gc=False):
    """The exchange's own running summary of a symbol."""

    bid: QuotePrice | None = None
    ask: QuotePrice | None = None
    bid_volume: BaseSize | None = None
    ask_volume: BaseSize | None = None
    last: QuotePrice | None = None
    open: QuotePrice | None = None
    high: QuotePrice | None = None
    low: QuotePrice | None = None
    close: QuotePrice | None = None
    vwap: QuotePrice | None = None
    base_volume: BaseSize | None = None
    quote_volume: QuoteValue | None = None
    change: QuotePrice | None = None
    percentage: Annotated[float, Meta(extra={"unit": "percent"})] | None = None
    info_json: str | None = None


class OrderBook(Row, frozen=True, gc=False):
    """A snapshot of the best levels, best first; the scalars repeat the top for fast scans."""

    nonce: int | None
    best_bid: QuotePrice | None
    bid_size: BaseSize | None
    best_ask: QuotePrice | None
    ask_size: BaseSize | None
    bids: list[Level]
    asks: list[Level]
    info_json: str | None = None


class L2(Row, frozen=True, gc=False):
    """One level of one book message; rows of a message share `msg_seq` and end with `is_last`."""

    msg_seq: int  # the number of the frame on its connection
    is_snapshot: bool
    is_last: bool
    side: str  # bid | ask
    price: QuotePrice
    size: BaseSize  # absolute; 0 removes the level
    update_id: int | None = None  # the book's version after this message, as the exchange numbers it
    prev_update_id: int | None = None  # the version it must be applied to; of a snapshot None
    checksum: UInt32 | None = None
    info_json: str | None = None


class L2Message(Row, frozen=True, gc=False):
    """The rows of table `l2` that one book message makes, as columns: a level costs no object of its own.

    `side`, `price` and `size` are equally long and not empty. `timestamps` is None where every level has `timestamp`.
    """

    msg_seq: int
    is_snapshot: bool
    side: list[str]
    price: list[float]
    size: list[float]
    update_id: int | None = None
    prev_update_id: int | None = None
    checksum: int | None = None
    timestamps: list[int | None] | None = None

    def __len__(self) -> int:
        """Levels, which is rows."""
        return len(self.price)


class Candle(Row, frozen=True, gc=False):
    """The exchange's own bar as it stood when sent; `timestamp` is its begin. Bars of ours are made from trades."""

    interval_s: int
    open: QuotePrice
    high: QuotePrice
    low: QuotePrice
    close: QuotePrice
    volume: BaseSize
    quote_volume: QuoteValue | None = None
    trade_count: int | None = None
    is_closed: bool | None = None  # None: the exchange does not say
    info_json: str | None = None


class Funding(Row, frozen=True, gc=False):
    """What a perpetual's holders pay or get at the next settlement, as the exchange says now."""

    rate: Annotated[float, Meta(extra={"unit": "fraction per interval"})] | None
    next_rate: Annotated[float, Meta(extra={"unit": "fraction per interval"})] | None = None
    settles_at: TimestampUs | None = None  # when `rate` is paid
    interval_hours: float | None = None
    mark_price: QuotePrice | None = None
    index_price: QuotePrice | None = None
    is_polled: bool = False  # asked for by us, not sent when it changed
    info_json: str | None = None


class Liquidation(Row, frozen=True, gc=False):
    """A position that the exchange closed by force."""

    side: str | None  # of the order that closes it: sell ends a long position
    side_raw: str | None
    price: QuotePrice | None
    amount: BaseSize | None
    average_price: QuotePrice | None = None
    info_json: str | None = None


class OpenInterest(Row, frozen=True, gc=False):
    """What is open in a derivative; in which unit depends on the exchange, so each has a column."""

    contracts: float | None = None
    amount: BaseSize | None = None
    value: QuoteValue | None = None
    is_polled: bool = False
    info_json: str | None = None


class Instrument(Row, frozen=True, gc=False):
    """What the exchange says of a market: fetched at the start and daily."""

    raw_symbol: str  # the exchange's own name
    kind: str  # spot | perpetual | future | option
    base: str | None = None
    quote: str | None = None
    settle: str | None = None
    status: str | None = None  # the exchange's own word
    tick_size: QuotePrice | None = None
    lot_size: BaseSize | None = None
    amount_min: BaseSize | None = None
    cost_min: QuoteValue | None = None
    contract_size: float | None = None
    is_inverse: bool | None = None
    info_json: str | None = None


class Frame(Row, frozen=True, gc=False):
    """What went over a native connection, as it was; enough to decode a run again. `symbol` is `all`."""

    connection: int  # of this feed in this epoch
    number: int  # on its connection, received ones only
    direction: str  # received | sent | rest | note (the connection opened, ended, was replaced)
    subject: str | None  # JSON: of sent frames what is subscribed, of a REST document what was asked
    payload: bytes


class Gap(Row, frozen=True, gc=False):
    """A stretch of a stream that was not captured. Append-only: the latest `revision` of a `gap_id` wins."""

    gap_id: str
    revision: Int32
    channel: str  # the table that has the hole
    cause: str  # one of `GAP_CAUSES`
    status: str  # open | filled | exchange_hole | unrecoverable
    prev_seq: int | None = None  # our `seq` of the rows around the hole, where the hole is in our own count
    next_seq: int | None = None
    prev_id: str | None = None
    next_id: str | None = None
    start_ts: TimestampUs | None = None
    end_ts: TimestampUs | None = None
    rows_lost: int | None = None  # None: unknown
    evidence: str | None = None


class Reject(Row, frozen=True, gc=False):
    """Something an exchange sent that is not a valid row, kept as it came."""

    channel: str  # the table it was meant for
    reason: str
    payload: str
    row_id: str | None = None  # the exchange's id, where one could be read


GAP_CAUSES = {
    "start": "the collector began; nothing is lost by it",
    "stop": "the collector ended in good order; nothing is lost by it",
    "connect": "a connection was opened; nothing is lost by it",
    "restart": "an earlier run ended; its last synced row and the first new one bound the hole",
    "disconnect": "a connection ended",
    "silence": "a stream or connection went silent although the market did not",
    "sequence_break": "the exchange's own numbers show that messages are missing",
    "id_jump": "trade ids are contiguous and some are missing",
    "checksum": "the exchange's checksum does not fit the book",
    "reject": "rows that came are not valid; they are kept in `rejects`, summed here per stream and minute",
    "overflow": "we could not keep up, and gave this up first",
    "disk_full": "the disk reserve was reached, and capture paused",
    "unsubscribed": "the settings do not name this stream any more",
    "clock_step": "the machine's clock was set; nothing is lost by it, times before and after are not comparable",
    "journal_damage": "rows were written and cannot be read any more",
}
GAP_STATUSES = {
    "open": "rows are missing, or nobody can say whether; repair may still bring them",
    "filled": "nothing is missing: the ids go on, or what was missing came late or was repaired, or nothing was lost",
    "exchange_hole": "the exchange itself does not have these rows: it was asked",
    "unrecoverable": "rows are missing and nothing can bring them back",
}
LIFECYCLE_CAUSES = frozenset({"start", "stop", "connect", "reject", "clock_step"})  # nothing is lost by them
ALL = "all"  # the `symbol` and `channel` of what concerns a whole collector
ROW_TYPES: dict[str, type[Row]] = {
    "trades": Trade,
    "ticker": Ticker,
    "orderbook": OrderBook,
    "l2": L2,
    "candles": Candle,
    "funding": Funding,
    "liquidations": Liquidation,
    "open_interest": OpenInterest,
    "instruments": Instrument,
    "frames": Frame,
    "gaps": Gap,
    "rejects": Reject,
}
TABLE_OF: dict[type[Row], str] = {row: name for name, row in ROW_TYPES.items()} | {L2Message: "l2"}
