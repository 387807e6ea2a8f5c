"""The exchange as clients meet it: real sockets, real clients, no opinion about time."""

import asyncio
import json
from functools import partial

import aiohttp
import ccxt.pro
import pytest
import websockets

from ingestion.simulator import LocalExchange, SeededMarket, Timing, Truth, read_truth
from shared.errors import InputUnreadable, PortInUse

# A saturated websockets client reads no close frame; it need not wait 10 s for one.
connect = partial(websockets.connect, close_timeout=0.2)

FAST = Timing(speed=0, settle_s=0.02)


def market(**options):
    return SeededMarket(seed=3, symbols=["BTC-USD", "ETH-USD"], **options)


async def subscribe(ws, channel, *products):
    await ws.send(json.dumps({"type": "subscribe", "channel": channel, "product_ids": products}))


async def test_all_channels_together_are_one_sequence_and_trades_equal_the_truth():
    async with LocalExchange(market(), timing=FAST) as exchange:
        trades = {"BTC-USD": {}, "ETH-USD": {}}
        async with connect(exchange.coinbase_ws_url, max_size=None) as ws:
            for channel in ("heartbeats", "market_trades", "level2", "ticker"):
                await subscribe(ws, channel, "BTC-USD", "ETH-USD")
            for expected in range(10_000):
                frame = json.loads(await ws.recv())
                assert frame["sequence_num"] == expected
                if frame["channel"] == "market_trades":
                    for row in frame["events"][0]["trades"]:
                        trades[row["product_id"]][row["trade_id"]] = row
        for symbol, seen in trades.items():
            made = exchange.truth.trades("coinbase", symbol)[: len(seen)]
            assert [trade.id for trade in made] == sorted(seen, key=int)
            assert [(trade.price, trade.size, trade.time) for trade in made] == [
                (seen[trade.id]["price"], seen[trade.id]["size"], seen[trade.id]["time"]) for trade in made
            ]
            makers = {"buy": "SELL", "sell": "BUY"}
            assert all(seen[trade.id]["side"] == makers[trade.taker] for trade in made)
        assert exchange.truth.frames["coinbase"]["market_trades"] > 1000


async def kraken_trades(exchange, count):
    async with connect(exchange.kraken_ws_url) as ws:
        params = {"channel": "trade", "symbol": ["BTC/USD"]}
        await ws.send(json.dumps({"method": "subscribe", "params": params}))
        rows = []
        while len(rows) < count:
            body = json.loads(await ws.recv())
            rows += body["data"] if body.get("channel") == "trade" else []
    return [(row["trade_id"], row["price"], row["qty"], row["side"]) for row in rows[:count]]


async def test_equal_seeds_send_equal_trades_at_any_speed():
    runs = []
    for speed in (0, 1000):
        async with LocalExchange(market(), timing=Timing(speed=speed, settle_s=0.02)) as exchange:
            runs.append(await kraken_trades(exchange, 300))
    assert runs[0] == runs[1]
    first = runs[0][0][0]
    assert [row[0] for row in runs[0]] == list(range(first, first + 300))


async def test_the_market_waits_for_its_first_subscriber():
    async with LocalExchange(market(), timing=FAST) as exchange, connect(exchange.coinbase_ws_url) as ws:
        await ws.send('{"type":"subscribe","channel":"heartbeats"}')
        await ws.recv()
        await asyncio.sleep(0.1)
        assert exchange.truth.count() == 0
        await subscribe(ws, "market_trades", "BTC-USD")
        await ws.recv()
        await ws.recv()
        assert exchange.truth.count("coinbase") > 0
        assert exchange.truth.count("kraken") == 0


async def test_a_client_that_subscribes_to_nothing_is_closed():
    timing = Timing(subscribe_within_s=0.05, heartbeat_s=0.02)
    async with LocalExchange(market(), timing=timing) as exchange, connect(exchange.coinbase_ws_url) as ws:
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()


async def test_error_frames_leave_the_connection_open():
    async with LocalExchange(market(), timing=FAST) as exchange, connect(exchange.coinbase_ws_url) as ws:
        await subscribe(ws, "market_trades", "NO-USD")
        assert json.loads(await ws.recv())["type"] == "error"
        await subscribe(ws, "market_trades", "BTC-USD")
        assert json.loads(await ws.recv())["channel"] == "subscriptions"


async def collected(exchange, count):
    async with connect(exchange.coinbase_ws_url) as ws:
        await subscribe(ws, "market_trades", "BTC-USD", "ETH-USD")
        for _ in range(count):
            await ws.recv()


async def test_rest_fills_every_hole_by_time_and_by_id():
    async with LocalExchange(market(rate=1000), timing=FAST) as exchange, aiohttp.ClientSession() as http:
        await collected(exchange, 1500)
        await asyncio.sleep(0.05)  # the market stands still: nobody listens
        made = exchange.truth.trades("coinbase", "BTC-USD")
        brokerage = f"{exchange.coinbase_rest_url}/api/v3/brokerage/market"
        async with http.get(f"{brokerage}/products") as answer:
            product = (await answer.json())["products"][0]
            assert (product["product_id"], product["price_increment"], product["status"]) == (
                "BTC-USD",
                "0.01",
                "online",
            )
        async with http.get(f"{brokerage}/products/NO-USD") as answer:
            assert answer.status == 404
        window = {"limit": 1000, "start": made[0].ts_us // 1_000_000, "end": made[-1].ts_us // 1_000_000}
        async with http.get(f"{brokerage}/products/BTC-USD/ticker", params=window) as answer:
            rows = (await answer.json())["trades"]
        assert [row["trade_id"] for row in rows] == [trade.id for trade in reversed(made)][:1000]
        by_id = f"{exchange.coinbase_rest_url}/products/BTC-USD/trades"
        params = {"limit": 10, "after": made[20].id}
        async with http.get(by_id, params=params) as answer:
            assert [str(row["trade_id"]) for row in await answer.json()] == [t.id for t in made[19:9:-1]]
        async with http.get(f"{brokerage}/products/BTC-USD/ticker", params={"limit": "x"}) as answer:
            assert answer.status == 400


async def test_kraken_rest_pages_without_loss():
    async with LocalExchange(market(rate=1000), timing=FAST) as exchange, aiohttp.ClientSession() as http:
        async with connect(exchange.kraken_ws_url) as ws:
            params = {"channel": "trade", "symbol": ["BTC/USD"]}
            await ws.send(json.dumps({"method": "subscribe", "params": params}))
            for _ in range(600):
                await ws.recv()
        await asyncio.sleep(0.05)
        made = [trade.id for trade in exchange.truth.trades("kraken", "BTC-USD")]
        ids, since = [], "0"
        while True:
            query = {"pair": "XBTUSD", "since": since, "count": 100}
            async with http.get(f"{exchange.kraken_rest_url}/0/public/Trades", params=query) as answer:
                result = (await answer.json())["result"]
            ids += [str(row[6]) for row in result["XXBTZUSD"]]
            if result["last"] == since:
                break
            since = result["last"]
        assert list(dict.fromkeys(ids)) == made
        async with http.get(f"{exchange.kraken_rest_url}/0/public/Trades", params={"pair": "NOUSD"}) as answer:
            assert (await answer.json())["error"] == ["EQuery:Unknown asset pair"]


async def test_a_taken_port_is_said_plainly():
    async with LocalExchange(market(), timing=FAST) as first:
        with pytest.raises(PortInUse, match=str(first.port)):
            async with LocalExchange(market(), port=first.port):
                pass


async def test_what_the_body_raises_comes_out_as_it_is():
    with pytest.raises(KeyError):
        async with LocalExchange(market()):
            raise KeyError("mine")


async def test_the_log_tells_the_same_truth_while_it_is_written(tmp_path):
    log = tmp_path / "truth.ndjson"
    async with LocalExchange(market(), timing=FAST, truth_log=log) as exchange:
        await collected(exchange, 500)
        await asyncio.sleep(0.05)
        told = read_truth(log)
        for symbol in ("BTC-USD", "ETH-USD"):
            assert told.trades("coinbase", symbol) == exchange.truth.trades("coinbase", symbol)
        truth = exchange.truth
    assert read_truth(log).frames == truth.frames
    with log.open("ab") as torn:
        torn.write(b'{"kind":"tra')
    assert read_truth(log).count() == truth.count()
    with log.open("ab") as spoiled:
        spoiled.write(b"\n{}\n")
    with pytest.raises(InputUnreadable, match="not a line of a truth log"):
        read_truth(log)


def test_a_truth_that_is_no_longer_whole_refuses_to_be_compared(tmp_path):
    log = tmp_path / "truth.ndjson"
    moments = market(trade_share=1.0).moments("kraken", start_ns=0)
    items = {item.symbol: item for item in market().traded_on("kraken")}
    with Truth(log, keep=50) as truth:
        while truth.count() <= 50:
            moment = next(moments)
            truth.add("kraken", moment, items[moment.symbol])
    with pytest.raises(ValueError, match="log"):
        truth.trades("kraken", "BTC-USD")
    told = read_truth(log)
    assert sum(len(told.trades("kraken", symbol)) for symbol in told.symbols("kraken")) == truth.count()


@pytest.mark.parametrize("options", [{"venues": ["nyse"]}, {"venues": []}])
def test_unknown_venues_are_refused(options):
    with pytest.raises(ValueError):
        LocalExchange(market(), **options)


async def test_unmodified_ccxt_pro_reads_kraken():
    async with LocalExchange(market(), timing=Timing(settle_s=0.02)) as exchange:
        client = ccxt.pro.kraken({"urls": exchange.ccxt_urls("kraken"), "enableRateLimit": False})
        try:
            trades = await client.watch_trades("BTC/USD")
            book = await client.watch_order_book("BTC/USD", 25)
            for _ in range(50):
                book = await client.watch_order_book("BTC/USD", 25)
            ticker = await client.watch_ticker("ETH/USD")
            fetched = await client.fetch_trades("BTC/USD")
        finally:
            await client.close()
        made = {trade.id: trade for trade in exchange.truth.trades("kraken", "BTC-USD")}
        for seen in [*trades, *fetched]:
            assert float(made[seen["id"]].price) == seen["price"]
            assert float(made[seen["id"]].size) == seen["amount"]
            assert made[seen["id"]].taker == seen["side"]
        assert len(book["bids"]) == len(book["asks"]) == 25
        assert book["bids"][0][0] < book["asks"][0][0]
        assert ticker["bid"] < ticker["ask"]


async def test_unmodified_ccxt_pro_reads_coinbase():
    async with LocalExchange(market(), timing=Timing(settle_s=0.02)) as exchange:
        client = ccxt.pro.coinbase({"urls": exchange.ccxt_urls("coinbase"), "enableRateLimit": False})
        try:
            trades = await client.watch_trades("BTC/USD")
            book = await client.watch_order_book("BTC/USD")
            ticker = await client.watch_ticker("BTC/USD")
            fetched = await client.fetch_trades("BTC/USD", limit=50)
        finally:
            await client.close()
        made = {trade.id: trade for trade in exchange.truth.trades("coinbase", "BTC-USD")}
        assert all(float(made[seen["id"]].price) == seen["price"] for seen in [*trades, *fetched])
        assert book["bids"][0][0] < book["asks"][0][0]
        assert ticker["bid"] < ticker["ask"]
