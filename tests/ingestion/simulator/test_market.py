"""The seeded market: repeatable, never crossed, clustered."""

from itertools import islice, pairwise

import pytest

from ingestion.simulator.events import Book
from ingestion.simulator.instruments import SYMBOLS
from ingestion.simulator.market import SeededMarket

T = 1_700_000_000_000_000_000


def moments(count=5000, *, venue="coinbase", **options):
    return list(islice(SeededMarket(**options).moments(venue, start_ns=T), count))


def test_equal_seeds_give_equal_markets_and_others_do_not():
    assert moments(seed=1) == moments(seed=1)
    assert moments(seed=1) != moments(seed=2)
    assert moments(seed=1) != moments(seed=1, venue="kraken")


@pytest.mark.parametrize("venue", ["coinbase", "kraken"])
def test_no_book_is_ever_crossed_or_empty_and_prints_meet_the_touch(venue):
    books = {symbol: Book() for symbol in SYMBOLS}
    for moment in moments(20_000, venue=venue, seed=4, symbols=SYMBOLS, rate=1000):
        book = books[moment.symbol]
        if moment.prints:
            bid, ask = book.touch()
            assert moment.prints[0].price == (ask if moment.prints[0].taker_buys else bid)
        for level in moment.levels:
            assert level.size >= 0
            assert level.price > 0
            book.apply(level)
        bid, ask = book.touch()
        assert bid < ask


def test_ids_are_contiguous_times_do_not_run_backwards_and_some_takers_sweep():
    last_id, last_ns, sweeps = {}, 0, 0
    for moment in moments(20_000, rate=500):
        assert moment.ts_ns >= last_ns
        assert moment.ts_ns % 1000 == 0
        last_ns = moment.ts_ns
        sweeps += len(moment.prints) > 1
        for fill in moment.prints:
            assert fill.trade_id == last_id.get(moment.symbol, fill.trade_id - 1) + 1
            assert fill.ts_ns == moment.ts_ns
            assert fill.size > 0
            last_id[moment.symbol] = fill.trade_id
    assert sweeps > 100


def test_trades_come_in_clusters():
    """After a trade the next moment of that pair is a trade more often than after none."""
    flags = [bool(moment.prints) for moment in moments(20_000, symbols=["BTC-USD"])[1:]]
    after_trade = [now for before, now in pairwise(flags) if before]
    after_none = [now for before, now in pairwise(flags) if not before]
    assert sum(after_trade) / len(after_trade) > 1.2 * sum(after_none) / len(after_none)


def test_rate_is_moments_per_second():
    last = moments(10_000, rate=500)[-1]
    assert (last.ts_ns - T) / 1e9 == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"rate": float("nan")}, {"symbols": ["NO-USD"]}, {"symbols": []}, {"trade_share": 0}]
)
def test_nonsense_is_refused_at_construction(options):
    with pytest.raises(ValueError):
        SeededMarket(**options)
