"""Worked numbers of the trades' rows and of the bars over the book's rows."""

import math
from collections.abc import Sequence
from typing import Any

from tests.etl.features.reference import Trade
from tests.etl.features.spec_cases import Case, around, at


def trade_case(name: str, expected: dict[str, Any], trades: Sequence[Trade], **options: Any) -> Case:
    return Case(name, expected, trades=trades, options=options, table="trade_features")


def signs(word: str) -> list[Trade]:
    return [Trade(at(second), 100, 1, 1 if sign == "+" else -1) for second, sign in enumerate(word)]


SIZES = [Trade(at(second), 100, size, 1) for second, size in enumerate((5, 5, 5, 5, 5, 1, 1, 2, 8, 1))]
TRADES = [
    trade_case(  # the specification looks at 6 s; a row stands at a trade, so the trade's own 1/tau is beside it
        "A21",
        {"trade_rate_ew": 0.2123969100 + 0.1, "trade_rate_ew_sell": 0.1},
        [*(Trade(at(second), 100, 1, 1) for second in (0, 2, 5)), Trade(at(6), 100, 1, -1)],
        trade_rate_tau_s=10,
    ),
    trade_case("A22", {"sign_autocorr": 0.05833333333}, signs("++-+++--"), sign_window=8),
    trade_case("A23", {"sign_streak": -3, "direction": -1}, signs("++---")),
    trade_case("A24", {"large_share": 0.6153846154, "trade_hhi": 0.4201183432}, SIZES, large_trade_window=5),
    trade_case(
        "the tick rule",
        {"direction": -1, "dollar_volume": 199.8, "log_return": 0.0},
        [Trade(at(0), 100, 1, 1), Trade(at(1), 99.9, 1, None), Trade(at(2), 99.9, 2, None)],
    ),
]


def bar_row(seconds: float, **columns: Any) -> dict[str, Any]:
    """A row of `orderbook` with what bars read of it."""
    return {
        "timestamp": at(seconds),
        "known_at": at(seconds),
        "is_reset": False,
        "is_crossed": False,
        "is_one_sided": False,
        "mid_price": 100.0,
        "spread": 0.01,
        "relative_spread": 1e-4,
        "imbalance_L1": 0.0,
        "total_imbalance": 0.0,
        "ofi": 0.0,
        "mlofi": 0.0,
        "tfi": 0.0,
        "log_return": 0.0,
        **columns,
    }


def bar_case(name: str, expected: dict[str, Any], rows: Sequence[dict[str, Any]], **given: Any) -> Case:
    return Case(name, expected, rows=rows, table="book_bars", **given)


def of_returns(returns: Sequence[float]) -> list[dict[str, Any]]:
    return [bar_row(second, log_return=one) for second, one in enumerate(returns)]


def of_mids(*bars: Sequence[float]) -> list[dict[str, Any]]:
    return [bar_row(60 * bar + 10 * i, mid_price=mid) for bar, mids in enumerate(bars) for i, mid in enumerate(mids)]


EDGE = [around(s, mid) for s, mid in ((10, 100.00), (40, 100.02), (59.9, 100.01), (60, 100.03), (90, 100.00))]
BARS = [
    Case("S28 first", {"realized_variance": 4.998900216e-8, "n_reset": 1}, EDGE, table="book_bars", row=0),
    Case("S28 the edge is the later's", {"realized_variance": 1.299570125e-7}, EDGE, table="book_bars", row=1),
    Case("S28 both", {"realized_variance": 1.799460146e-7}, EDGE, table="book_bars", duration_s=300),
    Case(
        "S27",
        {"open": 100.00, "high": 100.02, "low": 100.00, "close": 100.01, "snapshot_count": 3, "time_start": at(0)},
        EDGE,
        table="book_bars",
        row=0,
    ),
    bar_case("S29", {"daily_vol_ann": 0.1255706972}, of_returns([math.sqrt(1.5e-7)]), duration_s=300),
    bar_case(
        "A28",
        {"tw_spread": 0.037, "mean_spread": 0.02666666667},
        [bar_row(0, spread=0.02), bar_row(3, spread=0.01), bar_row(4, spread=0.05)],
        duration_s=10,
    ),
    bar_case(
        "A29",
        {"variance_ratio_2": 0.5714285714},
        of_returns([1e-4, -1e-4, 1e-4, 1e-4, -1e-4, -1e-4, 1e-4, -1e-4]),
        options={"variance_ratio_lags": (2,)},
    ),
    bar_case(
        "A31 A32 A33",
        {
            "realized_variance": 6.9e-7,
            "bpv": 3.581415625e-7,
            "jump_ratio": 0.4809542573,
            "zero_frac": 0.0,
            "medrv": 8.516149812e-8,
            "minrv": 1.651163036e-7,
            "rs_plus": 6.7e-7,
            "rs_minus": 2e-8,
            "signed_jump": 6.5e-7,
            "rskew": 2.192397783,
            "rkurt": 5.168241966,
            "rq": 8.202e-13,
        },
        of_returns([1e-4, -1e-4, 1e-4, 8e-4, -1e-4, 1e-4]),
    ),
    bar_case(
        "A35",
        {"parkinson": 8.075036768e-5, "garman_klass": 1.023344868e-4, "rogers_satchell": 9.950723186e-5},
        of_mids([100, 101, 99.5, 100.5]),
    ),
    bar_case(
        "A35 Yang-Zhang",
        {"yang_zhang_2": 2.232477081e-5},
        of_mids([100, 101, 99.5, 100.5], [100.5, 100.8, 100, 100.2], [100.2, 100.9, 100.1, 100.8]),
        options={"yang_zhang_bars": (2,)},
    ),
    bar_case("A35 one row", {"parkinson": None}, of_mids([100])),
    bar_case("A35 no range", {"parkinson": 0, "garman_klass": 0, "rogers_satchell": 0}, of_mids([100, 100])),
]

ALL = [*TRADES, *BARS]
