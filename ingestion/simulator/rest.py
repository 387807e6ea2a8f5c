"""The HTTP side of the local exchange: paths and query texts in, the venues' plain answers out."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from ingestion.simulator import coinbase_rest, kraken_rest
from ingestion.simulator.feed import Feed
from ingestion.simulator.state import Pair

_BROKERAGE = "/coinbase/api/v3/brokerage/market"


def add_coinbase_routes(app: web.Application, feed: Feed) -> None:
    """Serve Advanced Trade's public REST, Coinbase Exchange's trades by id, and ccxt's start-up calls."""
    state = feed.state

    def listing(request: web.Request) -> Any:
        if request.query.get("product_type") == "FUTURE":
            return {"products": [], "num_products": 0}
        return coinbase_rest.products(state, request.query.getall("product_ids", []))

    def ticker(request: web.Request) -> Any:
        query = request.query
        return coinbase_rest.ticker(
            _pair(feed, request),
            limit=_number(query, "limit", 100) or 0,
            start_s=_number(query, "start", None),
            end_s=_number(query, "end", None),
        )

    def trades(request: web.Request) -> Any:
        query = request.query
        return coinbase_rest.exchange_trades(
            _pair(feed, request),
            limit=_number(query, "limit", 1000) or 0,
            after=_number(query, "after", None),
            before=_number(query, "before", None),
        )

    def book(request: web.Request) -> Any:
        pair = state.pairs.get(request.query.get("product_id", ""))
        if pair is None:
            raise _not_found()
        limit = _number(request.query, "limit", 100) or 0
        return coinbase_rest.product_book(pair, limit=limit, now_ns=feed.now_ns())

    _get(app, f"{_BROKERAGE}/products", listing)
    _get(app, f"{_BROKERAGE}/products/{{symbol}}", lambda request: coinbase_rest.product(_pair(feed, request)))
    _get(app, f"{_BROKERAGE}/products/{{symbol}}/ticker", ticker)
    _get(app, f"{_BROKERAGE}/product_book", book)
    _get(app, "/coinbase/products/{symbol}/trades", trades)
    _get(app, "/coinbase/v2/currencies", lambda _: coinbase_rest.fiat_currencies(state))
    _get(app, "/coinbase/v2/currencies/crypto", lambda _: coinbase_rest.crypto_currencies(state))
    _get(app, "/coinbase/v2/exchange-rates", lambda _: coinbase_rest.exchange_rates(state))


def add_kraken_routes(app: web.Application, feed: Feed) -> None:
    """Serve Kraken's public REST; every answer is HTTP 200, failures stand in `error`."""
    state = feed.state

    def trades(request: web.Request) -> Any:
        since = _number(request.query, "since", None)
        count = _number(request.query, "count", 1000) or 1000
        return kraken_rest.trades(state, request.query.get("pair", ""), since_ns=since, count=count)

    def depth(request: web.Request) -> Any:
        count = _number(request.query, "count", 100) or 100
        return kraken_rest.depth(state, request.query.get("pair", ""), count=count, now_ns=feed.now_ns())

    public = "/kraken/0/public"
    _get(app, f"{public}/Assets", lambda _: kraken_rest.assets(state))
    _get(app, f"{public}/AssetPairs", lambda request: kraken_rest.pairs(state, request.query.get("pair", "")))
    _get(app, f"{public}/Trades", trades)
    _get(app, f"{public}/Depth", depth)
    _get(app, f"{public}/Time", lambda _: kraken_rest.server_time(feed.now_ns()))
    _get(app, f"{public}/SystemStatus", lambda _: kraken_rest.system_status(feed.now_ns()))


def _get(app: web.Application, path: str, answer: Callable[[web.Request], Any]) -> None:
    async def respond(request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(answer(request)), content_type="application/json")

    app.router.add_get(path, respond)


def _pair(feed: Feed, request: web.Request) -> Pair:
    pair = feed.state.pairs.get(request.match_info["symbol"])
    if pair is None:
        raise _not_found()
    return pair


def _not_found() -> web.HTTPNotFound:
    body = {"error": "NOT_FOUND", "error_details": "valid product_id is required", "message": "not found"}
    return web.HTTPNotFound(text=msgspec.json.encode(body).decode(), content_type="application/json")


def _number(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = query.get(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        body = {"error": "INVALID_ARGUMENT", "message": f"{name} must be a whole number"}
        raise web.HTTPBadRequest(text=msgspec.json.encode(body).decode(), content_type="application/json") from None
