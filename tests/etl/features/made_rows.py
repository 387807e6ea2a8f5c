"""`Rows` made slowly by hand, a row per book, for tests of families alone."""

from collections.abc import Sequence

import numpy as np

from etl.features.declared import Family, computed, families
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows, RowTrades

Side = Sequence[tuple[float, float]]
S0: tuple[float, Side, Side] = (
    0.0,
    [(100.00, 5), (99.99, 3), (99.98, 2), (99.95, 10), (99.90, 20)],
    [(100.02, 4), (100.03, 6), (100.05, 5), (100.10, 8), (100.20, 12)],
)
S1: tuple[float, Side, Side] = (
    1.0,
    [(100.01, 2), (100.00, 4), (99.99, 3), (99.95, 12), (99.90, 20)],
    [(100.02, 1), (100.03, 6), (100.05, 5), (100.10, 8), (100.20, 12)],
)
TRADES = [(0.4, 100.02, 2.0, 1), (0.5, 100.00, 0.5, -1), (0.9, 100.02, 1.0, 1)]  # those of the running example


def flow(before: tuple[float, float], now: tuple[float, float], *, bid: bool) -> float:
    """What one level of one side adds to order flow imbalance; a missing level is (nan, nan)."""
    worst = -np.inf if bid else np.inf
    (p0, q0), (p1, q1) = ((worst, 0.0) if np.isnan(p) else (p, q) for p, q in (before, now))
    if bid:
        return (q1 if p1 >= p0 else 0.0) - (q0 if p1 <= p0 else 0.0)
    return (q0 if p1 >= p0 else 0.0) - (q1 if p1 <= p0 else 0.0)


def made_rows(
    books: Sequence[tuple[float, Side, Side]],
    trades: Sequence[tuple[float, float, float, int]] = (),
    *,
    options: FeatureOptions = FeatureOptions(hf_emit_interval=0),  # noqa: B008 - frozen
    resets: Sequence[int] = (0,),
) -> Rows:
    """Rows of (seconds, bids, asks), best level first, none crossed; trades are (seconds, price, amount, sign)."""
    n, deep, m = len(books), options.max_levels, options.ofi_levels
    sides = np.full((4, n, deep), np.nan)
    for k, (_, bids, asks) in enumerate(books):
        for at, side in ((0, bids), (2, asks)):
            for i, (price, size) in enumerate(side[:deep]):
                sides[at, k, i], sides[at + 1, k, i] = price, size
    t_ns = np.array([round(s * 1e9) for s, _, _ in books], dtype=np.int64)
    is_reset = np.array([k in resets for k in range(n)])
    levels = (~np.isnan(sides[0])).sum(axis=1), (~np.isnan(sides[2])).sum(axis=1)
    ofi, log_gofi = np.full((n, m), np.nan), np.full(n, np.nan)
    for k in range(1, n):
        if is_reset[k]:
            continue
        for i in range(m):
            level = [(sides[at, j, i], sides[at + 1, j, i]) for at in (0, 2) for j in (k - 1, k)]
            ofi[k, i] = flow(level[0], level[1], bid=True) + flow(level[2], level[3], bid=False)
            if i == 0:
                logs = [(p, np.log1p(q)) for p, q in level]
                log_gofi[k] = flow(logs[0], logs[1], bid=True) + flow(logs[2], logs[3], bid=False)
    no = np.zeros(n, dtype=np.bool_)
    two_sided = (levels[0] > 0) & (levels[1] > 0)
    return Rows(
        t_ns=t_ns,
        book_ns=t_ns,
        known_ns=t_ns,
        bid_price=sides[0],
        bid_size=sides[1],
        ask_price=sides[2],
        ask_size=sides[3],
        levels_bid=levels[0],
        levels_ask=levels[1],
        is_valid=two_sided,
        is_reset=is_reset,
        is_locked=sides[0, :, 0] == sides[2, :, 0],
        is_crossed=no,
        is_one_sided=~two_sided,
        has_gap=no,
        n_updates=np.ones(n, dtype=np.int64),
        n_crossed=np.zeros(n, dtype=np.int64),
        event_ofi=ofi,
        event_log_gofi=log_gofi,
        has_trades=np.array([any(round(t * 1e9) <= now for t, *_ in trades) for now in t_ns]),
        trades=_row_trades(trades, t_ns, is_reset, sides, two_sided),
    )


def _row_trades(
    trades: Sequence[tuple[float, float, float, int]],
    t_ns: np.ndarray,
    is_reset: np.ndarray,
    sides: Floats,
    valid: np.ndarray,
) -> RowTrades:
    t_ns, is_reset, sides = t_ns[valid], is_reset[valid], sides[:, valid]
    moments = np.array([round(t * 1e9) for t, *_ in trades], dtype=np.int64)
    row = np.searchsorted(t_ns, moments)
    used = row < len(t_ns)
    before = row - 1  # the last book strictly before the trade
    return RowTrades(
        t_ns=moments[used],
        sign=np.array([sign for *_, sign in trades], dtype=np.int8)[used],
        price=np.array([price for _, price, _, _ in trades], dtype=np.float64)[used],
        amount=np.array([amount for _, _, amount, _ in trades], dtype=np.float64)[used],
        bid_before=np.where(before >= 0, sides[0, np.maximum(before, 0), 0], np.nan)[used],
        ask_before=np.where(before >= 0, sides[2, np.maximum(before, 0), 0], np.nan)[used],
        row=row[used],
        is_dropped=is_reset[row[used]],
    )


def portion(rows: Rows, start: int, stop: int) -> Rows:
    """Some of the rows with their trades, as an update of its own. All rows must be valid."""
    arrays = {name: value[start:stop] for name, value in vars(rows).items() if isinstance(value, np.ndarray)}
    own = (rows.trades.row >= start) & (rows.trades.row < stop)
    trades = {name: value[own] for name, value in vars(rows.trades).items()}
    trades["row"] = trades["row"] - start
    return Rows(**arrays, trades=RowTrades(**trades))


def columns_of(rows: Rows, *, options: FeatureOptions) -> dict[str, Floats]:
    """Every column of every family, NaN for null."""
    made_by: dict[str, Family] = families(options)
    return computed(made_by, rows)
