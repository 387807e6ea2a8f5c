"""`CcxtCollector`: every message of one exchange through `ccxt.pro`, taken below ccxt's caches."""

import importlib
from difflib import get_close_matches
from typing import Any

from ingestion.collectors import ccxt_tap
from ingestion.collectors.base_collector import BaseCollector, SessionEnd
from ingestion.collectors.ccxt_options import METHODS, CcxtOptions, exchange_class
from ingestion.collectors.ccxt_session import HEARTBEATING, CcxtSession
from ingestion.exchanges import ccxt_rows
from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from ingestion.silence import SilenceWatch
from shared.errors import DaedalusError

_TRADES_PER_MESSAGE_MAX = 1_000_000  # ccxt's cache holds the trades of one message only, then it is emptied


class CcxtCollector(BaseCollector):
    """Collects what ccxt can stream of one exchange."""

    def __init__(self, options: CcxtOptions, inlet: Inlet, retry: RetryPolicy) -> None:
        super().__init__(inlet, retry)
        self.options = options
        self.ccxt = importlib.import_module("ccxt.pro")
        self.silence = SilenceWatch(options.silence)  # what it knows of each stream outlives a session
        self.instruments_ns: int | None = None  # when they were last stored
        self._base = exchange_class(options.ccxt_id)
        self._with_markets: Any = None  # an exchange object whose market list later sessions share
        self._seen_bugs: set[type[BaseException]] = set()

    async def session(self) -> SessionEnd:
        """One exchange object, from its creation to its end. Whatever ccxt raises, bugs of its own too, ends it."""
        try:
            return await self._collect()
        except self.ccxt.BaseError as error:
            return self.end_of(error)
        except Exception as error:  # noqa: BLE001  ccxt raises anything; what is ours goes on
            return self._end_of_bug(error)

    def end_of(self, error: Exception) -> SessionEnd:
        """What ccxt's error means: the exchange says no, or it cannot be talked to just now."""
        refused = isinstance(error, self.ccxt.ExchangeError)
        return SessionEnd("refused" if refused else "disconnect", f"{type(error).__name__}: {error}")

    async def _collect(self) -> SessionEnd:
        session = CcxtSession(self)
        exchange = session.exchange = self._exchange(session)
        try:
            end = await self._prepare(exchange)
            return end or await session.run()
        finally:
            await ccxt_tap.close(exchange)

    def _end_of_bug(self, error: Exception) -> SessionEnd:
        """A bug in ccxt costs this session and no other; one of ours is raised."""
        causes = list(_leaves(error))
        for each in causes:
            if isinstance(each, DaedalusError | AssertionError):
                raise each
        known = [each for each in causes if isinstance(each, self.ccxt.BaseError)]
        if known:
            return self.end_of(known[0])
        first = causes[0]
        if type(first) not in self._seen_bugs:
            self._seen_bugs.add(type(first))
            self._log.error("ccxt failed in a way it does not document; the session begins anew", exc_info=first)
        return SessionEnd("disconnect", f"ccxt failed: {type(first).__name__}: {first}")

    def _exchange(self, session: CcxtSession) -> Any:
        options = self.options
        own = {"options": {**options.options, "tradesLimit": _TRADES_PER_MESSAGE_MAX}}
        exchange = ccxt_tap.tapped_exchange(self._base, {**options.credentials, **own}, session)
        ccxt_rows.point(exchange.urls["api"], options.urls.get("api", options.urls))
        # Liveness is our watchdog's matter: while rows wait for room no pong is read, and that is no dead connection.
        exchange.streaming = {**exchange.streaming, "maxPingPongMisses": 1e9}
        if options.ccxt_id not in HEARTBEATING:
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
        if refusal := self._refusal(exchange, self.options):
            self._with_markets = None
            return SessionEnd("refused", refusal)
        return None

    def _refusal(self, exchange: Any, options: CcxtOptions) -> str | None:
        for table in options.tables:
            if not exchange.has.get(METHODS[table].flag):
                return f"ccxt has no {METHODS[table].flag} for {options.ccxt_id}"
        for symbol in options.symbols:
            if symbol not in exchange.markets:
                near = get_close_matches(symbol, exchange.symbols, 3, 0.3)
                return f"no market {symbol}; similar: {', '.join(near) or 'none'}"
        return None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


__all__ = ["CcxtCollector", "CcxtOptions", "exchange_class"]
