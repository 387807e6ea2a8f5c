"""How the book moved and who traded since the row before. Specification 2, 3.1-3.3 (S12-S16), A6, A7, A19, A20."""

import math
from collections.abc import Sequence
from fractions import Fraction

from tests.etl.features.reference.books import Book, Side
from tests.etl.features.reference.emission import Row, valid_past
from tests.etl.features.reference.numbers import NS, as_float, exact, log_ratio, ratio
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.signs import Print

Columns = dict[str, object]
ZERO = Fraction(0)


def before(row: Row) -> Row | None:
    """The valid row that this one's changes are measured from."""
    return None if row.is_reset or not row.is_valid else row.previous


def change(row: Row) -> Fraction | None:
    """Change of the mid."""
    last = before(row)
    return None if last is None else row.book.mid - last.book.mid


def velocity(row: Row) -> Fraction | None:
    last = before(row)
    if last is None or row.t_ns == last.t_ns:
        return None
    return (row.book.mid - last.book.mid) / Fraction(row.t_ns - last.t_ns, NS)


def motion(row: Row) -> Columns:
    """S15, S16."""
    last, speed = before(row), velocity(row)
    speeds_before = [v for v in map(velocity, valid_past(row)[:-1]) if v is not None]
    acceleration = None
    if last is not None and speed is not None and speeds_before:
        acceleration = (speed - speeds_before[-1]) / Fraction(row.t_ns - last.t_ns, NS)
    return {
        "log_return": None if last is None else log_ratio(row.book.mid, last.book.mid),
        "mid_velocity": as_float(speed),
        "mid_velocity_bps": None if last is None or speed is None else float(speed * 10_000 / last.book.mid),
        "mid_acceleration": as_float(acceleration),
    }


def level(side: Side, place: int, missing_price: float) -> tuple[Fraction | float, Fraction]:
    return side[place] if place < len(side) else (missing_price, ZERO)


def flow(now: Book, last: Book, place: int) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """The four sizes of S12's rule at a level: bid now and before, ask now and before; 0 if not counted."""
    bid, bid_size = level(now.bids, place, -math.inf)
    last_bid, last_bid_size = level(last.bids, place, -math.inf)
    ask, ask_size = level(now.asks, place, math.inf)
    last_ask, last_ask_size = level(last.asks, place, math.inf)
    return (
        bid_size if bid >= last_bid else ZERO,
        last_bid_size if bid <= last_bid else ZERO,
        ask_size if ask <= last_ask else ZERO,
        last_ask_size if ask >= last_ask else ZERO,
    )


def ofi_at(row: Row, place: int) -> Fraction | None:
    """S12 and S13: summed over the row's books, each against the valid book before it."""
    if before(row) is None:
        return None
    summed = ZERO
    for step in row.steps:
        assert step.before is not None
        bid, bid_gone, ask, ask_gone = flow(step.book, step.before, place)
        summed += bid - bid_gone - ask + ask_gone
    return summed


def log_gofi(row: Row) -> float | None:
    """A6."""
    if before(row) is None:
        return None
    terms = []
    for step in row.steps:
        assert step.before is not None
        bid, bid_gone, ask, ask_gone = (math.log1p(size) for size in flow(step.book, step.before, 0))
        terms += [bid, -bid_gone, -ask, ask_gone]
    return math.fsum(terms)


def weights(options: Options) -> list[Fraction]:
    alpha = options.ofi_decay_alpha
    if options.ofi_decay_kind == "power":
        return [exact(alpha**place) for place in range(options.ofi_levels)]
    return [exact(math.exp(-alpha * place)) for place in range(options.ofi_levels)]


def orderflow(row: Row, options: Options) -> Columns:
    """S12, S13, A6."""
    vector = [ofi_at(row, place) for place in range(options.ofi_levels)]
    known = [e for e in vector if e is not None]
    weight = weights(options)
    scalar = sum((w * e for w, e in zip(weight, known, strict=True)), ZERO) if known else None
    return {
        "ofi": as_float(vector[0]),
        **{f"mlofi_L{place}": as_float(e) for place, e in enumerate(vector)},
        "mlofi": as_float(scalar),
        "mlofi_norm": None if scalar is None else ratio(scalar, sum(weight, ZERO)),
        "log_gofi": log_gofi(row),
    }


def trades_of(row: Row, prints: Sequence[Print]) -> list[Print] | None:
    """The trades in (t of the valid row before, t]; none without such an interval, or while no trade was seen yet."""
    last = before(row)
    if last is None or not any(trade.t_ns <= row.t_ns for trade in prints):
        return None
    return [trade for trade in prints if last.t_ns < trade.t_ns <= row.t_ns]


def net(trades: Sequence[Print]) -> Fraction:
    return sum((trade.sign * trade.amount for trade in trades), ZERO)


def volume(trades: Sequence[Print]) -> Fraction:
    return sum((trade.amount for trade in trades), ZERO)


def traded_value(trades: Sequence[Print]) -> Fraction:
    return sum((trade.value for trade in trades), ZERO)


def tradeflow(row: Row, prints: Sequence[Print]) -> Columns:
    """S14, A7, A19, A20."""
    trades = trades_of(row, prints)
    ofi = ofi_at(row, 0)
    if trades is None or ofi is None:
        names = "tfi tfi_norm trade_volume trade_value trade_count last_trade_price lofi eff_spread_bps trade_loc"
        return dict.fromkeys(names.split())
    return {
        "tfi": float(net(trades)),
        "tfi_norm": ratio(net(trades), volume(trades)),
        "trade_volume": float(volume(trades)),
        "trade_value": float(traded_value(trades)),
        "trade_count": len(trades),
        "last_trade_price": float(trades[-1].price) if trades else None,
        "lofi": float(ofi - net(trades)),
        **against_the_book(row, trades),
    }


def in_force(row: Row, t_ns: int) -> Book:
    """The last valid book strictly before a time within the row's interval."""
    return [step.book for past in valid_past(row) for step in past.steps if step.book.t_ns < t_ns][-1]


def against_the_book(row: Row, trades: Sequence[Print]) -> Columns:
    """Means by amount over the trades that have the number: a sign for the first, a spread for the second."""
    met = [(trade, in_force(row, trade.t_ns)) for trade in trades]
    effective = [
        (trade.amount, 2 * trade.sign * (trade.price - book.mid) / book.mid * 10_000)
        for trade, book in met
        if trade.sign != 0
    ]
    places = [(trade.amount, (trade.price - book.mid) / (book.spread / 2)) for trade, book in met if book.spread != 0]
    return {"eff_spread_bps": mean_by_amount(effective), "trade_loc": mean_by_amount(places)}


def mean_by_amount(terms: Sequence[tuple[Fraction, Fraction]]) -> float | None:
    return ratio(sum((w * x for w, x in terms), ZERO), sum((w for w, _ in terms), ZERO))
