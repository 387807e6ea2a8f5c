"""Price impact over a window and order-flow toxicity on a volume clock. Specification 3.4, 3.5 (S18, S19)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from tests.etl.features.reference.emission import Row, all_past, valid_past
from tests.etl.features.reference.motion_flow import before, change, trades_of
from tests.etl.features.reference.numbers import DAY_NS, exact, fitted, log_ratio
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.signs import Print
from tests.etl.features.reference.windows import Facts, window_of

Columns = dict[str, object]
ZERO = Fraction(0)
BUCKETS_PER_DAY = 50
DAYS_OF_VOLUME = 20


def kyle(row: Row, facts: dict[Row, Facts], prints: Sequence[Print], options: Options) -> Columns:
    """S18: the mid's change on signed volume over the rows of the window."""
    columns: Columns = dict.fromkeys(("kyle_lambda", "kyle_lambda_bps", "kyle_t", "kyle_r2"))
    past = [facts[earlier] for earlier in valid_past(row)]
    window = [then for then in window_of(row, past, options.kyle_lambda_window, options) or () if then.tfi is not None]
    if sum(then.tfi != 0 for then in window) < options.min_obs_regression:
        return columns
    x = [then.tfi or ZERO for then in window]
    line = fitted(x, [change(then.row) or ZERO for then in window], with_intercept=options.kyle_intercept)
    if line is not None:
        columns |= {"kyle_lambda": float(line.slope), "kyle_t": line.t, "kyle_r2": line.r2}
    signed_quote, returns_bps = [], []
    for then in window:
        last = before(then.row)
        assert last is not None
        value = sum((trade.sign * trade.value for trade in trades_of(then.row, prints) or ()), ZERO)
        signed_quote.append(value / 1_000_000)
        returns_bps.append(exact(log_ratio(then.row.book.mid, last.book.mid)) * 10_000)
    line = fitted(signed_quote, returns_bps, with_intercept=options.kyle_intercept)
    return columns | {"kyle_lambda_bps": None if line is None else float(line.slope)}


@dataclass
class Bucket:
    """A volume bucket; its size is fixed when it opens."""

    size: Fraction
    buy: Fraction = ZERO
    sell: Fraction = ZERO

    @property
    def filled(self) -> Fraction:
        return self.buy + self.sell


def bucket_size(day: int, prints: Sequence[Print], options: Options) -> Fraction | None:
    """Of a UTC day: what is configured, else a fiftieth of the mean volume of the last 20 finished days with trades."""
    if options.vpin_bucket_volume is not None:
        return exact(options.vpin_bucket_volume)
    days = sorted({trade.t_ns // DAY_NS for trade in prints if trade.t_ns // DAY_NS < day})[-DAYS_OF_VOLUME:]
    if not days:
        return None
    volume = sum((trade.amount for trade in prints if trade.t_ns // DAY_NS in days), ZERO)
    return exact(float(volume / len(days) / BUCKETS_PER_DAY))


class Clock:
    """Buckets of exactly their size: a trade is split at the edge."""

    def __init__(self, size_of_day: Callable[[int], Fraction | None]) -> None:
        self.size_of_day = size_of_day
        self.done: list[Bucket] = []
        self.opened: Bucket | None = None
        self.size: Fraction | None = None  # of the day of the last trade
        self.done_since_reset: int | None = None

    def take(self, trade: Print) -> None:
        left = trade.amount
        self.size = self.size_of_day(trade.t_ns // DAY_NS)
        while left > 0:
            if self.opened is None:
                if self.size is None:
                    return
                self.opened = Bucket(self.size)
            bucket = self.opened
            part = min(left, bucket.size - bucket.filled)
            bucket.buy += part * Fraction(1 + trade.sign, 2)
            bucket.sell += part * Fraction(1 - trade.sign, 2)
            left -= part
            if bucket.filled == bucket.size:
                self.done.append(bucket)
                self.opened = None
                if self.done_since_reset is not None:
                    self.done_since_reset += 1

    def reset(self) -> None:
        self.opened, self.done_since_reset = None, 0


class Vpin:
    """S19 over the rows of a stream, the trades split anew from the very beginning at every row."""

    def __init__(self, prints: Sequence[Print], options: Options) -> None:
        self.prints, self.options = prints, options
        self.size_of_day = cache(lambda day: bucket_size(day, prints, options))

    def columns(self, row: Row) -> Columns:
        """A reset (the stream's first book is none) discards the open bucket after the trades up to its row."""
        clock = Clock(self.size_of_day)
        waiting = list(self.prints[::-1])
        for past in all_past(row):
            while waiting and waiting[-1].t_ns <= past.t_ns:
                clock.take(waiting.pop())
            if past.is_reset and past.previous is not None:
                clock.reset()
        if len(waiting) == len(self.prints) or not self.options.enable_vpin:
            return dict.fromkeys(("vpin", "vpin_bucket_fill", "vpin_gap"))
        n = self.options.vpin_window_buckets
        return {
            "vpin": toxicity(clock.done, n),
            "vpin_bucket_fill": fill(clock),
            "vpin_gap": clock.done_since_reset is not None and clock.done_since_reset < n,
        }


def toxicity(done: Sequence[Bucket], n: int) -> float | None:
    """Over the last n buckets, which may be of different sizes."""
    if len(done) < n:
        return None
    apart = sum((abs(bucket.buy - bucket.sell) for bucket in done[-n:]), ZERO)
    return float(apart / sum((bucket.size for bucket in done[-n:]), ZERO))


def fill(clock: Clock) -> float | None:
    if clock.opened is not None:
        return float(clock.opened.filled / clock.opened.size)
    return None if clock.size is None else 0.0
