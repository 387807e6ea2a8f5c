"""A market that is closed: nothing more happens, and everything that happened reaches its clients."""

import json

import pytest
import websockets

from ingestion.simulator import LocalExchange, SeededMarket, Timing


@pytest.mark.parametrize("speed", [0, 1])
async def test_a_client_gets_every_trade_of_a_market_that_was_closed(speed):
    source = SeededMarket(seed=3, symbols=["BTC-USD"], rate=5000)
    async with LocalExchange(source, timing=Timing(speed=speed, settle_s=0.02)) as exchange:
        async with websockets.connect(exchange.kraken_ws_url, close_timeout=0.2) as ws:
            params = {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": True}
            await ws.send(json.dumps({"method": "subscribe", "params": params}))
            heard = []
            while len(heard) < 500:
                heard += trade_ids(await ws.recv())
            assert await exchange.close_market(within_s=20)
            made = [trade.id for trade in exchange.truth.trades("kraken", "BTC-USD")]
            while heard[-1] != made[-1]:
                heard += trade_ids(await ws.recv())
        assert heard == made
        assert exchange.exhausted.is_set()


async def test_a_market_that_never_began_is_closed_at_once():
    async with LocalExchange(SeededMarket()) as exchange:
        assert await exchange.close_market(within_s=0.0)


def trade_ids(message):
    body = json.loads(message)
    return [str(row["trade_id"]) for row in body["data"]] if body.get("channel") == "trade" else []
