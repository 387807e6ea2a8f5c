"""Kraken spot, WebSocket v2: addresses, limits, names and REST documents, pure.

Trade ids count up by one per symbol, so a jump proves a loss, also across connections. No message has a sequence
number: only the book's checksum proves that no update is missing.

Source: docs.kraken.com, WebSocket API v2 and REST market data; recorded book of 2023-07-30.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from ingestion.exchanges.kraken_session import L2_DEPTH, KrakenSession
from ingestion.exchanges.kraken_wire import EXCHANGE_NAME
from ingestion.exchanges.protocol import Channel, Exchange, Limits, Newest, Profile, Request, Subscription
from ingestion.exchanges.wire_values import ID_DIGITS_MAX, optional_number
from shared.errors import FrameMalformed
from shared.rows import Instrument

_SYMBOL = re.compile(r"[A-Za-z0-9.]+/[A-Za-z0-9.]+", re.ASCII)
_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}  # of REST; WebSocket v2 has the usual ones
_NEW_NAMES = {old: new for new, old in _OLD_NAMES.items()}
_SECONDS_MAX = 4_000_000_000

PROFILE = Profile(
    name=EXCHANGE_NAME,
    title="Kraken",
    ws_url="wss://ws.kraken.com/v2",
    rest_url="https://api.kraken.com/0/public",
    source="docs.kraken.com, WebSocket API v2 and REST market data; recorded book of 2023-07-30",
    channels={
        "trades": Channel("trade", ("contiguous ids",), "each subscription begins with the last 50 trades"),
        "ticker": Channel("ticker", ("none",), "sent after trades, not at each change of the best prices"),
        "l2": Channel(
            "book",
            ("checksum",),
            f"the best {L2_DEPTH} levels; CRC32 over the best ten after every message. Kraken sends no removal for a "
            "level that others push out of the depth: the row that removes it is ours, at the end of the message",
        ),
        "orderbook": Channel(
            "book", ("derived from l2",), "without level 2: of the smallest depth that holds the wanted one"
        ),
        "candles": Channel("ohlc", ("none",), "1 minute, sent at trades; each subscription begins with past ones"),
    },
    limits=Limits(
        streams_per_connection=200,  # ours: none is documented
        symbols_per_message=100,  # ours
        messages_per_s=5.0,  # ours; the venue's limit changes, and what exceeds it is answered with an error
        connections_per_minute=15.0,  # about 150 in ten minutes
        rest_weight_per_minute=60.0,
    ),
    silence_timeout_s=10.0,  # heartbeats come each second where nothing else does
    notes="Spot alone. Nothing but the checksum and the trade ids proves that messages arrived; a connection has no "
    "sequence. Numbers are JSON numbers whose text is kept.",
)


class Kraken(Exchange):
    """Kraken spot."""

    profile = PROFILE

    def raw_symbol(self, symbol: str) -> str:
        """BTC/USD is BTC/USD in v2."""
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"{symbol!r} is no spot symbol of Kraken; they look like BTC/USD")
        return symbol

    def session(self, wanted: Iterable[Subscription]) -> KrakenSession:
        """The protocol of one connection."""
        return KrakenSession(self, wanted)

    def look(self, subscription: Subscription) -> Request:
        """The last trade: whatever the stream, a market that trades also quotes."""
        url = f"{self.rest_url}/Trades?pair={_rest_name(subscription.raw_symbol)}&count=1"
        return Request(url, 1, "look", subscription.table, subscription.symbol)

    def newest(self, subscription: Subscription, body: bytes) -> Newest:
        """The last trade's id and time."""
        result = _result(body)
        trades: Any = next((each for name, each in result.items() if name != "last"), [])
        if not trades:
            return Newest(None, None)
        try:
            last = trades[-1]
            return Newest(_trade_number(last), int(Decimal(_seconds(last)) * 1_000_000))
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise FrameMalformed(EXCHANGE_NAME, f"trades by REST: {error!r}") from error

    def instruments_requests(self, wanted: Iterable[Subscription]) -> list[Request]:
        """One document of all pairs: a list with an unknown one in it would be refused whole."""
        return [Request(f"{self.rest_url}/AssetPairs", 1, "instruments")] if list(wanted) else []

    def instruments(self, body: bytes, wanted: Iterable[Subscription]) -> list[Instrument]:
        """The wanted pairs."""
        names = {each.raw_symbol: each.symbol for each in wanted}
        found = []
        for pair in _pairs(body):
            raw = _new_name(pair.wsname)
            if raw in names:
                found.append(_instrument(names[raw], raw, pair))
        return found


class _Answer(msgspec.Struct):
    error: list[str] = []
    result: dict[str, Any] = {}


class _Pair(msgspec.Struct):
    wsname: str = ""
    status: str | None = None
    pair_decimals: int | None = None
    lot_decimals: int | None = None
    tick_size: str | None = None
    ordermin: str | None = None
    costmin: str | None = None


class _PairsAnswer(msgspec.Struct):
    error: list[str] = []
    result: dict[str, _Pair] = {}


def _result(body: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE_NAME, f"REST: {error}") from error
    if answer.error:
        raise FrameMalformed(EXCHANGE_NAME, f"REST: {', '.join(answer.error)[:300]}")
    return answer.result


def _pairs(body: bytes) -> Iterable[_Pair]:
    try:
        answer = msgspec.json.decode(body, type=_PairsAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE_NAME, f"AssetPairs by REST: {error}") from error
    if answer.error:
        raise FrameMalformed(EXCHANGE_NAME, f"AssetPairs by REST: {', '.join(answer.error)[:300]}")
    return answer.result.values()


def _instrument(symbol: str, raw: str, pair: _Pair) -> Instrument:
    base, _, quote = raw.partition("/")
    return Instrument(
        symbol,
        None,
        raw_symbol=raw,
        kind="spot",
        base=base,
        quote=quote,
        status=pair.status,
        tick_size=optional_number(pair.tick_size) or _step(pair.pair_decimals),
        lot_size=_step(pair.lot_decimals),
        amount_min=optional_number(pair.ordermin),
        cost_min=optional_number(pair.costmin),
    )


def _step(decimals: int | None) -> float | None:
    """The smallest number with so many decimals.

    >>> _step(8), _step(0), _step(None)
    (1e-08, 1.0, None)
    """
    return float(f"1e-{decimals}") if decimals is not None and 0 <= decimals <= 30 else None


def _rest_name(raw: str) -> str:
    """REST's name of a pair.

    >>> _rest_name("BTC/USD"), _rest_name("SOL/EUR")
    ('XBTUSD', 'SOLEUR')
    """
    return "".join(_OLD_NAMES.get(part, part) for part in raw.split("/"))


def _new_name(wsname: str) -> str:
    """WebSocket v2's name of a pair from the older one.

    >>> _new_name("XBT/USD"), _new_name("XDG/EUR"), _new_name("SOL/USD")
    ('BTC/USD', 'DOGE/EUR', 'SOL/USD')
    """
    return "/".join(_NEW_NAMES.get(part, part) for part in wsname.split("/"))


def _trade_number(trade: list[Any]) -> int | None:
    number = trade[6] if len(trade) > 6 else None  # not in older answers
    return number if type(number) is int and 0 <= number < 10**ID_DIGITS_MAX else None


def _seconds(trade: list[Any]) -> str:
    seconds = trade[2]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < _SECONDS_MAX:
        raise ValueError(f"{seconds!r} is no time")
    return repr(seconds)


EXCHANGE = Kraken
