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

    msg_seq: int
    is_snapshot: bool
    is_last: bool
    side: str  # bid | ask
    price: QuotePrice
    size: BaseSize  # absolute; 0 removes the level
    update_id: int | None = None
    prev_update_id: int | None = None
    checksum: UInt32 | None = None
    info_json: str | None = None


class Gap(Row, frozen=True, gc=False):
    """A stretch of a stream that was not captured. Append-only: the latest `revision` of a `gap_id` wins."""

    gap_id: str
    revision: Int32
    channel: str  # the table that has the hole
    cause: str  # restart | disconnect | silence | sequence_break | id_jump | overflow | clock_step
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


ROW_TYPES: dict[str, type[Row]] = {
    "trades": Trade,
    "ticker": Ticker,
    "orderbook": OrderBook,
    "l2": L2,
    "gaps": Gap,
    "rejects": Reject,
}
TABLE_OF: dict[type[Row], str] = {row: name for name, row in ROW_TYPES.items()}
