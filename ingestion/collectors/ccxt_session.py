"""One exchange object of ccxt at work: subscribes, reads every connection, watches for silence."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType

from ingestion.collectors.base_collector import SessionEnd
from ingestion.collectors.ccxt_harvest import Harvest
from ingestion.collectors.ccxt_options import METHODS
from ingestion.collectors.ccxt_silence import CcxtSilence
from ingestion.exchanges import ccxt_rows
from ingestion.exchanges.ccxt_markets import instrument_rows
from shared.partitioning import stored_symbol
from shared.rows import Row

if TYPE_CHECKING:
    from ingestion.collectors.ccxt_collector import CcxtCollector

HEARTBEATING = frozenset({"kraken"})  # sends something each second by itself: there an answered ping proves nothing
_SYMBOLS_PER_CALL = 100
_TICKERS_TOGETHER = frozenset({"kraken"})  # elsewhere `watch_tickers` may be another, slower channel
_TRADE_PARAMS = {"kraken": {"snapshot": True}}  # the last 50 trades, which close small gaps; not sent unless asked for
_OVER = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})
_BOOK_WORDS = ("book", "depth", "l2", "level2")
_HEAD_CHARS = 200  # how far into a message its channel is looked for
_RESUBSCRIBE_PAUSE_S = 1.0
_INSTRUMENTS_EVERY_S = 86_400.0


class CcxtSession:
    """From the first subscription of an exchange object to whatever ends it."""

    exchange: Any

    def __init__(self, collector: "CcxtCollector") -> None:
        self._collector, self._inlet, self._options = collector, collector.inlet, collector.options
        self._harvest = Harvest(self._options)
        self._over: asyncio.Future[SessionEnd] = asyncio.get_running_loop().create_future()
        self._tasks: asyncio.TaskGroup | None = None
        self._readers: dict[str, asyncio.Task[None]] = {}  # by address
        self._alive: set[str] = set()  # addresses heard of since the watchdog last looked
        self._storing: set[str] = set()  # addresses not read just now, because their rows wait for room
        self._flowing = asyncio.Event()  # something has come: the exchange has not refused us
        self._heard: Any = None  # the decoded message that is being handled

    async def run(self) -> SessionEnd:
        """Collect until something ends it."""
        silence = CcxtSilence(self._collector, self.exchange, is_waiting=lambda: bool(self._storing), end=self.end)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            running = [tasks.create_task(self._drive(symbols, watch)) for symbols, watch in self._watches()]
            running += [
                tasks.create_task(each) for each in (self._watch_silence(), silence.run(), self._keep_instruments())
            ]
            try:
                return await self._over
            finally:
                self._tasks = None
                for task in [*running, *self._readers.values()]:
                    task.cancel()

    def end(self, end: SessionEnd) -> None:
        """Let the session be over; the first who says so gives the reason."""
        if not self._over.done():
            self._over.set_result(end)

    def connected(self, client: Any) -> None:
        """Read a connection that has just been made; a second one to an address means that the first is gone."""
        if client.url in self._readers:
            self.end(SessionEnd("disconnect", f"ccxt connected to {client.url} anew"))
        elif self._tasks is not None and not self._over.done():
            self._inlet.tell("connect", client.url)
            self._readers[client.url] = self._tasks.create_task(self._read(client))

    def message(self, message: Any) -> None:
        """Keep what ccxt is about to be given."""
        self._heard = message

    def ended(self, client: Any, evidence: str) -> None:
        """A connection is gone, and with it the session."""
        self.end(SessionEnd("disconnect", evidence, client.last_retry_after or 0.0))

    def _watches(self) -> Iterator[tuple[Sequence[str], Callable[[], Awaitable[Any]]]]:
        """The calls that subscribe, each with its symbols; many symbols in one where the exchange takes them."""
        exchange, options, name = self.exchange, self._options, self._options.ccxt_id
        arguments: dict[str, tuple[Any, ...]] = {
            "trades": (None, None, dict(_TRADE_PARAMS.get(name, {}))),
            "orderbook": (ccxt_rows.book_limit(name, options.orderbook_depth),),
        }
        for table, symbols in options.tables.items():
            own = arguments.get(table, ())
            together = _together(exchange, table)
            if together is None or len(symbols) < 2:
                for symbol in symbols:
                    yield (symbol,), partial(getattr(exchange, METHODS[table].name), symbol, *own)
                continue
            for first in range(0, len(symbols), _SYMBOLS_PER_CALL):
                some = list(symbols[first : first + _SYMBOLS_PER_CALL])
                yield some, partial(together, some, *own)

    async def _drive(self, symbols: Sequence[str], watch: Callable[[], Awaitable[Any]]) -> None:
        """Keep a subscription up. Its data goes another way: what comes back here is an error."""
        errors = self._collector.ccxt
        while True:
            try:
                result = await watch()
                unknown = f"ccxt's {self._options.ccxt_id} delivers {type(result).__name__}: not a form we can collect"
                self.end(SessionEnd("refused", unknown))  # rather than lose what the tap does not recognise
                return
            except errors.InvalidNonce as error:  # ccxt found a book broken; the next call subscribes anew
                stored = [stored_symbol(symbol) for symbol in symbols]
                self._inlet.interrupt("sequence_break", f"{type(error).__name__}: {error}", symbols=stored)
                await asyncio.sleep(_RESUBSCRIBE_PAUSE_S)
            except errors.BaseError as error:
                self.end(self._collector.end_of(error))
                return
            except asyncio.CancelledError:  # by us, or by ccxt closing a connection of its own accord
                self.end(SessionEnd("disconnect", "ccxt gave the connection up"))
                raise

    async def _watch_silence(self) -> None:
        """End the session when a connection says nothing for a whole interval although it is being read."""
        while True:
            self._alive.clear()
            watched = set(self._readers) - self._storing
            await asyncio.sleep(self._options.silence_timeout_s)
            if silent := watched - self._alive - self._storing:
                waited_s = self._options.silence_timeout_s
                self.end(SessionEnd("silence", f"no message on {min(silent)} for {waited_s} s"))
                return

    async def _keep_instruments(self) -> None:
        """Store what the exchange says of the wanted markets: once data flows, and daily."""
        collector, clock = self._collector, self._inlet.clock
        await self._flowing.wait()
        while True:
            if collector.instruments_ns is not None:
                age_s = (clock.mono_ns() - collector.instruments_ns) / 1e9
                if age_s < _INSTRUMENTS_EVERY_S:
                    await asyncio.sleep(_INSTRUMENTS_EVERY_S - age_s)
                await self.exchange.load_markets(True)
            wall_ns, mono_ns = clock.wall_ns(), clock.mono_ns()
            rows = instrument_rows(self.exchange.markets, self._options.symbols, keep_info=self._options.keep_info)
            collector.instruments_ns = mono_ns
            await self._inlet.put(rows, wall_ns=wall_ns, mono_ns=mono_ns)

    async def _read(self, client: Any) -> None:
        """Message after message: stamp, parse, store; the next is read when there was room for this one."""
        clock, heartbeating = self._inlet.clock, self._options.ccxt_id in HEARTBEATING
        while not self._over.done():
            message = await client.receive()
            wall_ns, mono_ns = clock.wall_ns(), clock.mono_ns()
            if message.type in _OVER:
                client.handle_message(message)  # ccxt may know more about it; else this is all there is to say
                self.end(SessionEnd("disconnect", f"{message.type.name} {message.data or ''}".strip()))
                return
            rows = self._rows(client, message, mono_ns)
            pong = isinstance(self._heard, dict) and self._heard.get("method") == "pong"
            if not heartbeating or (message.type is WSMsgType.TEXT and not pong):
                self._alive.add(client.url)
            self._storing.add(client.url)
            await self._inlet.put(rows, wall_ns=wall_ns, mono_ns=mono_ns, frame_bytes=len(message.data or b""))
            self._storing.discard(client.url)
            if rows:
                self._flowing.set()

    def _rows(self, client: Any, message: Any, mono_ns: int) -> list[Row]:
        """What ccxt makes of one message, as rows; what it stumbles over is kept as it came."""
        rows: list[Row] = []
        self._heard = None
        harvest, exchange = self._harvest, self.exchange
        try:
            rows.extend(harvest.rows(exchange, mono_ns))  # a book may have come by REST since the last message
            client.handle_message(message)
            rows.extend(harvest.rows(exchange, mono_ns))
        except self._collector.ccxt.ExchangeError as error:  # how ccxt's parsers pass on an exchange's error message
            self.end(self._collector.end_of(error))
        except Exception as error:  # noqa: BLE001  ccxt's parsers raise anything; one bad frame must not end capture
            reason = f"{type(error).__name__}: {error}"
            rows.append(ccxt_rows.unreadable_row(message.data, reason))
            self._doubt(message.data, reason)
        if refusal := ccxt_rows.refusal(self._heard):
            if self._inlet.statistics.rows:  # one symbol's trouble: the others go on
                rows.append(ccxt_rows.unreadable_row(message.data, refusal, channel="subscriptions"))
            else:
                self.end(SessionEnd("refused", refusal))
        return rows

    def _doubt(self, data: str | bytes, reason: str) -> None:
        """A message was lost on us: say so, and where it was a book's begin anew, since the book is wrong now."""
        evidence = f"a frame could not be read, it is in rejects: {reason}"
        self._inlet.interrupt("sequence_break", evidence)
        head = str(data[:_HEAD_CHARS])
        if self._harvest.has_books and any(word in head for word in _BOOK_WORDS):
            self.end(SessionEnd("sequence_break", evidence))


def _together(exchange: Any, table: str) -> Callable[..., Awaitable[Any]] | None:
    """The method that takes several symbols, where the exchange has an equal one."""
    if table == "ticker":
        return exchange.watch_tickers if exchange.id in _TICKERS_TOGETHER else None
    method = METHODS[table]
    return getattr(exchange, f"{method.name}_for_symbols") if exchange.has.get(method.together) else None
