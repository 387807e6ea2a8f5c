"""The tap below ccxt's caches: a mixin over an exchange of `ccxt.pro` that hears every single message.

ccxt's `watch_*` calls return state: what came between two awaits is hidden, and its receive loop reads without
waiting for anyone. So each connection gets a loop of ours in place of ccxt's. It reads one message, stamps it, lets
ccxt parse it, takes what ccxt resolved, and waits until that is stored before it reads the next. While it waits,
nothing reads the socket, and back-pressure reaches the exchange. The futures of `watch_*` are never resolved with
market data; they only subscribe, and fail where ccxt knows of a failure.

Source: ccxt 4.5.90, async_support/base/ws/client.py (`receive_loop`, `resolve`, `open`) and
async_support/base/exchange.py (`client`, `on_error`, `on_close`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

FRAME_BYTES_MAX = 64 << 20  # ccxt asks for 10 MiB, less than a book snapshot of Coinbase's BTC-USD


class Listener(Protocol):
    """What a session wants to hear from its connections."""

    def connected(self, client: Any) -> None:
        """A connection is open: read it."""

    def message(self, message: Any) -> None:
        """A decoded message is about to be given to ccxt."""

    def ended(self, client: Any, evidence: str) -> None:
        """A connection could not be made, failed or was closed."""


class Touched:
    """The market data that ccxt has resolved since it was last taken, each structure once, in order."""

    def __init__(self) -> None:
        self._found: dict[int, Any] = {}

    def add(self, result: Any) -> bool:
        """Keep a cache or list of trades or candles, a book, ticker, funding rate or liquidation; False for else."""
        several = list(result.values()) if isinstance(result, dict) else result
        if is_cache(result) or is_book(result) or _is_lone(result) or _all(several, is_trade):
            self._found[id(result)] = result
            return True
        if _all(several, _is_lone):
            self._found.update((id(each), each) for each in several)
            return True
        return isinstance(result, list) and len(result) == 3 and is_cache(result[2]) and self.add(result[2])

    def take(self) -> list[Any]:
        """Everything touched, and forget it."""
        found, self._found = self._found, {}
        return list(found.values())


class Tapped:
    """Mixed in before a `ccxt.pro` class; `listener` and `touched` are set before anything connects."""

    listener: Listener
    touched: Touched
    tapped: list[Any]  # every connection of this exchange object; ccxt forgets those that failed

    def client(self, url: str) -> Any:
        """The connection that ccxt makes to `url`, with our receive loop and our ear at its results."""
        client = super().client(url)  # type: ignore[misc]
        if client not in self.tapped:
            self.tapped.append(client)
            client.receive_loop = lambda: self.listener.connected(client)
            client.resolve = _heard(client.resolve, self.touched)
            client.create_connection = _roomy(client.create_connection)
        return client

    def handle_message(self, client: Any, message: Any) -> None:
        """Let the listener see the message, then ccxt."""
        self.listener.message(message)
        super().handle_message(client, message)  # type: ignore[misc]

    def on_error(self, client: Any, error: Any) -> None:
        """A dial, a send or a ping failed."""
        super().on_error(client, error)  # type: ignore[misc]
        self.listener.ended(client, f"{type(error).__name__}: {error}")

    def on_close(self, client: Any, code: Any) -> None:
        """The exchange closed the connection."""
        super().on_close(client, code)  # type: ignore[misc]
        self.listener.ended(client, f"closed with code {code}")


def tapped_exchange(base: type[Any], config: Mapping[str, Any], listener: Listener) -> Any:
    """A new exchange object of a `ccxt.pro` class, heard by `listener`."""
    exchange = type(base.__name__, (Tapped, base), {})(dict(config))
    exchange.listener, exchange.touched, exchange.tapped = listener, Touched(), []
    return exchange


def is_cache(result: Any) -> bool:
    """Whether this is ccxt's cache of trades or candles, which goes on collecting until it is emptied."""
    return hasattr(result, "getLimit")


def is_trade(result: Any) -> bool:
    """Whether this is ccxt's public trade structure."""
    return isinstance(result, dict) and "takerOrMaker" in result and "amount" in result


def is_book(result: Any) -> bool:
    """Whether this is ccxt's standing order book."""
    return isinstance(result, dict) and "bids" in result and "asks" in result


def is_ticker(result: Any) -> bool:
    """Whether this is ccxt's ticker structure."""
    return isinstance(result, dict) and "baseVolume" in result and "last" in result


def is_funding(result: Any) -> bool:
    """Whether this is ccxt's funding rate structure."""
    return isinstance(result, dict) and "fundingRate" in result and "markPrice" in result


def is_liquidation(result: Any) -> bool:
    """Whether this is ccxt's public liquidation structure."""
    return isinstance(result, dict) and "contracts" in result and "baseValue" in result


def _is_lone(result: Any) -> bool:
    return is_ticker(result) or is_funding(result) or is_liquidation(result)


async def close(exchange: Any) -> None:
    """Close an exchange object and everything it opened, without waiting for an exchange that does not answer."""
    if exchange.session is not None:
        await exchange.session.close()  # cuts the sockets: closing handshakes would wait up to 10 s on a dead one
    for client in exchange.tapped:
        await client.close()
    await exchange.close()


def _all(several: Any, is_kind: Callable[[Any], bool]) -> bool:
    return isinstance(several, list) and bool(several) and all(is_kind(each) for each in several)


def _heard(resolve: Callable[..., Any], touched: Touched) -> Callable[..., Any]:
    def heard(result: Any, message_hash: Any = None) -> Any:
        return result if touched.add(result) else resolve(result, message_hash)

    return heard


def _roomy(create_connection: Callable[..., Any]) -> Callable[..., Any]:
    return lambda session: create_connection(_Roomy(session))


class _Roomy:
    """A session whose WebSockets take larger messages than ccxt asks for."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.cookie_jar = session.cookie_jar

    def ws_connect(self, url: str, **options: Any) -> Any:
        return self._session.ws_connect(url, **options | {"max_msg_size": FRAME_BYTES_MAX})
