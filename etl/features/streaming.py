"""Statistics that are told one value at a time: `update`, `get`, `snapshot`, `restore`.

They run the kernels of the features, so that a live number and the one in the table are the same. What is not known is
None, never NaN. A value that is None or NaN is missing: it takes its place in a window of items and adds nothing.
"""

import math
from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Self

import msgspec
import numpy as np

from etl.features import buckets
from etl.features.decimals import decimal
from etl.features.regression import TimeLines
from etl.features.rows import Floats, Int64s
from etl.features.saved import Arrays, SavedArray, restore, saved
from etl.features.windows import LARGEST, TimeSums
from shared.errors import StateMismatch

_ITEM_NS = 10**9  # items without times are a second apart
_LONGEST = 2**31  # items or seconds of a window
_SHORTEST_S = 1e-9
_SMALLEST = Decimal("1e-18")
_GO_ON = np.zeros(1, np.bool_)


class StatisticState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a statistic remembers, and which one it is of."""

    kind: str
    options: str  # canonical JSON
    arrays: dict[str, SavedArray]


class Statistic(ABC):
    """What can be asked at any time, saved and gone on with."""

    def __init__(self, **options: object) -> None:
        self._options = msgspec.json.encode(options, order="deterministic").decode()
        self._state: Arrays = {}

    @abstractmethod
    def get(self) -> float | None:
        """The value now; None where it is not known."""

    def snapshot(self) -> StatisticState:
        """The whole state, for `restore` of one made with the same options."""
        return StatisticState(kind=type(self).__name__, options=self._options, arrays=saved(self._state))

    def restore(self, state: StatisticState) -> Self:
        """This statistic, now as it was when the snapshot was taken.

        Raises: StateMismatch where that was of another kind or other options, or is damaged.
        """
        if (state.kind, state.options) != (type(self).__name__, self._options):
            raise StateMismatch(
                f"the state is of {state.kind} {state.options}, this is {type(self).__name__} {self._options}",
                hint="Restore it into one that is made with the same options",
            )
        restore(self._state, state.arrays)
        return self


class WindowStatistic(Statistic):
    """Of the last `window` items, or of those of the last `window_s` seconds: (t - window_s, t], t of the last one.

    Raises: ValueError unless exactly one of the two is given.
    """

    def __init__(self, *, window: int | None, window_s: float | None, **options: object) -> None:
        length = window_s if window is None else window
        if length is None or None not in (window, window_s):
            raise ValueError("give window (items) or window_s (seconds), one of the two")
        super().__init__(window=window, window_s=window_s, **options)
        self._is_timed = window is None
        self._length_s = float(length)
        if not (_SHORTEST_S if self._is_timed else 1) <= length < _LONGEST or (window or 0) % 1:
            least = f"{_SHORTEST_S:g} s" if self._is_timed else "a whole item"
            raise ValueError(f"a window must be at least {least} and below 2^31, was {length}")
        self._state["t_ns"] = np.full(1, -(2**63) if self._is_timed else 0)

    def _moment(self, t_ns: int | None) -> Int64s:
        """When the next item is."""
        if (t_ns is not None) != self._is_timed:
            raise ValueError("t_ns belongs to windows of time: give it with window_s, and with window leave it out")
        last = int(self._state["t_ns"][0])
        if t_ns is not None and t_ns < last:
            raise ValueError(f"t_ns must not go back: {t_ns} comes after {last}")
        self._state["t_ns"] = np.array([last + _ITEM_NS if t_ns is None else t_ns], np.int64)
        return self._state["t_ns"]


class RollingSum(WindowStatistic):
    """The sum of the values in a window, compensated: what has left it leaves no rounding behind.

    Source: Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, ZAMM 54 (1974).

    >>> total = RollingSum(window=3)
    >>> for value in (0.5, 1e16, 1, 2, 3.25):
    ...     total.update(value)
    >>> total.get()
    6.25
    >>> flow = RollingSum(window_s=5)
    >>> for second, value in ((1, 5), (2, -2), (5, 3), (6, 1)):
    ...     flow.update(value, t_ns=second * 10**9)
    >>> flow.get()
    2.0
    """

    def __init__(self, *, window: int | None = None, window_s: float | None = None) -> None:
        super().__init__(window=window, window_s=window_s)
        self._sums = TimeSums(1, [self._length_s], state=self._state)
        self._state["now"] = np.zeros(2)

    def update(self, value: float | None, *, t_ns: int | None = None) -> None:
        """Take one value more.

        Raises: ValueError for one that is infinite or beyond 1e100, or a time before the last.
        """
        x = _known(value)[:, None]
        held = self._sums.update(self._moment(t_ns), _GO_ON, x)
        self._state["now"] = np.array([held.sums[0, 0, 0], held.counts[0, 0, 0]])

    def get(self) -> float | None:
        """The sum; None where no value is in the window."""
        return float(self._state["now"][0]) if self.count else None

    @property
    def count(self) -> int:
        """Values in the window."""
        return int(self._state["now"][1])


class RollingWelford(WindowStatistic):
    """Mean and sample variance of the values in a window.

    Welford's recursion loses digits whenever a value leaves its window; here sums of products keep twice the digits.

    Source: Welford, Note on a method for calculating corrected sums of squares and products, Technometrics 4 (1962).

    >>> depth = RollingWelford(window=3)
    >>> for value in (1e9, 75, 73, 80):
    ...     depth.update(value)
    >>> depth.mean, depth.get()
    (76.0, 13.0)
    """

    def __init__(self, *, window: int | None = None, window_s: float | None = None) -> None:
        super().__init__(window=window, window_s=window_s)
        self._sums = TimeSums(1, [self._length_s], state=self._state, products=((0, 0),))
        self._state["now"] = np.zeros(3)

    def update(self, value: float | None, *, t_ns: int | None = None) -> None:
        """Take one value more.

        Raises: ValueError for one that is infinite or beyond 1e100, or a time before the last.
        """
        x = _known(value)[:, None]
        held = self._sums.update(self._moment(t_ns), _GO_ON, x)
        self._state["now"] = np.array([held.sums[0, 0, 0], held.centred[0, 0, 0], held.counts[0, 0, 0]])

    def get(self) -> float | None:
        """The sample variance; None for fewer than two values."""
        return float(self._state["now"][1]) / (self.count - 1) if self.count > 1 else None

    @property
    def mean(self) -> float | None:
        """The mean; None without values."""
        return float(self._state["now"][0]) / self.count if self.count else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation; None for fewer than two values."""
        variance = self.get()
        return None if variance is None else math.sqrt(variance)

    @property
    def count(self) -> int:
        """Values in the window."""
        return int(self._state["now"][2])


class KyleLambdaEstimator(WindowStatistic):
    """Kyle's lambda: the slope of price changes on signed volumes, by ordinary least squares over a window.

    Null until `min_obs` pairs of the window have a volume that is not 0. It may be negative.

    Source: Kyle, Continuous auctions and insider trading, Econometrica 53 (1985).

    >>> kyle = KyleLambdaEstimator(window=5, min_obs=5)
    >>> for flow, change in ((3, 0.02), (-2, -0.01), (1, 0.01), (4, 0.03), (-1, -0.01)):
    ...     kyle.update(flow, change)
    >>> round(kyle.get(), 12), round(kyle.t, 8), round(kyle.r2, 10)
    (0.006923076923, 10.50973575, 0.9735576923)
    """

    def __init__(
        self, *, window: int | None = None, window_s: float | None = None, intercept: bool = True, min_obs: int = 10
    ) -> None:
        super().__init__(window=window, window_s=window_s, intercept=intercept, min_obs=min_obs)
        self._min_obs = min_obs
        self._lines = TimeLines(self._length_s, intercept=intercept, state=self._state)
        self._state["now"] = np.full(3, np.nan)

    def update(self, flow: float | None, change: float | None, *, t_ns: int | None = None) -> None:
        """Take one interval more: what takers bought less what they sold, and how far the price moved.

        Raises: ValueError for a number that is infinite or beyond 1e100, or a time before the last.
        """
        x, y = _known(flow), _known(change)
        line, count, _ = self._lines.update(self._moment(t_ns), _GO_ON, x, y, x != 0)
        self._state["now"] = np.concatenate(line) if count[0] >= self._min_obs else np.full(3, np.nan)

    def get(self) -> float | None:
        """Lambda, in price per unit of volume; None where it is not known or the volume does not vary."""
        return _told(self._state["now"][0])

    @property
    def t(self) -> float | None:
        """Lambda / its standard error; None where the line is exact."""
        return _told(self._state["now"][1])

    @property
    def r2(self) -> float | None:
        """The share of the variance that the line explains; None where the price does not move."""
        return _told(self._state["now"][2])


class VPINCalculator(Statistic):
    """VPIN: how one-sided trading was, over the last buckets of equal volume. Trades are split exactly at the edges.

    Volumes are exact decimals, a float that of its shortest text, so that ten trades of 0.1 fill a bucket of 1.

    Source: Easley, Lopez de Prado and O'Hara, Flow toxicity and liquidity in a high-frequency world, RFS 25 (2012).

    >>> vpin = VPINCalculator(bucket_volume=10, window_buckets=2)
    >>> for amount, sign in ((6, 1), (8, -1), (3, 1), (5, 1)):
    ...     vpin.update(amount, sign)
    >>> vpin.get(), vpin.fill
    (0.2, 0.2)
    """

    def __init__(self, *, bucket_volume: float | Decimal, window_buckets: int = 50) -> None:
        if window_buckets < 1:
            raise ValueError(f"window_buckets must be at least 1, was {window_buckets}")
        self._size = _volume(bucket_volume, "bucket_volume")
        if bucket_volume * window_buckets >= buckets.LIMIT:
            raise ValueError(f"all buckets together must be below 2^62, were {window_buckets} of {bucket_volume}")
        super().__init__(bucket_volume=self._size, window_buckets=window_buckets)
        self._state.update(buckets.empty(window_buckets))

    def update(self, amount: float | Decimal, sign: int) -> None:
        """Take one trade more; the taker's sign is 1 (buy), -1 (sell) or 0 (unknown: half and half).

        Raises: ValueError for another sign, or an amount below 1e-18 or of 2^60 or more.
        """
        if sign not in (-1, 0, 1):
            raise ValueError(f"sign must be 1, -1 or 0, was {sign}")
        buckets.take(buckets.buckets(self._state), np.int8(sign), _volume(amount, "amount"), self._size)

    def reset(self) -> None:
        """Discard the open bucket, because trades are missing before the next one."""
        buckets.reset(buckets.buckets(self._state))

    def get(self) -> float | None:
        """VPIN, in [0, 1]; None before the first `window_buckets` buckets are full."""
        return _told(buckets.toxicity(buckets.buckets(self._state)))

    @property
    def fill(self) -> float:
        """How full the open bucket is, in [0, 1)."""
        return _told(buckets.fill(buckets.buckets(self._state))) or 0.0


def _known(value: float | None) -> Floats:
    """A value in an array, NaN for one that is missing."""
    number = math.nan if value is None else float(value)
    if abs(number) > LARGEST:
        raise ValueError(f"values must be within 1e100, was {value}")
    return np.array([number])


def _volume(amount: float | Decimal, what: str) -> tuple[int, int]:
    number = Decimal(str(amount))
    if not (number.is_finite() and _SMALLEST <= number < 2**60):
        raise ValueError(f"{what} must be at least 1e-18 and below 2^60, was {amount}")
    return decimal(number, what=what)


def _told(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
