"""Candles, funding rates and liquidations through ccxt, from a local server that speaks OKX v5's documented frames."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import WSMsgType, web

from ingestion.collectors.ccxt_collector import CcxtCollector, CcxtOptions
from ingestion.continuity import Feed
from ingestion.exchanges.ccxt_markets import candle_rows, funding_row, instrument_rows, liquidation_row
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from ingestion.retry import RetryPolicy
from shared.clock import SystemClock
from shared.rows import Candle, Funding, Gap, Instrument, Liquidation, Reject, Row

SWAP = "BTC-USDT-SWAP"
UNIFIED = "BTC/USDT:USDT"
INSTRUMENT = {
    "instType": "SWAP",
    "instId": SWAP,
    "uly": "BTC-USDT",
    "instFamily": "BTC-USDT",
    "baseCcy": "",
    "quoteCcy": "",
    "settleCcy": "USDT",
    "ctVal": "0.01",
    "ctMult": "1",
    "ctValCcy": "BTC",
    "ctType": "linear",
    "tickSz": "0.1",
    "lotSz": "0.01",
    "minSz": "0.01",
    "state": "live",
    "lever": "100",
    "listTime": "1573557408000",
    "expTime": "",
    "optType": "",
    "stk": "",
    "alias": "",
    "category": "1",
}
# Per channel: the `data` of each message, in the forms of OKX's documentation.
CANDLES = [
    [["1700724660000", "37000.1", "37010", "36990.5", "37005", "12.5", "0.125", "4625.6", "0"]],
    [["1700724660000", "37000.1", "37020", "36990.5", "37015", "14", "0.14", "5182.1", "1"]],
    [["1700724720000", "37015", "37015", "37015", "37015", "0", "0", "0", "0"]],
]
FUNDING = [
    [
        {
            "fundingRate": rate,
            "fundingTime": "1700726400000",
            "instId": SWAP,
            "instType": "SWAP",
            "method": "next_period",
            "nextFundingRate": "0.0002608059239328",
            "nextFundingTime": "1700755200000",
            "ts": "1700724675402",
        }
    ]
    for rate in ("0.0001875391284828", "0.0001875391284829")
]
LIQUIDATIONS = [
    [
        {
            "details": [
                {"bkLoss": "0", "bkPx": price, "ccy": "", "posSide": "short", "side": "buy", "sz": "13", "ts": moment}
            ],
            "instFamily": name.removesuffix("-SWAP"),
            "instId": name,
            "instType": "SWAP",
            "uly": name.removesuffix("-SWAP"),
        }
    ]
    for name, price, moment in ((SWAP, "37001.5", "1700724680001"), ("ETH-USDT-SWAP", "2000", "1700724680002"))
] * 2
MESSAGES = {"candle1m": CANDLES, "funding-rate": FUNDING, "liquidation-orders": LIQUIDATIONS}


async def _converse(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT or message.data == "ping":
            await socket.send_str("pong")
            continue
        for arg in msgspec.json.decode(message.data)["args"]:
            await socket.send_json({"event": "subscribe", "arg": arg, "connId": "a4d3ae55"})
            for data in MESSAGES[arg["channel"]]:
                await socket.send_json({"arg": arg, "data": data})
    return socket


async def _instruments(request: web.Request) -> web.Response:
    second = INSTRUMENT | {"instId": "ETH-USDT-SWAP", "uly": "ETH-USDT", "instFamily": "ETH-USDT", "ctValCcy": "ETH"}
    listed = [INSTRUMENT, second] if request.query["instType"] == "SWAP" else []
    return web.json_response({"code": "0", "msg": "", "data": listed})


@asynccontextmanager
async def okx() -> AsyncIterator[dict[str, Any]]:
    app = web.Application()
    app.router.add_get("/api/v5/public/instruments", _instruments)
    app.router.add_get("/ws/public", _converse)
    app.router.add_get("/ws/business", _converse)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield {"rest": f"http://127.0.0.1:{port}", "ws": f"ws://127.0.0.1:{port}/ws"}
    finally:
        await runner.cleanup()


async def collected(*tables: str, count: int) -> list[Row]:
    intake = Intake(bytes_max=1 << 20, rows_max=10_000)
    inlet = Inlet(Feed("ccxt", "okx", "e"), intake, SystemClock())
    rows: list[Row] = []
    async with okx() as urls:
        options = CcxtOptions("okx", urls=urls, **dict.fromkeys(tables, (UNIFIED,)))  # type: ignore[arg-type]
        task = asyncio.create_task(CcxtCollector(options, inlet, RetryPolicy()).run())
        try:
            async with asyncio.timeout(20):
                while len(rows) < count:
                    if task.done():
                        task.result()
                    taken = [row for capture in intake.take(rows=1 << 20) for row in capture.rows]
                    rows += [row for row in taken if not isinstance(row, Gap)]
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return rows


NAME = "BTC-USDT_USDT"


async def test_each_message_of_each_channel_is_a_row() -> None:
    rows = await collected("candles", "funding", "liquidations", count=3 + 2 + 2 + 1)
    kinds = {kind: [row for row in rows if type(row) is kind] for kind in (Candle, Funding, Liquidation, Instrument)}
    assert kinds[Candle] == [
        Candle(NAME, 1700724660000000, 60, 37000.1, 37010.0, 36990.5, 37005.0, 0.125),
        Candle(NAME, 1700724660000000, 60, 37000.1, 37020.0, 36990.5, 37015.0, 0.14),
        Candle(NAME, 1700724720000000, 60, 37015.0, 37015.0, 37015.0, 37015.0, 0.0),
    ]
    assert [(row.symbol, row.rate, row.next_rate, row.settles_at, row.interval_hours) for row in kinds[Funding]] == [
        (NAME, 0.0001875391284828, 0.0002608059239328, 1700726400000000, 8.0),
        (NAME, 0.0001875391284829, 0.0002608059239328, 1700726400000000, 8.0),
    ]
    one = Liquidation(NAME, 1700724680001000, "buy", "buy", 37001.5, 13 * 0.01)
    assert kinds[Liquidation] == [one, one]  # those of other markets, which OKX sends as well, are not
    (instrument,) = kinds[Instrument]
    assert (instrument.kind, instrument.settle, instrument.contract_size) == ("perpetual", "USDT", 0.01)
    assert (instrument.tick_size, instrument.lot_size, instrument.is_inverse) == (0.1, 0.01, False)


@pytest.mark.parametrize(
    "candle", [[], [None, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, -1, 1, 1, 1], [1, 1, 1, 1, 1, -1]]
)
def test_what_is_no_candle_is_kept_as_a_reject(candle: list[Any]) -> None:
    (row,) = candle_rows([candle], "A/B", 60)
    assert isinstance(row, Reject)
    assert row.channel == "candles"


def test_what_is_absent_stays_absent() -> None:
    assert funding_row({"symbol": "A/B:B", "fundingRate": None, "interval": "odd"}) == Funding("A-B_B", None, None)
    row = liquidation_row({"symbol": "A/B:B", "side": None, "contracts": float("nan")}, {}, "okx")
    assert row == Liquidation("A-B_B", None, None, None, None, None)
    inverse = {"symbol": "A/B:A", "side": "sell", "contracts": 30, "price": 60.0}
    assert liquidation_row(inverse, {"contractSize": 10, "inverse": True}, "okx").amount == 5.0
    (bare,) = instrument_rows({"A/B": {"symbol": "A/B", "id": "ab", "type": "spot"}}, ["A/B", "C/D"])
    assert bare == Instrument("A-B", None, "ab", "spot")
