"""The sections that say what is captured, and how it reaches the disk."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from config.section import (
    Address,
    CcxtSymbol,
    ListOf,
    Options,
    Product,
    RestAddress,
    Secret,
    Section,
    WebSocketAddress,
    refuse,
)


class CoinbaseChannels(Section):
    """Which symbols each native Coinbase channel records; a channel without a list takes `coinbase.symbols`."""

    market_trades: ListOf[Product] | None = None
    """Every trade. null: `coinbase.symbols`; []: off; or a list of its own."""
    ticker: ListOf[Product] | None = None
    """The exchange's running summary. null: `coinbase.symbols`; []: off; or a list of its own."""
    level2: ListOf[Product] | None = None
    """Every change of the order book. null: `coinbase.symbols`; []: off; or a list of its own."""
    orderbook: ListOf[Product] | None = ()
    """Snapshots of the best levels, see `orderbook_depth`. null: `coinbase.symbols`; []: off; or a list of its own."""
    candles: ListOf[Product] | None = ()
    """The exchange's own candles of 5 minutes. null: `coinbase.symbols`; []: off; or a list of its own."""


class Coinbase(Section):
    """Coinbase Advanced Trade, over its own WebSocket."""

    enabled: bool = True
    """false: capture nothing here, whatever the lists say."""
    symbols: ListOf[Product] = ()
    """Products in Coinbase's own form, as BTC-USD."""
    channels: CoinbaseChannels = CoinbaseChannels()
    orderbook_depth: Annotated[int, Field(ge=1, le=5000)] = 50
    """Levels per side that an order book snapshot keeps."""
    orderbook_interval_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 1000
    """Least time between two snapshots of one book; 0: one with every change."""
    ws_url: WebSocketAddress = "wss://advanced-trade-ws.coinbase.com"
    """Where the market data comes from; a local simulator's address goes here."""
    rest_url: RestAddress = "https://api.coinbase.com/api/v3/brokerage/market"
    """Where instruments, backfill and gap repair ask."""
    silence_timeout_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    """Reconnect after this long without any message."""
    api_key: Secret = None
    """Optional; market data needs none."""
    api_secret: Secret = None
    """Optional; market data needs none."""

    @property
    def subscriptions(self) -> dict[str, tuple[str, ...]]:
        """Channel -> products, only what is on."""
        if not self.enabled:
            return {}
        lists = {name: getattr(self.channels, name) for name in type(self.channels).model_fields}
        chosen = {name: self.symbols if own is None else own for name, own in lists.items()}
        return {name: symbols for name, symbols in chosen.items() if symbols}


class CcxtChannels(Section):
    """Which symbols each ccxt method records; a channel without a list is off."""

    watchTrades: ListOf[CcxtSymbol] = ()  # noqa: N815 (ccxt's own name of the method)
    """Symbols whose trades are recorded, in ccxt's form, as BTC/USD."""
    watchTicker: ListOf[CcxtSymbol] = ()  # noqa: N815
    """Symbols whose ticker is recorded."""
    watchOrderBook: ListOf[CcxtSymbol] = ()  # noqa: N815
    """Symbols whose order book is recorded."""
    watchOHLCV: ListOf[CcxtSymbol] = ()  # noqa: N815
    """Symbols whose candles of one minute are recorded, at each change."""
    watchFundingRate: ListOf[CcxtSymbol] = ()  # noqa: N815
    """Perpetuals whose funding rate is recorded, as BTC/USDT:USDT."""
    watchLiquidations: ListOf[CcxtSymbol] = ()  # noqa: N815
    """Derivatives whose liquidations are recorded."""


class CcxtExchange(Section):
    """One exchange through ccxt."""

    enabled: bool = True
    """false: capture nothing here, whatever the lists say."""
    channels: CcxtChannels = CcxtChannels()
    orderbook_depth: Annotated[int, Field(ge=1, le=5000)] = 50
    """Levels per side that an order book row keeps."""
    orderbook_interval_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0
    """Least time between two order book rows of a symbol; 0: one for each message."""
    options: Options = Field(default={})
    """Handed to ccxt as its `options`; no secrets."""
    urls: Mapping[str, Address] = Field(default={})
    """Addresses that replace ccxt's own, by ccxt's key, as `ws: ws://127.0.0.1:8765` or `ws.publicV2: ...`."""
    silence_timeout_s: Annotated[float, Field(ge=0.1, le=3600)] = 30.0
    """Reconnect after this long without any message; 5 suits an exchange with heartbeats, as Kraken."""
    api_key: Secret = None
    """Optional; market data needs none on most exchanges."""
    secret: Secret = None
    """Optional, belongs to `api_key`."""
    password: Secret = None
    """Optional; some exchanges ask for a third secret."""

    @property
    def subscriptions(self) -> dict[str, tuple[str, ...]]:
        """Channel -> symbols, only what is on."""
        lists: dict[str, tuple[str, ...]] = {name: getattr(self.channels, name) for name in CcxtChannels.model_fields}
        return {name: symbols for name, symbols in lists.items() if symbols and self.enabled}


def _known_ids(found: Mapping[str, CcxtExchange]) -> Mapping[str, CcxtExchange]:
    for name in found:
        if not (name.isascii() and name.isalnum() and name == name.lower()):
            raise refuse(f"exchange ids as ccxt writes them, as kraken or binanceus, not {name!r}")
    return found


class Ccxt(Section):
    """Exchanges captured through ccxt."""

    exchanges: Annotated[Mapping[str, CcxtExchange], AfterValidator(_known_ids)] = {}
    """One entry per exchange, named as ccxt names it."""


class Ingestion(Section):
    """How rows reach the disk: queue, journal, sealed segments, reconnects."""

    raw_format: Literal["parquet", "ndjson"] = "parquet"
    """What sealed segments are written as."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Rows that make one journal frame; a full frame is written at once."""
    flush_interval_seconds: Annotated[float, Field(ge=0.001, le=60)] = 0.25
    """Longest a row waits before it is written: what kill -9 can lose."""
    journal_sync_ms: Annotated[int, Field(ge=1, le=60_000)] = 1000
    """Longest a written row waits for fdatasync: what a power cut can lose."""
    queue_max_mb: Annotated[float, Field(ge=0.1, le=65_536)] = 64.0
    """The bound on waiting rows, in megabytes; a full queue slows the socket, nothing is dropped."""
    queue_maxsize: Annotated[int, Field(ge=1, le=100_000_000)] = 100_000
    """A second cap on waiting rows, in rows."""
    overload_percent: Annotated[float, Field(ge=1, le=100)] = 50.0
    """A queue this full for a while costs order book snapshots; fuller, ticker too; fuller still, l2; never trades."""
    overload_after_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    """How long the queue must stay as full before each step; what is given up is in the gaps table as `overflow`."""
    overload_calm_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How long the queue must be below half of a step's fill before the step is taken back."""
    disk_reserve_mb: Annotated[int, Field(ge=0, le=1_000_000_000)] = 512
    """Capture pauses while less than this is free and resumes at a quarter more; 0: only when the disk is full."""
    segment_max_mb: Annotated[float, Field(ge=0.01, le=4096)] = 50.0
    """A journal this large is sealed."""
    segment_max_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 900.0
    """A journal this old is sealed; the end of an hour seals it too."""
    parquet_compression: Literal["zstd", "gzip", "lz4", "snappy", "none"] = "zstd"
    """Codec of sealed Parquet."""
    parquet_compression_level: Annotated[int, Field(ge=1, le=22)] = 3
    """Level of zstd (1 to 22) or gzip (1 to 9); the others have none."""
    enable_fsync: bool = True
    """false: nothing is forced to the disk, and a power cut loses what the system had not written."""
    auto_reconnect: bool = True
    """false: a lost connection ends the run."""
    max_reconnect_attempts: Annotated[int, Field(ge=-1, le=1_000_000)] = -1
    """Attempts in a row before giving up; -1: for ever."""
    reconnect_delay: Annotated[float, Field(ge=0.01, le=3600)] = 1.0
    """First wait before a new connection, in seconds; it doubles with each failure."""
    reconnect_delay_max: Annotated[float, Field(ge=0.01, le=86_400)] = 60.0
    """Longest wait before a new connection, in seconds."""
    clock_step_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    """A larger jump of the machine's clock within a second is recorded in gaps; ntpd steps from 128 ms on."""
    max_orderbook_depth: Annotated[int, Field(ge=1, le=5000)] | None = None
    """A cap on every `orderbook_depth`; null: none."""
    store_info_json: bool = False
    """true: keep the exchange's own record beside each row; doubles the files."""
    store_frames: bool = False
    """true: keep every native frame as it came, so that `daedalus redecode` can decode it again; needs Parquet."""

    @field_validator("store_frames")
    @classmethod
    def _frames_need_parquet(cls, is_on: bool, info: ValidationInfo) -> bool:
        if is_on and info.data.get("raw_format") == "ndjson":
            raise refuse("false where raw_format is ndjson: NDJSON cannot hold bytes")
        return is_on

    @field_validator("parquet_compression_level")
    @classmethod
    def _level_of_codec(cls, level: int, info: ValidationInfo) -> int:
        if info.data.get("parquet_compression") == "gzip" and level > 9:
            raise refuse("a level from 1 to 9 for gzip")
        return level

    @field_validator("reconnect_delay_max")
    @classmethod
    def _not_below_first(cls, longest: float, info: ValidationInfo) -> float:
        if longest < info.data.get("reconnect_delay", 0.0):
            raise refuse("at least `reconnect_delay`")
        return longest
