"""Streams to connections: within the limits, and nobody moves when a neighbour comes or goes."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ingestion.exchanges.coinbase import Coinbase
from ingestion.exchanges.protocol import Subscription
from ingestion.shards import Shard, channel_of, plan_shards, rotation_age_s

TABLES = ("trades", "ticker", "l2", "orderbook")
SUBSCRIPTIONS = st.sets(
    st.builds(lambda table, number: sub(table, number), st.sampled_from(TABLES), st.integers(0, 40)), max_size=60
)


def sub(table: str, number: int) -> Subscription:
    return Subscription(table, f"S{number:02}-USD", f"S{number:02}-USD")


def exchange(streams: int, books: int) -> Coinbase:
    limits = replace(
        Coinbase.profile.limits, streams_per_connection=streams, streams_of_table={"l2": books, "orderbook": books}
    )
    kind = type("Limited", (Coinbase,), {"profile": replace(Coinbase.profile, limits=limits)})
    return kind()  # type: ignore[no-any-return]


def homes(shards: tuple[Shard, ...]) -> dict[Subscription, int]:
    return {each: shard.number for shard in shards for each in shard.subscriptions}


@given(first=SUBSCRIPTIONS, second=SUBSCRIPTIONS, streams=st.integers(1, 30), books=st.integers(1, 8))
def test_limits_hold_and_who_stays_does_not_move(
    first: set[Subscription], second: set[Subscription], streams: int, books: int
) -> None:
    venue = exchange(streams, books)
    before = plan_shards(venue, first)
    after = plan_shards(venue, second, before)
    for wanted, shards in ((first, before), (second, after)):
        assert set(homes(shards)) == wanted
        assert sum(len(shard.subscriptions) for shard in shards) == len(wanted)
        for shard in shards:
            feeds = {(channel_of(venue, each.table), each.raw_symbol) for each in shard.subscriptions}
            assert 0 < len(feeds) <= streams
            assert sum(channel == "level2" for channel, _ in feeds) <= books
    kept = first & second
    assert {each: homes(after)[each] for each in kept} == {each: homes(before)[each] for each in kept}
    assert plan_shards(venue, second, after) == after


def test_forty_books_of_coinbase_need_three_connections() -> None:
    shards = plan_shards(Coinbase(), [sub(table, number) for table in ("l2", "trades") for number in range(40)])
    books = [sum(each.table == "l2" for each in shard.subscriptions) for shard in shards]
    assert books == [16, 16, 8]


def test_a_books_updates_and_snapshots_are_one_stream() -> None:
    shards = plan_shards(exchange(400, 1), [sub(table, number) for table in ("l2", "orderbook") for number in range(2)])
    assert [{each.raw_symbol for each in shard.subscriptions} for shard in shards] == [{"S00-USD"}, {"S01-USD"}]


@given(numbers=st.lists(st.integers(1, 200), min_size=2, max_size=20, unique=True), jitter=st.floats(0, 1))
def test_no_two_connections_are_replaced_at_one_age(numbers: list[int], jitter: float) -> None:
    ages = sorted(rotation_age_s(86_400, number, jitter=jitter) for number in numbers)
    assert all(86_400 * 0.55 < age < 86_400 * 0.95 for age in ages)
    assert all(later - earlier > 30 for earlier, later in itertools.pairwise(ages))
