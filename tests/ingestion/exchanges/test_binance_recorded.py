"""Recorded frames of Binance give the trades and books that the raw JSON says, worked out here without our decoder."""

import gzip
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ingestion.exchanges.binance import Binance
from ingestion.exchanges.binanceus import BinanceUs
from ingestion.exchanges.binanceusdm import BinanceUsdm
from ingestion.exchanges.protocol import Exchange, SessionOptions, Subscription
from shared.partitioning import stored_symbol
from shared.rows import Candle, L2Message, OrderBook, Reject, Ticker, Trade
from tests.ingestion.exchanges.book_reading import Book, Stored, rebuilt

DATA = Path(os.environ.get("DAEDALUS_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}; set DAEDALUS_TEST_DATA")
TABLES = ("trades", "ticker", "l2", "orderbook", "candles")
SPOT_FILES = ("spot/ethusdt_20240808.gz", "spot/ethusdt_20240809.gz")
USDM_FILES = ("usdm/ethusdt_20240808.gz",)
SUSHI = "SUSHI-USDT_USDT"


def session_of(exchange: Exchange, *symbols: str) -> Stored:
    streams = [
        Subscription(table, stored_symbol(each), exchange.raw_symbol(each)) for table in TABLES for each in symbols
    ]
    return Stored(exchange.session(streams))


@cache
def hftbacktest(*names: str) -> list[tuple[int, bytes]]:
    """Local nanoseconds and JSON of each line."""
    lines = [
        line for name in names for line in gzip.decompress((DATA / "hftbacktest" / name).read_bytes()).splitlines()
    ]
    return [(int(time), text) for time, text in (line.split(b" ", 1) for line in lines if line)]


@cache
def cryptofeed(name: str) -> list[tuple[int, str | None, bytes]]:
    """Local nanoseconds, the address of a REST document, and the text, in the order in which they came."""
    packed = (DATA / "cryptofeed" / "v3-branch" / name).open("rb")
    lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8")
    records = [each for each in map(json.loads, lines) if each["t"] in {"recv", "http"}]
    records.sort(key=lambda each: each["ts"])
    return [(int(each["ts"] * 1e6) * 1000, each.get("url"), each["data"].encode()) for each in records]


def replay_hftbacktest(stored: Stored, *names: str) -> Stored:
    for time_ns, text in hftbacktest(*names):
        if text.startswith(b'{"lastUpdateId'):
            stored.answer(text, time_ns)
        else:
            stored.receive(text, time_ns)
    return stored


def raw_messages(*names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, text in hftbacktest(*names):
        message = json.loads(text)
        yield message.get("stream", "snapshot").partition("@")[2], message.get("data", message)


def raw_book(messages: list[dict[str, Any]]) -> Book:
    """The book by the documents alone: the snapshot, and every update above it."""
    snapshot = next(each for each in messages if "lastUpdateId" in each)
    book: Book = {"bid": {}, "ask": {}}
    for side, name in (("bid", "bids"), ("ask", "asks")):
        book[side] = {float(price): float(size) for price, size in snapshot[name]}
    for each in messages:
        if "u" in each and each["u"] > snapshot["lastUpdateId"]:
            for side, name in (("bid", "b"), ("ask", "a")):
                for price, size in each[name]:
                    if float(size):
                        book[side][float(price)] = float(size)
                    else:
                        book[side].pop(float(price), None)
    return book


def assert_same_trade(row: Trade, raw: dict[str, Any]) -> None:
    assert (Decimal(repr(row.price)), Decimal(repr(row.amount))) == (Decimal(raw["p"]), Decimal(raw["q"]))
    assert (row.trade_id, row.trade_seq, row.timestamp) == (str(raw["t"]), raw["t"], raw["T"] * 1000)
    assert row.side == row.side_raw == ("sell" if raw["m"] else "buy")
    assert row.price_text is row.amount_text is row.info_json is None


@pytest.mark.parametrize(
    ("exchange", "symbol", "files", "ids"),
    [
        (Binance(), "ETH/USDT", SPOT_FILES, range(1520538925, 1520538925 + 6_106 + 8_409)),
        (BinanceUs(), "ETH/USDT", SPOT_FILES[:1], range(1520538925, 1520538925 + 6_106)),
        (BinanceUsdm(), "ETH/USDT:USDT", USDM_FILES, range(4308068523, 4308068523 + 14_076)),
    ],
    ids=["binance", "binanceus", "binanceusdm"],
)
def test_recorded_trades_and_books_are_what_the_exchange_sent(
    exchange: Exchange, symbol: str, files: tuple[str, ...], ids: range
) -> None:
    name = stored_symbol(symbol)
    stored = replay_hftbacktest(session_of(exchange, symbol), *files)
    raw: dict[str, list[dict[str, Any]]] = {}
    for kind, data in raw_messages(*files):
        raw.setdefault("depth" if kind.startswith("depth") or not kind else kind, []).append(data)
    trades = stored.of(Trade)
    assert [row.trade_seq for row in trades] == list(ids)
    for row, data in zip(trades, raw["trade"], strict=True):
        assert_same_trade(row, data)
    for row, data in zip(stored.of(Ticker), raw["bookTicker"], strict=True):
        assert (repr(row.bid), repr(row.ask)) == (repr(float(data["b"])), repr(float(data["a"])))
        assert (row.bid_volume, row.ask_volume) == (float(data["B"]), float(data["A"]))
    updates = [each for each in raw["depth"] if "u" in each]
    messages = stored.of(L2Message)
    assert [row.update_id for row in messages if not row.is_snapshot] == [each["u"] for each in updates]
    moments = [each.get("T", each["E"]) * 1000 for each in updates]  # the matching engine's, where it is told
    assert [row.timestamp for row in messages if not row.is_snapshot] == moments
    assert sum(row.is_snapshot for row in messages) == 1
    assert sum(map(len, messages)) == sum(
        len(each.get("b", each.get("bids"))) + len(each.get("a", each.get("asks"))) for each in raw["depth"]
    )
    tops = {data["u"]: (float(data["b"]), float(data["a"])) for data in raw["bookTicker"]}
    agreed: Counter[bool] = Counter()

    def check(book: Book, version: int) -> None:
        if version in tops:
            agreed[(max(book["bid"]), min(book["ask"])) == tops[version]] += 1

    book, version = rebuilt(stored.rows, name, check)
    assert book == raw_book(raw["depth"])
    assert version == updates[-1]["u"]
    assert set(agreed) == {True}  # the best prices that the exchange itself sent for the same versions
    assert agreed[True] > 100
    assert (stored.breaks(), stored.requests, stored.repeats, stored.malformed) == ([], [], 0, 0)
    assert stored.of(Reject) == []
    snapshots = stored.of(OrderBook)
    assert len(snapshots) > 250  # one a second
    assert all(len(row.bids) == len(row.asks) == 50 and row.best_bid < row.best_ask for row in snapshots)


def replay_cryptofeed(stored: Stored, name: str, *, without: bytes | None = None) -> Stored:
    """Each REST book is given where it came; the addresses name the raw symbol."""
    symbols = dict(stored.session.symbols)
    for time_ns, url, text in cryptofeed(name):
        if url is None and text != without:
            stored.receive(text, time_ns)
        elif url is not None and "/depth?symbol=" in url:
            stored.answer(text, time_ns, symbols[url.partition("symbol=")[2].partition("&")[0]])
    return stored


RECORDED = [
    (Binance(), "BINANCE.jsonl.zst", ("NKN/USDT", "BLZ/ETH", "LRC/BTC", "RUNE/EUR")),
    (
        BinanceUsdm(),
        "BINANCE_FUTURES.jsonl.zst",
        ("SUSHI/USDT:USDT", "AKRO/USDT:USDT", "KEEP/USDT:USDT", "CTK/USDT:USDT"),
    ),
]


@pytest.mark.parametrize(("exchange", "name", "symbols"), RECORDED, ids=["binance", "binanceusdm"])
def test_four_recorded_books_at_once_are_what_the_documents_say(
    exchange: Exchange, name: str, symbols: tuple[str, ...]
) -> None:
    stored = replay_cryptofeed(session_of(exchange, *symbols), name)
    assert (stored.breaks(), stored.requests, stored.malformed) == ([], [], 0)
    streamed = [json.loads(text)["data"] for _, url, text in cryptofeed(name) if url is None]
    for symbol in symbols:
        raw = exchange.raw_symbol(symbol)
        documents = [json.loads(text) for _, url, text in cryptofeed(name) if url and f"symbol={raw}&" in url]
        updates = [each for each in streamed if each.get("e") == "depthUpdate" and each["s"] == raw]
        book, _ = rebuilt(stored.rows, stored_symbol(symbol))
        assert book == raw_book([*documents, *updates])
        ids = [row.update_id for row in stored.of(L2Message, stored_symbol(symbol)) if not row.is_snapshot]
        assert ids == [each["u"] for each in updates]


def test_recorded_candles() -> None:
    exchange, name, symbols = RECORDED[0]
    stored = replay_cryptofeed(session_of(exchange, *symbols), name)
    assert stored.of(Candle)[0] == Candle(
        "NKN-USDT", 1633998480000000, 60, 0.3527, 0.3528, 0.3522, 0.3528, 25877.0, 9116.046, 30, False
    )
    assert len(stored.of(Candle)) == 2


def test_a_lost_frame_is_one_break_of_one_symbol_and_one_fetch() -> None:
    exchange, name, symbols = RECORDED[1]
    whole = replay_cryptofeed(session_of(exchange, *symbols), name)
    frames = [text for _, url, text in cryptofeed(name) if url is None and b'"SUSHIUSDT","U"' in text]
    lost = frames[len(frames) // 2]
    holed = replay_cryptofeed(session_of(exchange, *symbols), name, without=lost)
    (found,) = holed.breaks()
    assert (found.cause, found.symbols, found.tables) == ("sequence_break", (SUSHI,), ("l2", "orderbook"))
    (request,) = holed.requests
    assert (request.symbol, request.purpose) == (SUSHI, "book")
    for symbol in map(stored_symbol, symbols):
        rows, expected = holed.of(L2Message, symbol), whole.of(L2Message, symbol)
        if symbol != SUSHI:
            assert rebuilt(holed.rows, symbol) == rebuilt(whole.rows, symbol)
            assert [row.update_id for row in rows] == [row.update_id for row in expected]
    last = json.loads(frames[-1])["data"]["u"]
    body = json.dumps({"lastUpdateId": last, "bids": [["7.1", "3"]], "asks": [["7.2", "4"]]}).encode()
    holed.answer(body)
    holed.session.resync(SUSHI)
    ids = [row.update_id for row in holed.of(L2Message, SUSHI) if not row.is_snapshot]
    assert ids == [json.loads(text)["data"]["u"] for text in frames if text != lost]


def test_the_exchange_s_own_record_is_kept_where_that_is_set() -> None:
    exchange = Binance(SessionOptions(keep_info=True))
    stored = replay_hftbacktest(session_of(exchange, "ETH/USDT"), SPOT_FILES[0])
    raw = [json.loads(text)["data"] for _, text in hftbacktest(SPOT_FILES[0]) if b"@trade" in text]
    assert [json.loads(row.info_json) for row in stored.of(Trade)] == raw
