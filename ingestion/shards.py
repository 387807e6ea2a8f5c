"""Which connection carries which stream, and when a connection is replaced before the exchange cuts it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ingestion.exchanges.protocol import Exchange, Subscription

_GOLDEN = 0.618033988749895  # multiples of it, without their whole part, are never close to each other
_Feed: TypeAlias = tuple[str, str, str]  # address, the exchange's channel and symbol: what it counts as one stream


@dataclass(frozen=True)
class Shard:
    """The streams of one connection."""

    number: int  # keeps its meaning while the collector runs
    url: str
    subscriptions: frozenset[Subscription]


def plan_shards(exchange: Exchange, wanted: Iterable[Subscription], current: Sequence[Shard] = ()) -> tuple[Shard, ...]:
    """The connections for these streams, within the exchange's limits.

    A stream that has a connection keeps it, whatever is added or removed beside it. New ones go to the first connection
    of their address with room, in order, else to a new one. Tables that share the exchange's channel of a symbol (an
    order book's updates and its snapshots) are one stream to it, and stay together.
    """
    feeds: dict[_Feed, list[Subscription]] = {}
    for each in sorted(set(wanted)):
        feeds.setdefault(_feed_of(exchange, each), []).append(each)
    shards = {shard.number: _Loads(shard.number, shard.url) for shard in current}
    placed: dict[_Feed, _Loads] = {}
    for shard in current:
        for each in shard.subscriptions:
            feed = _feed_of(exchange, each)
            if feed in feeds and feed[0] == shard.url:
                placed[feed] = shards[shard.number]
                placed[feed].feeds.add(feed)
    limits = _channel_limits(exchange)
    for feed, subscriptions in feeds.items():
        home = placed.get(feed)
        if home is None:
            url = feed[0]
            total = exchange.profile.limits.streams_per_connection
            home = next((one for one in shards.values() if one.url == url and one.takes(feed, total, limits)), None)
        if home is None:
            home = shards[max(shards, default=0) + 1] = _Loads(max(shards, default=0) + 1, url)
        home.feeds.add(feed)
        home.subscriptions.update(subscriptions)
    return tuple(Shard(one.number, one.url, frozenset(one.subscriptions)) for one in shards.values() if one.feeds)


def channel_of(exchange: Exchange, table: str) -> str:
    """The exchange's channel that a table's rows come from."""
    channels = exchange.profile.channels
    if "derived from l2" in channels[table].guarantees and "l2" in channels:
        return channels["l2"].name
    return channels[table].name


def _feed_of(exchange: Exchange, subscription: Subscription) -> _Feed:
    """What carries a stream; at two addresses of an exchange the same name can mean two markets."""
    channel = channel_of(exchange, subscription.table)
    return exchange.endpoint(subscription), channel, subscription.raw_symbol


def rotation_age_s(lifetime_s: float, number: int, *, jitter: float) -> float:
    """The age at which connection `number` is replaced: well before the cut, and each at another age.

    `jitter` is within 0 and 1.

    >>> [round(rotation_age_s(86_400, number, jitter=0.5) / 3600, 1) for number in (1, 2, 3)]
    [17.2, 19.9, 15.5]
    """
    spread = (number * _GOLDEN) % 1.0
    return lifetime_s * (0.9 - 0.3 * spread + 0.02 * (jitter - 0.5))


class _Loads:
    """A connection that is being planned."""

    def __init__(self, number: int, url: str) -> None:
        self.number, self.url = number, url
        self.feeds: set[_Feed] = set()
        self.subscriptions: set[Subscription] = set()

    def takes(self, feed: _Feed, total: int, limits: Mapping[str, int]) -> bool:
        """Whether the exchange allows one more stream of this channel here."""
        channel = feed[1]
        same = sum(other == channel for _, other, _ in self.feeds)
        return len(self.feeds) < total and same < limits.get(channel, total)


def _channel_limits(exchange: Exchange) -> dict[str, int]:
    limits: dict[str, int] = {}
    for table, count in exchange.profile.limits.streams_of_table.items():
        if table in exchange.profile.channels:
            channel = channel_of(exchange, table)
            limits[channel] = min(count, limits.get(channel, count))
    return limits
