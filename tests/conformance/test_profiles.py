"""Every native exchange, found by discovery: its profile is complete, its names and requests keep its own limits."""

import json
from typing import get_args

import pytest

from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.protocol import Exchange, Guarantee, Request, Subscription
from shared.exchange_facts import EXCHANGE_FACTS
from shared.partitioning import stored_exchange, stored_symbol
from shared.rows import ROW_TYPES
from tests.conformance.sampling import samples, subscriptions

NAMES = sorted(native_exchanges())
DERIVATIVE_TABLES = {"funding", "liquidations", "open_interest"}


def made(name: str) -> Exchange:
    return native_exchanges()[name]()


def wanted(name: str, count: int = 1) -> list[Subscription]:
    """Streams of every sampled table, of the sampled symbols and, for bulk, of invented ones of the same quote."""
    exchange = made(name)
    pairs = {(each.table, each.symbol) for each in samples(name) if each.table in exchange.profile.channels}
    for table, symbol in sorted(pairs):
        _, quote = symbol.split("/")
        pairs |= {(table, f"C{number}/{quote}") for number in range(count - 1)}
    return subscriptions(exchange, pairs)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_complete(name: str) -> None:
    profile = native_exchanges()[name].profile
    assert profile.name == stored_exchange(name)
    assert profile.title
    assert profile.source
    assert profile.ws_url.startswith("wss://")
    assert profile.rest_url.startswith("https://")
    assert set(profile.channels) <= set(ROW_TYPES) - {"gaps", "rejects", "frames", "instruments"}
    assert {"trades", "ticker", "l2", "orderbook"} <= set(profile.channels)
    for channel in profile.channels.values():
        assert channel.name
        assert channel.guarantees
        assert set(channel.guarantees) <= set(get_args(Guarantee))
    limits = profile.limits
    assert limits.streams_per_connection > 0
    assert limits.symbols_per_message > 0
    assert set(limits.streams_of_table) <= set(profile.channels)
    assert all(count > 0 for count in limits.streams_of_table.values())
    assert limits.messages_per_s > 0
    assert limits.connections_per_minute > 0
    assert limits.rest_weight_per_minute > 0
    assert limits.lifetime_s is None or limits.lifetime_s > 0
    assert profile.silence_timeout_s > 0
    assert (profile.ping is None) == (profile.ping_every_s == 0)
    assert profile.ping is None or profile.ping_every_s < profile.silence_timeout_s


@pytest.mark.parametrize("name", NAMES)
def test_what_silver_must_know_of_its_trades_is_written_down_and_agrees(name: str) -> None:
    facts = EXCHANGE_FACTS[name]
    promised = "contiguous ids" in native_exchanges()[name].profile.channels["trades"].guarantees
    assert promised == (facts.trade_ids == "contiguous")


@pytest.mark.parametrize("name", NAMES)
def test_symbols_have_one_name_each(name: str) -> None:
    exchange = made(name)
    symbols = sorted({each.symbol for each in samples(name)})
    names = {exchange.raw_symbol(symbol) for symbol in symbols}
    assert len(names) == len(symbols)
    streams = subscriptions(exchange, {("trades", symbol) for symbol in symbols})
    assert exchange.session(streams).symbols == {exchange.raw_symbol(each): stored_symbol(each) for each in symbols}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("symbol", ["", "BTC", "/", "BTC/", "/USD", "BTC/USD/EUR", "BTC/USD:", "a b/USD", "\u00c4/USD"])
def test_what_is_no_symbol_is_refused_or_named_plainly(name: str, symbol: str) -> None:
    try:
        raw = made(name).raw_symbol(symbol)
    except ValueError:
        return
    assert raw.isascii()
    assert raw.strip() == raw != ""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 250])
def test_requests_keep_the_limits_and_name_every_stream(name: str, count: int) -> None:
    exchange, streams = made(name), wanted(name, count)
    size = exchange.profile.limits.symbols_per_message
    for endpoint in {exchange.endpoint(each) for each in streams}:
        assert endpoint.startswith("wss://")
        session = exchange.session([each for each in streams if exchange.endpoint(each) == endpoint])
        assert session.unconfirmed == session.wanted
        opening = session.opening()
        _assert_within(opening, size)
        text = b"".join(opening).lower() + endpoint.lower().encode()
        for each in session.wanted:
            if each.table not in DERIVATIVE_TABLES:  # some are subscribed for all symbols at once
                assert each.raw_symbol.lower().encode() in text, each
        gone = sorted(session.wanted)
        session.forget(gone)
        assert not session.wanted
        frames = session.unsubscribe(gone)
        assert frames
        _assert_within(frames, size)
        session.want(gone[:1])
        assert session.subscribe(gone[:1])


def _assert_within(frames: list[bytes], size: int) -> None:
    for frame in frames:
        names = max((len(part) for part in _lists(json.loads(frame))), default=0)
        assert names <= size, frame[:200]


def _lists(document: object) -> list[list[object]]:
    values = list(document.values()) if isinstance(document, dict) else document if isinstance(document, list) else []
    own = [document] if isinstance(document, list) else []
    return [*own, *(found for value in values for found in _lists(value))]


@pytest.mark.parametrize("name", NAMES)
def test_rest_documents_have_an_address_and_a_price(name: str) -> None:
    exchange = made(name)
    streams = wanted(name)
    requests: list[Request | None] = [*exchange.instruments_requests(streams)]
    assert requests
    for each in streams:
        requests += [exchange.look(each), exchange.polls(each)]
        polled = "polled" in exchange.profile.channels[each.table].guarantees
        assert (exchange.polls(each) is not None) == polled, each
    for request in requests:
        if request is not None:
            assert request.url.startswith("https://")
            assert " " not in request.url
            assert 0 < request.weight <= exchange.profile.limits.rest_weight_per_minute


@pytest.mark.parametrize("name", NAMES)
def test_every_table_has_a_sample(name: str) -> None:
    tables = {each.table for each in samples(name)} | {"orderbook"}
    assert tables >= set(native_exchanges()[name].profile.channels)
    assert {"look", "instruments"} <= {each.rest for each in samples(name)}
