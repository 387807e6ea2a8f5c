"""Recorded Coinbase frames played again, byte for byte to whoever is there from the start.

File format: zstd JSON lines as cryptofeed's v3 branch writes them; only `recv` lines are used. A client that
comes later gets a snapshot made from what went before, then the remaining frames with its own sequence numbers.
"""

import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import zstandard

from ingestion.simulator.coinbase import CoinbaseSession, CoinbaseVenue
from ingestion.simulator.events import Instrument, Level, Moment, Print, Verbatim, decimals_of, steps
from ingestion.simulator.session import Frame
from shared.clock import us_from_utc
from shared.errors import InputUnreadable

_DECIMALS = 8
_SEQUENCE = b'"sequence_num":'


class _Line(msgspec.Struct):
    t: str
    ts: float = 0.0
    data: str = ""


class _Trade(msgspec.Struct):
    product_id: str
    trade_id: int
    price: str
    size: str
    time: datetime
    side: Literal["BUY", "SELL"]


class _Update(msgspec.Struct):
    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str


class _Event(msgspec.Struct):
    type: str = ""
    product_id: str = ""
    trades: list[_Trade] = []
    updates: list[_Update] = []

    @property
    def symbol(self) -> str:
        return self.product_id or (self.trades[0].product_id if self.trades else "")


class _Envelope(msgspec.Struct):
    channel: str
    sequence_num: int
    events: list[_Event]


class RecordedFrames:
    """One recorded Coinbase connection.

    Raises:
        InputUnreadable: the file is not such a recording, or holds a frame out of format.
    """

    has_book = True
    is_live = False

    def __init__(self, path: Path) -> None:
        frames = list(_frames(path))
        if not frames:
            raise InputUnreadable(f"{path}: holds no received frames")
        decimals: dict[str, int] = {}
        try:
            for _, _, envelope in frames:
                for event in envelope.events:
                    if event.symbol:
                        found = max((decimals_of(text) for text in _prices(event)), default=0)
                        decimals[event.symbol] = max(decimals.get(event.symbol, 0), found)
            self._instruments = tuple(Instrument(symbol, decimals[symbol], _DECIMALS) for symbol in sorted(decimals))
            self._moments = list(_moments(frames, decimals))
        except ValueError as error:
            raise InputUnreadable(f"{path}: {error}") from error

    def traded_on(self, venue: str) -> tuple[Instrument, ...]:
        """The recorded products, at Coinbase alone."""
        return self._instruments if venue == "coinbase" else ()

    def moments(self, venue: str, *, start_ns: int) -> Iterator[Moment]:
        """The recorded frames, timed by when they were received."""
        return iter(self._moments)


class RecordedVenue(CoinbaseVenue):
    """Makes the sessions of a replay."""

    def session(self) -> CoinbaseSession:
        """A conversation that plays the recording."""
        return RecordedSession(self)


class RecordedSession(CoinbaseSession):
    """A connection that is sent the recording, whatever it subscribed to.

    Acknowledgements, snapshots and heartbeats stand in the recording; a client that was there before its
    first frame is sent no others.
    """

    def __init__(self, venue: CoinbaseVenue) -> None:
        super().__init__(venue)
        self._came_late = False

    def receive(self, message: bytes, now_ns: int) -> list[Frame]:
        """Errors at once; anything else only for a client that came late."""
        self._came_late = self._came_late or self._venue.state.begun
        sequence = self._sequence
        frames = super().receive(message, now_ns)
        if self._came_late or (frames and frames[0].channel == "error"):
            return frames
        self._sequence = sequence
        return []

    def publish(self, moment: Moment) -> list[Frame]:
        """The recorded frame, with its own sequence number or this connection's."""
        recorded = moment.verbatim
        if recorded is None or not self.subscribed:
            return []
        if self._came_late:
            frame = Frame(recorded.channel, recorded.head + b"%d" % self._sequence + recorded.tail)
            self._sequence += 1
            return [frame]
        self._sequence = recorded.sequence + 1
        return [Frame(recorded.channel, recorded.frame)]

    def tick(self, now_ns: int) -> list[Frame]:
        """Heartbeats behind the recording's last frame; before that they stand in it."""
        return super().tick(now_ns) if self._venue.state.ended else []


def _frames(path: Path) -> Iterator[tuple[int, str, _Envelope]]:
    """Receive time, text and content of each received frame."""
    decode = msgspec.json.Decoder(_Envelope, strict=False).decode  # trade ids are texts of integers
    number = 0
    try:
        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
            for number, line in enumerate(io.BufferedReader(stream), 1):  # noqa: B007  named in errors
                entry = msgspec.json.decode(line, type=_Line)
                if entry.t == "recv":
                    yield round(entry.ts * 1_000_000) * 1000, entry.data, decode(entry.data)
    except OSError as error:
        raise InputUnreadable(f"{path}: {error.strerror or error}") from error
    except zstandard.ZstdError as error:
        raise InputUnreadable(f"{path}: not zstd: {error}") from error
    except msgspec.MsgspecError as error:
        raise InputUnreadable(f"{path}:{number}: {error}") from error


def _prices(event: _Event) -> Iterator[str]:
    yield from (trade.price for trade in event.trades)
    yield from (update.price_level for update in event.updates)


def _moments(frames: list[tuple[int, str, _Envelope]], decimals: dict[str, int]) -> Iterator[Moment]:
    last_id: dict[str, int] = {}
    for ts_ns, text, envelope in frames:
        frame = text.encode()
        head, mark, rest = frame.partition(_SEQUENCE)
        tail = rest.lstrip(b" 0123456789")
        verbatim = Verbatim(envelope.channel, frame, head + mark, tail, envelope.sequence_num)
        *before, last = envelope.events or [_Event()]
        for event in before:
            yield _moment(ts_ns, event, decimals, last_id)
        yield _moment(ts_ns, last, decimals, last_id)._replace(verbatim=verbatim)


def _moment(ts_ns: int, event: _Event, decimals: dict[str, int], last_id: dict[str, int]) -> Moment:
    symbol = event.symbol
    places = decimals.get(symbol, 0)
    fresh = sorted(
        (trade for trade in event.trades if trade.trade_id > last_id.get(symbol, 0)), key=lambda each: each.trade_id
    )
    if fresh:
        last_id[symbol] = fresh[-1].trade_id
    return Moment(
        ts_ns,
        symbol,
        tuple(
            Print(
                trade.trade_id,
                steps(trade.price, places),
                steps(trade.size, _DECIMALS),
                us_from_utc(trade.time) * 1000,
                trade.side == "SELL",  # the maker sold, so the taker bought
            )
            for trade in fresh
        ),
        tuple(
            Level(update.side == "bid", steps(update.price_level, places), steps(update.new_quantity, _DECIMALS))
            for update in event.updates
        ),
        resets_book=event.type == "snapshot" and bool(event.updates),
    )
