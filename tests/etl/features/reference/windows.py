"""Windows over the rows, each counted anew. Specification 0.2, 3.6 and 4 (S17, S20-S26), A4, A15, A17, A18, A25-A27."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.etl.features.reference.emission import Row, all_past, valid_past
from tests.etl.features.reference.motion_flow import (
    before,
    change,
    net,
    ofi_at,
    orderflow,
    traded_value,
    trades_of,
)
from tests.etl.features.reference.numbers import NS, exact, fitted, log_ratio, ratio, seconds_ns
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.signs import Print

Columns = dict[str, object]
ZERO = Fraction(0)
REGIME_OBS_MIN = 30
REGIME_MEMORY_S = 3600


@dataclass(frozen=True)
class Facts:
    """What the windows need of one valid row."""

    row: Row
    ofi: Fraction | None
    mlofi: float | None
    tfi: Fraction | None
    value: Fraction | None  # traded
    traded_at: Fraction | None  # price of the last trade
    log_return: float | None
    change: Fraction | None  # of the mid
    relative_spread: Fraction
    depth: Fraction
    mean_level_size: Fraction
    regime: int


def facts_of(row: Row, prints: Sequence[Print], options: Options) -> Facts:
    last, trades = before(row), trades_of(row, prints)
    mlofi = orderflow(row, options)["mlofi"]
    assert mlofi is None or isinstance(mlofi, float)
    n = options.depth_levels
    return Facts(
        row=row,
        ofi=ofi_at(row, 0),
        mlofi=mlofi,
        tfi=None if trades is None else net(trades),
        value=None if trades is None else traded_value(trades),
        traded_at=trades[-1].price if trades else None,
        log_return=None if last is None else log_ratio(row.book.mid, last.book.mid),
        change=change(row),
        relative_spread=row.book.spread / row.book.mid,
        depth=sum((size for _, size in row.book.bids[:n] + row.book.asks[:n]), ZERO),
        mean_level_size=mean_level_size(row, options),
        regime=regime_of(row, options)[1],
    )


def mean_level_size(row: Row, options: Options) -> Fraction:
    """Mean of (bid size + ask size) / 2 over the M levels of OFI; a missing level counts as 0, as in OFI."""
    m = options.ofi_levels
    return sum((size for _, size in row.book.bids[:m] + row.book.asks[:m]), ZERO) / (2 * m)


def regime_of(row: Row, options: Options) -> tuple[float | None, int, str]:
    """S17: mid-rank of the quote spread among the rows of the last W seconds without this one, the regime, the rule."""
    own = row.book.spread
    history = [
        earlier.book.spread
        for earlier in kept_for_regime(row)[:-1]
        if row.t_ns - earlier.t_ns < seconds_ns(options.spread_regime_window)
    ]
    if not options.use_dynamic_spread_regime or len(history) < REGIME_OBS_MIN:
        return None, -1 if own / row.book.mid <= exact(options.tight_spread_threshold) else 0, "static"
    lower, same = sum(x < own for x in history), sum(x == own for x in history)
    rank = Fraction(2 * lower + same, 2 * len(history))
    if rank <= exact(options.spread_tight_percentile):
        return float(rank), -1, "dynamic"
    return float(rank), int(rank >= exact(options.spread_wide_percentile)), "dynamic"


def kept_for_regime(row: Row) -> list[Row]:
    """The valid rows since the last reset after more than an hour of silence."""
    kept: list[Row] = []
    for past in all_past(row):
        resets = [step for step in past.steps if step.before is None and step.silence_ns is not None]
        if any((step.silence_ns or 0) > seconds_ns(REGIME_MEMORY_S) for step in resets):
            kept = []
        kept.append(past)
    return kept


def regime(row: Row, options: Options) -> Columns:
    rank, told, source = regime_of(row, options)
    return {"spread_pct": rank, "spread_regime": told, "regime_source": source}


def rolling(row: Row, facts: dict[Row, Facts], options: Options) -> Columns:
    """Every column of every horizon at a row."""
    columns: Columns = {}
    past = [facts[earlier] for earlier in valid_past(row)]
    for h in options.horizons:
        window = window_of(row, past, h, options)
        for column, number in of_window(window, h, options).items():
            columns[f"{column}_{h}s"] = number
        columns[f"roll_spread_{h}s"] = roll_spread(past, window or [], options)
        if options.partial_windows:
            columns[f"coverage_{h}s"] = min(1.0, (row.t_ns - past[0].row.t_ns) / seconds_ns(h))
    columns["book_age"] = None if row.is_reset else (row.t_ns - row.book.t_ns) / NS
    for tau in options.ew_taus_s:
        terms = [
            float(then.ofi) * math.exp(-(row.t_ns - then.row.t_ns) / (tau * NS))
            for then in past
            if then.ofi is not None
        ]
        columns[f"ew_ofi_{tau}s"] = math.fsum(terms) if terms else None
    return columns


def window_of(row: Row, past: Sequence[Facts], seconds: float, options: Options) -> list[Facts] | None:
    """The rows of (t - h, t], the current one included; none while state is younger than h."""
    if row.t_ns - past[0].row.t_ns < seconds_ns(seconds) and not options.partial_windows:
        return None
    return [then for then in past if row.t_ns - then.row.t_ns < seconds_ns(seconds)]


def of_window(window: list[Facts] | None, h: int, options: Options) -> Columns:
    rows = window or []
    returns = [then.log_return for then in rows if then.log_return is not None]
    flows = [then.ofi for then in rows if then.ofi is not None]
    depths = [then.depth for then in rows]
    least = options.min_obs
    rv = if_enough(returns, least, lambda x: math.sqrt(math.fsum(r * r for r in x)))
    return {
        "ofi_sum": if_enough(flows, least, lambda x: float(sum(x))),
        "mlofi_sum": if_enough([then.mlofi for then in rows if then.mlofi is not None], least, math.fsum),
        "tfi_sum": if_enough([then.tfi for then in rows if then.tfi is not None], least, lambda x: float(sum(x))),
        "rv": rv,
        "rv_ann": None if rv is None else rv * math.sqrt(365 * 86_400 / h),
        "rstd": if_enough(returns, max(2, least), lambda x: math.sqrt(variance([exact(r) for r in x]))),
        "mean_return": if_enough(returns, least, lambda x: math.fsum(x) / len(x)),
        "sum_return": if_enough(returns, least, math.fsum),
        "mean_spread": if_enough(
            [float(then.relative_spread) for then in rows], least, lambda x: math.fsum(x) / len(x)
        ),
        "depth_var": if_enough(depths, max(2, least), lambda x: float(variance(x))),
        "depth_mean": if_enough(depths, least, lambda x: float(sum(x) / len(x))),
        "ofi_norm": if_enough(flows, least, lambda x: normalised(sum(x, ZERO), [t.mean_level_size for t in rows])),
        "quote_rate": if_enough(rows, least, lambda x: sum(len(then.row.steps) for then in x) / h),
        "tight_frac": if_enough(rows, least, lambda x: sum(then.regime == -1 for then in x) / len(x)),
        "wide_frac": if_enough(rows, least, lambda x: sum(then.regime == 1 for then in x) / len(x)),
        "ofi_beta": ofi_beta(rows, options),
        "amihud": amihud(rows, options),
        "hasbrouck_lambda": hasbrouck_lambda(rows, options),
    }


def if_enough(values: list, least: int, number: Callable[[list], float | None]) -> float | None:  # type: ignore[type-arg]
    return number(values) if len(values) >= max(1, least) else None


def variance(values: Sequence[Fraction]) -> Fraction:
    """Of a sample."""
    mean = sum(values, ZERO) / len(values)
    return sum(((x - mean) ** 2 for x in values), ZERO) / (len(values) - 1)


def normalised(flow: Fraction, sizes: Sequence[Fraction]) -> float | None:
    """A4."""
    return ratio(flow * len(sizes), sum(sizes, ZERO))


def ofi_beta(rows: Sequence[Facts], options: Options) -> float | None:
    """A17: slope of the mid's change on OFI."""
    pairs = [(then.ofi, then.change) for then in rows if then.ofi is not None and then.change is not None]
    if len(pairs) < options.min_obs_regression:
        return None
    line = fitted([x for x, _ in pairs], [y for _, y in pairs])
    return None if line is None else float(line.slope)


def amihud(rows: Sequence[Facts], options: Options) -> float | None:
    """A25: mean |return| per quote unit traded, over the rows with trades."""
    terms = [abs(then.log_return) / float(then.value) for then in rows if then.value and then.log_return is not None]
    return if_enough(terms, options.min_obs_regression, lambda x: math.fsum(x) / len(x))


def hasbrouck_lambda(rows: Sequence[Facts], options: Options) -> float | None:
    """A26: slope without intercept of the return on sign(tfi) sqrt(value), over the rows with trades."""
    pairs = [
        (exact(math.copysign(math.sqrt(then.value), then.tfi) if then.tfi else 0.0), exact(then.log_return))
        for then in rows
        if then.value and then.tfi is not None and then.log_return is not None
    ]
    if len(pairs) < options.min_obs_regression:
        return None
    line = fitted([x for x, _ in pairs], [y for _, y in pairs], with_intercept=False)
    return None if line is None else float(line.slope)


def roll_spread(past: Sequence[Facts], rows: Sequence[Facts], options: Options) -> float | None:
    """A27: on the last prices of the rows with trades; a product belongs to the row of its later change."""
    traded = [then for then in past if then.traded_at is not None]
    changes = [now.traded_at - last.traded_at for last, now in itertools.pairwise(traded)]  # type: ignore[operator]
    inside = {then.row for then in rows}
    products = [
        now * last
        for (last, now), then in zip(itertools.pairwise(changes), traded[2:], strict=True)
        if then.row in inside
    ]
    if len(products) < max(1, options.min_obs_regression):
        return None
    covariance = sum(products, ZERO) / len(products)
    return None if covariance >= 0 else 2 * math.sqrt(-covariance)
