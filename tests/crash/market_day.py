"""A day of two markets as a collector meets it: late and doubled trades, holes that stay or fill, an outage.

One exchange counts its trades, the other gives opaque ids. What is delivered when is fixed by the seed.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from shared.partitioning import Lake
from shared.rows import Row, Ticker, Trade
from tests.etl.core.book_rows import messages, snapshots
from tests.etl.core.test_streams import Recorder
from tests.ingestion.writers.lake_rows import START_NS

DAY_S = 86_400
EXCHANGES = ("kraken", "bitfinex")  # contiguous ids, opaque ids
SETTINGS = """
etl:
  lateness_s: 10
  poll_interval_s: 0.02
  checkpoint_keep_days: 2
  candles: {{intervals: {candles}}}
  bars:
{bars}
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
logging: {{level: error}}
"""
CANDLES = ("1m", "5m", "1h", "1d")
BARS = (  # every kind, and the options that carry something from bar to bar
    "{type: time, interval: 1m}",
    "{type: time, interval: 1h, skip_first_partial: true}",
    "{type: tick, threshold: 40}",
    "{type: tick, threshold: 25, tick_unit: order}",
    '{type: volume, threshold: "150.25"}',
    "{type: volume, threshold: 90, carry: phase}",
    "{type: dollar, threshold: 20000}",
    "{type: dollar, threshold: adv_fraction, threshold_init: 15000}",
    "{type: tick_imbalance, expected_ticks_init: 20}",
    "{type: tick_imbalance, expected_ticks_init: 15, preset: mlfinlab_like, bounds: [5, 60], tick_unit: order}",
    "{type: volume_imbalance, expected_ticks_init: 20, preset: guarded_ema, gap_reset_s: 60}",
    "{type: dollar_imbalance, expected_ticks_init: 20, e0_update: daily, bars_per_day: 100}",
    "{type: tick_run, expected_ticks_init: 20, preset: afml_literal}",
    "{type: volume_run, expected_ticks_init: 20, on_gap: close}",
    "{type: dollar_run, expected_ticks_init: 20, run_threshold: jensen}",
    "{type: streak, threshold: 6}",
)


def write_settings(root: Path, bars: Sequence[str] = BARS) -> Path:
    """The settings of a lake at `root` with these bar sets and some candles."""
    root.mkdir(exist_ok=True)
    file = root / "config.yaml"
    lines = "\n".join(f"    - {each}" for each in bars)
    file.write_text(SETTINGS.format(root=root, candles=f"[{', '.join(CANDLES)}]", bars=lines))
    return file


def day_of_trades(seed: int, count: int, *, has_seq: bool) -> list[Trade]:
    """A day's trades in the exchange's order: busy and quiet hours, sweeps of one moment, some without a side."""
    rng = random.Random(seed)
    moments_s = sorted(_busy_moment(rng) for _ in range(count))
    price, moment_us, trend, out = Decimal(100), 0, 0.5, []
    side: str | None = None
    for number in range(1, count + 1):
        if not out or rng.random() > 0.2:  # else another fill of the same sweep
            moment_us = max(moment_us, START_NS // 1000 + round(moments_s[number - 1] * 1e6))
            trend = min(0.9, max(0.1, trend + rng.uniform(-0.05, 0.05)))
            side = "buy" if rng.random() < trend else "sell"
        if rng.random() < 0.4:
            price = max(Decimal(20), price + (Decimal("0.05") if side == "buy" else Decimal("-0.05")))
        amount = Decimal(round(rng.lognormvariate(0, 1.2) * 10_000) + 1).scaleb(-4)
        told = None if rng.random() < 0.05 else side
        seq = number if has_seq else None
        out.append(Trade("BTC-USD", moment_us, str(number), seq, told, told, float(price), float(amount)))
    return out


def _busy_moment(rng: random.Random) -> float:
    while True:
        moment_s = rng.uniform(0, DAY_S)
        if rng.random() < 0.55 + 0.45 * math.sin(moment_s / DAY_S * 4 * math.pi):
            return moment_s


@dataclass(frozen=True)
class Delivery:
    """What one run of a collector records before it ends."""

    exchange: str
    journals: list[list[Any]]  # rows


def deliveries(trades: list[Trade], exchange: str, seed: int, runs: int) -> list[Delivery]:
    """The day cut into runs; each begins with trades that were sent before, some trades come hours late or never."""
    rng = random.Random(seed)
    size = -(-len(trades) // runs)
    parts = [list(range(start, min(start + size, len(trades)))) for start in range(0, len(trades), size)]
    late, never = _late_and_never(rng, len(trades), size)
    out = []
    for number, part in enumerate(parts):
        repeated = [
            index for index in range(part[0] - 3, part[0]) if index >= 0 and index not in late and index not in never
        ]
        on_time = [index for index in part if index not in late and index not in never]
        come_late = [index for index, run in sorted(late.items()) if run == min(number, len(parts) - 1)]
        cut = rng.randint(0, len(on_time))
        journals = [[*repeated, *on_time[:cut]], [*on_time[cut:], *come_late]]
        out.append(Delivery(exchange, [[trades[index] for index in journal] for journal in journals if journal]))
    return out


def _late_and_never(rng: random.Random, count: int, size: int) -> tuple[dict[int, int], set[int]]:
    """The run with which each late trade comes, and the trades that never do."""
    runs = -(-count // size)
    late = {}
    for _ in range(10):
        index = rng.randrange(count - size)
        late[index] = min(runs - 1, index // size + rng.choice((1, 1, 2, 5)))
    filled = rng.randrange(count // 4)  # a hole that is filled two runs later
    late |= {index: min(runs - 1, index // size + 2) for index in range(filled, filled + size // 2)}
    never = {index for _ in range(4) for index in _stretch(rng, count, rng.randint(1, 15))}
    never |= set(_stretch(rng, count, count // 36))  # some 40 minutes without a collector
    return {index: run for index, run in late.items() if index not in never}, never


def _stretch(rng: random.Random, count: int, length: int) -> range:
    first = rng.randrange(count // 4, count - length)
    return range(first, first + length)


def weave(
    runs: list[Delivery],
    make: Callable[[random.Random, list[int]], Iterator[Row]],
    rng: random.Random,
    count: int,
) -> None:
    """Put about so many books and tickers between the trades of each journal, near in time, as a feed sends them."""
    journals = [journal for run in runs for journal in run.journals]
    for journal in journals:
        reached = [max(trade.timestamp or 0 for trade in journal[: n + 1]) for n in range(len(journal))]
        moments = sorted(
            us + rng.randint(-2_000_000, 2_000_000) for us in rng.choices(reached, k=count // len(journals))
        )
        sent = [Ticker("BTC-USD", us, us % 7 + 100.0, us % 5 + 102.0) for us in moments[::5]]
        placed = [(max(reached[0], row.timestamp or reached[-1]), row) for row in (*make(rng, moments), *sent)]
        both = [*zip(reached, journal, strict=True), *placed]
        journal[:] = [row for _, row in sorted(both, key=lambda pair: pair[0])]


class Day:
    """The whole day, and how much of it has been recorded into a lake."""

    def __init__(self, lake: Lake, *, seed: int, trades: int, runs: int, books: int = 0) -> None:
        self._lake, self.has_books = lake, bool(books)
        first, second = (
            deliveries(day_of_trades(seed + number, trades, has_seq=number == 0), exchange, seed + number, runs)
            for number, exchange in enumerate(EXCHANGES)
        )
        self.delivered = {
            exchange: {trade.trade_id for each in part for journal in each.journals for trade in journal}
            for exchange, part in zip(EXCHANGES, (first, second), strict=True)
        }
        if books:
            for number, part in enumerate((first, second)):
                weave(part, snapshots if number else messages, random.Random(seed + number), books)
        self.runs = [run for pair in zip(first, second, strict=True) for run in pair]

    def record(self) -> Iterator[int]:
        """Record run after run; gives how many have been."""
        recorders = {exchange: Recorder(self._lake, exchange) for exchange in EXCHANGES}
        recorders[EXCHANGES[1]].clock = recorders[EXCHANGES[0]].clock
        for number, run in enumerate(self.runs, start=1):
            recorders[run.exchange].record(run.journals)
            yield number
