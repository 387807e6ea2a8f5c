"""`CcxtCollector`: every message of one exchange through `ccxt.pro`, taken below ccxt's caches."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any

from aiohttp import WSMsgType

from ingestion.collectors import ccxt_tap
from ingestion.collectors.base_collector import BaseCollector, SessionEnd
from ingestion.exchanges import ccxt_rows
from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from shared.partitioning import stored_symbol
from shared.rows import Row

_CCXT_IDS = {"coinbaseadvanced": "coinbase"}  # our name of it -> ccxt's
_TRADES_PER_MESSAGE_MAX = 1_000_000  # ccxt's cache holds the trades of one message only, then it is emptied
_SYMBOLS_PER_CALL = 100
_TOGETHER = {"watch_trades": "watchTradesForSymbols", "watch_order_book": "watchOrderBookForSymbols"}
_TICKERS_TOGETHER = frozenset({"kraken"})  # elsewhere `watch_tickers` may be another, slower channel
_TRADE_PARAMS = {"kraken": {"snapshot": True}}  # the last 50 trades, which close small gaps; not sent unless asked for
_HEARTBEATING = frozenset({"kraken"})  # sends something each second by itself: there an answered ping proves nothing
_OVER = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})
_BOOK_WORDS = ("book", "depth", "l2", "level2")
_HEAD_CHARS = 200  # how far into a message its channel is looked for
_RESUBSCRIBE_PAUSE_S = 1.0


@dataclass(frozen=True)
class CcxtOptions:
    """What to collect from which exchange; symbols in ccxt's form, as BTC/USD."""

    exchange_id: str
    trades: tuple[str, ...] = ()
    ticker: tuple[str, ...] = ()
    orderbook: tuple[str, ...] = ()
    orderbook_depth: int = 50
    options: Mapping[str, Any] = field(default_factory=dict)
    urls: Mapping[str, Any] = field(default_factory=dict)  # ccxt's `urls`, or only what stands in its `api`
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)  # apiKey, secret, password
    silence_timeout_s: float = 30.0
    keep_info: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be collected; ccxt is not asked yet."""
        if not (self.trades or self.ticker or self.orderbook):
            raise ValueError(f"{self.exchange_id}: needs symbols for trades, ticker or orderbook")
        if self.orderbook_depth < 1 or not self.silence_timeout_s > 0:
            raise ValueError(f"{self.exchange_id}: orderbook_depth and silence_timeout_s must be positive")
        for symbol in self.symbols:
            stored_symbol(symbol)

    @property
    def ccxt_id(self) -> str:
        """The exchange's name in ccxt."""
        return _CCXT_IDS.get(self.exchange_id, self.exchange_id)

    @property
    def symbols(self) -> list[str]:
        """Every symbol once."""
        return sorted({*self.trades, *self.ticker, *self.orderbook})


def exchange_class(ccxt_id: str) -> type[Any]:
    """The class that ccxt.pro has for an exchange. Raises: ValueError where it has none."""
    ccxt = importlib.import_module("ccxt.pro")  # 110 MB: only who collects through it pays
    found: type[Any] | None = getattr(ccxt, ccxt_id, None)
    if found is not None and ccxt_id in ccxt.exchanges:
        return found
    near = get_close_matches(ccxt_id, ccxt.exchanges, 3)
    raise ValueError(f"ccxt.pro knows no exchange {ccxt_id!r}; similar: {', '.join(near) or 'none'}")


class CcxtCollector(BaseCollector):
    """Collects trades, ticker and order book snapshots of one exchange."""

    def __init__(self, options: CcxtOptions, inlet: Inlet, retry: RetryPolicy) -> None:
        super().__init__(inlet, retry)
        self.options = options
        self.ccxt = importlib.import_module("ccxt.pro")
        self._base = exchange_class(options.ccxt_id)
        self._with_markets: Any = None  # an exchange object whose market list later sessions share

    async def session(self) -> SessionEnd:
        """One exchange object, from its creation to its end."""
        session = _Session(self)
        exchange = session.exchange = self._exchange(session)
        try:
            end = await self._prepare(exchange)
            return end or await session.run()
        except self.ccxt.BaseError as error:
            return self.end_of(error)
        finally:
            await ccxt_tap.close(exchange)

    def end_of(self, error: Exception) -> SessionEnd:
        """What ccxt's error means: the exchange says no, or it cannot be talked to just now."""
        refused = isinstance(error, self.ccxt.ExchangeError)
        return SessionEnd("refused" if refused else "disconnect", f"{type(error).__name__}: {error}")

    def _exchange(self, session: "_Session") -> Any:
        options = self.options
        own = {"options": {**options.options, "tradesLimit": _TRADES_PER_MESSAGE_MAX}}
        exchange = ccxt_tap.tapped_exchange(self._base, {**options.credentials, **own}, session)
        ccxt_rows.point(exchange.urls["api"], options.urls.get("api", options.urls))
        # Liveness is our watchdog's matter: while rows wait for room no pong is read, and that is no dead connection.
        exchange.streaming = {**exchange.streaming, "maxPingPongMisses": 1e9}
        if options.ccxt_id not in _HEARTBEATING:
            longest_ms = options.silence_timeout_s * 1000 / 3  # a quiet market answers at least this often
            exchange.streaming["keepAlive"] = min(exchange.streaming.get("keepAlive") or longest_ms, longest_ms)
        return exchange

    async def _prepare(self, exchange: Any) -> SessionEnd | None:
        """Load the markets, and refuse what the exchange does not have before anything is subscribed."""
        if self._with_markets is None:
            await exchange.load_markets()
            self._with_markets = exchange
        else:
            exchange.set_markets_from_exchange(self._with_markets)
        options = self.options
        wanted = {"watchTrades": options.trades, "watchTicker": options.ticker, "watchOrderBook": options.orderbook}
        for name, symbols in wanted.items():
            if symbols and not exchange.has.get(name):
                return SessionEnd("refused", f"ccxt has no {name} for {options.ccxt_id}")
        for symbol in options.symbols:
            if symbol not in exchange.markets:
                self._with_markets = None
                near = get_close_matches(symbol, exchange.symbols, 3, 0.3)
                return SessionEnd("refused", f"no market {symbol}; similar: {', '.join(near) or 'none'}")
        return None


class _Session:
    """One exchange object at work: subscribes, reads every connection, watches for silence."""

    exchange: Any

    def __init__(self, collector: CcxtCollector) -> None:
        self._collector, self._inlet, self._options = collector, collector.inlet, collector.options
        self._trade_rows = ccxt_rows.TradeRows(self._options.exchange_id, keep_info=self._options.keep_info)
        self._over: asyncio.Future[SessionEnd] = asyncio.get_running_loop().create_future()
        self._tasks: asyncio.TaskGroup | None = None
        self._readers: dict[str, asyncio.Task[None]] = {}  # by address
        self._alive: set[str] = set()  # addresses heard of since the watchdog last looked
        self._storing: set[str] = set()  # addresses not read just now, because their rows wait for room
        self._has_books = False
        self._heard: Any = None  # the decoded message that is being handled

    async def run(self) -> SessionEnd:
        """Collect until something ends it."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            running = [tasks.create_task(self._drive(symbols, watch)) for symbols, watch in self._watches()]
            running.append(tasks.create_task(self._watch_silence()))
            try:
                return await self._over
            finally:
                self._tasks = None
                for task in [*running, *self._readers.values()]:
                    task.cancel()

    def connected(self, client: Any) -> None:
        """Read a connection that has just been made; a second one to an address means that the first is gone."""
        if client.url in self._readers:
            self._end(SessionEnd("disconnect", f"ccxt connected to {client.url} anew"))
        elif self._tasks is not None and not self._over.done():
            self._readers[client.url] = self._tasks.create_task(self._read(client))

    def message(self, message: Any) -> None:
        """Keep what ccxt is about to be given."""
        self._heard = message

    def ended(self, client: Any, evidence: str) -> None:
        """A connection is gone, and with it the session."""
        self._end(SessionEnd("disconnect", evidence, client.last_retry_after or 0.0))

    def _end(self, end: SessionEnd) -> None:
        if not self._over.done():
            self._over.set_result(end)

    def _watches(self) -> Iterator[tuple[Sequence[str], Callable[[], Awaitable[Any]]]]:
        """The calls that subscribe, each with its symbols; many symbols in one where the exchange takes them."""
        exchange, options, name = self.exchange, self._options, self._options.ccxt_id
        limit = ccxt_rows.book_limit(name, options.orderbook_depth)
        for method, symbols, arguments in (
            ("watch_trades", options.trades, (None, None, dict(_TRADE_PARAMS.get(name, {})))),
            ("watch_ticker", options.ticker, ()),
            ("watch_order_book", options.orderbook, (limit,)),
        ):
            together = _together(exchange, method)
            if together is None or len(symbols) < 2:
                for symbol in symbols:
                    yield (symbol,), partial(getattr(exchange, method), symbol, *arguments)
                continue
            for first in range(0, len(symbols), _SYMBOLS_PER_CALL):
                some = list(symbols[first : first + _SYMBOLS_PER_CALL])
                yield some, partial(together, some, *arguments)

    async def _drive(self, symbols: Sequence[str], watch: Callable[[], Awaitable[Any]]) -> None:
        """Keep a subscription up. Its data goes another way: what comes back here is an error."""
        errors = self._collector.ccxt
        while True:
            try:
                result = await watch()
                unknown = f"ccxt's {self._options.ccxt_id} delivers {type(result).__name__}: not a form we can collect"
                self._end(SessionEnd("refused", unknown))  # rather than lose what the tap does not recognise
                return
            except errors.InvalidNonce as error:  # ccxt found a book broken; the next call subscribes anew
                stored = [stored_symbol(symbol) for symbol in symbols]
                self._inlet.interrupt("sequence_break", f"{type(error).__name__}: {error}", symbols=stored)
                await asyncio.sleep(_RESUBSCRIBE_PAUSE_S)
            except errors.BaseError as error:
                self._end(self._collector.end_of(error))
                return
            except asyncio.CancelledError:  # by us, or by ccxt closing a connection of its own accord
                self._end(SessionEnd("disconnect", "ccxt gave the connection up"))
                raise

    async def _watch_silence(self) -> None:
        """End the session when a connection says nothing for a whole interval although it is being read."""
        while True:
            self._alive.clear()
            watched = set(self._readers) - self._storing
            await asyncio.sleep(self._options.silence_timeout_s)
            if silent := watched - self._alive - self._storing:
                evidence = f"no message for {self._options.silence_timeout_s} s from {', '.join(sorted(silent))}"
                self._end(SessionEnd("silence", evidence))
                return

    async def _read(self, client: Any) -> None:
        """Message after message: stamp, parse, store; the next is read when there was room for this one."""
        clock, heartbeating = self._inlet.clock, self._options.ccxt_id in _HEARTBEATING
        while not self._over.done():
            message = await client.receive()
            wall_ns, mono_ns = clock.wall_ns(), clock.mono_ns()
            if message.type in _OVER:
                client.handle_message(message)  # ccxt may know more about it; else this is all there is to say
                self._end(SessionEnd("disconnect", f"{message.type.name} {message.data or ''}".strip()))
                return
            rows = self._rows(client, message)
            pong = isinstance(self._heard, dict) and self._heard.get("method") == "pong"
            if not heartbeating or (message.type is WSMsgType.TEXT and not pong):
                self._alive.add(client.url)
            self._storing.add(client.url)
            await self._inlet.put(rows, wall_ns=wall_ns, mono_ns=mono_ns, frame_bytes=len(message.data or b""))
            self._storing.discard(client.url)

    def _rows(self, client: Any, message: Any) -> list[Row]:
        """What ccxt makes of one message, as rows; what it stumbles over is kept as it came."""
        rows: list[Row] = []
        self._heard = None
        try:
            rows.extend(self._touched())  # a book may have come by REST since the last message
            client.handle_message(message)
            rows.extend(self._touched())
        except self._collector.ccxt.ExchangeError as error:  # how ccxt's parsers pass on an exchange's error message
            self._end(self._collector.end_of(error))
        except Exception as error:  # noqa: BLE001  ccxt's parsers raise anything; one bad frame must not end capture
            reason = f"{type(error).__name__}: {error}"
            rows.append(ccxt_rows.unreadable_row(message.data, reason))
            self._doubt(message.data, reason)
        if refusal := ccxt_rows.refusal(self._heard):
            if self._inlet.statistics.rows:  # one symbol's trouble: the others go on
                rows.append(ccxt_rows.unreadable_row(message.data, refusal, channel="subscriptions"))
            else:
                self._end(SessionEnd("refused", refusal))
        return rows

    def _touched(self) -> Iterator[Row]:
        for result in self.exchange.touched.take():
            if ccxt_tap.is_book(result):
                yield ccxt_rows.book_row(result, str(result.get("symbol")), self._options.orderbook_depth)
                self._has_books = True
            elif ccxt_tap.is_ticker(result):
                yield ccxt_rows.ticker_row(result, keep_info=self._options.keep_info)
            else:
                trades = list(result)
                if ccxt_tap.is_cache(result):
                    result.clear()
                yield from self._trade_rows.rows(trades)

    def _doubt(self, data: str | bytes, reason: str) -> None:
        """A message was lost on us: say so, and where it was a book's begin anew, since the book is wrong now."""
        evidence = f"a frame could not be read, it is in rejects: {reason}"
        self._inlet.interrupt("sequence_break", evidence)
        head = str(data[:_HEAD_CHARS])
        if self._has_books and any(word in head for word in _BOOK_WORDS):
            self._end(SessionEnd("sequence_break", evidence))


def _together(exchange: Any, method: str) -> Callable[..., Awaitable[Any]] | None:
    """The method that takes several symbols, where the exchange has an equal one."""
    if method == "watch_ticker":
        return exchange.watch_tickers if exchange.id in _TICKERS_TOGETHER else None
    return getattr(exchange, f"{method}_for_symbols") if exchange.has.get(_TOGETHER[method]) else None
