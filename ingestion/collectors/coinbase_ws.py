"""`CoinbaseCollector`: a socket around `ingestion.exchanges.coinbase`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from ingestion.collectors.base_collector import BaseCollector, SessionEnd
from ingestion.exchanges import coinbase
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from shared.errors import FrameMalformed, SettingsInvalid
from shared.rows import Reject, Row

_SUBSCRIBE_PAUSE_S = 0.13  # an unauthenticated client may send 8 messages a second


@dataclass(frozen=True)
class CoinbaseOptions:
    """What to collect from where."""

    url: str
    products: Mapping[str, tuple[str, ...]]  # by table: trades, ticker, l2
    silence_timeout_s: float = 5.0  # heartbeats come each second: this long without a frame is a dead connection
    keep_info: bool = False  # store the exchange's own record of each trade as well

    def __post_init__(self) -> None:
        """Refuse what the exchange would refuse."""
        unknown = sorted(set(self.products) - set(coinbase.CHANNELS))
        if unknown or not any(self.products.values()):
            raise ValueError(f"needs products for tables among {sorted(coinbase.CHANNELS)}, unknown: {unknown}")


class _Sequence:
    """The running number of one connection's frames."""

    def __init__(self) -> None:
        self.next = 0

    def see(self, number: int) -> int:
        """How many frames are missing before this one; negative for a frame that came again or late."""
        missing = number - self.next
        if missing >= 0:
            self.next = number + 1
        return missing


class CoinbaseCollector(BaseCollector):
    """Collects trades, ticker and every level-2 update of one connection's products."""

    def __init__(self, options: CoinbaseOptions, inlet: Inlet, retry: RetryPolicy) -> None:
        super().__init__(inlet, retry)
        self._options = options

    async def session(self) -> SessionEnd:
        """One connection, from its opening to its end."""
        try:
            connecting = connect(
                self._options.url,
                max_size=coinbase.FRAME_BYTES_MAX,
                compression=None,
                open_timeout=10,
                close_timeout=1,
                ping_interval=None,  # heartbeats prove more, and a pong waits behind our own full queue
            )
            async with connecting as socket:
                return await self._collect(socket)
        except InvalidStatus as error:
            wait_s = error.response.headers.get("Retry-After", "0")
            evidence = f"HTTP {error.response.status_code}"
            return SessionEnd("disconnect", evidence, float(wait_s) if wait_s.isdigit() else 0.0)
        except InvalidURI as error:
            raise SettingsInvalid(
                f"{error.uri} is no WebSocket address", hint="It begins with wss:// or ws://"
            ) from error
        except (OSError, TimeoutError, WebSocketException) as error:
            return SessionEnd("disconnect", f"{type(error).__name__}: {error}")

    async def _collect(self, socket: ClientConnection) -> SessionEnd:
        watchdog = _Watchdog(socket, self._options.silence_timeout_s)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watchdog.run())
            sending = tasks.create_task(self._subscribe(socket))
            try:
                return await self._receive(socket, watchdog)
            except ConnectionClosed as error:
                if watchdog.silent:
                    return SessionEnd("silence", f"no frame for {self._options.silence_timeout_s} s")
                return SessionEnd("disconnect", f"{type(error).__name__}: {error}")
            finally:
                watching.cancel()
                sending.cancel()

    async def _subscribe(self, socket: ClientConnection) -> None:
        try:
            for message in coinbase.subscribe_messages(self._options.products):
                await socket.send(message, text=True)
                await asyncio.sleep(_SUBSCRIBE_PAUSE_S)
        except ConnectionClosed:
            return  # the receiving side reports it

    async def _receive(self, socket: ClientConnection, watchdog: "_Watchdog") -> SessionEnd:
        sequence = _Sequence()
        inlet, clock = self.inlet, self.inlet.clock
        keep_info = self._options.keep_info
        while True:
            frame = await socket.recv(decode=False)
            wall_ns, mono_ns = clock.wall_ns(), clock.mono_ns()
            watchdog.fed = True
            rows: Sequence[Row]
            try:
                message = coinbase.decode(frame, keep_info=keep_info)
            except FrameMalformed as error:
                text = frame.decode(errors="backslashreplace")
                rows = [Reject(UNKNOWN_SYMBOL, None, "frames", error.reason, text)]
            else:
                if message.refusal is not None:
                    return SessionEnd("refused", message.refusal)
                if message.sequence_num is not None and message.sequence_num != sequence.next:
                    await self._broken(sequence, message.sequence_num, socket)
                elif message.sequence_num is not None:
                    sequence.next += 1
                rows = message.rows
            if inlet.full:
                watchdog.paused = True  # the silence is ours
                await inlet.room()
                watchdog.paused, watchdog.fed = False, True
            inlet.take(rows, wall_ns, mono_ns, len(frame))

    async def _broken(self, sequence: _Sequence, number: int, socket: ClientConnection) -> None:
        expected = sequence.next
        if sequence.see(number) < 0:
            self.inlet.statistics.repeated_frames += 1
            return
        self.inlet.statistics.sequence_breaks += 1
        self.inlet.interrupt("sequence_break", f"sequence_num {expected}..{number - 1} missing")
        if books := self._options.products.get("l2"):  # a book is whole again only from a fresh snapshot on
            for message in coinbase.resubscribe_l2(books):
                await socket.send(message, text=True)


class _Watchdog:
    """Aborts a connection on which nothing comes: pongs and open sockets prove nothing."""

    def __init__(self, socket: ClientConnection, timeout_s: float) -> None:
        self._socket, self._timeout_s = socket, timeout_s
        self.fed = False
        self.paused = False
        self.silent = False

    async def run(self) -> None:
        """Look once per timeout whether a frame has come since the last look."""
        while True:
            self.fed = False
            await asyncio.sleep(self._timeout_s)
            if not self.fed and not self.paused:
                self.silent = True
                self._socket.transport.abort()
                return
