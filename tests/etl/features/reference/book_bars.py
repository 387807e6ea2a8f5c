"""Bars over the rows of the book: gold `book_bars`. Specification 5 (S27-S29), A28, A29, A31-A33, A35."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

from tests.etl.features.reference.numbers import NS
from tests.etl.features.reference.options import Options

Columns = dict[str, Any]
HELD_NS_MAX = 300 * NS
DAY_S = 86_400
TIME_WEIGHTED = {
    "tw_spread": "spread",
    "tw_relative_spread": "relative_spread",
    "tw_l1_imbalance": "imbalance_L1",
    "tw_total_imbalance": "total_imbalance",
}


def bar_rows(rows: Sequence[dict[str, object]], duration_s: int, options: Options) -> list[dict[str, object]]:
    """One bar a UTC interval [start, end) that has a valid row; rows are `book_rows`' (or hold the columns used)."""
    valid: list[Columns] = [row for row in rows if row["mid_price"] is not None]

    def start_of(row: Columns) -> int:
        return int(row["timestamp"]) // (duration_s * NS) * (duration_s * NS)

    bars: list[Columns] = []
    for start_ns, of_bar in groupby(valid, key=start_of):
        inside = list(of_bar)
        end_ns = start_ns + duration_s * NS
        known = [row["known_at"] for row in valid if row["timestamp"] < end_ns and row.get("known_at") is not None]
        bars.append(
            {
                "time_start": start_ns,
                "time_end": end_ns,
                "bar_duration_sec": duration_s,
                "known_at": max(known, default=None),
                **sums(inside),
                **{name: time_weighted(valid, column, start_ns, end_ns) for name, column in TIME_WEIGHTED.items()},
                **variation(inside, duration_s, options),
                **ranges(inside),
            }
        )
        for n in options.yang_zhang_bars:
            bars[-1][f"yang_zhang_{n}"] = yang_zhang(bars, n)
    return bars


def present(rows: Sequence[Columns], column: str) -> list[float]:
    return [row[column] for row in rows if row.get(column) is not None]


def mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def total(values: Sequence[float]) -> float | None:
    return math.fsum(values) if values else None


def sums(rows: Sequence[Columns]) -> Columns:
    """S27."""
    mids = present(rows, "mid_price")
    return {
        "open": mids[0],
        "high": max(mids),
        "low": min(mids),
        "close": mids[-1],
        "mean_spread": mean(present(rows, "spread")),
        "min_spread": min(present(rows, "spread"), default=None),
        "max_spread": max(present(rows, "spread"), default=None),
        "mean_relative_spread": mean(present(rows, "relative_spread")),
        "mean_l1_imbalance": mean(present(rows, "imbalance_L1")),
        "mean_total_imbalance": mean(present(rows, "total_imbalance")),
        "sum_ofi": total(present(rows, "ofi")),
        "sum_mlofi": total(present(rows, "mlofi")),
        "sum_tfi": total(present(rows, "tfi")),
        "snapshot_count": len(rows),
        "n_reset": sum(bool(row.get("is_reset")) for row in rows),
    }


def time_weighted(valid: Sequence[Columns], column: str, start_ns: int, end_ns: int) -> float | None:
    """A28: each value in force from its row to the next, at most 300 s, and only its time within the bar."""
    weighted, held = [], 0
    for place, row in enumerate(valid):
        until = min([row["timestamp"] + HELD_NS_MAX, end_ns, *(next_["timestamp"] for next_ in valid[place + 1 :][:1])])
        inside_ns = until - max(row["timestamp"], start_ns)
        if inside_ns > 0 and row.get(column) is not None:
            weighted.append(row[column] * inside_ns)
            held += inside_ns
    return math.fsum(weighted) / held if held else None


def variation(rows: Sequence[Columns], duration_s: int, options: Options) -> Columns:
    """S28, S29, A29, A31-A33: of the returns that end in the bar; nulls are skipped."""
    returns = present(rows, "log_return")
    n = len(returns)
    rv = total([r * r for r in returns])
    return {
        "realized_variance": rv,
        "daily_vol_ann": None if rv is None else math.sqrt(rv * (DAY_S / duration_s) * 365),
        **{f"variance_ratio_{q}": variance_ratio(returns, q) for q in options.variance_ratio_lags},
        **jumps(returns, rv),
        "zero_frac": sum(r == 0 for r in returns) / n if n else None,
        "rs_plus": total([r * r for r in returns if r > 0]) or (0.0 if n else None),
        "rs_minus": total([r * r for r in returns if r < 0]) or (0.0 if n else None),
        "signed_jump": math.fsum(r * abs(r) for r in returns) if n else None,
        "rskew": math.sqrt(n) * math.fsum(r**3 for r in returns) / rv**1.5 if rv else None,
        "rkurt": n * math.fsum(r**4 for r in returns) / rv**2 if rv else None,
        "rq": n / 3 * math.fsum(r**4 for r in returns) if n else None,
    }


def jumps(returns: Sequence[float], rv: float | None) -> Columns:
    """A31, A32."""
    sizes = [abs(r) for r in returns]
    n = len(sizes)
    bpv = medrv = minrv = None
    if n >= 2:
        bpv = math.pi / 2 * n / (n - 1) * math.fsum(a * b for a, b in pairwise(sizes))
        least = math.fsum(min(a, b) ** 2 for a, b in pairwise(sizes))
        minrv = math.pi / (math.pi - 2) * n / (n - 1) * least
    if n >= 3:
        medians = math.fsum(sorted(sizes[i - 1 : i + 2])[1] ** 2 for i in range(1, n - 1))
        medrv = math.pi / (6 - 4 * math.sqrt(3) + math.pi) * n / (n - 2) * medians
    jump_ratio = None if bpv is None or not rv else max(0.0, 1 - bpv / rv)
    return {"bpv": bpv, "jump_ratio": jump_ratio, "medrv": medrv, "minrv": minrv}


def variance_ratio(returns: Sequence[float], q: int) -> float | None:
    """A29: overlapping sums of q about q times the mean, population moments; null without more than q returns."""
    n = len(returns)
    if n <= q or all(r == returns[0] for r in returns):
        return None
    centre = math.fsum(returns) / n
    variance = math.fsum((r - centre) ** 2 for r in returns) / n
    long = [math.fsum(returns[i : i + q]) - q * centre for i in range(n - q + 1)]
    return math.fsum(x * x for x in long) / len(long) / (q * variance)


def ranges(rows: Sequence[Columns]) -> Columns:
    """A35 of one bar; null with fewer than two rows."""
    if len(rows) < 2:
        return dict.fromkeys(("parkinson", "garman_klass", "rogers_satchell"))
    mids = present(rows, "mid_price")
    span, drift = math.log(max(mids) / min(mids)), math.log(mids[-1] / mids[0])
    up, down = math.log(max(mids) / mids[0]), math.log(min(mids) / mids[0])
    return {
        "parkinson": span**2 / (4 * math.log(2)),
        "garman_klass": span**2 / 2 - (2 * math.log(2) - 1) * drift**2,
        "rogers_satchell": up * (up - drift) + down * (down - drift),
    }


def yang_zhang(bars: Sequence[Columns], n: int) -> float | None:
    """A35 over the last n bars there are; the bar before them gives the first close."""
    if n < 2 or len(bars) < n + 1:
        return None
    last = bars[-n:]
    satchell = present(last, "rogers_satchell")
    if len(satchell) < n:
        return None
    overnight = [math.log(now["open"] / before["close"]) for before, now in zip(bars[-n - 1 :], last, strict=False)]
    drift = [math.log(bar["close"] / bar["open"]) for bar in last]
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    return sample_variance(overnight) + k * sample_variance(drift) + (1 - k) * math.fsum(satchell) / n


def sample_variance(values: Sequence[float]) -> float:
    centre = math.fsum(values) / len(values)
    return math.fsum((x - centre) ** 2 for x in values) / (len(values) - 1)
