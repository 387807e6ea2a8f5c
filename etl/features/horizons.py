"""What families of windows have in common: declared once, with a column for every horizon."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from etl.features.declared import Feature, StatefulFamily
from etl.features.options import FeatureOptions, seconds_label
from etl.features.rows import Floats, Int64s, Rows
from etl.features.windows import LARGEST, TimeSums, Windowed

_ROWS_AT_ONCE = 16_384  # of 5 horizons: some MB, however many rows there are


@dataclass(frozen=True)
class Window:
    """One horizon's window after each row; arrays are (rows, ...) as in `Windowed`."""

    seconds: float
    sums: Floats
    centred: Floats
    counts: Int64s
    coverage: Floats  # (rows,): share of it since the last reset

    def mean(self, column: int) -> Floats:
        """The mean of a column."""
        return self.sums[:, column] / self.counts[:, column]

    def variance(self, column: int, product: int) -> Floats:
        """The sample variance of a column whose square is this product."""
        n = self.counts[:, column]
        return np.where(n >= 2, self.centred[:, product] / (n - 1), np.nan)

    def if_enough(self, column: int, least: int, values: Floats) -> Floats:
        """The values where a window has so many of a column, else NaN."""
        return np.where(self.counts[:, column] >= least, values, np.nan)


class HorizonFamily(StatefulFamily):
    """Features of sums over windows of time."""

    each: tuple[Feature, ...]  # named without their horizon
    made_from: ClassVar[Mapping[str, tuple[str, ...]]]  # columns, by the name of a feature without horizon
    columns: ClassVar[int]  # that `terms` gives
    products: ClassVar[tuple[tuple[int, int], ...]] = ()  # of those that are summed too

    def __init__(self, options: FeatureOptions) -> None:
        self._options = options
        self.features = tuple(
            replace(feature, name=f"{feature.name}_{seconds_label(h)}")
            for feature in self.each
            for h in options.horizons
        )
        self.state = {}
        self._sums = TimeSums(self.columns, options.horizons, state=self.state, products=self.products)

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        terms = np.column_stack(self.terms(rows))
        terms[~(np.abs(terms) <= LARGEST)] = np.nan
        out = {
            f"{one.name}_{seconds_label(h)}": np.empty(len(rows)) for one in self.each for h in self._options.horizons
        }
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            held = self._sums.update(rows.t_ns[part], rows.is_reset[part], terms[part])
            for h, seconds in enumerate(self._options.horizons):
                for name, values in self._of_horizon(held, h, seconds).items():
                    out[f"{name}_{seconds_label(seconds)}"][part] = values
        return out

    def _of_horizon(self, held: Windowed, h: int, seconds: float) -> dict[str, Floats]:
        length_ns = int(self._sums.lengths_ns[h])
        known = held.known(h, length_ns=length_ns, partial=self._options.partial_windows)
        coverage = np.minimum(1.0, held.reach_ns / length_ns)
        window = Window(seconds, held.sums[:, h], held.centred[:, h], held.counts[:, h], coverage)
        with np.errstate(all="ignore"):
            return {name: np.where(known, values, np.nan) for name, values in self.of_window(window).items()}

    def stem(self, feature: Feature) -> str:
        """The name of one of its features without horizon."""
        return feature.name if feature.name in self.made_from else feature.name.rpartition("_")[0]

    @abstractmethod
    def terms(self, rows: Rows) -> Sequence[Floats]:
        """What is summed, an array a column."""

    @abstractmethod
    def of_window(self, window: Window) -> Mapping[str, Floats]:
        """Every feature of `each`, as if windows were full; divisions by 0 are allowed."""
