"""What one book shows. Specification 1 (S1-S11) and A1, A3, A8-A14."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from tests.etl.features.reference.books import Book, Side
from tests.etl.features.reference.numbers import exact, fitted, plain, ratio
from tests.etl.features.reference.options import Options

Columns = dict[str, object]
ZERO = Fraction(0)


def structural(book: Book, options: Options) -> Columns:
    """Every feature of one book; all null where it is crossed, one side's alone where the other is empty."""
    if book.is_valid:
        return of_valid(book, options)
    blank = dict.fromkeys(of_valid(DUMMY, options))
    if book.is_crossed:
        return blank
    one_sided = {name: value for side in ("bid", "ask") for name, value in of_one_side(book, side, options).items()}
    return blank | one_sided


def of_valid(book: Book, options: Options) -> Columns:
    families = (price, levels, imbalances, bands, depth, shape, liquidity, costs)
    return {name: value for family in families for name, value in family(book, options).items()}


def side_of(book: Book, side: str) -> Side:
    return book.bids if side == "bid" else book.asks


def distance_bps(book: Book, level_price: Fraction) -> Fraction:
    return abs(level_price - book.mid) / book.mid * 10_000


def total(side: Side) -> Fraction:
    return sum((size for _, size in side), ZERO)


def value(side: Side) -> Fraction:
    return sum((level_price * size for level_price, size in side), ZERO)


def vwap(side: Side) -> Fraction | None:
    return value(side) / total(side) if side else None


def balance(bid: Fraction, ask: Fraction) -> float | None:
    return ratio(bid - ask, bid + ask)


def price(book: Book, _: Options) -> Columns:
    """S1, S2, A1, A8, A11."""
    (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
    micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    return {
        "mid_price": float(book.mid),
        "spread": float(book.spread),
        "relative_spread": float(book.spread / book.mid),
        "relative_spread_bps": float(book.spread / book.mid * 10_000),
        "microprice": float(micro),
        "micro_dev": ratio(micro - book.mid, book.spread / 2),
        "queue_log_ratio": math.log(bid_size / ask_size),
        "gap_bid": first_gap_bps(book, book.bids),
        "gap_ask": first_gap_bps(book, book.asks),
    }


def first_gap_bps(book: Book, side: Side) -> float | None:
    return None if len(side) < 2 else float(abs(side[1][0] - side[0][0]) / book.mid * 10_000)


def levels(book: Book, options: Options) -> Columns:
    """S4."""
    return levels_of(book, "bid", options) | levels_of(book, "ask", options)


def levels_of(book: Book, side: str, options: Options) -> Columns:
    columns: Columns = {}
    for place in range(options.max_levels if options.level_columns else 0):
        level = side_of(book, side)[place] if place < len(side_of(book, side)) else None
        columns[f"{side}_price_L{place}"] = None if level is None else float(level[0])
        columns[f"{side}_size_L{place}"] = None if level is None else float(level[1])
    return columns


def imbalances(book: Book, options: Options) -> Columns:
    """S3."""
    deep: Columns = {f"imbalance_L{n}": balance(total(book.bids[:n]), total(book.asks[:n])) for n in (1, 3, 5, 10)}
    return deep | {"total_imbalance": balance(total(book.bids), total(book.asks))}


class Distances:
    """The levels of a side, each with its distance in bps."""

    def __init__(self, book: Book, side: str) -> None:
        self.levels = [(distance_bps(book, level[0]), level) for level in side_of(book, side)]

    def within(self, low: float, high: float) -> Side:
        """Those at low or further, and nearer than high."""
        least, most = exact(low), exact(high)
        return tuple(level for distance, level in self.levels if least <= distance < most)


def bands(book: Book, options: Options) -> Columns:
    """S5, S6, A13, A14."""
    edges = options.bands_bps
    columns: Columns = {}
    near = {side: Distances(book, side) for side in ("bid", "ask")}
    for side, distances in near.items():
        for low, high in pairwise(edges):
            columns[f"{side}_vol_band_{plain(low)}_{plain(high)}bps"] = float(total(distances.within(low, high)))
        is_full = len(distances.levels) == options.max_levels
        columns[f"band_truncated_{side}"] = is_full and distances.levels[-1][0] < exact(edges[-1])
        for edge in edges[1:]:
            columns[f"{side}_depth_{plain(edge)}bps"] = float(total(distances.within(edges[0], edge)))
        columns[f"{side}_depth_convexity"] = ratio(total(distances.within(0, 5)), total(distances.within(0, 10)))
    for edge in edges[1:]:
        columns[f"imbalance_{plain(edge)}bps"] = balance(*(total(near[s].within(edges[0], edge)) for s in near))
    columns["notional_imbalance_10bps"] = balance(*(value(near[s].within(0, 10)) for s in near))
    return columns


def depth(book: Book, options: Options) -> Columns:
    """S7, S8, A3, A12."""
    n = options.depth_levels
    bid, ask = vwap(book.bids[:n]), vwap(book.asks[:n])
    assert bid is not None
    assert ask is not None
    bid_depth, ask_depth = total(book.bids[:n]), total(book.asks[:n])
    smart_bid, smart_ask = (smart_depth(book, side, options) for side in ("bid", "ask"))
    return {
        f"vwap_bid_{n}": float(bid),
        f"vwap_ask_{n}": float(ask),
        "vwap_spread": float(ask - bid),
        "vwap_spread_bps": float((ask - bid) / book.mid * 10_000),
        f"wmid_{n}": float((bid * ask_depth + ask * bid_depth) / (bid_depth + ask_depth)),
        "smart_bid_depth": smart_bid,
        "smart_ask_depth": smart_ask,
        "smart_depth_imbalance": ratio(exact(smart_bid) - exact(smart_ask), exact(smart_bid) + exact(smart_ask)),
        "inv_dist_imbalance": inv_dist_imbalance(book),
    }


def smart_depth(book: Book, side: str, options: Options) -> float:
    def weight(place: int, level_price: Fraction) -> float:
        if options.smart_depth_kind == "index":
            return math.exp(-options.smart_alpha * place)
        return math.exp(-math.log(2) / options.smart_half_life_bps * float(distance_bps(book, level_price)))

    return math.fsum(float(size) * weight(i, p) for i, (p, size) in enumerate(side_of(book, side)))


def inv_dist_imbalance(book: Book) -> float | None:
    if book.spread == 0:
        return None
    bid, ask = (sum((q / distance_bps(book, p) for p, q in side), ZERO) for side in (book.bids, book.asks))
    return balance(bid, ask)


def shape(book: Book, options: Options) -> Columns:
    """S9, S10, A10."""
    n = options.depth_levels
    columns: Columns = {}
    for side in ("bid", "ask"):
        cut = side_of(book, side)[:n]
        cumulative = [total(cut[: i + 1]) for i in range(len(cut))]
        distances = [distance_bps(book, level_price) for level_price, _ in cut]
        line = fitted(distances, cumulative)
        columns[f"{side}_slope"] = None if line is None else float(line.slope)
        if "gn" in options.slope_kinds:
            columns[f"{side}_gn_slope"] = None if line is None else float(line.slope / cumulative[-1])
        if "ns" in options.slope_kinds:
            columns[f"{side}_ns_slope"] = ns_slope(book, cut, [size / exact(options.lot_size) for size in cumulative])
        columns[f"{side}_depth_entropy"] = entropy(cut)
    both = book.bids[:n] + book.asks[:n]
    center = value(both) / total(both)
    columns["center_of_gravity"] = float(center)
    columns["cog_vs_mid"] = float((center - book.mid) / book.mid * 10_000)
    return columns


def ns_slope(book: Book, cut: Side, cumulative: list[Fraction]) -> float | None:
    logs = [math.log(size) for size in cumulative]
    if len(cut) < 2 or book.spread == 0 or 0 in logs[:-1]:
        return None
    first = logs[0] / float(abs(cut[0][0] / book.mid - 1))
    rest = [(logs[i + 1] / logs[i] - 1) / float(abs(cut[i + 1][0] / cut[i][0] - 1)) for i in range(len(cut) - 1)]
    return math.fsum([first, *rest]) / len(cut)


def entropy(cut: Side) -> float | None:
    if len(cut) < 2:
        return None
    shares = [float(size / total(cut)) for _, size in cut]
    return -math.fsum(share * math.log(share) for share in shares) / math.log(len(cut))


def liquidity(book: Book, options: Options) -> Columns:
    """S11."""
    n = options.depth_levels
    bids, asks = book.bids[:n], book.asks[:n]
    bid, ask = vwap(bids), vwap(asks)
    assert bid is not None
    assert ask is not None
    columns: Columns = {
        "lambda_like": float((ask - bid) / total(bids + asks)),
        "amihud_like": float((ask - bid) / book.mid / value(bids + asks)),
    }
    for side in ("bid", "ask"):
        columns |= shares(book, side, options)
    return columns


def shares(book: Book, side: str, options: Options) -> Columns:
    cut = side_of(book, side)[: options.depth_levels]
    return {
        f"{side}_concentration": float(sum((q / total(cut)) ** 2 for _, q in cut)) if cut else None,
        f"{side}_top_share": float(cut[0][1] / total(cut)) if cut else None,
    }


def of_one_side(book: Book, side: str, options: Options) -> Columns:
    """The features of a side that need no mid."""
    cut = side_of(book, side)[: options.depth_levels]
    mean_price = vwap(cut)
    return {
        **levels_of(book, side, options),
        **shares(book, side, options),
        f"vwap_{side}_{options.depth_levels}": None if mean_price is None else float(mean_price),
        f"{side}_depth_entropy": entropy(cut),
    }


def walked(side: Side, amount: Fraction, price_of: Callable[[Fraction], Fraction]) -> Fraction | None:
    """Mean price of taking `amount` from the side, best first; `price_of` is a level's cost of one base unit in it."""
    left, taken, paid = amount, ZERO, ZERO
    for level_price, size in side:
        part = min(size, left / price_of(level_price))
        left -= part * price_of(level_price)
        taken += part
        paid += part * level_price
        if left == 0:
            return paid / taken
    return None


def costs(book: Book, options: Options) -> Columns:
    """A9, in bps of the mid; null where the book is too thin, and then `ctt_exhausted`."""
    columns: Columns = {}
    is_exhausted = False
    units = [("base", size) for size in options.cost_base_sizes] + [
        ("quote", size) for size in options.cost_quote_sizes
    ]
    for unit, size in units:
        price_of = (lambda p: p) if unit == "quote" else (lambda _: Fraction(1))
        bid, ask = (walked(side, exact(size), price_of) for side in (book.bids, book.asks))
        is_exhausted |= bid is None or ask is None
        buy = None if ask is None else float((ask - book.mid) / book.mid * 10_000)
        sell = None if bid is None else float((book.mid - bid) / book.mid * 10_000)
        both = None if bid is None or ask is None else float((ask - bid) / book.mid * 10_000)
        columns[f"cost_to_trade_{plain(size)}_{unit}"] = both
        if unit == "quote":
            columns[f"buy_cost_{plain(size)}_{unit}"] = buy
            columns[f"sell_cost_{plain(size)}_{unit}"] = sell
    return columns | {"ctt_exhausted": is_exhausted}


DUMMY = Book(0, ((exact(1), exact(1)),), ((exact(2), exact(1)),))
