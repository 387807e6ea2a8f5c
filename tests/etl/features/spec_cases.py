"""Every worked number of the features' specification: inputs, the row looked at and what must stand in it.

A float is meant to ten digits (relative 1e-9), a whole number, a `Decimal`, a word and none exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.etl.features.reference import Message, Snapshot, Trade

NS = 1_000_000_000
MIDNIGHT_NS = 1_700_006_400 * NS
EACH_EVENT: dict[str, Any] = {"hf_emit_interval": 0, "level_columns": False}


@dataclass(frozen=True)
class Case:
    """One example of the specification."""

    name: str
    expected: dict[str, Any]
    events: Sequence[Snapshot | Message] = ()
    trades: Sequence[Trade] = ()
    options: dict[str, Any] = field(default_factory=dict)  # beside a row per event
    row: int = -1
    table: str = "orderbook"  # or "trade_features", "book_bars"
    duration_s: int = 60
    rows: Sequence[dict[str, Any]] | None = None  # of book_bars, instead of events


def at(seconds: float) -> int:
    return MIDNIGHT_NS + round(seconds * NS)


S0_BIDS = [(100.00, 5), (99.99, 3), (99.98, 2), (99.95, 10), (99.90, 20)]
S0_ASKS = [(100.02, 4), (100.03, 6), (100.05, 5), (100.10, 8), (100.20, 12)]
S0 = Snapshot(at(0), S0_BIDS, S0_ASKS)
S1 = Snapshot(
    at(1),
    [(100.01, 2), (100.00, 4), (99.99, 3), (99.95, 12), (99.90, 20)],
    [(100.02, 1), (100.03, 6), (100.05, 5), (100.10, 8), (100.20, 12)],
)
TRADES = [Trade(at(0.2), 100.02, 2, 1), Trade(at(0.5), 100.00, 0.5, -1), Trade(at(1), 100.02, 1, 1)]


def top(seconds: float, bid: tuple[float, float], ask: tuple[float, float]) -> Snapshot:
    return Snapshot(at(seconds), [bid], [ask])


def around(seconds: float, mid: float, *, half_spread: float = 0.005, size: float = 1) -> Snapshot:
    """A book of one level a side about a mid."""
    bid, ask = round(mid - half_spread, 12), round(mid + half_spread, 12)
    return top(seconds, (bid, size), (ask, size))


def mids_after(returns: Sequence[float]) -> list[float]:
    """100 and what the log returns make of it, to 15 digits."""
    total, mids = 0.0, [100.0]
    for one in returns:
        total += one
        mids.append(round(100 * math.exp(total), 12))
    return mids


RUNNING_EXAMPLE = [
    Case(
        "S0",
        {
            "mid_price": 100.01,
            "spread": 0.02,
            "relative_spread": 1.999800020e-4,
            "relative_spread_bps": 1.999800020,
            "microprice": 100.0111111,
            "micro_dev": 0.1111111111,
            "queue_log_ratio": 0.2231435513,
            "gap_bid": 0.9999000100,
            "gap_ask": 0.9999000100,
            "imbalance_L1": 0.1111111111,
            "imbalance_L3": -0.2,
            "imbalance_L5": 0.06666666667,
            "levels_bid": 5,
            "levels_ask": 5,
            "is_reset": True,
            "is_locked": False,
            "is_crossed": False,
            "bid_vol_band_0_5bps": 10,
            "bid_vol_band_5_10bps": 10,
            "bid_vol_band_10_25bps": 20,
            "bid_vol_band_25_50bps": 0,
            "bid_vol_band_50_100bps": 0,
            "band_truncated_bid": False,
            "ask_vol_band_0_5bps": 15,
            "ask_vol_band_5_10bps": 8,
            "ask_vol_band_10_25bps": 12,
            "ask_vol_band_25_50bps": 0,
            "ask_vol_band_50_100bps": 0,
            "band_truncated_ask": False,
            "bid_depth_10bps": 20,
            "ask_depth_10bps": 23,
            "imbalance_10bps": -0.06976744186,
            "bid_depth_convexity": Decimal("0.5"),
            "notional_imbalance_10bps": -0.07019257151,
            "vwap_bid_5": 99.93575,
            "vwap_ask_5": 100.106,
            "vwap_spread": 0.17025,
            "vwap_spread_bps": 17.02329767,
            "wmid_5": 100.02655,
            "inv_dist_imbalance": 0.04314210406,
            "smart_bid_depth": 16.65254523,
            "smart_ask_depth": 14.06086544,
            "smart_depth_imbalance": 0.08438267630,
            "bid_slope": 3.515688957,
            "ask_slope": 1.591902294,
            "bid_depth_entropy": 0.8059546841,
            "ask_depth_entropy": 0.9522374379,
            "center_of_gravity": 100.0152,
            "cog_vs_mid": 0.5199480052,
            "lambda_like": 0.00227,
            "amihud_like": 2.269428070e-7,
            "bid_concentration": 0.33625,
            "ask_concentration": 0.2326530612,
            "bid_top_share": Decimal("0.125"),
            "ask_top_share": 0.1142857143,
            "log_return": None,
            "mid_velocity": None,
            "ofi": None,
            "tfi": None,
        },
        [S0],
    ),
    Case(
        "S0 by options",
        {
            "smart_bid_depth": 12.49335813,
            "smart_ask_depth": 12.88764584,
            "smart_depth_imbalance": -0.01553475650,
            "bid_gn_slope": 0.08789222393,
            "ask_gn_slope": 0.04548292267,
            "bid_ns_slope": 4311.005865,
            "ask_ns_slope": 4361.178403,
            "cost_to_trade_10_base": 3.299670033,
            "buy_cost_1000_quote": 1.599736031,
            "cost_to_trade_10000_quote": None,
            "ctt_exhausted": True,
        },
        [S0],
        options={"smart_depth_kind": "index", "slope_kinds": ("gn", "ns"), "cost_base_sizes": (10,)},
    ),
    Case("S0 three levels", {"wmid_3": 100.0094}, [S0], options={"depth_levels": 3}),
    Case("S0 cut", {"band_truncated_bid": True}, [S0], options={"max_levels": 5, "ofi_levels": 2}),
    Case("book not exhausted", {"ctt_exhausted": False}, [S0], options={"cost_quote_sizes": (1000,)}),
    Case("S4", {"bid_price_L4": 99.9, "ask_size_L4": 12, "bid_price_L5": None}, [S0], options={"level_columns": True}),
    Case(
        "S1",
        {
            "mid_price": 100.015,
            "spread": 0.01,
            "relative_spread_bps": 0.9998500225,
            "microprice": 100.0166667,
            "imbalance_L1": 0.3333333333,
            "micro_dev": 0.3333333333,
            "is_reset": False,
            "center_of_gravity": 100.0142466,
            "cog_vs_mid": -0.07533116608,
            "log_return": 4.999375079e-5,
            "mid_velocity": 0.005,
            "mid_velocity_bps": 0.4999500050,
            "ofi": 5,
            "mlofi_L0": 5,
            "mlofi_L1": 4,
            "mlofi_L2": 3,
            "mlofi_L3": 2,
            "mlofi_L4": 0,
            "mlofi": 8.976021283,
            "mlofi_norm": 3.847621149,
            "log_gofi": 2.014903021,
            "ofi_source": "snapshot",
            "tfi": Decimal("2.5"),
            "tfi_norm": 0.7142857143,
            "lofi": Decimal("2.5"),
            "trade_volume": Decimal("3.5"),
            "trade_count": 3,
            "trade_value": 350.06,
            "ask_ns_slope": None,
        },
        [S0, S1],
        TRADES,
        {"ofi_levels": 5, "slope_kinds": ("ns",)},
    ),
    Case(
        "S13 power",
        {"mlofi": 8.0, "mlofi_norm": 4.129032258},
        [S0, S1],
        options={"ofi_levels": 5, "ofi_decay_kind": "power"},
    ),
    Case("S13 no decay", {"mlofi": 14}, [S0, S1], options={"ofi_decay_alpha": 0}),
    Case(
        "S14 no trades in the interval",
        {"tfi": 0, "tfi_norm": None, "trade_count": 0, "eff_spread_bps": None},
        [S0, S1, Snapshot(at(2), S0_BIDS, S0_ASKS)],
        TRADES,
    ),
    Case(
        "A19 A20",
        {"eff_spread_bps": 1.999800020, "trade_loc": 1},
        [S0, S1],
        [Trade(at(1), 100.02, 2, 1)],
    ),
]

MOTION = [
    Case(
        "S16",
        {"mid_velocity": -0.005, "mid_acceleration": -0.005},
        [around(0, 100.01), around(1, 100.015), around(3, 100.005)],
    ),
    Case(
        "S16 null on the second",
        {"mid_velocity": 0.005, "mid_acceleration": None},
        [around(0, 100.01), around(1, 100.015)],
    ),
    Case(
        "F12 two books at one time",
        {"mid_velocity": None, "mid_acceleration": None, "log_return": math.log(100.02 / 100.015), "ofi": 2},
        [around(0, 100.01), around(1, 100.015), around(1, 100.02)],
    ),
    Case(
        "F12 the velocity before is kept",
        {"mid_velocity": -0.01, "mid_acceleration": -0.015},
        [around(0, 100.01), around(1, 100.015), around(1, 100.02), around(2, 100.01)],
    ),
    Case("F10 300 s", {"is_reset": False, "ofi": 0}, [around(0, 100), around(300, 100)]),
    Case(
        "F10 300 s and 1 ns",
        {"is_reset": True, "ofi": None, "log_return": None},
        [around(0, 100), Snapshot(at(300) + 1, [(99.995, 1)], [(100.005, 1)])],
    ),
    Case(
        "0.3 gap mark", {"is_reset": True, "has_gap": True, "ofi": None}, [S0, Snapshot(at(1), S1.bids, S1.asks, True)]
    ),
]

TRUTH_TABLE = [
    Case(f"S12 {name}", {"ofi": ofi, "mlofi_L0": ofi}, [top(0, (100, 5), (101, 4)), top(1, bid, ask)])
    for name, bid, ask, ofi in [
        ("bid up", (100.5, 2), (101, 4), 2),
        ("bid same", (100, 7), (101, 4), 2),
        ("bid down", (99, 3), (101, 4), -5),
        ("ask down", (100, 5), (100.9, 6), -6),
        ("ask same", (100, 5), (101, 1), 3),
        ("ask up", (100, 5), (102, 9), 4),
    ]
]
TURN = [top(0, (100.00, 5), (101, 4)), top(0.3, (100.01, 2), (101, 4)), top(0.6, (100.00, 4), (101, 4))]
TURN_MESSAGES = [
    Message(at(0), True, [("bid", 100.00, 5), ("ask", 101, 4)]),
    Message(at(0.3), False, [("bid", 100.01, 2), ("bid", 100.00, 4)]),
    Message(at(0.6), False, [("bid", 100.01, 0)]),
]
SAMPLED = {"hf_emit_interval": 1}
LEVELS_COME_AND_GO = [
    Snapshot(at(0), [(100, 5), (99, 3)], [(101, 4)]),
    Snapshot(at(1), [(100, 5)], [(101, 4), (102, 6)]),
    Snapshot(at(2), [(100, 5), (98, 2)], [(101, 4)]),
]
FLOW = [
    *TRUTH_TABLE,
    Case("3.1 every event", {"ofi": 0, "n_updates": 2, "timestamp": at(1), "book_ts": at(0.6)}, TURN, options=SAMPLED),
    Case("3.1 every message", {"ofi": 0, "ofi_source": "event"}, TURN_MESSAGES, options=SAMPLED),
    Case("3.1 the end alone", {"ofi": -1}, [TURN[0], TURN[2]], options=SAMPLED),
    Case("S13 levels vanish", {"mlofi_L1": -3 - 6}, LEVELS_COME_AND_GO, row=1),
    Case("S13 levels return", {"mlofi_L1": 2 + 6}, LEVELS_COME_AND_GO, row=2),
]

ALL = [*RUNNING_EXAMPLE, *MOTION, *FLOW]
