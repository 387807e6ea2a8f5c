"""The specification's own examples, number by number."""

from decimal import Decimal

import polars as pl
import pytest

from etl.bars import DollarBars, TickBars, TimeBars, VolumeBars
from tests.etl.bars.reference import Trade
from tests.etl.bars.trades_made import built, frame, golden

COLUMNS = ("first_trade_id", "last_trade_id", "open", "high", "low", "close", "volume", "dollar_volume", "tick_count",
           "buy_volume", "close_reason")  # fmt: skip

G1 = [
    ("1", "7", 100, 101, 100, 100.5, 15, 1507.5, 7, 10, "time"),
    ("8", "13", 100.5, 101.5, 100.5, 101, 16, 1615, 6, 4, "time"),
    ("14", "19", 101.5, 102, 101, 101.5, 13, 1319.5, 6, 6, "time"),
    ("20", "20", 102, 102, 102, 102, 2, 204, 1, 2, "flush"),
]
G2 = [
    ("1", "5", 100, 101, 100, 101, 12, 1205.5, 5, 9, "threshold"),
    ("6", "10", 101, 101.5, 100.5, 101.5, 11, 1108.5, 5, 4, "threshold"),
    ("11", "15", 101.5, 102, 101, 102, 13, 1317.5, 5, 6, "threshold"),
    ("16", "20", 102, 102, 101, 102, 10, 1014.5, 5, 3, "threshold"),
]
G3 = [
    ("1", "5", 100, 101, 100, 101, 12, 1205.5, 5, 9, "threshold"),
    ("6", "10", 101, 101.5, 100.5, 101.5, 11, 1108.5, 5, 4, "threshold"),
    ("11", "14", 101.5, 101.5, 101, 101.5, 10, 1011.5, 4, 3, "threshold"),
    ("15", "18", 102, 102, 101, 101, 10, 1015, 4, 3, "threshold"),
    ("19", "20", 101.5, 102, 101.5, 102, 3, 305.5, 2, 3, "flush"),
]
G4 = [
    ("1", "5", 100, 101, 100, 101, 12, 1205.5, 5, 9, "threshold"),
    ("6", "11", 101, 101.5, 100.5, 101.5, 12, 1210, 6, 5, "threshold"),
    ("12", "15", 101, 102, 101, 102, 12, 1216, 4, 5, "threshold"),
    ("16", "20", 102, 102, 101, 102, 10, 1014.5, 5, 3, "flush"),
]
G5 = [
    ("1", "5", 100, 101, 100, 101, 12, 1205.5, 5, 9, "threshold"),
    ("6", "9", 101, 101, 100.5, 101, 9, 905.5, 4, 2, "threshold"),
    ("10", "12", 101.5, 101.5, 101, 101, 9, 910.5, 3, 3, "threshold"),
    ("13", "17", 101, 102, 101, 101.5, 9, 915, 5, 5, "threshold"),
    ("18", "20", 101, 102, 101, 102, 7, 709.5, 3, 3, "flush"),
]


@pytest.mark.parametrize("texts", [False, True])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: TimeBars(interval=60), G1),
        (lambda: TickBars(threshold=5), G2),
        (lambda: VolumeBars(threshold=10), G3),
        (lambda: DollarBars(threshold=1205.5), G4),
        (lambda: DollarBars(threshold="900"), G5),
    ],
    ids=["G1", "G2", "G3", "G4", "G5"],
)
def test_the_golden_vectors(make, expected, texts):
    bars = built(make(), golden(), texts=texts)
    assert [tuple(bar[name] for name in COLUMNS) for bar in bars] == expected
    assert [bar["bar_seq"] for bar in bars] == list(range(len(expected)))
    assert [bar["is_partial"] for bar in bars] == [row[-1] == "flush" for row in expected]


def test_golden_buckets_are_half_open_and_known_at_their_end():
    bars = built(TimeBars(interval="1m"), golden())
    assert [(b["time_start"] // 10**6, b["time_end"] // 10**6) for b in bars] == [
        (0, 60),
        (60, 120),
        (240, 300),
        (300, 360),
    ]
    assert [b["available_at"] for b in bars] == [b["time_end"] for b in bars]
    assert [b["last_ts"] // 10**6 for b in bars] == [59, 119, 299, 305]


def sized(*sizes: object, us: list[int] | None = None) -> list[Trade]:
    moments = us or [0] * len(sizes)
    return [
        Trade(str(row), moment, Decimal(10), Decimal(str(size)))
        for row, (size, moment) in enumerate(zip(sizes, moments, strict=True))
    ]


def test_eight_tenths_are_eight_trades():
    trades = [Trade(str(n), n, Decimal("0.1"), Decimal(1)) for n in range(24)]
    assert [b["tick_count"] for b in built(DollarBars(threshold="0.8"), trades)] == [8, 8, 8]


def test_a_threshold_finer_than_the_sizes_is_not_rounded_down():
    assert [b["tick_count"] for b in built(VolumeBars(threshold="2.5"), sized(1, 1, 1, 1, 1, 1))] == [3, 3]
    assert [b["tick_count"] for b in built(DollarBars(threshold="20.01"), sized(1, 1, 1, 1, 1, 1))] == [3, 3]


def test_bars_of_one_moment_are_told_apart_by_number():
    bars = built(VolumeBars(threshold=1), sized(1, 1, 1))
    assert [(b["bar_seq"], b["time_start"]) for b in bars] == [(0, 0), (1, 0), (2, 0)]


def test_a_giant_trade_ends_one_bar():
    assert [b["volume"] for b in built(VolumeBars(threshold=10), sized(4, 35, 3))] == [39, 3]


def test_a_late_trade_is_in_no_bar():
    bars = VolumeBars(threshold=10)
    assert [b["volume"] for b in built(bars, sized(4, 8, 6, us=[1000, 500, 2000]))] == [10]
    assert (bars.counters.n_late, bars.counters.n_dup) == (1, 0)


@pytest.mark.parametrize("with_seq", [False, True])
def test_repeated_trades_change_nothing_but_their_count(with_seq):
    trades = golden()
    for trade in trades:
        trade.trade_seq = trade.trade_seq if with_seq else None
    bars = DollarBars(threshold=900)
    assert built(bars, trades + trades[14:]) == built(DollarBars(threshold=900), trades)
    assert (bars.counters.n_dup, bars.counters.n_late, bars.counters.n_trades) == (6, 0, 20)


def test_a_notebook_needs_four_columns_only():
    four = frame(golden()).select("trade_id", "timestamp", "price", "amount")
    bars = TickBars(threshold=20).update(four)
    assert bars.select("unknown_tick_count", "unknown_volume", "buy_volume").rows() == [(20, 46.0, 0.0)]
    assert bars["known_at"].equals(bars["last_ts"].rename("known_at"))
    assert isinstance(bars, pl.DataFrame)
