"""Gold `book_bars`: the rows of silver `orderbook` over intervals of time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from etl.features import bar_kernels as kernels
from etl.features import given
from etl.features.columns import columns
from etl.features.declared import HOUSE, TIME, Fact, Feature
from etl.features.options import FeatureOptions
from etl.features.saved import Arrays, SavedState, saved
from etl.features.stateful import moments
from shared.errors import InputUnreadable

VERSION = 1
OPTIONS = ("variance_ratio_lags", "yang_zhang_bars")  # that its rows depend on, beside their length

FACTS = (
    Fact("bar_seq", pl.Int64(), "number of the bar in its stream, from 0"),
    Fact("time_start", TIME, "the bar holds rows from here on"),
    Fact("time_end", TIME, "and before here"),
    Fact("available_at", TIME, "first moment at which the bar could be known: time_end"),
    Fact("known_at", TIME, "when the last input of its rows and all earlier ones had arrived"),
    Fact("bar_duration_sec", pl.Int64(), "length of the bar [s]"),
    Fact("has_gap", pl.Boolean(), "something is missing within the bar, or between it and the one before"),
    Fact("snapshot_count", pl.Int64(), "valid rows in the bar"),
    Fact("n_reset", pl.Int64(), "rows among them that are compared with nothing before"),
)


def features(options: FeatureOptions) -> tuple[Feature, ...]:
    """The features of each bar as these options make them."""
    return (*_levels(), *_variation(options), *_ranges(options))


def _levels() -> tuple[Feature, ...]:
    """S27 and A28."""
    means = (
        ("spread", "quote", "spread"),
        ("relative_spread", "fraction", "relative_spread"),
        ("l1_imbalance", "[-1, 1]", "imbalance_L1"),
        ("total_imbalance", "[-1, 1]", "total_imbalance"),
    )
    held = "sum of {} x time in force / sum of time; in force until the next row, at most 300 s, within the bar"
    return (
        Feature("open", "quote", "the first mid_price", HOUSE, "S27"),
        Feature("high", "quote", "the largest mid_price", HOUSE, "S27"),
        Feature("low", "quote", "the smallest mid_price", HOUSE, "S27"),
        Feature("close", "quote", "the last mid_price", HOUSE, "S27"),
        Feature("min_spread", "quote", "the smallest spread", HOUSE, "S27"),
        Feature("max_spread", "quote", "the largest spread", HOUSE, "S27"),
        *(Feature(f"mean_{name}", unit, f"mean of {column} over rows", HOUSE, "S27") for name, unit, column in means),
        *(Feature(f"tw_{name}", unit, held.format(column), HOUSE, "A28") for name, unit, column in means),
        *(Feature(f"sum_{name}", "base", f"sum of {name}", HOUSE, "S27") for name in ("ofi", "mlofi", "tfi")),
    )


def _variation(options: FeatureOptions) -> tuple[Feature, ...]:
    """S28, S29, A29, A31 to A33: of the n log returns r that end in the bar, those after a reset left out."""
    rv, ads = "Andersen, Bollerslev, Diebold and Labys 2003", "Andersen, Dobrev and Schaumburg 2012"
    bns, skew = "Barndorff-Nielsen and Shephard 2004", "Amaya, Christoffersen, Jacobs and Vasquez 2015"
    bks = "Barndorff-Nielsen, Kinnebrock and Shephard 2010"
    ratio = "Var of sums of {q} returns in a row / ({q} Var of returns), population moments, about the bar's mean"
    return (
        Feature("realized_variance", "1", "sum r^2; a return across the edge is of the later bar", rv, "S28"),
        Feature("daily_vol_ann", "1/sqrt(year)", "sqrt(realized_variance x 86400/length x 365)", HOUSE, "S29"),
        *(
            Feature(f"variance_ratio_{q}", "1", ratio.format(q=q), "Lo and MacKinlay 1988", "A29")
            for q in options.variance_ratio_lags
        ),
        Feature("bpv", "1", "pi/2 n/(n-1) sum |r_i| |r_i-1|", bns, "A31"),
        Feature("jump_ratio", "[0, 1]", "max(0, 1 - bpv / realized_variance)", bns, "A31"),
        Feature(
            "zero_frac", "fraction", "share of returns that are 0: they bias bpv, medrv and minrv down", bns, "A31"
        ),
        Feature("medrv", "1", "pi/(6 - 4 sqrt(3) + pi) n/(n-2) sum median(|r_i-1|, |r_i|, |r_i+1|)^2", ads, "A32"),
        Feature("minrv", "1", "pi/(pi - 2) n/(n-1) sum min(|r_i|, |r_i+1|)^2", ads, "A32"),
        Feature("rs_plus", "1", "sum r^2 of r > 0", bks, "A33"),
        Feature("rs_minus", "1", "sum r^2 of r < 0", bks, "A33"),
        Feature("signed_jump", "1", "rs_plus - rs_minus", "Patton and Sheppard 2015", "A33"),
        Feature("rskew", "1", "sqrt(n) sum r^3 / realized_variance^1.5", skew, "A33"),
        Feature("rkurt", "1", "n sum r^4 / realized_variance^2", skew, "A33"),
        Feature("rq", "1", "n/3 sum r^4", bns, "A33"),
    )


def _ranges(options: FeatureOptions) -> tuple[Feature, ...]:
    """A35: of the mid prices O, H, L, C of a bar; null with fewer than two rows."""
    zhang = "s_o^2 + k s_c^2 + (1 - k) mean of rogers_satchell, k = .34/(1.34 + ({n}+1)/({n}-1)), over {n} bars"
    return (
        Feature("parkinson", "1", "ln(H/L)^2 / (4 ln 2)", "Parkinson 1980", "A35"),
        Feature("garman_klass", "1", "ln(H/L)^2/2 - (2 ln 2 - 1) ln(C/O)^2", "Garman and Klass 1980", "A35"),
        Feature(
            "rogers_satchell",
            "1",
            "u(u - c) + d(d - c), with u, d, c = ln of H, L, C / O",
            "Rogers and Satchell 1991",
            "A35",
        ),
        *(
            Feature(f"yang_zhang_{n}", "1", zhang.format(n=n), "Yang and Zhang 2000", "A35")
            for n in options.yang_zhang_bars
        ),
    )


class BookBars:
    """Bars of one length over one stream's rows of the book, equal however they are cut and wherever it is restarted.

    Bars [start, end) stand on UTC; one without a valid row is absent. The first valid row after a bar's end closes it.

    Args:
        bar_duration_sec: the length, in seconds.
        state: a snapshot of equal bars, to go on from.
        options: those of `FeatureOptions`, by name; those of `OPTIONS` matter here.

    Raises: ValueError for an option that does not exist or a value that it cannot have; StateMismatch for a state of
        another version or of other options.
    """

    def __init__(self, *, bar_duration_sec: int, state: SavedState | None = None, **options: Any) -> None:
        if bar_duration_sec < 1:
            raise ValueError(f"bar_duration_sec must be at least 1, was {bar_duration_sec}")
        self.bar_duration_sec = bar_duration_sec
        self.options = FeatureOptions.of(options)
        self.features = features(self.options)
        self._state: Arrays = kernels.nothing_yet(max(self.options.yang_zhang_bars, default=0))
        self._counts = dict.fromkeys(("rows", "invalid_rows", "bars"), 0)
        if state:
            state.restore(self._state, version=VERSION, options=self._identity())
            self._counts |= state.counts

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The bars that these rows close.

        Args:
            rows: silver `orderbook`, or `timestamp` and the columns that bars are made of, in order, each row once. One
                without `mid_price` is not valid, and left out.

        Raises: InputUnreadable naming a column that is missing or of a wrong type, or for rows out of order.
        """
        t_ns, known_ns = given.times(rows, "rows of the book", known="known_at")
        clock = self._state["clock"]
        if len(t_ns) and ((t_ns[1:] < t_ns[:-1]).any() or t_ns[0] < clock[kernels.SEEN_NS]):
            raise InputUnreadable("rows of the book are not in order of time", hint="Sort them, and give each once")
        told = kernels.Told(
            t_ns,
            known_ns,
            given.flags(rows, "rows of the book", "is_reset"),
            given.flags(rows, "rows of the book", "has_gap"),
            np.column_stack([given.numbers(rows, "rows of the book", name) for name in kernels.COLUMNS]),
        )
        invalid = int(np.isnan(told.values[:, kernels.MID]).sum())
        self._state["returns"] = kernels.with_room(self._state["returns"], int(clock[kernels.RETURNS]), len(rows))
        made = kernels.made_of(len(np.unique(t_ns // self._length_ns)), len(self.features))
        bars = kernels.take(self._memory(), told, made)
        self._counts["rows"] += len(rows) - invalid
        self._counts["invalid_rows"] += invalid
        return self._frame(made, bars)

    def flush(self) -> pl.DataFrame:
        """The bar that is still open, at a declared end of the data."""
        made = kernels.made_of(1, len(self.features))
        return self._frame(made, kernels.close(self._memory(), made, 0))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many rows were taken and left out, and how many bars made, since the very beginning."""
        return self._counts

    def snapshot(self) -> SavedState:
        """The whole state, for `state=` of equal bars."""
        state = self._state | {"returns": self._state["returns"][: self._state["clock"][kernels.RETURNS]]}
        return SavedState(version=VERSION, options=self._identity(), arrays=saved(state), counts=dict(self._counts))

    @property
    def _length_ns(self) -> int:
        return self.bar_duration_sec * 10**9

    def _identity(self) -> str:
        return self.options.identity(*OPTIONS, bar_duration_sec=self.bar_duration_sec)

    def _memory(self) -> kernels.Memory:
        lags = np.array(self.options.variance_ratio_lags, dtype=np.int64)
        bars = np.array(self.options.yang_zhang_bars, dtype=np.int64)
        return kernels.Memory(**self._state, length_ns=self._length_ns, lags=lags, zhang_bars=bars)

    def _frame(self, made: kernels.Made, bars: int) -> pl.DataFrame:
        start_ns, known_ns, has_gap, n, n_reset = made.facts[:, :bars]
        end = moments(start_ns + self._length_ns)
        facts = {
            "bar_seq": np.arange(self._counts["bars"], self._counts["bars"] + bars),
            "time_start": moments(start_ns),
            "time_end": end,
            "available_at": end,
            "known_at": moments(known_ns),
            "bar_duration_sec": np.full(bars, self.bar_duration_sec),
            "has_gap": has_gap.astype(np.bool_),
            "snapshot_count": n,
            "n_reset": n_reset,
        }
        self._counts["bars"] += bars
        values = {one.name: of[:bars] for one, of in zip(self.features, made.values, strict=True)}
        return pl.DataFrame(facts).hstack(columns(self.features, values))
