"""Every trade that the recordings hold, as tapes: real trades of one market in the order of the venue.

Side is the taker's. A tape without ids numbers its rows; the one trade without a size (bitstampUSD.csv) is left out.
"""

import base64
import csv
import gzip
import io
import json
import os
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import zstandard

from tests.etl.bars.reference import Trade

DATA = Path(os.environ.get("DAEDALUS_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Found = Iterator[tuple[str, Trade]]  # (market, trade)


def _us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def _trade(number: Any, us: Any, price: Any, amount: Any, side: Any, *, is_seq: bool = True) -> Trade:
    """Of a number that rises by the venue's word (`is_seq`), or of an opaque id."""
    words = {"buy": "buy", "b": "buy", "bid": "buy", "sell": "sell", "s": "sell", "ask": "sell"}
    word = words.get(str(side).lower())
    seq = int(number) if is_seq else None
    return Trade(str(number), int(us), Decimal(str(price)), Decimal(str(amount)), word, trade_seq=seq)


def _frames(path: Path) -> Iterator[str]:
    with path.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            record = json.loads(line)
            if record["t"] == "recv":
                frame = record["data"].encode() if "data" in record else base64.b64decode(record["b64"])
                yield (gzip.decompress(frame) if frame[:2] == b"\x1f\x8b" else frame).decode()


def _messages(name: str, *marks: str) -> Iterator[Any]:
    for frame in _frames(DATA / "cryptofeed" / "v3-branch" / f"{name}.jsonl.zst"):
        if any(mark in frame for mark in marks):
            yield json.loads(frame, parse_float=Decimal)


def coinbase() -> Found:
    taker = {"BUY": "sell", "SELL": "buy"}  # the venue names the maker's side
    for message in _messages("COINBASE", '"market_trades"'):
        for t in [t for event in message["events"] for t in event.get("trades", ())]:
            yield t["product_id"], _trade(t["trade_id"], _us(t["time"]), t["price"], t["size"], taker[t["side"]])


def binance(name: str = "BINANCE") -> Found:
    for message in _messages(name, "@aggTrade"):
        yield _binance(message["data"])


def _binance(t: dict[str, Any]) -> tuple[str, Trade]:
    side = "sell" if t["m"] else "buy"
    return t.get("s", ""), _trade(t.get("a", t.get("t")), t["T"] * 1000, t["p"], t["q"], side)


def bitfinex() -> Found:
    pairs = {}
    for message in _messages("BITFINEX", '"trades"', "["):
        if isinstance(message, dict):
            pairs[message.get("chanId")] = message.get("pair") if message.get("channel") == "trades" else None
        elif pairs.get(message[0]):
            prints = message[1] if isinstance(message[1], list) else message[2:3] if message[1] == "te" else ()
            for number, ms, size, price in prints:
                side = "buy" if size > 0 else "sell"
                yield pairs[message[0]], _trade(number, ms * 1000, price, abs(size), side)


def bitstamp() -> Found:
    for message in _messages("BITSTAMP", '"event":"trade"'):
        t, side = message["data"], ("buy", "sell")[message["data"]["type"]]
        yield message["channel"], _trade(t["id"], t["microtimestamp"], t["price_str"], t["amount_str"], side)


def gateio() -> Found:
    for message in _messages("GATEIO", '"spot.trades","event":"update"'):
        t = message["result"]
        us = int(Decimal(t["create_time_ms"]) * 1000)
        yield t["currency_pair"], _trade(t["id"], us, t["price"], t["amount"], t["side"])


def gemini() -> Found:
    for t in _messages("GEMINI", '"type":"trade"'):
        if "tid" in t:
            us = t["timestamp"] * 1000
            yield t["symbol"], _trade(t["tid"], us, t["price"], t["quantity"], t["side"], is_seq=False)


def huobi() -> Found:
    for message in _messages("HUOBI", '.trade.detail","ts"'):
        for t in message.get("tick", {}).get("data", ()):
            yield message["ch"], _trade(t["tradeId"], t["ts"] * 1000, t["price"], t["amount"], t["direction"])


def kraken() -> Found:
    row = 0
    for message in _messages("KRAKEN", '"trade",'):
        for price, size, seconds, side, *_ in message[1] if isinstance(message, list) else ():
            row += 1
            yield message[3], _trade(row, int(Decimal(seconds) * 10**6), price, size, side, is_seq=False)


def kucoin() -> Found:
    for message in _messages("KUCOIN", '"type":"match"'):
        t = message["data"]
        us = int(t["time"]) // 1000
        yield t["symbol"], _trade(t["tradeId"], us, t["price"], t["size"], t["side"], is_seq=False)


def okx() -> Found:
    for message in _messages("OKX", '"channel":"trades"'):
        for t in message.get("data", ()):
            yield t["instId"], _trade(t["tradeId"], int(t["ts"]) * 1000, t["px"], t["sz"], t["side"])


def upbit() -> Found:
    for t in _messages("UPBIT", '"ty":"trade"'):
        yield t["cd"], _trade(t["sid"], t["ttms"] * 1000, t["tp"], t["tv"], t["ab"])


def hftbacktest() -> Found:
    for path in sorted((DATA / "hftbacktest").glob("*/*.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            message = json.loads(line.split(" ", 1)[1], parse_float=Decimal)
            if message.get("channel") == "trades":
                for t in message["data"]:
                    trade = _trade(t["tid"], t["time"] * 1000, t["px"], t["sz"], {"B": "buy", "A": "sell"}[t["side"]])
                    trade.trade_seq = None
                    yield path.stem, trade
            elif str(message.get("stream", "")).endswith("@trade"):
                yield path.stem.split("_2")[0] + path.parent.name, _binance(message["data"])[1]


def _csv(*parts: str) -> Iterator[list[str]]:
    with DATA.joinpath(*parts).open(newline="") as file:
        yield from csv.reader(file)


def questdb() -> Found:
    for row, (symbol, side, price, amount, moment) in enumerate(_csv("questdb-sample-datasets", OLDER)):
        if row:
            yield symbol, _trade(row, _us(moment), price, amount, side, is_seq=False)


def pyalgotrade() -> Found:
    for row, (seconds, price, amount) in enumerate(_csv("pyalgotrade", "bitstampUSD.csv")):
        if Decimal(amount):
            yield "bitstampUSD", _trade(row, int(seconds) * 10**6, price, amount, None, is_seq=False)
    for number, price, amount, side in _csv("pyalgotrade", "trades-mgtox-usd-2013-01-01.csv"):
        if number != "id":
            yield "mtgoxUSD", _trade(number, number, price, amount, side)


def gocryptotrader() -> Found:
    rows = _csv("gocryptotrader", "testdata", "binance_BTCUSDT_24h-trades_2020_11_16.csv")
    for row, (seconds, price, amount, side) in enumerate(rows):
        yield "BTCUSDT", _trade(row, int(seconds) * 10**6, price, amount, side, is_seq=False)
    for venue in ("binance", "gemini"):
        path = DATA / "gocryptotrader" / "exchanges" / venue / "testdata" / "http.public-routes.json.zst"
        with path.open("rb") as raw:
            routes = json.loads(zstandard.ZstdDecompressor().stream_reader(raw).read(), parse_float=Decimal)["routes"]
        for route, answers in routes.items():
            for answer in answers.get("GET", ()):
                for t in answer["data"] if isinstance(answer["data"], list) else ():
                    if "rades" in route and {"m", "tid", "isBuyerMaker"} & set(t):
                        yield f"{venue}{route}{answer['queryString'].split('symbol=')[-1].split('&')[0]}", _rest(t)


def _rest(t: dict[str, Any]) -> Trade:
    if "tid" in t:
        return _trade(t["tid"], t["timestampms"] * 1000, t["price"], t["amount"], t["type"], is_seq=False)
    if "a" in t:
        return _binance(t)[1]
    side = "sell" if t["isBuyerMaker"] else "buy"
    return _trade(t["id"], t["time"] * 1000, t["price"], t["qty"], side)


def equities() -> Found:
    for path in sorted((DATA / "quantconnect-lean" / "equity" / "usa" / "tick").glob("*/*_trade.zip")):
        midnight = datetime.strptime(path.name[:8], "%Y%m%d").replace(tzinfo=ZoneInfo("America/New_York"))
        start_us = (midnight - EPOCH) // timedelta(microseconds=1)
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            for row, (ms, price, size, *_) in enumerate(csv.reader(io.TextIOWrapper(file))):
                number, us = f"{path.name[:8]}-{row}", start_us + int(ms) * 1000
                yield path.parent.name, _trade(number, us, Decimal(price) / 10_000, size, None, is_seq=False)


OLDER = "btc_trades.older-version.csv"
SOURCES: dict[str, Callable[[], Found]] = {
    "coinbase": coinbase,
    "binance": binance,
    "binance-futures": lambda: binance("BINANCE_FUTURES"),
    "bitfinex": bitfinex,
    "bitstamp": bitstamp,
    "gateio": gateio,
    "gemini": gemini,
    "huobi": huobi,
    "kraken": kraken,
    "kucoin": kucoin,
    "okx": okx,
    "upbit": upbit,
    "hftbacktest": hftbacktest,
    "questdb": questdb,
    "pyalgotrade": pyalgotrade,
    "gocryptotrader": gocryptotrader,
    "equities": equities,
}


@cache
def tapes(source: str) -> dict[str, list[Trade]]:
    """The tapes of a source by market: by the venue's numbers where it gives some, else by time, ties as they came."""
    found: dict[str, list[Trade]] = defaultdict(list)
    for market, trade in SOURCES[source]():
        found[market].append(trade)
    for trades in found.values():
        trades.sort(key=lambda t: t.us if t.trade_seq is None else t.trade_seq)
    return dict(found)
