"""A seeded market: invented, repeatable, shaped like a real one. Never to be taken for recorded data.

Resting orders come and go around a wandering fair price; takers arrive in clusters (each trade makes the
next likelier, and of the same side) and a large one sweeps several levels, giving several prints at one time.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from random import Random

from ingestion.simulator.events import Instrument, Level, Moment, Print
from ingestion.simulator.instruments import instrument

_NS = 1_000_000_000
_LEVELS_PER_SIDE = 150
_LEVELS_MIN = 40
_EXCITED_MAX = 6.0
_PRINTS_MAX = 12
_FIRST_TRADE_ID = {"coinbase": 1_000_000_001, "kraken": 50_000_001}


class SeededMarket:
    """Endless moments, equal for equal seeds. `rate` is moments per second over all symbols.

    `trade_share` is the share of moments that are trades in the long run; 1.0 makes a stream of prints only.
    """

    has_book = True
    is_live = True

    def __init__(
        self,
        *,
        seed: int = 0,
        symbols: Sequence[str] = ("BTC-USD", "ETH-USD", "SOL-USD"),
        rate: float = 100.0,
        trade_share: float = 0.3,
    ) -> None:
        if not 0 < rate <= 100_000:
            raise ValueError(f"rate must be within 0 and 100000 moments/s, was {rate}")
        if not 0 < trade_share <= 1:
            raise ValueError(f"trade_share must be within 0 and 1, was {trade_share}")
        if not symbols or len(set(symbols)) != len(symbols):
            raise ValueError(f"symbols must be given once each, were {list(symbols)}")
        self.seed, self.symbols, self.rate, self.trade_share = seed, tuple(symbols), rate, trade_share
        self.traded_on("coinbase")  # refuses unknown symbols now

    def traded_on(self, venue: str) -> tuple[Instrument, ...]:
        """The instruments with the price steps of `venue`."""
        return tuple(instrument(symbol, venue=venue) for symbol in self.symbols)

    def moments(self, venue: str, *, start_ns: int) -> Iterator[Moment]:
        """The market of one venue from `start_ns` on: first each symbol's whole book, then changes."""
        random = Random(f"{self.seed}/{venue}")
        pairs = [
            _Pair(item, random, first_id=_FIRST_TRADE_ID[venue], trade_share=self.trade_share)
            for item in self.traded_on(venue)
        ]
        now_us = start_ns // 1000
        for pair in pairs:
            yield pair.opening(now_us * 1000)
        weights = [1 / (rank + 1) for rank in range(len(pairs))]
        gap_us = 1_000_000 / self.rate
        clock_us = float(now_us)
        while True:
            for pair in random.choices(pairs, weights, k=64):
                clock_us += random.expovariate(1.0) * gap_us
                yield pair.step(int(clock_us) * 1000)


class _Pair:
    """One symbol's book and mood."""

    def __init__(self, item: Instrument, random: Random, *, first_id: int, trade_share: float) -> None:
        self._item, self._random = item, random
        self._next_id = first_id
        self._share = trade_share
        self._fair = float(item.first_price)
        self._excited = 0.0
        self._buying = True
        # The typical order is worth 500 units of quote; widths are in price steps.
        self._lots = 500 * 10 ** (item.price_decimals + item.size_decimals) / item.first_price
        self._width = max(3.0, item.first_price * 2e-4)
        self._size: dict[bool, dict[int, int]] = {True: {}, False: {}}
        # Sorted from the touch outwards: bids are stored negated.
        self._order: dict[bool, list[int]] = {True: [], False: []}

    def opening(self, ts_ns: int) -> Moment:
        for is_bid in (True, False):
            for _ in range(_LEVELS_PER_SIDE):
                self._place(is_bid)
        levels = tuple(
            Level(is_bid, price, size) for is_bid in (True, False) for price, size in self._size[is_bid].items()
        )
        return Moment(ts_ns, self._item.symbol, (), levels, resets_book=True)

    def step(self, ts_ns: int) -> Moment:
        draw = self._random
        self._fair = max(self._width, self._fair + draw.gauss(0.0, self._width * 0.02))
        self._excited *= 0.8
        # Bernoulli with a share that a run of trades raises and a quiet spell lowers.
        share = self._share
        if share < 1:
            share = min(0.95, share * (0.55 + self._excited * 0.3))
        if draw.random() < share:
            return self._take(ts_ns)
        is_bid = draw.random() < 0.5
        count = len(self._order[is_bid])
        grows = count < _LEVELS_MIN or draw.random() < (0.7 if count < _LEVELS_PER_SIDE else 0.4)
        level = self._place(is_bid) if grows else self._cancel(is_bid)
        return Moment(ts_ns, self._item.symbol, (), (level,))

    def _take(self, ts_ns: int) -> Moment:
        draw = self._random
        if draw.random() > self._excited / _EXCITED_MAX:  # a fresh taker, not one of the running cluster
            self._buying = draw.random() < self._pull()
        self._excited = min(_EXCITED_MAX, self._excited + 1.0)
        wanted = max(1, int(self._lots * math.exp(draw.gauss(-1.0, 1.6))))
        prints: list[Print] = []
        levels: list[Level] = []
        against_bid = not self._buying
        while wanted and len(prints) < _PRINTS_MAX:
            price = abs(self._order[against_bid][0])
            resting = self._size[against_bid][price]
            filled = min(wanted, resting)
            wanted -= filled
            prints.append(Print(self._next_id, price, filled, ts_ns, self._buying))
            self._next_id += 1
            levels.append(self._set(against_bid, price, resting - filled))
            if len(self._order[against_bid]) < _LEVELS_MIN // 2:
                levels.append(self._place(against_bid))
        return Moment(ts_ns, self._item.symbol, tuple(prints), tuple(levels))

    def _pull(self) -> float:
        """Probability that a fresh taker buys: the further the fair price is above the mid, the higher."""
        middle = (abs(self._order[True][0]) + self._order[False][0]) / 2
        return 1 / (1 + math.exp(-max(-4.0, min(4.0, 4 * (self._fair - middle) / self._width))))

    def _place(self, is_bid: bool) -> Level:
        draw = self._random
        reach = self._width if draw.random() < 0.6 else self._width * 0.02  # most rest deep, some compete
        away = 1 + int(draw.expovariate(1.0) * reach)
        fair = int(self._fair)
        other = self._order[not is_bid]
        price = fair - away if is_bid else fair + away
        if other:  # never cross
            price = min(price, other[0] - 1) if is_bid else max(price, abs(other[0]) + 1)
        price = max(1, price)
        lots = max(1, int(self._lots * math.exp(draw.gauss(0.0, 1.0))))
        return self._set(is_bid, price, self._size[is_bid].get(price, 0) + lots)

    def _cancel(self, is_bid: bool) -> Level:
        order = self._order[is_bid]
        # Quadratic in a uniform draw: most cancellations are near the touch.
        price = abs(order[int(self._random.random() ** 2 * len(order))])
        size = self._size[is_bid][price]
        return self._set(is_bid, price, size // 2 if self._random.random() < 0.3 else 0)

    def _set(self, is_bid: bool, price: int, size: int) -> Level:
        sizes, order = self._size[is_bid], self._order[is_bid]
        key = -price if is_bid else price
        if size and price not in sizes:
            insort(order, key)
        elif not size and price in sizes:
            del order[bisect_left(order, key)]
        if size:
            sizes[price] = size
        else:
            sizes.pop(price, None)
        return Level(is_bid, price, size)
