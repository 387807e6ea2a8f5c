"""What every native exchange is fed with: its samples in `samples/<exchange>.jsonl`, and recordings where present.

One sample is one line, a JSON object:

    {"table": "trades", "symbol": "BTC/USD", "frame": "{...}", "rows": 2}
    {"table": "l2", "symbol": "BTC/USD", "rest": "book", "body": "{...}", "rows": 1}

`table` and `symbol` (as the settings name it) are the stream that must be wanted for the frame to mean something;
`frame` is a WebSocket text as the venue sends it. In place of it, `rest` is the purpose of a REST document (look |
poll | instruments | book) and `body` its text. `rows` is how many rows of `table` come of it (of instruments:
instruments; a book message counts its levels), told by a person, when the lines before it have been received and a
snapshot of the book is due at any time; left out: not checked.
Lines of an exchange are received in their order, by one session that wants all their streams.
"""

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import zstandard

from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.protocol import Exchange, Session, SessionOptions, Subscription
from shared.partitioning import stored_symbol

SAMPLES = Path(__file__).parent / "samples"
DATA = Path(os.environ.get("DAEDALUS_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
_V3, _V2 = DATA / "cryptofeed" / "v3-branch", DATA / "cryptofeed" / "v2-history"
RECORDED: dict[str, tuple[tuple[Path, ...], tuple[str, ...]]] = {  # files, and symbols to be wanted
    "coinbaseadvanced": ((_V3 / "COINBASE.jsonl.zst",), ("BTC/USD", "ETH/USD")),
    "binance": ((_V3 / "BINANCE.jsonl.zst",), ("NKN/USDT", "BLZ/ETH", "LRC/BTC", "RUNE/EUR")),
    "binanceusdm": (
        (_V3 / "BINANCE_FUTURES.jsonl.zst",),
        ("SUSHI/USDT:USDT", "AKRO/USDT:USDT", "KEEP/USDT:USDT", "CTK/USDT:USDT"),
    ),
    "bybit": (
        (_V2 / "BYBIT.ws.1.0@cfcfe682.zst", _V2 / "BYBIT.ws.2.0@0f79187c.zst"),
        ("SNT/USDT:USDT", "BAND/USDT:USDT", "AIOZ/USDT:USDT", "RAD/USDT:USDT", "OP/USDC", "TUSD/USDT", "KCS/USDT"),
    ),
    "kraken": ((DATA / "python-kraken-sdk" / "orderbook-v2.json",), ("BTC/USD",)),
    "okx": ((_V3 / "OKX.jsonl.zst",), ("BTC/USDT", "UNI/USD:UNI", "BTC/USD:BTC-220527")),
}


@dataclass(frozen=True)
class Sample:
    """One frame or REST document, and the stream it belongs to."""

    table: str
    symbol: str
    content: bytes
    rest: str | None = None
    rows: int | None = None


@cache
def samples(name: str) -> tuple[Sample, ...]:
    """The samples of an exchange, in their order."""
    path = SAMPLES / f"{name}.jsonl"
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return tuple(
        Sample(each["table"], each["symbol"], str(each.get("frame", each.get("body"))).encode(), each.get("rest"),
               each.get("rows"))
        for each in lines
    )  # fmt: skip


@cache
def recorded(name: str) -> tuple[bytes, ...]:
    """The frames of an exchange's recordings; none where the data is not here."""
    paths, _ = RECORDED.get(name, ((), ()))
    return tuple(frame for path in paths if path.exists() for frame in _frames(path))


def _frames(path: Path) -> Iterator[bytes]:
    if path.suffix == ".json":  # a snapshot and its updates; the numbers were written anew, without trailing zeros
        content = json.loads(path.read_text())
        yield from (json.dumps(each).encode() for each in (content["init"], *content["updates"]))
        return
    for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(path.open("rb")), encoding="utf-8"):
        if line.startswith("{"):
            record = json.loads(line)
            if record["t"] == "recv" and "data" in record:
                yield record["data"].encode()
        elif line[0].isdigit() and ": " in line:  # a time, and what was received then
            yield line.rstrip("\n").split(": ", 1)[1].encode()


def subscriptions(exchange: Exchange, pairs: set[tuple[str, str]]) -> list[Subscription]:
    """The streams (table, symbol as in the settings) of an exchange."""
    return [Subscription(table, stored_symbol(name), exchange.raw_symbol(name)) for table, name in sorted(pairs)]


def session_of(name: str, *, options: SessionOptions | None = None) -> Session:
    """A session that wants every stream of the samples, books also as snapshots, and all of the recorded symbols."""
    exchange = native_exchanges()[name](options)
    pairs = {(each.table, each.symbol) for each in samples(name) if each.table in exchange.profile.channels}
    pairs |= {("orderbook", symbol) for table, symbol in pairs if table == "l2"}
    if recorded(name):
        pairs |= {(table, symbol) for table in exchange.profile.channels for symbol in RECORDED[name][1]}
    return exchange.session(subscriptions(exchange, pairs))
